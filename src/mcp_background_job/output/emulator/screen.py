"""A terminal's screen without its colours: what is on it, and the text that scrolled off its top.

It scrolls and wraps as tmux 3.3 does, whose `capture-pane -J` is the oracle of its tests.
"""

from __future__ import annotations

from .row import BLANK, TAB, Row, joined, split_cells

BUDGET = 500_000  # units of work of one drawing, each a microsecond or less; 4 MB of progress bars take as many
WORTH = 16  # characters that go to the history for one unit
FRESH = (0, 0, False, False, False, False)  # a saved cursor that nobody has saved


class Screen:
    """Rows from the top of the screen to the cursor or further, the cursor, and the modes."""

    def __init__(self, columns: int, rows: int, continued: bool = False) -> None:
        self.columns = columns
        self.rows = rows
        self.work = 0  # done so far; a drawing that has done BUDGET is cut (parser.py)
        self.history: list[str] = []
        self.history_open = False  # its last row goes on in the first row of the screen
        self.scrolled = 0  # rows that went there since the screen was cleared, and come back where it grows
        self.lines = [Row(unknown=True) for _ in range(rows - 1)] if continued else []
        self.lines.append(Row())
        self.x = 0
        self.y = len(self.lines) - 1
        self.saved = FRESH
        self.drawn = False  # the cursor was put into other rows: blanks at a row's end are what pads it
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
        self.flowing = self.plain and self.tabs is None and self.top == 0 and self.bottom == self.rows - 1

    # -- reading -----------------------------------------------------------------------------------------

    def text(self) -> str:
        """All there is to read, history first. A last line ends in a newline if the cursor left it."""
        last = max(self.y, max((i for i, row in enumerate(self.lines) if row.text().strip(" ")), default=0))
        parts = list(self.history)
        for i, row in enumerate(self.lines[: last + 1]):
            text = row.text(self.x if i == self.y else 0)
            if self.drawn and not row.wrapped and text.endswith("  "):
                text = text.rstrip(" ") + " " * (i == self.y)  # one behind a prompt
            if row.unknown and not text:
                continue
            parts.append(text if row.wrapped or i == last else text + "\n")
        return "".join(parts)

    def text_before_cursor(self) -> str:
        """What stands before the cursor, history first."""
        rows = [row for row in self.lines[: self.y] if not row.unknown or row.text()]
        row = self.lines[self.y]  # which stays as it is: with its tabs
        cells = (split_cells(joined(row.cells), self.columns) if row.end else row.cells)[: self.x]
        above = "".join(row.text() if row.wrapped else row.text() + "\n" for row in rows)
        return "".join(self.history) + above + joined(cells).replace(BLANK, " ") + " " * (self.x - len(cells))

    # -- rows --------------------------------------------------------------------------------------------------

    def push(self, row: Row) -> None:
        """Move a row that left the screen to the history."""
        text = row.text()
        if self.drawn and not row.wrapped:
            text = text.rstrip(" ")
        self.work += 1 + len(text) // WORTH
        self.scrolled += 1
        if text or not row.unknown:
            self.history.append(text if row.wrapped else text + "\n")
            self.history_open = row.wrapped

    def unwrap(self, y: int) -> None:
        """The row after y changed: y, which may be the last row of the history, no longer goes on in it."""
        if y >= 0:
            if y < len(self.lines):
                self.lines[y].wrapped = False
        elif self.history_open:
            self.history.append("\n")
            self.history_open = False

    def fill(self) -> None:
        self.lines.extend(Row() for _ in range(self.rows - len(self.lines)))

    def trim(self) -> None:
        """Forget blank rows below the cursor, so that text is at the end again."""
        while len(self.lines) > self.y + 1 and not self.lines[-1].cells and not self.lines[-1].wrapped:
            self.lines.pop()

    def go(self, y: int) -> None:
        self.y = y
        while len(self.lines) <= y:
            self.lines.append(Row())

    def clear_rows(self, start: int, count: int) -> None:
        if count == 0:
            return
        for y in range(start, min(start + count, len(self.lines))):
            self.lines[y] = Row(unknown=self.lines[y].unknown)
        self.unwrap(start - 1)

    def open_rows(self, at: int, count: int, bottom: int) -> None:
        """Blank rows come in at `at`, as many go at `bottom`, in one move."""
        if at < len(self.lines):
            del self.lines[bottom + 1 - count : bottom + 1]
            self.lines[at:at] = [Row() for _ in range(count)]
            self.work += count
        self.unwrap(at - 1)

    def close_rows(self, at: int, count: int, bottom: int) -> None:
        """Rows go at `at`, as many blank ones come in at `bottom`, in one move."""
        kept = bottom + 1 - at - count
        blank = [Row(unknown=row.unknown) for row in self.lines[at + max(kept, 0) : at + count]]
        del self.lines[at : at + count]
        if len(self.lines) >= at + kept:
            blank += [Row() for _ in range(count - len(blank))]
            self.lines[at + kept : at + kept] = blank
        if 0 < kept <= len(self.lines) - at:
            self.unwrap(at + kept - 1)
        self.unwrap(at - 1)
        self.work += count

    def move_rows(self, to: int, start: int, count: int) -> None:
        """Move whole rows and leave blank ones behind. Needs `fill` first."""
        if count <= 0 or to == start:
            return
        self.work += 2 * count
        self.unwrap(to - 1)
        moved = self.lines[start : start + count]
        self.lines[start : start + count] = [Row() for _ in moved]
        self.lines[to : to + count] = moved
        if start < to or start >= to + count:
            self.unwrap(start - 1)

    def scroll(self) -> None:
        """One row up. The top row of the region goes to the history, as in tmux also if rows are above."""
        if self.top == 0 and self.bottom == self.rows - 1:
            self.push(self.lines.pop(0))
            if self.y == len(self.lines):
                self.lines.append(Row())
        else:
            self.fill()
            self.push(self.lines.pop(self.top))
            self.lines.insert(self.bottom, Row())

    # -- from row to row ---------------------------------------------------------------------------------

    def tab(self) -> None:
        last = self.columns - 1
        if self.x < last:
            if self.tabs is None:
                self.x = min(self.x + TAB - self.x % TAB, last)
            else:
                self.x = min((stop for stop in self.tabs if stop > self.x), default=last)

    def newline(self) -> None:
        self.x = 0
        y = self.y + 1
        if y < len(self.lines) and y <= self.bottom:
            self.y = y
        else:
            self.linefeed()

    def linefeed(self) -> None:
        if self.y == self.bottom:
            self.scroll()
        elif self.y < self.rows - 1:
            self.y += 1
            if self.y == len(self.lines):
                self.lines.append(Row())
