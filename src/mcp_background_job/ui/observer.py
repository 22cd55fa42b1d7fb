"""Watches the jobs for people: notices what changes, and tells tmux, which shows it on the jobs' panes.

Promises: a job that nothing happens to costs a look every LAST_LOOK seconds; tmux is told of changes only; a record
that can't be read, a state folder that is gone or a tmux that refuses is a fact to show, not an end.
"""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass, field

from mcp_background_job.errors import JobError, JobNotFound, TmuxError
from mcp_background_job.jobs.view import JobView
from mcp_background_job.store.inotify import Hub, hub_of
from mcp_background_job.store.models import EndedJob, Hold, Job, LiveJob, run_of
from mcp_background_job.supervisor.pane import shown_end
from mcp_background_job.system import INOTIFY
from mcp_background_job.tmux.panes import mark_jobs
from mcp_background_job.tmux.session import JobsSession

FIRST_LOOK, LAST_LOOK = 0.1, 10.0  # seconds between looks at a job, from its last sign of life on
WAITING_LOOK = 1.0  # the same for one that waits for input: a password that is typed prints nothing
GRID = 0.25  # seconds; looks that are due at about the same time are made in one go
STEADY = 0.25  # seconds that a job must wait for input before people are told
RESCAN = 2.0  # seconds between looks for jobs that no event has told of
RUNNER_FIRST = 0.5  # seconds that a runner has to show its job's end itself


class Bell(asyncio.Event):
    """Rung by inotify: notes for which job, and wakes the board."""

    def __init__(self, job_id: str, observer: Observer) -> None:
        super().__init__()
        self.job_id, self.observer = job_id, observer

    def set(self) -> None:
        self.observer.rung.add(self.job_id)
        self.observer.wake.set()


class LogBell(Bell):
    """Rings once for a log; the next look winds it up again, so that a flood costs no more than a drop."""

    def set(self) -> None:
        super().set()
        asyncio.get_running_loop().call_soon(self.observer.unwatch_log, self.job_id)


@dataclass
class Seen:
    """A job as it was at the last look."""

    job_id: str
    job: Job | None = None  # None where its record can't be read
    hold: Hold | None = None
    awaiting: str | None = None  # what it waits for, once it has for STEADY seconds
    waiting_since: float = 0.0  # seconds since the epoch; 0 while it waits for nothing
    log_end: int = 0

    @property
    def running(self) -> bool:
        return isinstance(self.job, LiveJob)

    def pane_options(self) -> dict[str, str]:
        """What the job's pane is to say of it."""
        if isinstance(self.job, EndedJob):
            end = self.job.end
            return shown_end(end.cause, end.exitcode, end.ended)
        return {
            "@mcp_status": self.awaiting or "running",
            "@mcp_holder": "human" if self.hold else "",
            "@mcp_message": self.hold.message if self.hold else "",
        }


@dataclass(kw_only=True)
class Watched(Seen):
    """How it is watched, and when the next look is due."""

    bell: Bell
    log_bell: LogBell
    waits_since: tuple[str, float] | None = None  # what it waits for, and since when
    changed: float = field(default_factory=time.monotonic)  # the last sign of life
    next_look: float = 0.0
    shown: bool = False  # tmux has been told
    show_at: float = 0.0
    watch: int = -1  # inotify's number for its folder
    log_watch: int = -1


