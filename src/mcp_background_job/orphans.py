"""What is left of a job whose runner was killed: its processes, found by the job id in their environment."""

from __future__ import annotations

import os
import signal
import termios
from contextlib import suppress

from .config import JOB_VARIABLE


def end_orphans(job_id: str) -> int:
    """Kill every process of this user that the job has started; how many there were.

    psutil compares start times before it signals, so a recycled pid is never hit.
    """
    import psutil

    ended = 0
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(JOB_VARIABLE) == job_id:
                process.kill()
                ended += 1
        except (psutil.Error, OSError):
            continue  # another user's, or gone by itself
    return ended


def resume(pid: int, tty: str) -> None:
    """Let a stopped runner go on, and a terminal that a person has stopped with C-s.

    Only to be called while the runner's lock is held, which proves whose pid it is.
    """
    with suppress(OSError, termios.error):
        os.kill(pid, signal.SIGCONT)
        fd = os.open(tty, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            termios.tcflow(fd, termios.TCOON)
        finally:
            os.close(fd)
