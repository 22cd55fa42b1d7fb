"""The control functions that move the cursor and change what is on the screen, as tmux 3.3 does them.

Methods are called what ECMA-48 and DEC's manuals call them. Counts and rows start at 1, as in the sequences;
columns and rows of the screen itself at 0.
"""

from __future__ import annotations

from .printing import PrintingScreen
from .row import BLANK, TAB, Row, erased


class EditableScreen(PrintingScreen):
    """A screen with the functions that full-screen programs and progress bars use."""

    # -- moving ------------------------------------------------------------------------------------------

    def carriage_return(self) -> None:
        self.x = 0

    def backspace(self) -> None:
        if self.x > 0:
            self.x -= 1
        elif self.y > 0 and self.lines[self.y - 1].wrapped:
            self.y -= 1
            self.x = self.columns - 1

    def up(self, count: int) -> None:
        self.drawn = True
        limit = self.top if self.y >= self.top else 0
        if self.x >= self.columns:
            self.x = self.columns - 1
        self.y = max(self.y - count, limit)

    def down(self, count: int) -> None:
        limit = self.bottom if self.y <= self.bottom else self.rows - 1
        if self.x >= self.columns:
            self.x = self.columns - 1
        self.go(min(self.y + count, limit))

    def right(self, count: int) -> None:
        self.x = min(self.x + count, self.columns - 1)

    def left(self, count: int) -> None:
        self.x = max(self.x - count, 0)

    def next_line(self, count: int) -> None:
        self.x = 0
        self.down(count)

    def previous_line(self, count: int) -> None:
        self.x = 0
        self.up(count)

    def to_column(self, column: int) -> None:
        self.x = min(column, self.columns) - 1

    def to_row(self, row: int) -> None:
        self.drawn = True
        row -= 1
        if self.origin:
            row = self.bottom if row > self.bottom - self.top else row + self.top
        self.go(min(row, self.rows - 1))

    def move(self, column: int, row: int) -> None:
        self.to_column(column + 1)
        self.to_row(row + 1)

    def save_cursor(self) -> None:
        self.saved = (self.x, self.y, self.drawing[0], self.drawing[1], self.shifted, self.origin)

    def restore_cursor(self) -> None:
        x, y, g0, g1, self.shifted, self.origin = self.saved
        self.drawing = [g0, g1]
        self.modes_changed()
        self.x = min(x, self.columns - 1)
        self.go(y)

    def set_region(self, top: int, bottom: int) -> None:
        top, bottom = min(top, self.rows - 1), min(bottom, self.rows - 1)
        if top < bottom:
            self.x = 0
            self.y = 0
            self.top, self.bottom = top, bottom
            self.modes_changed()

    def reverse_index(self) -> None:
        if self.y == self.top:
            self.scroll_down(1)
        elif self.y > 0:
            self.y -= 1

    # -- tab stops ---------------------------------------------------------------------------------------

    def stops(self) -> set[int]:
        if self.tabs is None:
            self.tabs = set(range(TAB, self.columns, TAB))
            self.modes_changed()
        return self.tabs

    def set_tab(self) -> None:
        if self.x < self.columns:
            self.stops().add(self.x)

    def clear_tab(self) -> None:
        self.stops().discard(self.x)

    def clear_tabs(self) -> None:
        self.tabs = set()
        self.modes_changed()

    def back_tab(self, count: int) -> None:
        x = min(self.x, self.columns - 1)
        stops = sorted(s for s in self.stops() if s < x)
        self.x = stops[-count] if count <= len(stops) else 0

    # -- erasing -----------------------------------------------------------------------------------------

    def blank(self, start: int, end: int) -> None:
        """Erase the cells start..end of the cursor's row, as far as it has any."""
        row = self.lines[self.y]
        row.cells = erased(row.as_cells(self.columns), start, end)
        row.edited = True
        self.work += 1

    def erase_characters(self, count: int) -> None:
        if self.x < self.columns:
            self.blank(self.x, self.x + count)

    def erase_right(self) -> None:
        if self.x == 0:
            self.erase_line()
            return
        row = self.lines[self.y]
        if self.x < (row.end or len(row.cells)):
            self.blank(self.x, self.columns)

    def erase_left(self) -> None:
        if self.x >= self.columns - 1:
            self.erase_line()
        else:
            self.blank(0, self.x + 1)

    def erase_line(self) -> None:
        row = self.lines[self.y]
        if row.cells and not (row.end and row.is_blank()):
            row.clear()
            self.unwrap(self.y - 1)

    def restart_line(self) -> None:
        """A carriage return and an erased line, in either order."""
        self.x = 0
        self.erase_line()

    def erase_below(self) -> None:
        if self.x == 0 and self.y == 0:
            self._clear_to_history()
            return
        if self.x == 0:
            self.clear_rows(self.y, 1)
        elif self.x < self.columns:
            self.blank(self.x, self.columns)
        self.clear_rows(self.y + 1, self.rows - self.y - 1)
        self.trim()

    def erase_above(self) -> None:
        self.clear_rows(0, self.y)
        if self.x >= self.columns - 1:
            self.clear_rows(self.y, 1)
        else:
            self.blank(0, self.x + 1)

    def erase_screen(self) -> None:
        self._clear_to_history()

    def _clear_to_history(self) -> None:
        """Clear the screen; what was on it goes to the history, as tmux's scroll-on-clear does."""
        used = max((i + 1 for i, row in enumerate(self.lines) if not row.is_blank()), default=0)
        for row in self.lines[:used]:
            self.push(row)
        self.lines = [Row()]
        if used < self.rows:
            self.unwrap(-1)
        self.scrolled = 0
        self.go(self.y)

    # -- inserting and deleting --------------------------------------------------------------------------

    def insert_characters(self, count: int) -> None:
        count = min(count, self.columns - self.x)
        if count > 0:
            self.insert_blanks(count)

    def delete_characters(self, count: int) -> None:
        x = self.x
        count = min(count, self.columns - x)
        if count <= 0:
            return
        row = self.lines[self.y]
        cells = row.as_list(self.columns)
        # tmux counts the blanks that come in from the right as used; it shows in a row that is wrapped later.
        length = len(cells) if count == self.columns - x else max(len(cells), self.columns - count)
        cells.extend([BLANK] * (x - len(cells)))
        del cells[x : x + count]
        cells.extend([BLANK] * (length - len(cells)))
        del cells[length:]
        row.edited = True

    def insert_lines(self, count: int) -> None:
        if self.top <= self.y <= self.bottom:
            count = min(count, self.bottom + 1 - self.y)
            kept = self.bottom + 1 - self.y - count
            if kept > 0:
                self.unwrap(self.y + count - 1)
            unknown = [row.unknown for row in self.lines[self.y + kept : self.y + count]]
            self.open_rows(self.y, count, self.bottom)
            for row, above_the_page in zip(self.lines[self.y + kept :], unknown, strict=False):
                row.unknown = above_the_page
            if kept != count:  # as tmux's grid_clear does, which is asked for a number of rows below zero
                self.unwrap(self.y + kept - 1)
        else:
            self.fill()
            count = min(count, self.rows - self.y)
            self.move_rows(self.y + count, self.y, self.rows - self.y - count)
        self.trim()

    def delete_lines(self, count: int) -> None:
        if self.top <= self.y <= self.bottom:
            self.close_rows(self.y, min(count, self.bottom + 1 - self.y), self.bottom)
            self.go(self.y)
        else:
            self.fill()
            count = min(count, self.rows - self.y)
            self.move_rows(self.y, self.y + count, self.rows - self.y - count)
            self.clear_rows(self.rows - count, self.y + count - (self.rows - count))
        self.trim()

    def scroll_up(self, count: int) -> None:
        for _ in range(min(count, self.bottom - self.top + 1)):
            self.scroll()
        self.trim()

    def scroll_down(self, count: int) -> None:
        if self.top < len(self.lines):
            self.lines[self.top].wrapped = False
        self.open_rows(self.top, min(count, self.bottom - self.top + 1), self.bottom)
        self.trim()

    def alignment_test(self) -> None:
        self.fill()
        for row in self.lines:
            row.cells, row.end = "E" * self.columns, 0
        self.work += self.rows
        self.x = self.y = 0
        self.top, self.bottom = 0, self.rows - 1
        self.modes_changed()
