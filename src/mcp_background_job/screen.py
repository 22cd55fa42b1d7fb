"""A terminal's screen without its colours: what is on it, and the text that scrolled off its top.

It moves, erases and wraps as tmux 3.3 does, whose `capture-pane -J` is the oracle of its tests. Text that
goes to the end of what is there, the common case, is kept as it came, tabs included, and never taken apart
into cells.
"""

from __future__ import annotations

import re

from mcp_background_job.cells import (
    BLANK,
    WIDTHS,
    ZERO_WIDTH_JOINER,
    Cells,
    is_narrow,
    is_wide,
    joined,
)

TAB = 8
_ASCII = re.compile("[ -~]+")

# DEC's line drawing set, as tmux's tty-acs.c draws it where the terminal knows UTF-8.
LINE_DRAWING = dict(
    zip(
        map(ord, "+,-.0`abcdefghijklmnopqrstuvwxyz{|}~"),
        "→←↑↓▮◆▒␉␌␍␊°±␤␋┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£·",
        strict=True,
    )
)


def _nth_newline_from_end(text: str, count: int) -> int:
    end = len(text)
    for _ in range(count):
        end = text.rfind("\n", 0, end)
    return end


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
        """The row for work on single cells: text that came with tabs or wide characters is taken apart."""
        if self.end:
            self.cells, self.end = _split_cells(joined(self.cells), columns), 0
        return self.cells


def _split_cells(text: str, columns: int) -> list[str]:
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
            _combine(cells, len(cells), character)
        else:
            cells.append(character)
            cells.extend([""] * (width - 1))
        joining = character == ZERO_WIDTH_JOINER
    return cells


def _combine(cells: list[str], column: int, character: str) -> None:
    """Put a character that takes no column into the cell before `column`."""
    column -= 1
    while column > 0 and not cells[column]:
        column -= 1
    cells[column] = (" " if cells[column] == BLANK else cells[column]) + character


