"""The live board of all jobs: window 0 of the session, and `mcp-background-job watch` in any terminal.

Promises: it draws what has changed and nothing else; nobody looking, it costs next to nothing; it goes on whatever
happens to a record, the state folder or tmux. As window 0 it is also who tells tmux that a job waits for input.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from rich.console import Console
from rich.text import Text

from . import boardview
from .boardview import Row
from .config import BackgroundJobConfig
from .errors import JobError, TmuxError
from .models import EndedJob
from .observer import Observer, Seen
from .service import JobManager
from .usage import Meter, Usage

TICK = 1.0  # seconds between two drawings, for the clocks
CALM = 0.2  # seconds between two looks at what a flood of events tells
LOOKERS = 2.0  # seconds between two questions whether anybody looks
USAGE_EVERY = 2.0  # seconds between two looks at the process table, at least
USAGE_SHARE = 0.004  # of a core, for those looks
NOTE_SECONDS = 4.0
MOST_ERRORS = 20  # in a row, after which a fresh start is better
KEYS = {
    "\x1b[A": "up", "\x1bOA": "up", "k": "up", "\x1b[B": "down", "\x1bOB": "down", "j": "down",
    "\x1b[5~": "page up", "\x1b[6~": "page down", "g": "first", "\x1b[H": "first", "\x1b[1~": "first",
    "G": "last", "\x1b[F": "last", "\x1b[4~": "last", "\r": "enter", "\n": "enter",
}  # fmt: skip


class Screen:
    """The terminal: raw, on its other screen, and given back as it was."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.console = Console(
            file=sys.stdout, force_terminal=True, highlight=False, markup=False, emoji=False, legacy_windows=False
        )

    @contextmanager
    def taken(self) -> Iterator[None]:
        before = termios.tcgetattr(0)
        tty.setraw(0)
        self.write("\x1b[?1049h\x1b[?25l\x1b[2J")
        self.shown = []
        try:
            yield
        finally:
            self.write("\x1b[?25h\x1b[?1049l")
            termios.tcsetattr(0, termios.TCSADRAIN, before)

    def write(self, text: str) -> None:
        data = text.encode(errors="replace")
        while data:
            try:
                data = data[os.write(1, data) :]
            except BlockingIOError:
                time.sleep(0.01)  # a terminal that is stopped

    def size(self) -> tuple[int, int]:
        try:
            columns, lines = os.get_terminal_size(1)
        except OSError:
            columns, lines = 0, 0
        return columns or 80, lines or 24

    def draw(self, lines: Sequence[Text], columns: int) -> None:
        """Show `lines`, of which only those that differ are written."""
        out: list[str] = []
        drawn: list[str] = []
        for number, line in enumerate(lines):
            ansi = self.ansi(line, columns)
            drawn.append(ansi)
            if number >= len(self.shown) or self.shown[number] != ansi:
                out.append(f"\x1b[{number + 1};1H{ansi}\x1b[0m\x1b[K")
        self.shown = drawn
        if out:
            self.write("".join(out))

    def ansi(self, line: Text, columns: int) -> str:
        line.truncate(columns)
        system = self.console
        return "".join(
            segment.style.render(segment.text, color_system=system._color_system) if segment.style else segment.text
            for segment in line.render(system)
        )
