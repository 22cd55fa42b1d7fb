"""Printing to a screen: appending, which is all that most logs do, and writing over what is there.

Text that goes to the end of what is there is kept as it came, tabs included, and never taken apart into cells.
"""

from __future__ import annotations

import re

from mcp_background_job.text import ZERO_WIDTH_JOINER

from .row import BLANK, TAB, WIDTHS, Row, combine, erased, is_narrow, is_wide, joined
from .screen import Screen

SHORT = 1000  # characters: text that is not worth asking again and again whether it can be appended
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


class PrintingScreen(Screen):
    """A screen that takes text."""

    def at_end(self) -> bool:
        """Whether text can be appended as it is: nothing right of or below the cursor, and no mode on."""
        if self.y != len(self.lines) - 1 or not self.flowing:
            return False
        row = self.lines[-1]
        return self.x == (row.end or len(row.cells))

    def write(self, text: str) -> None:
        """Print text with tabs and newlines in it, but no other control character."""
        if len(text) < SHORT and "\t" not in text and not self.at_end():
            first, *lines = text.split("\n")
            if first:
                self.put(first)
            for line in lines:
                self.newline()
                if line:
                    self.put(line)
            return
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
                self.push(self.lines.pop(0))
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
            self.push(row)
        self.history.append(head + "\n")
        self.scrolled += self.rows
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
            start = 0
            while len(text) - start > room:
                row.cells = joined(row.cells) + text[start : start + room]
                start += room
                self._wrap()
                row, room = self.lines[self.y], self.columns
            row.cells = joined(row.cells) + text[start:]
            self.x += len(text) - start
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
        if not self.plain:
            self._put_each(text.translate(LINE_DRAWING) if self.drawing[self.shifted] else text)
            return
        if not (text.isascii() or is_narrow(text)):
            self._put_mixed(text)
            return
        x = self.x
        end = x + len(text)
        if end > self.columns:
            self._put_long(text)
            return
        row = self.lines[self.y]
        cells = row.as_cells(self.columns) if row.end else row.cells
        if not isinstance(cells, str):
            self._overwrite(cells, text)
            return
        length = len(cells)
        if length == x:
            row.cells = cells + text
        elif length < x:
            row.cells = cells + BLANK * (x - length) + text
        else:
            row.cells = cells[:x] + text + cells[end:]
            row.edited = True
        self.x = end

    def _put_long(self, text: str) -> None:
        """Print narrow characters over as many rows as they take."""
        start = 0
        room = self.columns - self.x
        while len(text) - start > room:
            if room:
                self.put(text[start : start + room])
            start += room
            self._wrap()
            room = self.columns
        self.put(text[start:])

    def _put_mixed(self, text: str) -> None:
        start = 0
        for match in _ASCII.finditer(text):
            self._put_each(text[start : match.start()])
            self.put(match[0])
            start = match.end()
        self._put_each(text[start:])

    def _put_each(self, text: str) -> None:
        self.work += len(text)
        joining = False
        for character in text:
            self._put_one(character, 0 if joining else WIDTHS[character])
            joining = character == ZERO_WIDTH_JOINER

    def _overwrite(self, cells: list[str], text: str) -> None:
        """Print narrow characters that fit on a row with wide ones; tmux treats ASCII apart from others."""
        if not text.isascii():
            self._put_each(text)
            return
        x = self.x
        self.x = end = x + len(text)
        length = len(cells)
        if length > x:
            self.lines[self.y].edited = True
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
            cells = self.lines[self.y].as_list(self.columns)
            if self.x > 0:
                cells.extend([BLANK] * (self.x - len(cells)))
                combine(cells, self.x, character)
            return
        if not self.wrapping and width > 1 and self.x != columns and self.x > columns - width:
            return
        if self.inserting:
            self.insert_blanks(width)
        if self.wrapping and self.x > columns - width:
            self._wrap()
        x = self.x
        if x > columns - width:
            return
        cells = self.lines[self.y].as_list(self.columns)
        if len(cells) > x:
            self.lines[self.y].edited = True
            self._split_wide(cells, x, width)
        cells.extend([BLANK] * (x + width - len(cells)))
        cells[x : x + width] = [character] + [""] * (width - 1)
        last = columns - (not self.wrapping)
        self.x = x + width if x + width <= last else last

    def insert_blanks(self, count: int) -> None:
        """Shift what is from the cursor on to the right, out of the row at its end."""
        columns, x = self.columns, self.x
        row = self.lines[self.y]
        kept = columns - x - count
        if x >= columns - 1:
            row.cells = erased(row.as_cells(columns), x, x + 1)
        elif kept > 0:
            cells = row.as_list(columns)
            cells.extend([BLANK] * (columns - len(cells)))
            gap = [BLANK] * min(count, kept)
            # Where the gap is wider than what is kept, tmux leaves the cells between the two as they are.
            cells[x:] = gap + cells[x + kept : x + count] + cells[x : x + kept]
            row.edited = True

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
