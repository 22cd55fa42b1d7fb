"""What a replay has changed of the person's terminal, and the way back.

Pure. What is shown comes from `picture`: its sequences are whole, and each has one spelling.
"""

from __future__ import annotations

import re

CHANGES = re.compile(
    r"\x1b\[(?P<mode>\??\d+)(?P<how>[hl])|(?P<margins>\x1b\[[\d;]*r)|(?P<tabs>\x1bH|\x1b\[\dg)"
    r"|(?P<g0>\x1b\(0)|(?P<g1>\x1b\)0)|(?P<shift>\x0e)|(?P<colours>\x1b\[[\d:;]*m)"
)
ON_AT_FIRST = {"?7", "?25"}  # wraps, shows the cursor
ALTERNATE = {"?1049", "?1047", "?47"}


class Modes:
    """Keeps track of what is otherwise than in a terminal at a shell's prompt."""

    def __init__(self) -> None:
        self.switched: set[str] = set()
        self.leaving: set[str] = set()  # switched back by what is on its way: a write can be broken off
        self.changed: set[str] = set()

    @property
    def alternate(self) -> bool:
        """Has a full-screen program the screen?"""
        return bool(self.switched & ALTERNATE)

    def feed(self, text: str) -> None:
        """`text` is on its way to the terminal; it ends outside of any sequence."""
        for match in CHANGES.finditer(text):
            mode, on = match["mode"], match["how"] == "h"
            if mode is None:
                self.changed.add(str(match.lastgroup))
            elif mode in ALTERNATE:
                self._switch({mode} if on and not self.alternate else set(), set() if on else ALTERNATE)
            elif on == (mode in ON_AT_FIRST):
                self._switch(set(), {mode})
            else:
                self._switch({mode}, set())

    def _switch(self, there: set[str], back: set[str]) -> None:
        self.leaving |= self.switched & back
        self.switched = self.switched - back | there

    def shown(self) -> None:
        """All that was fed is there."""
        self.leaving.clear()

    def undo(self, columns: int) -> bytes:
        """What brings a terminal of that width back, also out of the middle of a sequence; it draws nothing."""
        ways = {
            # Without the two around it, it would take the cursor to the top.
            "margins": "\x1b7\x1b[r\x1b8",
            "tabs": "\x1b7\r\x1b[3g" + "\x1b[8C\x1bH" * ((columns - 1) // 8) + "\x1b8",
            "g0": "\x1b(B",
            "g1": "\x1b)B",
            "shift": "\x0f",
            "colours": "\x1b[0;10m",  # of Linux's console 0 leaves the font of control characters (11)
        }
        switched = self.switched | self.leaving
        # The alternate screen first: the rest is each screen's own in some terminals.
        back = [f"\x1b[{mode}l" for mode in sorted(switched & ALTERNATE)]
        back += [way for name, way in ways.items() if name in self.changed]
        back += [f"\x1b[{mode}{'h' if mode in ON_AT_FIRST else 'l'}" for mode in sorted(switched - ALTERNATE)]
        if "?6" in switched:
            back.append("\x1b[9999H")  # it has taken the cursor to the top
        return b"\x18" + "".join(back).encode()
