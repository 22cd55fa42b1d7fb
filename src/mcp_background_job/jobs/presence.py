"""Whether the person who holds a job is still there.

Promises: nothing is said while they are, so that it costs no tokens; an agent is told when they seem to have left, and
the keys stay where they are.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from mcp_background_job.errors import TmuxError
from mcp_background_job.store.models import Hold
from mcp_background_job.tmux.client import TmuxServer
from mcp_background_job.tmux.people import attached_to, last_key
from mcp_background_job.tmux.timeouts import Bounded

SILENT = 180.0  # seconds without a key after which a person who is attached may have left
PATIENCE = 1.0  # seconds that an answer waits for this


@dataclass(frozen=True)
class Presence:
    """Who is at the session of a held job: `idle_seconds` since a key, or since the hold where none has come."""

    attached: int
    idle_seconds: float
    pressed: bool = True  # a key has come since the hold

    @property
    def seems_present(self) -> bool:
        return self.attached > 0 and self.idle_seconds < SILENT

    def __str__(self) -> str:
        minutes = self.idle_seconds / 60
        ago = f"{minutes:.0f} minutes" if minutes >= 2 else f"{self.idle_seconds:.0f} seconds"
        if self.attached:
            return f"{self.attached} attached, but no key for {ago}"
        if not self.pressed:
            return f"Nobody is attached, and no key has come in the {ago} since"
        return f"Nobody is attached, the last key was {ago} ago"


def absent_holder(server: TmuxServer, session: str, pane: str, hold: Hold) -> Presence | None:
    """The presence of the person who has the `hold` once they seem to have left; None while they seem present."""
    try:
        found = Bounded(lambda: presence(server, session, pane, hold)).result(PATIENCE)
    except (TimeoutError, TmuxError):
        return None  # tmux is stopped or gone: no reason to hold up or refuse what reads files
    return None if found.seems_present else found


def presence(server: TmuxServer, session: str, pane: str, hold: Hold) -> Presence:
    """Ask tmux who is attached to the session of jobs or looks at the job, and when the last key came.

    Raises TmuxError.
    """
    key = last_key(server, session, pane)
    idle = time.time() - max(hold.since, key)
    # Without a message a person has taken the job, with a key; tmux tells whole seconds.
    pressed = not hold.message or key > int(hold.since)
    return Presence(attached_to(server, session, pane), max(0.0, idle), pressed)
