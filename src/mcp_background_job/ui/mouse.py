"""What a terminal tells of the mouse (xterm's SGR mode, 1006), for a program that asks for clicks and the wheel.

Inside tmux it comes only where the person has tmux's own mouse on; without it their terminal keeps its selection.
"""

from __future__ import annotations

import re
from typing import NamedTuple

ON, OFF = "\x1b[?1000h\x1b[?1006h", "\x1b[?1006l\x1b[?1000l"
REPORT = re.compile(r"\x1b\[<(\d{1,4});(\d{1,5});(\d{1,5})([Mm])")
ACTIONS = {0: "click", 64: "wheel up", 65: "wheel down"}


class Mouse(NamedTuple):
    """What was done, and in which line from 0."""

    action: str  # click, wheel up, wheel down, or empty for anything else, such as a button that is let go
    line: int


def mouse_report(key: str) -> Mouse | None:
    """The report that a key is; None for a key of the keyboard."""
    report = REPORT.fullmatch(key)
    if report is None:
        return None
    pressed = report[4] == "M"
    return Mouse(ACTIONS.get(int(report[1]), "") if pressed else "", int(report[3]) - 1)
