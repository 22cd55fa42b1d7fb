"""The columns that characters take on a terminal, as tmux counts them, and rows made of such cells.

A row is a `str` while each of its characters fills one cell, else a list with one string a cell: a wide
character is followed by "", and combining characters stand behind their base in its cell. `BLANK` marks a
cell that nobody wrote or somebody erased, so that padding can be told from spaces that a program printed.
"""

from __future__ import annotations

import re
import unicodedata

from wcwidth import wcwidth

BLANK = "\0"
ZERO_WIDTH_JOINER = "\u200d"

# Characters known to be one cell wide, in ranges whose code points are all assigned: letters of Europe,
# and what progress bars and tables are drawn with. Others are looked up one by one.
_NARROW = re.compile(
    "[\0 -~\xa1-\xac\xae-\u02ff\u0400-\u0482\u2010-\u2027\u2030-\u205e\u2190-\u2199\u2500-\u259f\u2713-\u2718\u2800-\u28ff]*"
)

Cells = str | list[str]


class Widths(dict[str, int]):
    """Columns of a character, each looked up once.

    tmux asks the C library, whose tables differ from wcwidth's in two places that programs print: spacing
    marks (category Mc) and regional indicators, the halves of a flag, take one column there.
    """

    def __missing__(self, character: str) -> int:
        width = wcwidth(character)
        if "\U0001f1e6" <= character <= "\U0001f1ff" or (
            width == 0 and unicodedata.category(character) == "Mc"
        ):
            width = 1
        width = max(width, 0)
        self[character] = width
        return width


WIDTHS = Widths({BLANK: 1})


def is_narrow(text: str) -> bool:
    """Whether each character of text (no tabs) fills exactly one cell."""
    return text.isascii() or _NARROW.fullmatch(text) is not None


def is_wide(cell: str) -> bool:
    return cell > "\u10ff" and WIDTHS[cell[0]] > 1


def blanks(like: Cells, count: int) -> Cells:
    """count blank cells, of the type that `like` has."""
    return BLANK * count if isinstance(like, str) else [BLANK] * count


def joined(cells: Cells) -> str:
    return cells if isinstance(cells, str) else "".join(cells)
