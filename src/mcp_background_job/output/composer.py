"""Whether the line in which an agent's program takes what a person types (its composer) is empty, from its screen.

Tried on Claude Code, Codex and Gemini CLI: there the cursor stands right behind one sign (❯, ›, >), behind it is
nothing or a placeholder, which is faint or known by its words, and in the next row nothing or a border. Promise: what
a person has begun to type, a menu, a dialog or a shell's mode of the program is never taken for an empty composer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mcp_background_job.text import width

ESCAPE = re.compile(r"\x1b\[([0-9;:]*)m|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x1f]")
SIDES = "│┃|"  # of a box around the composer
SIGN = re.compile(rf"[\s{SIDES}]*[❯›>*][\s]?")
BORDER = re.compile(r"\s*[╰└╚─━═▀▄╌┄]")
PLACEHOLDER = re.compile(r"\s*(Type your message|Try \")")


class Cell(NamedTuple):
    """A character, the column it begins in, and how it is drawn."""

    text: str
    column: int
    faint: bool
    coloured: bool


def is_empty(rows: Sequence[str], row: int, column: int) -> bool:
    """Whether the cursor at `row`, `column` stands in an empty composer; `rows` are of capture-pane -e."""
    if not 0 <= row < len(rows):
        return False
    drawn = list(cells(rows))
    before = [cell for cell in drawn[row] if cell.column < column]
    below = text_of(drawn[row + 1]) if row + 1 < len(drawn) else ""
    if not SIGN.fullmatch(text_of(before)) or not (is_blank(below) or BORDER.match(below)):
        return False
    return shows_placeholder([cell for cell in drawn[row] if cell.column >= column], column)


def shows_placeholder(behind: Sequence[Cell], column: int) -> bool:
    """Whether the cursor's row shows nothing from the cursor on, or a placeholder.

    The character under the cursor may be drawn as a person's would; alone it is one.
    """
    visible = [cell for cell in behind if not is_blank(cell.text)]
    rest = [cell for cell in visible if cell.column > column]
    if not rest or all(cell.faint for cell in rest):
        return bool(rest) or not visible
    return all(cell.coloured for cell in rest) and PLACEHOLDER.match(text_of(behind)) is not None


def is_blank(text: str) -> bool:
    return without_blanks(text) == ""


def holds(rows: Sequence[str], row: int, text: str) -> bool:
    """Whether the composer that the cursor is in, at its end, holds `text` and nothing else; long lines are wrapped."""
    drawn = [text_of(line) for line in cells(rows)]
    found = ""
    for line in reversed(drawn[: row + 1]):
        sign = SIGN.match(line)
        found = without_blanks(line[sign.end() :] if sign else line) + found
        if sign:
            return found == without_blanks(text)
        if len(found) > len(text):
            break
    return False


def without_blanks(text: str) -> str:
    return re.sub(rf"[\s{SIDES}]", "", text)


def text_of(row: Sequence[Cell]) -> str:
    return "".join(cell.text for cell in row)


def cells(rows: Sequence[str]) -> Iterator[list[Cell]]:
    """The characters of each row; how one is drawn goes on from row to row, as capture-pane writes it."""
    faint = coloured = False
    for row in rows:
        found: list[Cell] = []
        column = position = 0
        while position < len(row):
            escape = ESCAPE.match(row, position)
            if escape is not None:
                position = escape.end()
                if escape[1] is not None:
                    faint, coloured = style(escape[1], faint, coloured)
                continue
            found.append(Cell(row[position], column, faint, coloured))
            column += width(row[position])
            position += 1
        yield found


def style(parameters: str, faint: bool, coloured: bool) -> tuple[bool, bool]:
    """What a sequence of attributes makes of two: whether characters are faint, and of a colour of their own."""
    numbers = iter(parameters.split(";"))
    for number in numbers:
        if number in ("", "0"):
            faint = coloured = False
        elif number in ("2", "22"):
            faint = number == "2"
        elif number in ("38", "48"):
            skipped = {"5": 1, "2": 3}.get(next(numbers, ""), 0)
            for _ in range(skipped):
                next(numbers, "")
            coloured = coloured or number == "38"
        elif number.startswith("38:") or number in COLOURS:
            coloured = True
        elif number == "39":
            coloured = False
    return faint, coloured


COLOURS = {str(number) for number in (*range(30, 38), *range(90, 98))}
