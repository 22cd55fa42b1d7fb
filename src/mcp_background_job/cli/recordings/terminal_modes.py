"""What a job's bytes do to a terminal beside drawing: modes that stay switched, and terminal queries, which it answers.

Pure. A replay on a person's terminal leaves out the queries, whose answers would be typed into their shell, and in
the end switches back what the job had switched.
"""

from __future__ import annotations

import re

# Device attributes and status, modes, window operations (size, position, title), keyboard state, versions; settings
# and capabilities (DCS); colours, the clipboard both ways, iTerm2's files (OSC); APC, which tmux doesn't draw
# either; ENQ, DECID.
QUERIES = re.compile(
    rb"\x1b\[[=>?]?[0-9;]*c|\x1b\[\??[0-9;]*n|\x1b\[\??[0-9;]*\$p|\x1b\[[0-9;]*t|\x1b\[[01]?x|\x1b\[\?u"
    rb"|\x1b\[>[0-9]*q|\x1b\[\?[0-9;]*[mS]|\x1b\[[0-9;]*(?:\$w|\*y)"
    rb"|\x1bP[+$]q[^\x1b]*\x1b\\|\x1b\](?:(?:52|1337);[^\x07\x1b]*|(?:[4-6]|1[0-9]|21);[^\x07\x1b]*\?)(?:\x07|\x1b\\)"
    rb"|\x1b_[^\x1b]*\x1b\\|\x05|\x1bZ"
)
SWITCHES = re.compile(
    rb"\x1b\[(?P<private>\?)?(?P<modes>[0-9;]+)(?P<how>[hl])"
    rb"|(?P<margins>\x1b\[[0-9;]*r)|(?P<shape>\x1b\[[0-9]* q)|(?P<keypad>\x1b=)|(?P<keyboard>\x1b\[>[0-9;]*[mu])"
    rb"|(?P<reset>\x1bc|\x1b\[!p)"
)
ON_AT_FIRST = {b"?7", b"?8", b"?25"}  # wraps, repeats keys, shows the cursor
ALTERNATE = (b"?1049", b"?1047", b"?47")
LEFT_ALONE = {b"?3", b"?40", b"?1048"}  # another width clears the screen; a saved cursor is not a mode
UNDO = {
    "margins": b"\x1b7\x1b[r\x1b8",  # without the two around it, it would take the cursor to the top
    "shape": b"\x1b[0 q",
    "keypad": b"\x1b>",
    "keyboard": b"\x1b[<9u\x1b[>4m",
}


def without_queries(data: bytes) -> bytes:
    """`data`, which ends outside of any sequence, without what a terminal would answer."""
    return QUERIES.sub(b"", data)


class Modes:
    """Keeps track of what is switched otherwise than in a terminal at a shell's prompt."""

    def __init__(self) -> None:
        self.switched: set[bytes] = set()
        self.others: set[str] = set()

    def feed(self, data: bytes) -> None:
        """`data` is shown; it ends outside of any sequence."""
        for match in SWITCHES.finditer(data):
            if match["reset"]:
                self.switched.clear()
                self.others.clear()
            elif match["modes"]:
                prefix = b"?" if match["private"] else b""
                for mode in match["modes"].split(b";"):
                    self.switch(prefix + mode, match["how"] == b"h")
            else:
                self.others.add(str(match.lastgroup))

    def switch(self, mode: bytes, on: bool) -> None:
        if mode in LEFT_ALONE:
            return
        if on == (mode in ON_AT_FIRST):
            self.switched.discard(mode)
        else:
            self.switched.add(mode)

    def undo(self) -> bytes:
        """What brings the terminal back, also out of the middle of a sequence; it draws nothing."""
        order = [mode for mode in ALTERNATE if mode in self.switched]
        order += sorted(self.switched - set(order))
        modes = [b"\x1b[%b%b" % (mode, b"h" if mode in ON_AT_FIRST else b"l") for mode in order]
        others = [UNDO[name] for name in sorted(self.others)]
        return b"\x18" + b"".join(modes + others) + b"\x1b(B\x0f\x1b[0m"
