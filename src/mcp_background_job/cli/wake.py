"""`mcp-background-job wake`: set up by a person, it tells the agent in a pane of theirs what its jobs do.

Promises: it runs until the jobs that are named have ended, or the pane's program has; what can't be told within
GIVE_UP seconds rings a bell there instead; while it runs it prints nothing, since the agent's program has the terminal.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from contextlib import suppress

from mcp_background_job.config import BackgroundJobConfig
from mcp_background_job.errors import WrongUsage
from mcp_background_job.jobs.events import Event, JobEvents
from mcp_background_job.jobs.manager import JobManager
from mcp_background_job.jobs.wake import Waker
from mcp_background_job.store.inotify import hub_of
from mcp_background_job.store.models import EndedJob
from mcp_background_job.system import INOTIFY
from mcp_background_job.tmux.client import TmuxServer
from mcp_background_job.tmux.persons_pane import PersonsPane
from mcp_background_job.tmux.quoting import own_socket

from .follow import run_to_end
from .lookup import find_job
from .settings import settings

KINDS = {"end": "ended", "input": "input"}
LOOK = 0.5  # seconds between looks at the pane while there is something to tell
IDLE_LOOK = 2.0  # the same while there is not
GIVE_UP = 600.0  # seconds


def wake(options: argparse.Namespace) -> int:
    manager = JobManager(settings())
    kinds = {KINDS[name] for name in options.on}
    pane = find_pane(manager.config, options.pane)
    jobs = {str(find_job(manager, given).spec.job_id) for given in options.jobs}
    print(f"{pane.pane} is told when {'these jobs' if jobs else 'a job'} {describe(options.on)}.", flush=True)
    return run_to_end(lambda: Wake(manager, pane, kinds, jobs).run())


def describe(names: list[str]) -> str:
    return " or ".join({"end": "ends", "input": "needs input"}[name] for name in names)


def find_pane(config: BackgroundJobConfig, given: str) -> PersonsPane:
    """The pane that is meant, on the tmux server that this terminal is in, else on that of the jobs.

    Raises WrongUsage, InvalidInput or TmuxError.
    """
    pane = given or os.environ.get("TMUX_PANE", "")
    if not pane:
        raise WrongUsage("This terminal is not in tmux", "Name the agent's pane with --pane")
    socket = own_socket()
    return PersonsPane.find(TmuxServer(config.tmux_socket_name or "default", socket), pane)


class Wake:
    """Listens to the jobs, and has the pane told."""

    def __init__(self, manager: JobManager, pane: PersonsPane, kinds: set[str], jobs: set[str]) -> None:
        self.view = manager.view
        self.kinds = kinds
        self.jobs = jobs  # none: all of the session
        self.left = set(jobs)  # of those that are named, which have not ended
        ended = [] if jobs else [job for job in self.view.jobs(False).jobs if isinstance(job, EndedJob)]
        self.followed: set[str] = {job.spec.job_id for job in ended}  # or there is nothing more to tell
        self.waker = Waker(self.view, pane)
        self.events = JobEvents(self.view)
        self.events.listeners.append(self.hear)
        self.news = asyncio.Event()
        self.since = 0.0  # when the oldest of what is to be told came

    def hear(self, event: Event) -> None:
        if event.kind == "ended":
            self.left.discard(event.job_id)
        if event.kind in self.kinds:
            if not self.waker.pending:
                self.since = time.monotonic()
            self.waker.pending.append(event)
        self.news.set()

    def follow_new(self) -> None:
        """Follow the jobs that are named, or all that have not ended before: some end before they are first seen."""
        for job in self.view.jobs(include_all=bool(self.jobs)).jobs:
            job_id = job.spec.job_id
            if job_id not in self.followed and (not self.jobs or job_id in self.jobs):
                self.followed.add(job_id)
                self.events.follow(job_id)

    async def run(self) -> int:
        """Until there is nothing more to tell, or nobody to be told; the exit status."""
        if INOTIFY and not self.jobs:
            hub_of(asyncio.get_running_loop()).watch(self.view.store.folder, self.news)
        while True:
            self.news.clear()
            self.follow_new()
            step = self.waker.look()
            if step == "gone":
                return 0
            if step == "unsent" or (self.waker.pending and time.monotonic() - self.since > GIVE_UP):
                self.waker.pending.clear()
                self.waker.ring()
            if self.jobs and not self.left and not self.waker.pending:
                return 0
            if self.waker.pending:
                await asyncio.sleep(LOOK)
            else:
                with suppress(TimeoutError):
                    async with asyncio.timeout(IDLE_LOOK):
                        await self.news.wait()
