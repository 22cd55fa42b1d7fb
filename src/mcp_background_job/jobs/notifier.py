"""The notifier: a process that runs the person's command (MCP_BG_NOTIFY) for the events of a session's jobs.

One for a session, started by whichever server starts a job (notify.py), so that an end is told though every server is
gone; it ends LINGER seconds after the last job that is to be told of. Promises: each event is told once, in its order,
one command at a time; an end that an earlier notifier did not come to tell is told by the next.
"""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import suppress
from dataclasses import dataclass

from mcp_background_job.config import load_config
from mcp_background_job.errors import JobError
from mcp_background_job.store.inotify import FolderEvents
from mcp_background_job.store.models import EndedJob, Exited, Hold, Job, LiveJob, RunningJob, status_of, timestamp
from mcp_background_job.store.notices import NotifierLock, claim, end_is_due, expect, note_failure
from mcp_background_job.store.transcript import transcript_size
from mcp_background_job.supervisor.naming import name_process
from mcp_background_job.supervisor.process_tree import become_subreaper
from mcp_background_job.text import one_line

from .events import UNWOKEN, Event, JobEvents
from .notify import command_environment, run_command
from .view import JobView

MOST_WAITING = 1000  # events that wait for the command to be run for earlier ones; as many jobs may run
RESCAN = 2.0  # seconds between looks for jobs that no file has told of
LINGER = 5.0  # seconds without a job until the notifier ends: a row of short ones is told by one process
ANSWER_PATIENCE = 30.0  # seconds that an agent has for its next answer to a job that it answers


@dataclass(frozen=True)
class Notice:
    """What the command is to be run for; `claim` is its name among the job's events."""

    job: Job
    event: str
    claim: str


class Notifier:
    """Follows every job of the session, and has the command run for what happens to it."""

    def __init__(self, view: JobView, command: str, lock: NotifierLock) -> None:
        self.view = view
        self.command = command
        self.lock = lock
        self.events = JobEvents(view)
        self.events.listeners.append(self.hear)
        self.due: asyncio.Queue[Notice] = asyncio.Queue(MOST_WAITING)
        self.running = asyncio.Lock()  # held while the command runs
        self.followed: set[str] = set()
        self.over: set[str] = set()  # ended jobs of which there is nothing to tell
        self.holds: dict[str, Hold] = {}

    async def run(self) -> None:
        """Until no job is left, or a server wants another command to be run."""
        telling = asyncio.create_task(self.tell_all())
        used = time.monotonic()
        with FolderEvents([self.view.store.folder]) as folder:
            while self.lock.is_wanted():
                self.scan()
                if self.has_work():
                    used = time.monotonic()
                elif time.monotonic() - used >= LINGER and self.leaves():
                    break
                await folder.wait(RESCAN)
                if not folder.complete:
                    await asyncio.sleep(UNWOKEN)
        async with self.running:
            telling.cancel()

    # -- the jobs -------------------------------------------------------------------------------------------

    def scan(self) -> None:
        """Follow the jobs that are new."""
        ids: set[str] = set(self.view.store.ids())
        self.followed &= ids
        self.over &= ids
        for job_id in ids - self.followed - self.over:
            folder = self.view.folder(job_id)
            with suppress(JobError, OSError):  # what can't be read may be by the next scan
                if isinstance(self.view.job(job_id), LiveJob):
                    expect(folder)
                elif not end_is_due(folder):
                    self.over.add(job_id)
                    continue
                self.followed.add(job_id)
                self.events.follow(job_id, held=False)

    def has_work(self) -> bool:
        """Whether there is something to tell, now or once it happens."""
        return self.running.locked() or not self.due.empty() or any(map(self.lives, self.followed))

    def lives(self, job_id: str) -> bool:
        with suppress(JobError, OSError):
            return isinstance(self.view.job(job_id), LiveJob)
        return False

    def leaves(self) -> bool:
        """Give the session up, unless a job has been added meanwhile: whoever adds one then starts a notifier."""
        with suppress(JobError, OSError), self.view.store.lock():
            self.scan()
            if self.has_work():
                return False
            self.lock.release()
        return True

    # -- what happens to them -------------------------------------------------------------------------------

    def hear(self, event: Event) -> None:
        job_id = event.job_id
        if event.kind == "ended":
            self.add(Notice(event.job, "ended", "ended"))
        elif event.kind == "held":
            hold = self.view.hold(event.job)
            if hold is not None:
                self.holds[job_id] = hold
                if hold.message:  # without one a person has taken it
                    self.add(Notice(event.job, "handoff", f"handoff-{hold.since}"))
        elif event.kind == "handback":
            hold = self.holds.pop(job_id, None)
            self.add(Notice(event.job, "handback", f"handback-{hold.since if hold else time.time()}"))
        elif event.kind == "input":
            self.hear_of_input(event)

    def hear_of_input(self, event: Event) -> None:
        """A question or a password; a REPL that an agent keeps open is in need of nobody.

        What an agent is in a dialogue with needs a person only where the agent doesn't answer.
        """
        awaiting = self.view.awaiting(event.job)
        notice = Notice(event.job, "input", f"input-{event.offset}")
        if awaiting == "password" or (awaiting == "prompt" and not transcript_size(self.view.folder(event.job_id))):
            self.add(notice)
        elif awaiting == "prompt":
            asyncio.get_running_loop().call_later(ANSWER_PATIENCE, self.still_waits, notice, event.offset)

    def still_waits(self, notice: Notice, offset: int) -> None:
        with suppress(JobError, OSError):
            job = self.view.job(notice.job.spec.job_id)
            waits = isinstance(job, RunningJob) and self.view.hold(job) is None and self.view.awaiting(job)
            if waits and not self.view.shows_more(job, offset, self.view.log(job.spec.job_id).end):
                self.add(notice)

    # -- telling --------------------------------------------------------------------------------------------

    def add(self, notice: Notice) -> None:
        try:
            self.due.put_nowait(notice)
        except asyncio.QueueFull:
            self.note(notice, f"{MOST_WAITING} others were waiting")

    async def tell_all(self) -> None:
        """Run the command for one event after the other."""
        while True:
            notice = await self.due.get()
            async with self.running:
                if self.lock.is_wanted() and claim(self.view.folder(notice.job.spec.job_id), notice.claim):
                    self.note(notice, await asyncio.to_thread(run_command, self.command, environment_of(notice)))

    def note(self, notice: Notice, failure: str) -> None:
        what = f"{timestamp(time.time())} {notice.event} of {notice.job.spec.job_id}: {failure}" if failure else ""
        note_failure(self.view.store.folder, what)


def environment_of(notice: Notice) -> dict[str, str]:
    """What the command is told of an event."""
    job = notice.job
    code = job.end.code if isinstance(job, EndedJob) and isinstance(job.end, Exited) else None
    return command_environment(notice.event, job.spec.job_id, one_line(job.spec.name), status_of(job), code)


def main() -> int:
    """Tell of the jobs of the session that the environment names; at once done where another process does."""
    config = load_config()
    if config.notify is None:
        return 0
    name_process("mcp-bg-notify")
    become_subreaper()
    view = JobView(config)
    view.store.check()
    lock = NotifierLock(view.store.folder, config.notify)
    if lock.take():
        asyncio.run(Notifier(view, config.notify, lock).run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
