"""How a wait goes on, told while it lasts: the seconds, and the last line that was printed.

Promise: what is told is one short line of what a job printed, as a person would read it; once a second at most.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence

import anyio.to_thread

from mcp_background_job.errors import JobError
from mcp_background_job.text import one_line, shorten

from .view import JobView

Progress = Callable[[float, str], Awaitable[None]]  # of the seconds waited and the last line

FIRST = 2.0  # seconds until the first report
EVERY = 5.0  # seconds between reports while nothing is printed, so that clients don't give up
GAP = 1.0  # seconds between two reports at least
LOOKED_AT = 5  # lines, of which the last that is not blank is told
LONGEST = 120  # columns of it


class Reports:
    """The reports of one wait."""

    def __init__(self, view: JobView, job_ids: Sequence[str], progress: Progress) -> None:
        self.view = view
        self.progress = progress
        self.ends = {job_id: view.log(job_id).end for job_id in job_ids}
        self.newest = job_ids[0]  # the job that printed last
        self.line = ""
        self.begun = time.monotonic()
        self.told = self.begun - EVERY
        self.next = self.begun + FIRST

    def pause(self) -> float:
        """Seconds until there may be something to report."""
        return self.next - time.monotonic()

    async def report(self) -> None:
        """Report what is due."""
        now = time.monotonic()
        if now < self.next:
            return
        self.next = now + GAP
        line = await self.last_line()
        if line != self.line or now - self.told >= EVERY:
            self.line, self.told = line, now
            await self.progress(now - self.begun, line)

    async def last_line(self) -> str:
        """The last line of the job that printed last, with its name where there are several."""
        try:
            for job_id, end in self.ends.items():
                self.ends[job_id] = self.view.log(job_id).end
                if self.ends[job_id] != end:
                    self.newest = job_id
            job = self.view.job(self.newest)
            if self.view.tail_is_quick(job, LOOKED_AT):
                found = self.view.tail(job, LOOKED_AT)
            else:
                found = await anyio.to_thread.run_sync(self.view.tail, job, LOOKED_AT)
        except (JobError, OSError):
            return self.line
        lines = [line for line in map(one_line, found.stdout.split("\n")) if line]
        name = f"{one_line(job.spec.name)}: " if len(self.ends) > 1 and job.spec.name else ""
        return shorten(name + lines[-1], LONGEST) if lines else ""