class Screen:
    """Rows, cursor and modes. Methods are named after the control functions of ECMA-48 and DEC."""

    def __init__(self, columns: int, rows: int, continued: bool = False) -> None:
        self.columns = columns
        self.rows = rows
        self.history: list[str] = []
        self.history_open = False  # its last row goes on in the first row of the screen
        self.lines = [Row(unknown=True) for _ in range(rows - 1)] if continued else []
        self.lines.append(Row())
        self.x = 0
        self.y = len(self.lines) - 1
        self.saved = (0, 0, False, False, False, False)
        self.reset_modes()

    def reset_modes(self) -> None:
        self.top = 0
        self.bottom = self.rows - 1
        self.wrapping = True
        self.inserting = False
        self.origin = False
        self.drawing = [False, False]  # G0, G1 hold the line drawing set
        self.shifted = False  # G1 is in use
        self.tabs: set[int] | None = None  # None: one each eight columns
        self.modes_changed()

    def modes_changed(self) -> None:
        self.plain = self.wrapping and not self.inserting and not self.drawing[self.shifted]
        self.flowing = (
            self.plain and self.tabs is None and self.top == 0 and self.bottom == self.rows - 1
        )

    # -- reading -----------------------------------------------------------------------------------------

    def text(self) -> str:
        """All there is to read, history first. A last line ends in a newline if the cursor left it."""
        last = max(self.y, max((i for i, row in enumerate(self.lines) if row.text()), default=0))
        parts = list(self.history)
        for i, row in enumerate(self.lines[: last + 1]):
            text = row.text(self.x if i == self.y else 0)
            if row.unknown and not text:
                continue
            parts.append(text if row.wrapped or i == last else text + "\n")
        return "".join(parts)

    # -- rows --------------------------------------------------------------------------------------------

    def _push(self, row: Row) -> None:
        """Move a row that left the screen to the history."""
        text = row.text()
        if text or not row.unknown:
            self.history.append(text if row.wrapped else text + "\n")
            self.history_open = row.wrapped

    def _unwrap(self, y: int) -> None:
        """The row after y changed: y, which may be the last row of the history, no longer goes on in it."""
        if y >= 0:
            if y < len(self.lines):
                self.lines[y].wrapped = False
        elif self.history_open:
            self.history.append("\n")
            self.history_open = False

    def _fill(self) -> None:
        self.lines.extend(Row() for _ in range(self.rows - len(self.lines)))

    def _trim(self) -> None:
        """Forget blank rows below the cursor, so that text is at the end again."""
        while len(self.lines) > self.y + 1 and not self.lines[-1].cells and not self.lines[-1].wrapped:
            self.lines.pop()

    def _go(self, y: int) -> None:
        self.y = y
        while len(self.lines) <= y:
            self.lines.append(Row())

    def _clear_rows(self, start: int, count: int) -> None:
        if count == 0:
            return
        for y in range(start, min(start + count, len(self.lines))):
            self.lines[y] = Row(unknown=self.lines[y].unknown)
        self._unwrap(start - 1)

    def _move_rows(self, to: int, start: int, count: int) -> None:
        """Move whole rows and leave blank ones behind. Needs `_fill` first."""
        if count <= 0 or to == start:
            return
        self._unwrap(to - 1)
        moved = self.lines[start : start + count]
        self.lines[start : start + count] = [Row() for _ in moved]
        self.lines[to : to + count] = moved
        if start < to or start >= to + count:
            self._unwrap(start - 1)

    def _scroll(self) -> None:
        """One row up. The top row of the region goes to the history, as in tmux also if rows are above."""
        if self.top == 0 and self.bottom == self.rows - 1:
            self._push(self.lines.pop(0))
            if self.y == len(self.lines):
                self.lines.append(Row())
        else:
            self._fill()
            self._push(self.lines.pop(self.top))
            self.lines.insert(self.bottom, Row())

    # -- printing ----------------------------------------------------------------------------------------

    def at_end(self) -> bool:
        """Whether text can be appended as it is: nothing right of or below the cursor, and no mode on."""
        if self.y != len(self.lines) - 1 or not self.flowing:
            return False
        row = self.lines[-1]
        return self.x == (row.end or len(row.cells))

    def write(self, text: str) -> None:
        """Print text with tabs and newlines in it, but no other control character."""
        start = 0
        while not self.at_end():
            end = text.find("\n", start)
            line = text[start : end if end >= 0 else None]
            if "\t" in line:
                self._put_tabs(line)
            elif line:
                self.put(line)
            if end < 0:
                return
            self.newline()
            start = end + 1
        self._append(text[start:] if start else text)

    def _append(self, text: str) -> None:
        if len(text) > self.rows and text.count("\n") > self.rows:
            text = self._append_head(text)
        head, *lines = text.split("\n")
        if head:
            self._extend(head)
        for line in lines:
            self.x = 0
            if self.y == self.bottom:
                self._push(self.lines.pop(0))
            else:
                self.y += 1
            self.lines.append(Row())
            if line:
                self._extend(line)

    def _append_head(self, text: str) -> str:
        """Append all lines of a long text that leave the screen again; the rest is returned."""
        head, tail = text[: (cut := _nth_newline_from_end(text, self.rows + 1))], text[cut + 1 :]
        self.lines[-1].wrapped = True  # it goes on in head
        for row in self.lines:
            self._push(row)
        self.history.append(head + "\n")
        self.history_open = False
        # Blank rows hold the place until the tail pushes them out again.
        self.lines = [Row(unknown=True) for _ in range(self.rows - 1)]
        self.lines.append(Row())
        self.x = 0
        self.y = self.rows - 1
        return tail

    def _extend(self, text: str) -> None:
        """Append to the row at the cursor, over as many rows as it takes."""
        row = self.lines[self.y]
        if isinstance(row.cells, list):
            self._put_tabs(text)
            return
        room = self.columns - self.x
        if "\t" not in text and is_narrow(text):
            if len(text) <= room and not row.end:
                row.cells += text
                self.x += len(text)
                return
            while len(text) > room:
                row.cells = joined(row.cells) + text[:room]
                text = text[room:]
                self._wrap()
                row, room = self.lines[self.y], self.columns
            row.cells = joined(row.cells) + text
            self.x += len(text)
            if row.end:
                row.end = self.x
        else:
            self._extend_by_width(text)

    def _extend_by_width(self, text: str) -> None:
        start = 0
        x = self.x
        joining = False
        for i, character in enumerate(text):
            if character == "\t":
                if x < self.columns - 1:
                    x = min(x + TAB - x % TAB, self.columns - 1)
                continue
            width = 0 if joining else WIDTHS[character]
            joining = character == ZERO_WIDTH_JOINER
            if x + width > self.columns and width:
                row = self.lines[self.y]
                row.cells, row.end = joined(row.cells) + text[start:i], x
                self._wrap()
                start, x = i, 0
            x += width
        row = self.lines[self.y]
        row.cells, row.end = joined(row.cells) + text[start:], x
        self.x = x

    def _wrap(self) -> None:
        self.lines[self.y].wrapped = True
        self.linefeed()
        self.x = 0

    def _put_tabs(self, text: str) -> None:
        first, *rest = text.split("\t")
        if first:
            self.put(first)
        for part in rest:
            self.tab()
            if part:
                self.put(part)

    def put(self, text: str) -> None:
        """Print text without control characters over what is at the cursor."""
        if self.drawing[self.shifted]:
            self._put_each(text.translate(LINE_DRAWING))
            return
        if self.plain and (text.isascii() or is_narrow(text)):
            room = self.columns - self.x
            while len(text) > room:
                if room:
                    self._overwrite(text[:room])
                    text = text[room:]
                self._wrap()
                room = self.columns
            self._overwrite(text)
            return
        if self.plain:
            self._put_mixed(text)
        else:
            self._put_each(text)

    def _put_mixed(self, text: str) -> None:
        start = 0
        for match in _ASCII.finditer(text):
            self._put_each(text[start : match.start()])
            self.put(match[0])
            start = match.end()
        self._put_each(text[start:])

    def _put_each(self, text: str) -> None:
        joining = False
        for character in text:
            self._put_one(character, 0 if joining else WIDTHS[character])
            joining = character == ZERO_WIDTH_JOINER

    def _overwrite(self, text: str) -> None:
        """Print narrow characters that fit on the row."""
        row = self.lines[self.y]
        cells = row.as_cells(self.columns) if row.end else row.cells
        x = self.x
        self.x = end = x + len(text)
        length = len(cells)
        if length > x:
            row.edited = True
        if isinstance(cells, str):
            if length <= x:
                row.cells = cells + text if length == x else cells + BLANK * (x - length) + text
            elif length <= end:
                row.cells = cells[:x] + text
            else:
                row.cells = cells[:x] + text + cells[end:]
            return
        if not text.isascii():
            self.x = x
            self._put_each(text)
            return
        if length < x:
            cells.extend([BLANK] * (x - length))
        elif length > x > 0:
            i = x
            while i > 0 and not cells[i]:
                cells[i] = BLANK
                i -= 1
            if i > 0 and is_wide(cells[i]):
                cells[i] = BLANK
        cells[x:end] = text
        while end < len(cells) and not cells[end]:
            cells[end] = BLANK
            end += 1

    def _put_one(self, character: str, width: int) -> None:
        """Print one character of any width, minding the modes."""
        columns = self.columns
        if width == 0:
            cells = self._cells_list()
            if self.x > 0:
                cells.extend([BLANK] * (self.x - len(cells)))
                _combine(cells, self.x, character)
            return
        if not self.wrapping and width > 1 and self.x != columns and self.x > columns - width:
            return
        if self.inserting:
            self._insert_cells(width)
        if self.wrapping and self.x > columns - width:
            self._wrap()
        x = self.x
        if x > columns - width:
            return
        cells = self._cells_list()
        if len(cells) > x:
            self.lines[self.y].edited = True
            self._split_wide(cells, x, width)
        cells.extend([BLANK] * (x + width - len(cells)))
        cells[x : x + width] = [character] + [""] * (width - 1)
        last = columns - (not self.wrapping)
        self.x = x + width if x + width <= last else last

    def _cells_list(self) -> list[str]:
        row = self.lines[self.y]
        cells = row.as_cells(self.columns)
        if isinstance(cells, str):
            cells = row.cells = list(cells)
        return cells

    def _split_wide(self, cells: list[str], x: int, width: int) -> None:
        """Blank the other halves of the wide characters that x..x+width will overwrite."""
        now = cells[x]
        if not now:
            i = x
            while i > 0 and not cells[i]:
                cells[i] = BLANK
                i -= 1
            cells[i] = BLANK
        if width != 1 or not now or is_wide(now):
            i = x + width
            while i < len(cells) and not cells[i]:
                cells[i] = BLANK
                i += 1

    def tab(self) -> None:
        last = self.columns - 1
        if self.x < last:
            if self.tabs is None:
                self.x = min(self.x + TAB - self.x % TAB, last)
            else:
                self.x = min((stop for stop in self.tabs if stop > self.x), default=last)

    def newline(self) -> None:
        self.x = 0
        if self.y == self.bottom:
            self._scroll()
        elif self.y < self.rows - 1:
            self.y += 1
            if self.y == len(self.lines):
                self.lines.append(Row())

    def linefeed(self) -> None:
        if self.y == self.bottom:
            self._scroll()
        elif self.y < self.rows - 1:
            self.y += 1
            if self.y == len(self.lines):
                self.lines.append(Row())
