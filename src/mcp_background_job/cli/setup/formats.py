"""The formats that clients keep their settings in: one interface, chosen by a file's name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mcp_background_job.errors import InvalidInput

from . import jsonc, toml_tables, yaml_maps
from .unreadable import Unreadable

Names = tuple[str, ...]  # the keys that lead to an entry
Entry = dict[str, object]


class Language(Protocol):
    """Reading a text, and putting an entry into it; both raise Unreadable."""

    def loads(self, text: str) -> object: ...
    def put(self, text: str, path: Names, value: Entry) -> str: ...


@dataclass(frozen=True)
class Format:
    """A language, and what it is called."""

    title: str
    language: Language

    def entry(self, file: Path, text: str, path: Names) -> object:
        """What is at `path`; None where there is nothing.

        Raises InvalidInput where the text can't be read.
        """
        try:
            found = self.language.loads(text) if text.strip() else {}
        except Unreadable as error:
            raise self.refusal(file, error) from None
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        return found

    def put(self, file: Path, text: str, path: Names, entry: Entry) -> str:
        """`text` with `entry` at `path`.

        Raises InvalidInput where that can't be done without a change elsewhere.
        """
        try:
            return self.language.put(text, path, entry)
        except Unreadable as error:
            raise self.refusal(file, error) from None

    def shown(self, path: Names, entry: Entry) -> str:
        """The entry as the lines that a person would add to an empty file."""
        return self.language.put("", path, entry)

    def refusal(self, file: Path, error: Unreadable) -> InvalidInput:
        return InvalidInput(
            f"{file} can't be read or extended as {self.title} ({error}); nothing was changed",
            "Fix it, or add the entry by hand: run this without --write to see it",
        )


JSON, TOML, YAML = Format("JSON", jsonc), Format("TOML", toml_tables), Format("YAML", yaml_maps)


def format_of(file: Path) -> Format:
    return {".toml": TOML, ".yaml": YAML, ".yml": YAML}.get(file.suffix, JSON)
