"""What control characters and escape sequences do to a screen: moving, erasing, inserting, modes.

Each distinct sequence is parsed once into a call. Whatever tmux ignores does nothing here either.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from mcp_background_job.cells import blanks
from mcp_background_job.screen import Row, Screen

ALTERNATE_NOTE = "[full-screen program: call screen to see it]"

_CSI = re.compile("\x1b\\[([<-?]?)([0-9:;]*)([ -/]*)([@-~])")
_IGNORED_IN_CSI = re.compile("[\0-\x1f\x7f-\U0010ffff]")
_CONTROLS = re.compile("[\b-\x0f]")
_ALTERNATE = re.compile(r"\x1b\[\?[\d;]*\b(?:1049|1047|47)\b")
_REPEAT = re.compile("\x1b\\[(\\d{0,9})b")
_ACTING = "\x1b\r\b\v\f\x0e\x0f\x18\x1a"  # characters that a text must have to do more than print

# One control character or sequence, complete or broken off. It starts with one set of characters, so that
# the search skips text fast.
_CONTROL = (
    "[\b\v-\x1b](?:(?<=\x1b)(?:"
    "\\[[0-?]*+[ -/]*+[@-~]"
    "|\\[[^\x18\x1a\x1b@-~]*+(?:[@-~\x18\x1a]|(?=\x1b)|\\Z)"
    "|[ -/]*+(?:[0-~]|\\Z)))?"
)
_SINGLE = re.compile(_CONTROL)
_CLUSTER = re.compile(f"({_CONTROL}(?:{_CONTROL})*+)")
_ALTERNATE_MODES = {47, 1047, 1049}
_MAX_PARAMETER = 2**31 - 1
_MAX_ACTIONS = 4096  # distinct sequences kept parsed: more than a screen program's positions need

Action = Callable[[], None]


def _nothing() -> None:
    pass


class Terminal(Screen):
    """A screen that obeys control sequences."""

    def __init__(self, columns: int, rows: int, continued: bool = False, alternate: bool = False) -> None:
        super().__init__(columns, rows, continued)
        self.alternate = False
        self._printed = ""  # right before the controls that are being obeyed
        self._clusters: dict[str, tuple[Action, ...]] = {"": ()}
        self._actions = self._fixed_actions()
        if alternate:
            self.enter_alternate()

    def _fixed_actions(self) -> dict[str, Action]:
        return {
            "\b": self.backspace,
            "\t": self.tab,
            "\n": self.newline,
            "\v": self.linefeed,
            "\f": self.linefeed,
            "\r": self.carriage_return,
            "\x0e": partial(self._shift, True),
            "\x0f": partial(self._shift, False),
            "\x1b7": self.save_cursor,
            "\x1b8": self.restore_cursor,
            "\x1bD": self.linefeed,
            "\x1bE": self.newline,
            "\x1bM": self.reverse_index,
            "\x1bH": self.set_tab,
            "\x1bc": self.reset,
            "\x1b#8": self.alignment_test,
            "\x1b(0": partial(self._designate, 0, True),
            "\x1b(B": partial(self._designate, 0, False),
            "\x1b)0": partial(self._designate, 1, True),
            "\x1b)B": partial(self._designate, 1, False),
        }

    def feed(self, text: str) -> None:
        """Take text with control sequences: "\\n" starts a new line, "\\v" is the line feed alone."""
        if not self.alternate and not any(control in text for control in _ACTING):
            self.write(text)
            return
        pieces = _CLUSTER.split(text)
        clusters = self._clusters
        for piece, cluster in zip(pieces[::2], [*pieces[1::2], ""], strict=True):
            if self.alternate:
                if "\x1b[?" in cluster:
                    self._one_by_one(cluster)
                continue
            if piece:
                if "\n" in piece or "\t" in piece:
                    self.write(piece)
                else:
                    self.put(piece)
            self._printed = piece
            actions = clusters.get(cluster)
            if actions is None:
                actions = self._parse_cluster(cluster)
            for action in actions:
                action()

    def _parse_cluster(self, cluster: str) -> tuple[Action, ...]:
        controls = _SINGLE.findall(cluster)
        if _ALTERNATE.search(cluster):
            return (partial(self._one_by_one, cluster),)
        actions = [self._action(control) for control in controls]
        if controls and (repeat := _REPEAT.fullmatch(controls[0])):
            actions[0] = partial(self._repeat, int(repeat[1] or 1))
        if len(self._clusters) >= _MAX_ACTIONS:
            self._clusters.clear()
        self._clusters[cluster] = parsed = tuple(action for action in actions if action is not _nothing)
        return parsed

    def _one_by_one(self, cluster: str) -> None:
        for control in _SINGLE.findall(cluster):
            if not self.alternate or control.startswith("\x1b[?"):
                self._action(control)()

    def _action(self, control: str) -> Action:
        action = self._actions.get(control)
        if action is None:
            if len(self._actions) >= _MAX_ACTIONS:
                self._actions = self._fixed_actions()
            action = self._actions[control] = self._parse(control)
        return action

    def _repeat(self, count: int) -> None:
        """REP: print the character that stands right before it again, to the row's end at most."""
        if self._printed and self._printed[-1] >= " ":
            self.put(self._printed[-1] * min(max(count, 1), self.columns - self.x))

    @staticmethod
    def _count(parameter: str) -> int:
        return max(int(parameter), 1) if parameter else 1

    def _parse(self, control: str) -> Action:
        match = _CSI.fullmatch(control)
        if match is None:
            if control.startswith("\x1b[") and (inner := _CONTROLS.findall(control)):
                # Control characters inside a sequence act at once, as in every terminal since the VT100.
                return partial(self._each, [*inner, _IGNORED_IN_CSI.sub("", control[1:])])
            return _nothing
        private, parameters, intermediate, final = match.groups()
        if intermediate or len(parameters) > 63:
            return _nothing
        values = parameters.split(";")
        if private:
            if private == "?" and final in "hl":
                return partial(self._private_modes, values, final == "h")
            return _nothing
        if ":" in parameters or any(v and int(v) > _MAX_PARAMETER for v in values) or len(values) > 23:
            return _nothing
        counted = {
            "@": self.insert_characters,
            "A": self.up,
            "B": self.down,
            "C": self.right,
            "D": self.left,
            "E": self.next_line,
            "F": self.previous_line,
            "G": self.to_column,
            "`": self.to_column,
            "L": self.insert_lines,
            "M": self.delete_lines,
            "P": self.delete_characters,
            "S": self.scroll_up,
            "T": self.scroll_down,
            "X": self.erase_characters,
            "Z": self.back_tab,
            "d": self.to_row,
        }
        first = self._count(values[0])
        if final in counted:
            return partial(counted[final], first)
        second = values[1] if len(values) > 1 else ""
        selector = int(values[0] or 0)
        if final in "Hf":
            return partial(self.move, self._count(second) - 1, first - 1)
        if final == "r":
            return partial(self.set_region, first - 1, self._count(second or str(self.rows)) - 1)
        if final in "hl":
            return partial(self._modes, values, final == "h")
        simple: dict[tuple[str, int], Action] = {
            ("J", 0): self.erase_below,
            ("J", 1): self.erase_above,
            ("J", 2): self.erase_screen,
            ("K", 0): self.erase_right,
            ("K", 1): self.erase_left,
            ("K", 2): self.erase_line,
            ("g", 0): self.clear_tab,
            ("g", 3): self.clear_tabs,
        }
        if final == "s":
            return self.save_cursor
        if final == "u":
            return self.restore_cursor
        return simple.get((final, selector), _nothing)

    def _each(self, controls: list[str]) -> None:
        for control in controls:
            self._action("\x1b" + control if control[0] == "[" else control)()

    # -- modes -------------------------------------------------------------------------------------------

    def _shift(self, shifted: bool) -> None:
        self.shifted = shifted
        self.modes_changed()

    def _designate(self, which: int, drawing: bool) -> None:
        self.drawing[which] = drawing
        self.modes_changed()

    def _modes(self, values: list[str], on: bool) -> None:
        if "4" in values:
            self.inserting = on
            self.modes_changed()

    def _private_modes(self, values: list[str], on: bool) -> None:
        for value in values:
            mode = int(value) if value.isdigit() else -1
            if mode in _ALTERNATE_MODES:
                if on:
                    self.enter_alternate()
                else:
                    self.alternate = False
            elif self.alternate:
                continue
            elif mode == 3:
                self.move(0, 0)
                self.erase_screen()
            elif mode == 6:
                self.origin = on
                self.move(0, 0)
            elif mode == 7:
                self.wrapping = on
                self.modes_changed()

    def enter_alternate(self) -> None:
        """Say on a line of its own that a full-screen program was here; the caller skips what it draws."""
        if self.alternate:
            return
        self.alternate = True
        self.reset_modes()
        self.y = len(self.lines) - 1
        if self.lines[-1].cells:
            self.newline()
        self.x = 0
        said = self.y > 0 and self.lines[self.y - 1].cells == ALTERNATE_NOTE
        if not said:
            self.write(ALTERNATE_NOTE + "\n")

    def reset(self) -> None:
        """RIS. As with `clear`, what was on the screen stays in the history."""
        self.reset_modes()
        self.erase_screen()
        self.x = 0
        self._go(0)
        self._trim()

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
        limit = self.top if self.y >= self.top else 0
        if self.x >= self.columns:
            self.x = self.columns - 1
        self.y = max(self.y - count, limit)

    def down(self, count: int) -> None:
        limit = self.bottom if self.y <= self.bottom else self.rows - 1
        if self.x >= self.columns:
            self.x = self.columns - 1
        self._go(min(self.y + count, limit))

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
        row -= 1
        if self.origin:
            row = self.bottom if row > self.bottom - self.top else row + self.top
        self._go(min(row, self.rows - 1))

    def move(self, column: int, row: int) -> None:
        self.to_column(column + 1)
        self.to_row(row + 1)

    def save_cursor(self) -> None:
        self.saved = (self.x, self.y, *self.drawing, self.shifted, self.origin)

    def restore_cursor(self) -> None:
        x, y, g0, g1, self.shifted, self.origin = self.saved
        self.drawing = [g0, g1]
        self.modes_changed()
        self.x = min(x, self.columns - 1)
        self._go(y)

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

    def _stops(self) -> set[int]:
        if self.tabs is None:
            self.tabs = set(range(8, self.columns, 8))
            self.modes_changed()
        return self.tabs

    def set_tab(self) -> None:
        if self.x < self.columns:
            self._stops().add(self.x)

    def clear_tab(self) -> None:
        self._stops().discard(self.x)

    def clear_tabs(self) -> None:
        self.tabs = set()
        self.modes_changed()

    def back_tab(self, count: int) -> None:
        x = min(self.x, self.columns - 1)
        stops = sorted(s for s in self._stops() if s < x)
        self.x = stops[-count] if count <= len(stops) else 0

    # -- erasing -----------------------------------------------------------------------------------------

    def _blank(self, start: int, end: int) -> None:
        """Erase the cells start..end of the cursor's row, as far as it has any."""
        row = self.lines[self.y]
        cells = row.as_cells(self.columns)
        end = min(end, len(cells))
        if start < end:
            row.edited = True
            row.cells = cells[:start] + blanks(cells, end - start) + cells[end:]  # type: ignore[operator]

    def erase_characters(self, count: int) -> None:
        if self.x < self.columns:
            self._blank(self.x, self.x + count)

    def erase_right(self) -> None:
        if self.x == 0:
            self.erase_line()
            return
        row = self.lines[self.y]
        if self.x < (row.end or len(row.cells)):
            self._blank(self.x, self.columns)

    def erase_left(self) -> None:
        if self.x >= self.columns - 1:
            self.erase_line()
        else:
            self._blank(0, self.x + 1)

    def erase_line(self) -> None:
        row = self.lines[self.y]
        if row.cells and not row.is_blank():
            row.cells, row.end, row.wrapped, row.edited = "", 0, False, False
            if self.y == 0 or self.lines[self.y - 1].wrapped:
                self._unwrap(self.y - 1)

    def erase_below(self) -> None:
        if self.x == 0 and self.y == 0:
            self._clear_to_history()
            return
        if self.x == 0:
            self._clear_rows(self.y, 1)
        elif self.x < self.columns:
            self._blank(self.x, self.columns)
        self._clear_rows(self.y + 1, self.rows - self.y - 1)
        self._trim()

    def erase_above(self) -> None:
        self._clear_rows(0, self.y)
        if self.x >= self.columns - 1:
            self._clear_rows(self.y, 1)
        else:
            self._blank(0, self.x + 1)

    def erase_screen(self) -> None:
        self._clear_to_history()

    def _clear_to_history(self) -> None:
        """Clear the screen; what was on it goes to the history, as tmux's scroll-on-clear does."""
        used = max((i + 1 for i, row in enumerate(self.lines) if not row.is_blank()), default=0)
        for row in self.lines[:used]:
            self._push(row)
        self.lines = [Row()]
        if used < self.rows:
            self._unwrap(-1)
        self._go(self.y)

    # -- inserting and deleting --------------------------------------------------------------------------

    def _insert_cells(self, count: int) -> None:
        row = self.lines[self.y]
        cells = row.as_cells(self.columns)
        columns, x = self.columns, self.x
        if x >= columns - 1:
            self._blank(x, x + 1)
            return
        kept = columns - x - count
        if kept <= 0:
            return
        cells = cells + blanks(cells, columns - len(cells))  # type: ignore[operator]
        gap = min(count, kept)
        row.edited = True
        row.cells = (
            cells[:x] + blanks(cells, gap) + cells[x + kept : x + count] + cells[x : x + kept]  # type: ignore[operator]
        )

    def insert_characters(self, count: int) -> None:
        count = min(count, self.columns - self.x)
        if count > 0:
            self._insert_cells(count)

    def delete_characters(self, count: int) -> None:
        row = self.lines[self.y]
        cells = row.as_cells(self.columns)
        x = self.x
        count = min(count, self.columns - x)
        if count <= 0:
            return
        row.edited = True
        length = len(cells)
        if count < self.columns - x:
            length = max(length, self.columns - count)
        cells = cells + blanks(cells, self.columns - len(cells))  # type: ignore[operator]
        cells = (cells[:x] + cells[x + count :])[:length]
        row.cells = cells + blanks(cells, length - len(cells))

    def insert_lines(self, count: int) -> None:
        self._fill()
        if self.top <= self.y <= self.bottom:
            count = min(count, self.bottom + 1 - self.y)
            kept = self.bottom + 1 - self.y - count
            self._move_rows(self.y + count, self.y, kept)
            self._clear_rows(self.y + kept, count - kept)
        else:
            count = min(count, self.rows - self.y)
            self._move_rows(self.y + count, self.y, self.rows - self.y - count)
        self._trim()

    def delete_lines(self, count: int) -> None:
        self._fill()
        if self.top <= self.y <= self.bottom:
            count = min(count, self.bottom + 1 - self.y)
            kept = self.bottom + 1 - self.y - count
            self._move_rows(self.y, self.y + count, kept)
            self._clear_rows(self.y + kept, count - kept)
        else:
            count = min(count, self.rows - self.y)
            self._move_rows(self.y, self.y + count, self.rows - self.y - count)
            self._clear_rows(self.rows - count, self.y + count - (self.rows - count))
        self._trim()

    def scroll_up(self, count: int) -> None:
        for _ in range(min(count, self.bottom - self.top + 1)):
            self._scroll()
        self._trim()

    def scroll_down(self, count: int) -> None:
        self._fill()
        for _ in range(min(count, self.bottom - self.top + 1)):
            self._move_rows(self.top + 1, self.top, self.bottom - self.top)
        self._trim()

    def alignment_test(self) -> None:
        self._fill()
        for row in self.lines:
            row.cells, row.end = "E" * self.columns, 0
        self.x = self.y = 0
        self.top, self.bottom = 0, self.rows - 1
        self.modes_changed()
