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
        self.alternate = ""  # the mode by which its screen was entered
        self.switched: set[str] = set()
        self.changed: set[str] = set()

    def feed(self, text: str) -> None:
        """`text` is shown; it ends outside of any sequence."""
        for match in CHANGES.finditer(text):
            mode, on = match["mode"], match["how"] == "h"
            if mode is None:
                self.changed.add(str(match.lastgroup))
            elif mode in ALTERNATE:
                self.alternate = (self.alternate or mode) if on else ""
            elif on == (mode in ON_AT_FIRST):
                self.switched.discard(mode)
            else:
                self.switched.add(mode)

    def undo(self, columns: int) -> bytes:
        """What brings a terminal of that width back, also out of the middle of a sequence; it draws nothing."""
        ways = {
            # Without the two around it, it would take the cursor to the top.
            "margins": "\x1b7\x1b[r\x1b8",
            "tabs": "\x1b7\r\x1b[3g" + "\x1b[8C\x1bH" * ((columns - 1) // 8) + "\x1b8",
            "g0": "\x1b(B",
            "g1": "\x1b)B",
            "shift": "\x0f",
            "colours": "\x1b[0m",
        }
        back = [f"\x1b[{self.alternate}l"] if self.alternate else []
        back += [way for name, way in ways.items() if name in self.changed]
        back += [f"\x1b[{mode}{'h' if mode in ON_AT_FIRST else 'l'}" for mode in sorted(self.switched)]
        if "?6" in self.switched:
            back.append("\x1b[9999H")  # it has taken the cursor to the top
        return b"\x18" + "".join(back).encode()
