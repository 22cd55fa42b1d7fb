"""Screens as text snapshots: what differs from run to run is masked, column by column."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "snapshots" / "screens"
# The first are in the middle of a line; the others stand in columns, and each sign is as wide as what it stands for.
WORDS = (
    (re.compile(r"since \d+[smhd]\b"), "since ~"),
    (re.compile(r", (\d+\.)?\d+s\b"), ", ~"),
    (re.compile(r"took \d:\d\d"), "took ~~~~"),
)
COLUMNS = (
    (re.compile(r" *[▁▂▃▄▅▆▇█]+"), "="),
    (re.compile(r"\b\d\d:\d\d(:\d\d)?\b"), "~"),  # a time of day
    (re.compile(r" [ \d]{3}%"), "~"),  # CPU
    (re.compile(r"[ \d.]{4}[BKMG]\b"), "~"),  # memory
    (re.compile(r" [ \d.m]{5}s\b"), "~"),  # a duration
)


def masked(screen: str, words: Mapping[str, str]) -> str:
    """The screen with `words`, such as ids, replaced by others of their width; times and sizes by signs."""
    for word, shown in words.items():
        screen = screen.replace(word, shown)
    for mask, shown in WORDS:
        screen = mask.sub(shown, screen)
    for mask, sign in COLUMNS:
        screen = mask.sub(lambda found, sign=sign: sign * len(found[0]), screen)  # type: ignore[misc]
    return "\n".join(line.rstrip() for line in screen.rstrip("\n").split("\n")) + "\n"


def check_screen(name: str, screen: str) -> None:
    """Compare with the snapshot, or write it with SNAPSHOTS=write."""
    file = FOLDER / f"{name}.txt"
    if os.environ.get("SNAPSHOTS") == "write":
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(screen, encoding="utf-8")
    assert screen == file.read_text(encoding="utf-8"), f"{file.name}: on purpose? SNAPSHOTS=write makes it anew"