class Observer:
    """The jobs that people are shown: those that run, and those whose window is still open."""

    def __init__(self, view: JobView, tmux: JobsSession, wake: asyncio.Event) -> None:
        self.view = view
        self.tmux = tmux
        self.wake = wake
        self.seen: dict[str, Watched] = {}
        self.old: set[str] = set()  # ended too long ago to be shown
        self.rung: set[str] = set()
        self.next_scan = 0.0
        self.folder_bell = Bell("", self)
        self.hub: Hub | None = hub_of(asyncio.get_running_loop()) if INOTIFY else None

    # -- noticing -------------------------------------------------------------------------------------------

    def update(self) -> tuple[bool, float]:
        """See what has changed, and tell tmux; whether a state has, and the seconds until the next update is due."""
        now = time.monotonic()
        rung = set(self.rung)
        self.rung.clear()
        if now >= self.next_scan or "" in rung:
            self.scan(now)
        for seen in list(self.seen.values()):
            if now >= seen.next_look or seen.job_id in rung:
                self.refresh(seen, now)
        changed = self.tell_tmux(now)
        dues = [self.next_scan]
        dues += [seen.next_look for seen in self.seen.values()]
        dues += [seen.show_at for seen in self.seen.values() if not seen.shown]
        return changed, max(0.02, min(dues) - time.monotonic())

    def scan(self, now: float) -> None:
        """Take up new jobs, drop those that are gone."""
        self.next_scan = now + RESCAN
        if self.hub is not None:
            self.hub.watch(self.view.store.folder, self.folder_bell)
        ids: set[str] = set(self.view.store.ids())
        self.old &= ids
        for job_id in ids - self.old - self.seen.keys():
            self.seen[job_id] = Watched(job_id, bell=Bell(job_id, self), log_bell=LogBell(job_id, self))
        for job_id in self.seen.keys() - ids:
            self.drop(self.seen[job_id])

    def refresh(self, seen: Watched, now: float) -> None:
        before = (seen.pane_options(), seen.job is None)
        try:
            seen.job = self.view.job(seen.job_id)
        except JobNotFound:
            self.drop(seen)
            return
        except (JobError, OSError, ValueError):
            seen.job, seen.next_look = None, now + LAST_LOOK
            return
        if isinstance(seen.job, EndedJob):
            self.refresh_ended(seen, seen.job, now)
        else:
            self.refresh_running(seen, seen.job, now)
        if (seen.pane_options(), seen.job is None) != before or not seen.next_look:
            seen.shown = False
            seen.show_at = now + (RUNNER_FIRST if isinstance(seen.job, EndedJob) else 0.0)

    def refresh_ended(self, seen: Watched, job: EndedJob, now: float) -> None:
        self.unwatch(seen)
        seen.hold = seen.awaiting = seen.waits_since = None
        seen.waiting_since = 0.0
        seen.log_end = seen.log_end or self.view.log(seen.job_id).end
        left = self.view.config.cleanup_interval_seconds - self.view.store.age(job)
        if left <= 0:
            self.drop(seen)
            self.old.add(seen.job_id)
        seen.next_look = now + max(left, 0.0) + 0.1

    def refresh_running(self, seen: Watched, job: LiveJob, now: float) -> None:
        self.watch(seen)
        end = self.view.log(seen.job_id).end
        hold = self.view.hold(job)
        if end != seen.log_end or hold != seen.hold:
            seen.log_end, seen.hold, seen.changed = end, hold, now
        awaiting = self.view.awaiting(job)
        if awaiting is None:
            seen.waits_since = seen.awaiting = None
            seen.waiting_since = 0.0
        elif seen.waits_since is None or seen.waits_since[0] != awaiting:
            seen.waits_since = (awaiting, now)
            # One that waited before anybody watched it has done so since it printed last, as far as files tell.
            seen.waiting_since = time.time() if seen.next_look else self.view.log(seen.job_id).written
        elif now - seen.waits_since[1] >= STEADY:
            seen.awaiting = awaiting
        # Many jobs are looked at less often each, so that all of them cost no more than some.
        crowd = len(self.seen)
        pause = min(max(FIRST_LOOK, crowd * 0.002, (now - seen.changed) / 2), max(LAST_LOOK, crowd * 0.06))
        if awaiting is not None:
            pause = max(min(pause, WAITING_LOOK), crowd * 0.02)
            if seen.awaiting is None:
                pause = STEADY
        seen.next_look = math.ceil((now + pause) / GRID) * GRID

    def watch(self, seen: Watched) -> None:
        """Be woken by the job's files."""
        if self.hub is None:
            return
        folder = self.view.folder(seen.job_id)
        if seen.watch < 0:
            seen.watch = self.hub.watch(folder, seen.bell)
        if seen.log_watch < 0:
            seen.log_watch = self.hub.watch(folder / "log", seen.log_bell)

    def unwatch(self, seen: Watched) -> None:
        if self.hub is not None and seen.watch >= 0:
            self.hub.unwatch(seen.watch, seen.bell)
        seen.watch = -1
        self.unwatch_log(seen.job_id)

    def unwatch_log(self, job_id: str) -> None:
        seen = self.seen.get(job_id)
        if seen is not None and self.hub is not None and seen.log_watch >= 0:
            self.hub.unwatch(seen.log_watch, seen.log_bell)
            seen.log_watch = -1

    def drop(self, seen: Watched) -> None:
        self.unwatch(seen)
        self.seen.pop(seen.job_id, None)

    # -- telling tmux ---------------------------------------------------------------------------------------

    def tell_tmux(self, now: float) -> bool:
        """Set the options of the panes whose jobs have changed; whether there were any."""
        due: dict[str, list[Watched]] = {}
        for seen in self.seen.values():
            if not seen.shown and now >= seen.show_at and seen.job is not None:
                seen.shown = True
                run = run_of(seen.job)
                if run is not None:
                    due.setdefault(run.socket, []).append(seen)
        for socket, changed in due.items():
            try:
                options = {seen.job_id: seen.pane_options() for seen in changed}
                mark_jobs(self.tmux.server_at(socket), self.view.store.folder, options)
            except (TmuxError, OSError):
                continue  # its server is gone; what was shown there is, too
        return bool(due)
