"""Whether a person looks at window 0: a board that nobody sees needs neither drawing nor measuring.

Promise: a window that was fitted to a terminal is as it was soon after its person has turned away.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress

from mcp_background_job.errors import TmuxError
from mcp_background_job.tmux.fitting import list_left, take_back
from mcp_background_job.tmux.group import apply_session_options
from mcp_background_job.tmux.people import viewed
from mcp_background_job.tmux.quoting import own_socket
from mcp_background_job.tmux.session import JobsSession

ASK_EVERY, ASK_VIEWED_EVERY = 3.0, 5.0  # seconds between questions to tmux: while nobody looks, and while a person does


class Viewers:
    """The people who look at the pane that this process is in; outside of tmux there is always one."""

    def __init__(self, tmux: JobsSession, window: bool) -> None:
        self.tmux = tmux
        self.pane = os.environ.get("TMUX_PANE", "")
        self.socket = own_socket()
        self.server = tmux.server_at(self.socket)
        self.window = window
        self.looking = True
        self.mouse = not self.pane  # whether clicks may be asked for: in tmux only if the person has its mouse on
        self.sessions: frozenset[str] = frozenset()  # those that have this window, ours and its group's
        self.next_question = 0.0

    def ask(self) -> bool:
        """Ask tmux, where it is time to; whether a person has just come to look."""
        now = time.monotonic()
        if not self.pane or now < self.next_question:
            return False
        before = self.looking
        with suppress(TmuxError, ValueError):
            found = viewed(self.server, self.pane, list_left())
            self.mouse = found.mouse
            if self.window:
                take_back(self.server, found.more)
                self.looking = found.people > 0
                if found.sessions != self.sessions:
                    apply_session_options(self.server, self.tmux.target, found.sessions)
                    self.sessions = found.sessions
        self.next_question = now + (ASK_VIEWED_EVERY if self.looking else ASK_EVERY)
        return self.looking and not before

    def pressed(self) -> None:
        """A key came, so a person is there."""
        self.looking = True

    def left(self) -> None:
        """A viewer was sent to another window: ask again soon."""
        self.looking, self.next_question = True, 0.0
