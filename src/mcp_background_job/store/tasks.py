"""What of a task is told once and for good, in the folder of its job.

Promise: of several servers one writes each fact, and none sees a part of it or takes it back; an answer whose server is
killed before it was carried out can be given again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mcp_background_job.supervisor.locks import is_held, try_lock

from .files import append_line, write_whole

LOOKED_AT = 0.05  # seconds for another server that only looks whether a question is answered


@contextmanager
def claimed_question(folder: Path, key: str) -> Iterator[Callable[[], None] | None]:
    """What notes that the question is answered; None where another server is at it, or was.

    Held by a lock, which goes with the server, so that one that is killed meanwhile leaves the question open.
    """
    path = answer_file(folder, key)
    fd = os.open(path, os.O_RDONLY | os.O_CREAT, 0o600)
    try:
        ours = try_lock(fd, LOOKED_AT) and os.fstat(fd).st_size == 0
        yield (lambda: append_line(path, b"answered\n")) if ours else None
    finally:
        os.close(fd)


def is_answered(folder: Path, key: str) -> bool:
    """Whether a question is answered, or is being so."""
    path = answer_file(folder, key)
    try:
        return path.stat().st_size > 0 or is_held(str(path))
    except FileNotFoundError:
        return False


def answer_file(folder: Path, key: str) -> Path:
    return folder / f"answer-{key}"


def read_result(folder: Path) -> bytes | None:
    """What a task was told to have ended with though its job went on."""
    try:
        return (folder / "result.json").read_bytes()
    except FileNotFoundError:
        return None


def write_result(folder: Path, data: bytes) -> bytes:
    """The result of a task from now on: `data`, or what another server has written first."""
    whole = folder / f"result.{os.urandom(4).hex()}"
    write_whole(whole, data)
    with suppress(FileExistsError):
        os.link(whole, folder / "result.json")
    whole.unlink()
    return read_result(folder) or data
