"""How each state of a job looks to a person: on the board, in `list`, in the menu's help.

Promise: one sign, one word and one style for each state; tmux.conf and README say the same (a test compares them). The
styles use the terminal's own colours, so that dark and light backgrounds are both readable.
"""

from __future__ import annotations

from typing import NamedTuple


class State(NamedTuple):
    """A sign, a word of at most eight characters, and a style as rich writes it."""

    sign: str
    word: str
    style: str

    @property
    def word_style(self) -> str:
        """For the word: only a style with a background; a word in green is hard to read on some white."""
        return self.style if " on " in self.style else ""


STATES = {
    "starting": State("●", "starting", "green"),
    "running": State("●", "running", "green"),
    "prompt": State("?", "prompt", "black on yellow"),
    "password": State("?", "password", "black on yellow"),
    "screen": State("»", "idle", "cyan"),  # a REPL or a full-screen program that waits for a key
    "held": State("@", "held", "black on cyan"),
    "asked": State("@", "asked", "black on cyan"),  # held, and an agent asks the person for something
    "completed": State("✓", "done", "green"),
    "failed": State("✗", "failed", "bold white on red"),
    "killed": State("■", "killed", "magenta"),
    "unreadable": State("!", "broken", "bold red"),
}
