"""A screen that is given another size, as tmux 3.3 does it: rows go to the history and come back from it, and what was
wrapped is wrapped anew.
"""

from __future__ import annotations

from .editing import EditableScreen
from .row import Row, split_cells

ALL = 1 << 30  # columns: no line is longer


class ResizableScreen(EditableScreen):
    """A screen whose size may change between two pieces of text."""

    def resize(self, columns: int, rows: int) -> None:
        """Take another size; the cursor stays at its character."""
        if columns != self.columns:
            self.tabs = None
        if rows != self.rows:
            self._change_rows(rows)
            self.top, self.bottom = 0, rows - 1
        if columns != self.columns:
            self._change_columns(columns)
        self.modes_changed()

    def _change_rows(self, rows: int) -> None:
        """Fewer: those below the cursor go, then the uppermost to the history. More: as many as scrolled come back."""
        if rows < self.rows:
            below = min(self.rows - rows, self.rows - 1 - self.y)
            del self.lines[self.rows - below :]
            self.lines[-1].wrapped &= below == 0
            for _ in range(self.rows - rows - below):
                self.push(self.lines.pop(0))
                self.y -= 1
        else:
            back = self._pull(min(rows - self.rows, self.scrolled))
            self.scrolled -= len(back)
            self.lines[:0] = back
            self.y += len(back)
        self.rows = rows

    def _change_columns(self, columns: int) -> None:
        """Wrap anew; the screen is then the last of all rows, the history's included."""
        self.fill()
        scrolled = self.scrolled
        before = self._pull(self._open_rows())  # the first line's beginning
        rows, y = [*before, *self.lines], self.y + len(before)
        self.columns = columns
        new: list[Row] = []
        start = 0
        for stop, row in enumerate(rows, 1):
            if row.wrapped and stop < len(rows):
                continue
            line = rows[start:stop]
            if start <= y < stop:
                line_at, offset = len(new), self._offset(line, y - start)
            new += wrapped_anew(line, columns)
            start = stop
        y, self.x = place(new, line_at, offset)
        surplus = len(new) - self.rows
        for row in new[: max(0, surplus)]:
            self.push(row)
        back = self._pull(max(0, -surplus))
        self.lines = [*back, *new[max(0, surplus) :]]
        self.y = y + len(back) - max(0, surplus)
        self.scrolled = scrolled if self.history else 0
        if self.y < 0:
            self.x = self.y = 0
        self.trim()

    def _offset(self, line: list[Row], at: int) -> int | None:
        """Cells before the cursor in its line; None where it is behind all that is in its row."""
        row = line[at]
        if self.x >= len(row.as_list(ALL)):
            return None
        return sum(len(above.as_list(ALL)) for above in line[:at]) + self.x

    def _open_rows(self) -> int:
        """How many rows of the history are the beginning of the screen's first line."""
        count = 0
        if self.history_open:
            for text in reversed(self.history):
                if text.endswith("\n"):
                    break
                count += max(1, -(-len(split_cells(text, ALL)) // self.columns))
        return count

    def _pull(self, count: int) -> list[Row]:
        """Take up to `count` rows back from the end of the history."""
        texts: list[str] = []
        while self.history and count > 0 and sum(text.count("\n") for text in texts) <= count:
            texts.insert(0, self.history.pop())
        text = "".join(texts)
        if not text:
            return []
        open_end = not text.endswith("\n")
        position = len(text)
        for _ in range(count + 1):
            position = max(text.rfind("\n", 0, position), 0)
        if position:
            self.history.append(text[: position + 1])
            text = text[position + 1 :]
        rows: list[Row] = []
        for line in text.removesuffix("\n").split("\n"):
            rows += wrapped_anew([Row(line)], self.columns)
        if open_end:
            rows[-1].wrapped = True
        self.history_open = False
        for row in rows[: max(0, len(rows) - count)]:
            self.push(row)
        return rows[max(0, len(rows) - count) :]


def wrapped_anew(line: list[Row], columns: int) -> list[Row]:
    """The rows of one line in rows of `columns` cells; a wide character goes whole to the next."""
    cells = [cell for row in line for cell in row.as_list(ALL)]
    if len(line) == 1 and len(cells) <= columns:
        return line
    rows: list[Row] = []
    start = 0
    while start < len(cells) or not rows:
        stop = min(start + columns, len(cells))
        while stop < len(cells) and not cells[stop] and stop > start + 1:
            stop -= 1
        row, part = Row(), cells[start:stop]
        row.cells = "".join(part) if all(len(cell) == 1 for cell in part) else part
        row.edited = any(one.edited for one in line)
        row.wrapped = True
        rows.append(row)
        start = stop
    rows[-1].wrapped = line[-1].wrapped
    return rows


def place(rows: list[Row], line_at: int, offset: int | None) -> tuple[int, int]:
    """Row and column of a cell of the line that begins at row `line_at`; of its end for None."""
    y = line_at
    while rows[y].wrapped and y + 1 < len(rows) and (offset is None or offset >= len(rows[y].cells)):
        offset = None if offset is None else offset - len(rows[y].cells)
        y += 1
    return y, len(rows[y].cells) if offset is None else offset
