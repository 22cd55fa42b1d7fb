"""A terminal that a program takes whole: drawn on its other screen, and given back as it was.

Promises: only lines that differ are written; a line is never wider than the terminal; colours only without NO_COLOR.
"""

from __future__ import annotations

import os
import termios
import tty
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from rich.color import ColorSystem
from rich.console import Console
from rich.text import Text

from mcp_background_job.text import clip, width

from . import mouse


class FullScreen:
    """The terminal on 0 and 1: raw, on its other screen, and given back as it was."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, markup=False, emoji=False)
        self.colours = None if os.environ.get("NO_COLOR") else ColorSystem.STANDARD
        self.shown: list[Text] = []
        self.mouse = False  # the terminal tells of clicks

    @contextmanager
    def taken(self) -> Iterator[None]:
        self.take()
        try:
            yield
        finally:
            self.give()

    @contextmanager
    def lent(self) -> Iterator[None]:
        self.give()
        try:
            yield
        finally:
            self.take()

    def take(self) -> None:
        self.cooked = termios.tcgetattr(0)
        tty.setraw(0)
        self.write("\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J")  # no autowrap: a width that is wrong moves no other line
        self.mouse = False
        self.forget()

    def use_mouse(self, wanted: bool) -> None:
        """Have the terminal tell of clicks, or leave them to it."""
        if wanted != self.mouse:
            self.write(mouse.ON if wanted else mouse.OFF)
            self.mouse = wanted

    def give(self) -> None:
        # The terminal may be gone; then there is nothing to give back.
        with suppress(OSError, termios.error):
            self.write(f"\x1b[?7h{mouse.OFF if self.mouse else ''}\x1b[?25h\x1b[?1049l")
            termios.tcsetattr(0, termios.TCSADRAIN, self.cooked)

    def write(self, text: str) -> None:
        data = text.encode(errors="replace")
        while data:
            data = data[os.write(1, data) :]

    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        try:
            columns, lines = os.get_terminal_size(1)
        except OSError:
            columns, lines = 0, 0
        return columns or 80, lines or 24

    def draw(self, lines: Sequence[Text], columns: int) -> None:
        """Show `lines`, of which only those that differ are written."""
        out: list[str] = []
        for number, line in enumerate(lines):
            if number >= len(self.shown) or (line is not self.shown[number] and line != self.shown[number]):
                out.append(f"\x1b[{number + 1};1H{self.ansi(line, columns)}")
        self.shown = list(lines)
        if out:
            self.write("".join(out))

    def ansi(self, line: Text, columns: int) -> str:
        """One line as the terminal takes it; what is right of it is erased."""
        parts: list[str] = []
        left = columns
        for segment in line.render(self.console):
            shown = clip(segment.text, left)
            left -= width(shown)
            parts.append(segment.style.render(shown, color_system=self.colours) if segment.style else shown)
        # Behind the last column there is nothing to erase, and the cursor still stands on it.
        return "".join(parts) + ("\x1b[K" if left > 0 else "")

    def forget(self) -> None:
        """Have the next drawing write every line: the terminal may no longer show what it was given."""
        self.shown = []
