"""Whether the person who holds a job is still there.

Promises: nothing is said while they are, so that it costs no tokens; nothing follows from it either: an agent is told,
and the keys stay where they are.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from mcp_background_job.errors import TmuxError
from mcp_background_job.store.models import Hold
from mcp_background_job.tmux.client import Tmux
from mcp_background_job.tmux.timeouts import Bounded

SILENT = 180.0  # seconds without a key after which a person who is attached may have gone

PATIENCE = 1.0  # seconds that an answer waits for this


@dataclass(frozen=True)
class Absence:
    """Nobody is attached, or whoever is has been silent for long."""

    watching: int  # people attached now
    idle: float  # seconds since one of them, or the last who was there, pressed a key; at most since the hold

    def __str__(self) -> str:
        who = f"{self.watching} attached, but no key" if self.watching else "Nobody is attached, the last key was"
        minutes = self.idle / 60
        ago = f"{minutes:.0f} minutes" if minutes >= 2 else f"{self.idle:.0f} seconds"
        return f"{who} for {ago}" if self.watching else f"{who} {ago} ago"


def absence(tmux: Tmux, hold: Hold, socket: str) -> Absence | None:
    """What there is to tell of the person who has the `hold`; None while they seem to be there."""
    try:
        return Bounded(lambda: look(tmux, hold, socket)).result(PATIENCE)
    except (TimeoutError, TmuxError):
        return None  # tmux is stopped or gone: no reason to hold up or refuse what reads files


def look(tmux: Tmux, hold: Hold, socket: str) -> Absence | None:
    """Ask tmux.

    Raises TmuxError.
    """
    watching = sum(tmux.session in (person.session, person.group) for person in tmux.people(socket))
    idle = max(0.0, time.time() - max(hold.since, tmux.last_key(socket)))
    return None if watching and idle < SILENT else Absence(watching, idle)
