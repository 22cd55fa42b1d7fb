"""A row of a terminal's screen, made of cells, and the columns that characters take, as tmux counts them.

Cells are a `str` while each character fills one cell, else a list with one string a cell: a wide
character is followed by "", and combining characters stand behind their base in its cell. `BLANK` marks a
cell that was never written or was erased, so that padding can be told from spaces that a program printed.
"""

from __future__ import annotations

import re

from mcp_background_job.text import ZERO_WIDTH_JOINER, CharacterWidths

BLANK = "\0"
TAB = 8  # columns
MOST_IN_CELL = 32  # characters

# Characters known to be one cell wide, in ranges whose code points are all assigned: letters of Europe,
# and what progress bars and tables are drawn with. Others are looked up one by one.
_NARROW = re.compile(
    "[\0 -~\xa1-\xac\xae-\u02ff\u0400-\u0482\u2010-\u2027\u2030-\u205e"
    "\u2190-\u2199\u2500-\u259f\u2713-\u2718\u2800-\u28ff]*"
)

Cells = str | list[str]


WIDTHS = CharacterWidths({BLANK: 1})


def is_narrow(text: str) -> bool:
    """Whether each character of text (no tabs) fills exactly one cell."""
    return text.isascii() or _NARROW.fullmatch(text) is not None


def is_wide(cell: str) -> bool:
    return cell > "\u10ff" and WIDTHS[cell[0]] > 1


def joined(cells: Cells) -> str:
    return cells if isinstance(cells, str) else "".join(cells)


def erased(cells: Cells, start: int, end: int) -> Cells:
    """Cells with those of start..end blank, as far as there are any."""
    end = min(end, len(cells))
    if start >= end:
        return cells
    if isinstance(cells, str):
        return cells[:start] + BLANK * (end - start) + cells[end:]
    return cells[:start] + [BLANK] * (end - start) + cells[end:]


def split_cells(text: str, columns: int) -> list[str]:
    cells: list[str] = []
    tabbed = 0  # column that tabs led to; cells begin there only if something is printed
    joining = False
    for character in text:
        if character == "\t":
            x = max(tabbed, len(cells))
            tabbed = x if x >= columns - 1 else min(x + TAB - x % TAB, columns - 1)
            continue
        if tabbed > len(cells):
            cells.extend([BLANK] * (tabbed - len(cells)))
        width = WIDTHS[character]
        if (width == 0 or joining) and cells:
            combine(cells, len(cells), character)
        else:
            cells.append(character)
            cells.extend([""] * (width - 1))
        joining = character == ZERO_WIDTH_JOINER
    return cells


def combine(cells: list[str], column: int, character: str) -> None:
    """Put a character that takes no column into the cell before `column`, if it has room: tmux's have as much."""
    column -= 1
    while column > 0 and not cells[column]:
        column -= 1
    if len(cells[column]) < MOST_IN_CELL:
        cells[column] = (" " if cells[column] == BLANK else cells[column]) + character


class Row:
    """One physical row. `wrapped`: the text goes on in the next row."""

    __slots__ = ("cells", "edited", "end", "unknown", "wrapped")

    def __init__(self, text: str = "", unknown: bool = False) -> None:
        self.cells: Cells = text
        self.wrapped = False
        self.edited = False  # written over or erased: spaces at its end are a program's way to erase
        self.end = 0  # column behind text that was appended with tabs or wide characters in it; else 0
        self.unknown = unknown  # stands for a row above the chunk, of which nothing is known

    def text(self, keep: int = 0) -> str:
        """What to read here. Spaces at its end are kept if unedited, or up to column `keep`."""
        cells = self.cells
        text = cells if isinstance(cells, str) else "".join(cells)
        if self.wrapped:
            return text.replace(BLANK, " ") if BLANK in text else text
        if BLANK in text:
            text = text.rstrip(BLANK).replace(BLANK, " ")
        if self.edited:
            text = text[:keep] + text[keep:].rstrip(" ")
        return text

    def is_blank(self) -> bool:
        """Whether nothing was ever printed here since the row was last cleared; tabs only move."""
        return not (joined(self.cells).strip("\t") if self.end else self.cells)

    def as_cells(self, columns: int) -> Cells:
        """The row for work on cells: text that came with tabs or wide characters is taken apart."""
        if self.end:
            self.cells, self.end = split_cells(joined(self.cells), columns), 0
        return self.cells

    def as_list(self, columns: int) -> list[str]:
        """The row as a list with one string a cell, to be changed in place."""
        cells = self.as_cells(columns)
        if isinstance(cells, str):
            cells = self.cells = list(cells)
        return cells

    def clear(self) -> None:
        self.cells = ""
        self.end = 0
        self.wrapped = self.edited = False
