"""Which private modes of its terminal (xterm's DECSET) a job has switched on, as its output has said so far.

Promise: each byte is looked at once, so that asking again costs what has come meanwhile.
"""

from __future__ import annotations

import re
from threading import Lock

from mcp_background_job.store.log import Log

SWITCH = re.compile(rb"\x1b\[\?([0-9;]{1,48})([hl])|\x1bc")
LONGEST = 64  # bytes of a switch
BLOCK = 1 << 20  # bytes looked at at a time
# The most that is looked back at: 4 ms of plain text; a program that draws sets its modes again now and then.
LOOKBACK = 8 << 20

APPLICATION_KEYS, CURSOR, FOCUS, BRACKETS = b"1", b"25", b"1004", b"2004"
ALTERNATE = (b"47", b"1047", b"1049")


class Modes:
    """The modes of one job's terminal, as of the last `follow`."""

    def __init__(self) -> None:
        self._switched: dict[bytes, bool] = {}
        self.screen_since: int | None = None  # offset behind what switched to the alternate screen, while that is shown
        self.gave_back: tuple[int, int] | None = None  # where what the last program drew there begins and ends
        self._position = 0
        self._from: int | None = None  # the first offset that was looked at
        self._screens_switched = False
        self._lock = Lock()

    def follow(self, log: Log) -> Modes:
        """Look at what has come since; itself.

        Raises SegmentGone.
        """
        with self._lock:
            position = max(self._position, log.start, log.end - LOOKBACK)
            self._from = position if self._from is None else self._from
            while position < log.end:
                stop = min(position + BLOCK, log.end)
                # What was looked at before says the same again.
                start = max(log.start, position - LONGEST)
                self._note(log.read(start, stop), start)
                position = self._position = stop
        return self

    def _note(self, data: bytes, start: int) -> None:
        for switch in SWITCH.finditer(data):
            if switch[1] is None:
                # As in tmux, whose alternate screen a reset does not leave.
                self._switched = {mode: on for mode, on in self._switched.items() if mode in ALTERNATE}
            else:
                self._switched.update(dict.fromkeys(switch[1].split(b";"), switch[2] == b"h"))
            self._screens_switched |= switch[1] is not None and not set(ALTERNATE).isdisjoint(switch[1].split(b";"))
            if not self.full_screen:
                if self.screen_since is not None:
                    self.gave_back = (self.screen_since, start + switch.start())
                self.screen_since = None
            elif self.screen_since is None:
                self.screen_since = start + switch.end()

    def never_full_screen(self, log: Log) -> bool:
        """Whether nothing that is kept of the log has switched screens."""
        looked_at = self._from is not None and self._from <= log.start and self._position >= log.end
        return looked_at and not self._screens_switched

    def is_on(self, mode: bytes) -> bool:
        """Whether a mode is on; a terminal begins with none but the cursor's."""
        return self._switched.get(mode, mode == CURSOR)

    @property
    def full_screen(self) -> bool:
        """Whether the alternate screen is shown."""
        return any(map(self.is_on, ALTERNATE))

    def edits_line(self, signals: bool) -> bool:
        """Whether a line editor is at its prompt: it asks for brackets there only, and leaves the cursor to be seen.

        `signals`: C-c is the terminal's. Traps: vim asks for brackets on the alternate screen; what draws a cursor of
        its own draws all the time, and so does what wants to know who has the focus, unless it leaves C-c alone (fish).
        """
        drawing = self.is_on(FOCUS) and not signals
        return self.is_on(BRACKETS) and self.is_on(CURSOR) and not drawing and not self.full_screen

    def edits_prose(self, signals: bool) -> bool:
        """Whether a program knows pastes from typing and draws its own input, as other agents do.

        Traps: vim hides the cursor while it draws, neovim asks for the focus; both have the keypad's keys sent. fish
        asks for the focus, and leaves C-c to the terminal.
        """
        own = (self.is_on(FOCUS) and not signals) or not self.is_on(CURSOR)
        return self.is_on(BRACKETS) and own and not self.is_on(APPLICATION_KEYS)

    @property
    def takes_lines_as_keys(self) -> bool:
        """Whether several lines are keys to a full-screen program, and would be text in brackets: into vi."""
        return self.full_screen and (self.is_on(APPLICATION_KEYS) or not self.is_on(BRACKETS))
