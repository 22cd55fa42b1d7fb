"""Records: the JSON files of a job's folder, as dataclasses.

Unknown fields of a newer version are left alone, and what an older one may not have written has a default.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from typing import Annotated, Generic, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from mcp_background_job.errors import StoreError

from .models import End, Hold, Run, Spec, Window

T = TypeVar("T")


class Kind(Generic[T]):
    """One kind of record; its validator is built when it is first needed, which would be 4 ms of every start."""

    def __init__(self, build: Callable[[], TypeAdapter[T]]) -> None:
        self._build = build

    @cached_property
    def adapter(self) -> TypeAdapter[T]:
        return self._build()


SPEC = Kind(lambda: TypeAdapter(Spec))
WINDOW = Kind(lambda: TypeAdapter(Window))
RUN = Kind(lambda: TypeAdapter(Run))
HOLD = Kind(lambda: TypeAdapter(Hold))
# The first that fits: what has a code is not a signal, and what has neither was not seen.
END: Kind[End] = Kind(lambda: TypeAdapter(Annotated[End, Field(union_mode="left_to_right")]))


def read_record(path: str, kind: Kind[T]) -> T:
    """One record. (A list looks for two of each running job, and making a Path takes longer than finding none.)

    Raises FileNotFoundError, or StoreError that names the file where it holds something else.
    """
    try:
        with os.fdopen(os.open(path, os.O_RDONLY), "rb") as file:
            return kind.adapter.validate_json(file.read())
    except FileNotFoundError:
        raise
    except (ValidationError, OSError) as error:
        raise StoreError(f"{path!r} can't be read as a job's record") from error


def find_record(path: str, kind: Kind[T]) -> T | None:
    """One record; None where it is missing, or holds something else."""
    try:
        return read_record(path, kind)
    except (FileNotFoundError, StoreError):
        return None


def to_record(kind: Kind[T], record: T) -> bytes:
    """A record as it is written: JSON, without what is not known."""
    return kind.adapter.dump_json(record, exclude_none=True)
