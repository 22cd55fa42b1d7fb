"""That all a job has printed is in its log.

A mark goes through the job's own terminal, behind its output; once it is in the log, so is all before it.
"""

from __future__ import annotations

import os
import time
from typing import NamedTuple

from mcp_background_job.store.inotify import FolderEvents
from mcp_background_job.store.models import RunningJob, new_nonce
from mcp_background_job.supervisor.markers import sync_mark

from .view import JobView

PATIENCE = 0.25  # seconds for a mark to come back through tmux and the log writer


class Drained(NamedTuple):
    """Where the log ends with a mark in it, and whether anything came behind the mark."""

    end: int
    more: bool


async def drained(view: JobView, job: RunningJob) -> Drained | None:
    """Wait until all that the job has printed by now is in its log; None where no mark came back."""
    job_id = job.spec.job_id
    mark = sync_mark(new_nonce())
    start = view.log(job_id).end
    if not write_mark(job.run.tty, mark):
        return None
    deadline = time.monotonic() + PATIENCE
    with FolderEvents([view.folder(job_id) / "log"]) as events:
        while time.monotonic() < deadline:
            log = view.log(job_id)
            data = log.read(start, log.end)
            found = data.find(mark)
            if found >= 0:
                return Drained(log.end, len(data) > found + len(mark))
            await events.wait(deadline - time.monotonic())
    return None


def write_mark(tty: str, mark: bytes) -> bool:
    """Write to a job's terminal without waiting for it; False where it is stopped, full or gone."""
    try:
        fd = os.open(tty, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.write(fd, mark) == len(mark)
    except OSError:
        return False
    finally:
        os.close(fd)
