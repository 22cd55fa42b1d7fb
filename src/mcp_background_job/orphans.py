"""What is left of a job whose runner was killed: its processes, found by the job id in their environment."""

from __future__ import annotations

import os
import signal

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


def resume(pid: int) -> None:
    """Let a stopped runner go on; only to be called while its lock is held, which proves whose pid it is."""
    try:
        os.kill(pid, signal.SIGCONT)
    except OSError:
        return
