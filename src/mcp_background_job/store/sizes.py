"""Which size a job's terminal had when it printed what: reading the file that the log writer keeps.

Promise: whatever the file holds, sizes are those of a terminal, and offsets never go back.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

LARGEST = 10_000  # rows or columns, as in tmux
LONGEST = 20  # digits of a number


class Size(NamedTuple):
    """From `offset` of the log on, the terminal had so many columns and rows."""

    offset: int
    columns: int
    rows: int


FIRST = Size(0, 200, 50)  # of a job that nobody has resized


def read_sizes(folder: Path) -> list[Size]:
    """The sizes in the order in which they came, the one at the beginning first; `folder` is the job's."""
    found = [FIRST]
    try:
        lines = (folder / "sizes").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return found
    for line in lines:
        words = line.split()
        if len(words) != 3 or not all(word.isdecimal() and len(word) < LONGEST for word in words):
            continue
        offset, rows, columns = map(int, words)
        if 0 < rows <= LARGEST and 0 < columns <= LARGEST and offset >= found[-1].offset:
            found.append(Size(offset, columns, rows))
    return found


def size_at(sizes: Sequence[Size], offset: int) -> Size:
    """The size that the terminal had at an offset."""
    return next(size for size in reversed(sizes) if size.offset <= offset or size is sizes[0])


def changes(sizes: Sequence[Size], start: int, stop: int) -> list[Size]:
    """The changes after `start` and before `stop`, their offsets counted from `start`."""
    return [size._replace(offset=size.offset - start) for size in sizes if start < size.offset < stop]
