"""Which process runs the person's command (MCP_BG_NOTIFY) in a session, and of which events it has.

    <state>/<session>/.notifier         held by that process for as long as it lives; which command it is to run
                      .notifier-failed  what went wrong with the last command, if it failed
                      <job_id>/notified/<event>  the command was run for this one

Promise: an event is claimed once, before the command is run, by one process.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from mcp_background_job.supervisor.locks import is_held, try_lock

from .files import write_whole

CLAIMS = "notified"
NOTIFIER, FAILED = ".notifier", ".notifier-failed"
OTHERS_PATIENCE = 30.0  # seconds for a notifier of another command to end what it is at


def expect(job_folder: Path) -> None:
    """Have this job's events told, by a later notifier too."""
    with suppress(OSError):  # there already; or the disk takes nothing, and a living notifier tells them all the same
        (job_folder / CLAIMS).mkdir(mode=0o700)


def end_is_due(job_folder: Path) -> bool:
    """Whether the end of a job is still to be told."""
    claims = job_folder / CLAIMS
    return claims.is_dir() and not (claims / "ended").exists()


def claim(job_folder: Path, event: str) -> bool:
    """Whether this event is the caller's to tell: nobody has claimed it before."""
    try:
        os.close(os.open(job_folder / CLAIMS / event, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except (FileExistsError, FileNotFoundError):  # told; or the job has been removed
        return False
    except OSError:
        return True  # a full disk is no reason not to tell that a build has failed on it
    return True


def fingerprint(command: str) -> bytes:
    """What tells commands apart without writing them down: they may hold a secret URL."""
    return hashlib.sha256(command.encode(errors="surrogateescape")).hexdigest()[:16].encode()


def is_told_by(session_folder: Path, command: str) -> bool:
    """Whether a living process runs `command` for this session's events."""
    path = session_folder / NOTIFIER
    try:
        return path.read_bytes() == fingerprint(command) and is_held(str(path))
    except OSError:
        return False


class NotifierLock:
    """That this process runs `command` for a session's events, and no other does."""

    def __init__(self, session_folder: Path, command: str) -> None:
        self.path = session_folder / NOTIFIER
        self.mark = fingerprint(command)
        self._fd = -1

    def take(self) -> bool:
        """Be the one, in place of one of another command; False where there is one of this command."""
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not self.is_wanted():
            os.pwrite(self._fd, self.mark, 0)  # which the other one notices
            taken = try_lock(self._fd, OTHERS_PATIENCE)
        else:
            taken = try_lock(self._fd)
        return taken and self.is_wanted()

    def is_wanted(self) -> bool:
        """Whether no server has asked for another command since."""
        return os.pread(self._fd, 64, 0) == self.mark

    def release(self) -> None:
        os.close(self._fd)


def note_failure(session_folder: Path, failure: str) -> None:
    """Keep what went wrong with the last command for `doctor`; nothing did where it is empty."""
    path = session_folder / FAILED
    with suppress(OSError):
        if failure:
            write_whole(path, failure.encode(errors="replace"))
        else:
            path.unlink(missing_ok=True)


def last_failure(session_folder: Path) -> str:
    """What went wrong with the last command; empty if nothing did."""
    try:
        return (session_folder / FAILED).read_text(errors="replace")
    except OSError:
        return ""
