"""Requests to a job's runner.

Promise: no process id is involved, so none can be a wrong one; a request that is on disk outlives whoever made it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from .files import write_whole


def request_kill(folder: Path, signum: int, by: str = "") -> bool:
    """Write the request down, and who makes it, then wake the runner; whether it could be written down."""
    try:
        if by:
            write_whole(folder / "killer", by.encode())  # by itself: a runner of 0.2 reads nothing but the number
        write_whole(folder / "kill", str(signum).encode())
    except OSError:
        # A disk that is full or can't be written to must not keep anybody from ending what fills it.
        wake(folder, f"{signum}\n".encode())
        return False
    wake(folder)
    return True


def request_signal(folder: Path, signum: int) -> None:
    """Have the runner send a signal to the foreground of the job's terminal."""
    wake(folder, f"s{signum}\n".encode())


def wake(folder: Path, words: bytes = b"\n") -> None:
    """Make the runner look at its requests; a runner that isn't there yet looks by itself."""
    with suppress(OSError):
        fd = os.open(folder / "control", os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(fd, words)
        finally:
            os.close(fd)
