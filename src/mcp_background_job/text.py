"""Text from outside (names, commands, messages, output): how it is cleaned, measured and cut before it is shown.

Promises: what is cleaned has no character that a terminal obeys; widths are those that tmux's screen gives, as the
emulator counts them too; the width tables are loaded with the first character beyond ASCII.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby

# Embeddings, overrides, isolates and marks: of any use only to a renderer that reorders, and a way to make it lie.
_DIRECTIONS = {
    code: f"<U+{code:04X}>" for code in (0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
}
_DRAWN_RULE = re.compile(r"([\u2500-\u257f])\1{49,}")
_RULE = re.compile(r"([^\w\s])\1{15,}|( )\2{39,}")  # a line or a gap across a window
FEW_ROWS = 4  # of the same, from which on they are told by their number
_PADDING = re.compile(r"(?<=\S)\s{8,}(?=\S)")  # not at a line's beginning, where it is indentation
ZERO_WIDTH_JOINER = "\u200d"


class CharacterWidths(dict[str, int]):
    """Columns of a character, each looked up once.

    tmux asks the C library, whose tables differ from wcwidth's in two places that programs print: spacing
    marks (category Mc) and regional indicators, the halves of a flag, take one column there.
    """

    def __missing__(self, character: str) -> int:
        from wcwidth import wcwidth  # slow to import, and mostly there is ASCII only

        columns = wcwidth(character)
        if "\U0001f1e6" <= character <= "\U0001f1ff" or (columns == 0 and unicodedata.category(character) == "Mc"):
            columns = 1
        self[character] = columns = max(columns, 0)
        return columns


_WIDTHS = CharacterWidths(dict.fromkeys([*map(chr, range(32, 127)), "…"], 1))


def one_line(text: str) -> str:
    """One line of printable characters, with single blanks between its words."""
    return " ".join("".join(char for char in text if char.isprintable() or char.isspace()).split())


def escaped(text: str) -> str:
    r"""`text` with its line breaks, and each other control character as an escape such as \x1b."""
    return "".join(char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text)


def padding_shown(text: str) -> str:
    """`text` with the number of blanks in place of a long run, behind which the end of a line would be out of sight."""
    return _PADDING.sub(lambda run: f" <{len(run[0])} blanks> ", text)


def direction_shown(text: str) -> str:
    """`text` with a sign for each character that would reorder what a person reads on a terminal (Unicode's bidi)."""
    return text if text.isascii() else text.translate(_DIRECTIONS)


def width(text: str) -> int:
    """The columns that clean text takes."""
    return len(text) if text.isascii() else sum(_columns_added(text))


def clip(text: str, columns: int) -> str:
    """The longest beginning of `text` that fits in `columns`."""
    if text.isascii():
        return text[: max(0, columns)]
    fits = (total <= columns for total in accumulate(_columns_added(text)))
    return text[: next((index for index, fit in enumerate(fits) if not fit), len(text))]


def shorten(text: str, columns: int) -> str:
    """`text` in at most `columns`, with … where it is too long."""
    if width(text) <= columns:
        return text
    return clip(text, columns - 1) + "…" if columns > 0 else ""


def fit(text: str, columns: int) -> str:
    """`text` in exactly `columns`: shortened, or filled up with blanks."""
    shown = shorten(text, columns)
    return shown + " " * (columns - width(shown))


def wrap(text: str, columns: int) -> list[str]:
    """`text` in lines of at most `columns`, broken at blanks where there are any."""
    lines: list[str] = []
    start = 0
    while start < len(text):
        ahead = text[start : start + 8 * columns]  # not all that is left: a command may have a million characters
        line = clip(ahead, columns) or text[start]
        end = start + len(line)
        if end < len(text) and text[end] != " " and " " in line.strip():
            end = start + line.rindex(" ") + 1
        lines.append(text[start:end].rstrip())
        start = end
        while text[start : start + 1] == " ":
            start += 1
    return lines or [""]


def _columns_added(text: str) -> Iterator[int]:
    """How many columns each character adds: none where it joins the one before it; the first always has a cell."""
    before = ""
    for character in text:
        yield 0 if before == ZERO_WIDTH_JOINER else _WIDTHS[character] or int(not before)
        before = character


def trimmed(lines: Sequence[str]) -> str:
    """A screen without blanks at the ends of its rows, and without the empty rows, or vi's `~`, at its end."""
    rows = [line.rstrip() for line in lines]
    while rows and rows[-1] in ("", "~"):
        rows.pop()
    return "\n".join(rows)


def without_rules(text: str) -> str:
    """A text in which lines that are drawn across a window (U+2500 to U+257F) are told by their beginning."""
    return _DRAWN_RULE.sub(r"\1\1\1…", text)


def summed_up(lines: Sequence[str]) -> str:
    """A screen as `trimmed`, with what says nothing told by its number: empty rows, vi's `~`, long rules and gaps."""
    found: list[str] = []
    for row, same in groupby(trimmed(lines).split("\n")):
        rows = list(same)
        if row in ("", "~") and len(rows) >= FEW_ROWS:
            rows = [f"[… {len(rows)} rows{' of ' + row if row else ''} …]"]
        found += rows
    return _RULE.sub(r"\1\1\1\2\2\2…", "\n".join(found))
