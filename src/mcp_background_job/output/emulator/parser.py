"""What control characters and escape sequences do to a screen: moving, erasing, inserting, modes.

Each distinct sequence is parsed once into a call. Whatever tmux ignores does nothing here either.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from .resizing import ResizableScreen
from .screen import BUDGET, FRESH

ALTERNATE_NOTE = "[full-screen program: call screen to see it]"
PAST_NOTE = "[full-screen program]"  # of one that has given the screen back

CSI = re.compile("\x1b\\[([<-?]?)([0-9:;]*)([ -/]*)([@-~])")
_IGNORED_IN_CSI = re.compile("[\0-\x1f\x7f-\U0010ffff]")
_CONTROLS = re.compile("[\b-\x0f]")
_ALTERNATE = re.compile(r"\x1b\[\?(?:\d*;)*(?:1049|1047|47)[;hl]")
_REPEAT = re.compile("\x1b\\[(\\d{0,9})b")
_ACTING = "\x1b\r\b\v\f\x0e\x0f\x18\x1a"  # characters that a text must have to do more than print

# One control character or sequence, complete or broken off. It starts with one set of characters, so that
# the search skips text fast.
_CONTROL = (
    "[\b\v-\x1b](?:(?<=\x1b)(?:"
    "\\[[0-?]*+[ -/]*+[@-~]"
    "|\\[[^\x18\x1a\x1b@-~]*+(?:[@-~\x18\x1a]|(?=\x1b)|\\Z)"
    "|[ -/]*+[0-~\x18\x1a]?+))?"
)
SINGLE = re.compile(_CONTROL)
# Few in a cluster, and few clusters at a time, between two looks at the budget.
_AT_A_TIME = 256  # pieces, texts and clusters in turn
_CLUSTER = re.compile(f"({_CONTROL}(?:{_CONTROL}){{0,63}}+)")
ALTERNATE_MODES = {47, 1047, 1049}
MAX_PARAMETER = 2**31 - 1
_MAX_ACTIONS = 4096  # distinct sequences kept parsed: more than a screen program's positions need
_LONGEST_KEPT = 512  # characters of one: what is longer is a job's way to fill the memory

Action = Callable[[], None]


def _nothing() -> None:
    pass


def taken_apart(control: str) -> list[str]:
    """The control characters inside a CSI sequence, and the sequence without them; none where there are none."""
    # They act at once, as in every terminal since the VT100.
    inner = _CONTROLS.findall(control) if control.startswith("\x1b[") else []
    return [*inner, "\x1b" + _IGNORED_IN_CSI.sub("", control[1:])] if inner else []


class Terminal(ResizableScreen):
    """A screen that obeys control sequences."""

    def __init__(self, columns: int, rows: int, continued: bool = False, alternate: bool = False) -> None:
        super().__init__(columns, rows, continued)
        self.alternate = False
        self.cut = 0  # characters that the budget left out
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
        if self.work > BUDGET:
            self.cut += len(text)
            return
        if not self.alternate and not any(control in text for control in _ACTING):
            self.write(text)
            return
        pieces = _CLUSTER.split(text)
        pieces.append("")
        for start in range(0, len(pieces), _AT_A_TIME):
            if self.work > BUDGET:
                self.cut += sum(map(len, pieces[start:]))
                return
            self._obey(pieces[start : start + _AT_A_TIME])

    def _obey(self, pieces: list[str]) -> None:
        """Print and obey texts and clusters of controls in turn."""
        clusters = self._clusters
        for piece, cluster in zip(pieces[::2], pieces[1::2], strict=True):
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
        self.work += len(pieces) // 2 + sum(map(len, pieces[1::2])) // 3

    def _parse_cluster(self, cluster: str) -> tuple[Action, ...]:
        if _ALTERNATE.search(cluster):
            return (partial(self._one_by_one, cluster),)
        controls = SINGLE.findall(cluster)
        actions = [self._action(control) for control in controls]
        self._fuse(actions)
        if controls and (repeat := _REPEAT.fullmatch(controls[0])):
            actions[0] = partial(self._repeat, int(repeat[1] or 1))
        if len(self._clusters) >= _MAX_ACTIONS:
            self._clusters.clear()
        parsed = tuple(action for action in actions if action is not _nothing)
        if len(cluster) <= _LONGEST_KEPT:
            self._clusters[cluster] = parsed
        return parsed

    def _fuse(self, actions: list[Action]) -> None:
        """Make one of the two with which progress lines start."""
        pairs = [(self.carriage_return, self.erase_right), (self.carriage_return, self.erase_line)]
        pairs.append((self.erase_line, self.carriage_return))
        for i in range(len(actions) - 1):
            if (actions[i], actions[i + 1]) in pairs:
                actions[i : i + 2] = [_nothing, self.restart_line]

    def _one_by_one(self, cluster: str) -> None:
        for whole in SINGLE.findall(cluster):
            for control in taken_apart(whole) or [whole]:
                if not self.alternate or control.startswith("\x1b[?"):
                    self._action(control)()

    def _action(self, control: str) -> Action:
        action = self._actions.get(control)
        if action is None:
            if len(self._actions) >= _MAX_ACTIONS:
                self._actions = self._fixed_actions()
            action = self._parse(control)
            if len(control) <= _LONGEST_KEPT:
                self._actions[control] = action
        return action

    def _repeat(self, count: int) -> None:
        """REP: print the character that stands right before it again, to the row's end at most."""
        if self._printed and self._printed[-1] >= " ":
            self.put(self._printed[-1] * min(max(count, 1), self.columns - self.x))

    @staticmethod
    def _count(parameter: str) -> int:
        return max(int(parameter), 1) if parameter else 1

    def _parse(self, control: str) -> Action:
        match = CSI.fullmatch(control)
        if match is None:
            return partial(self._each, inner) if (inner := taken_apart(control)) else _nothing
        private, parameters, intermediate, final = match.groups()
        if intermediate or len(parameters) > 63:
            return _nothing
        values = parameters.split(";")
        if private:
            if private == "?" and final in "hl":
                return partial(self._private_modes, values, final == "h")
            return _nothing
        if ":" in parameters or any(v and int(v) > MAX_PARAMETER for v in values) or len(values) > 23:
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
            self._action(control)()

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
            if mode in ALTERNATE_MODES:
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
        said = self.y > 0 and self.lines[self.y - 1].cells == PAST_NOTE
        if not said:
            self.write(PAST_NOTE + "\n")

    def reset(self) -> None:
        """RIS. As with `clear`, what was on the screen stays in the history."""
        self.reset_modes()
        self.saved = FRESH
        self.erase_screen()
        self.x = 0
        self.go(0)
        self.trim()
