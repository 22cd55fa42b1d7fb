"""What happens to jobs while no call waits for them: that they end, need input, are handed back, print, or appear.

Promises: an end is told at once, however much the job prints; a job at which nothing happens costs a look each ten
seconds at most; each need of input is told once; whoever follows the list costs nothing while it stays the same.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import Counter
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import anyio.to_thread

from mcp_background_job.errors import JobError, JobNotFound
from mcp_background_job.store.inotify import FolderEvents
from mcp_background_job.store.models import EndedJob, Job, RunningJob, Status, status_of
from mcp_background_job.store.transcript import transcript_size

from .view import JobView

if TYPE_CHECKING:
    from mcp_background_job.process.input_state import Rest, Resting

Kind = Literal["ended", "input", "held", "handback", "output"]

THROTTLE = 0.1  # seconds between two looks at a job that floods
UNWOKEN = 0.5  # seconds between two looks where no file wakes
TOGETHER = 0.5  # seconds: later looks at jobs fall on multiples of it, since one at a time costs four times as much
UNREADABLE = 1.0  # seconds until a job is looked at again whose files can't be read
LAST_LOOK = 10.0  # seconds between looks that no file asks for, where nothing has happened for long
# Seconds without output after which a rest is told; an event loop may do more by itself, so it is given longer.
STILL: dict[Rest, float] = {"line": 0.4, "read": 0.4, "poll": 2.0}
STILL_TIMES = sorted(set(STILL.values()))
LIST_PAUSE = 1.0  # seconds between two changes of the list that are told
LIST_LOOK = 60.0  # seconds between looks at the list that no file asks for: jobs leave it as time goes by
LIST_SHARE = 20  # a look at the list is followed by so many times its duration without one: 5 % of a core at most

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Event:
    """Something that happened to a job; `offset` is where its output ended by then."""

    job: Job
    kind: Kind
    offset: int

    @property
    def job_id(self) -> str:
        return self.job.spec.job_id


Listener = Callable[[Event], None]
ListListener = Callable[[], None]


@dataclass
class Seen:
    """What was last seen of a job."""

    end: int
    held: bool
    changed: float = field(default_factory=time.monotonic)  # when output last came
    told: Rest | None = None  # the rest that was told since the output changed
    typed: int = -1  # size of the transcript when a rest was last told


class JobEvents:
    """Follows jobs for those who listen, in one task for each job."""

    def __init__(self, view: JobView) -> None:
        self.view = view
        self.listeners: list[Listener] = []
        self._followers: Counter[str] = Counter()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._seen: dict[str, Seen] = {}
        self._list_followers: list[ListListener] = []
        self._list_task: asyncio.Task[None] | None = None

    def follow(self, job_id: str, held: bool | None = None) -> None:
        """Tell of a job from now on, until it ends or nobody follows it; `held`: whether it was when last seen."""
        self._followers[job_id] += 1
        if job_id not in self._tasks:
            task = asyncio.get_running_loop().create_task(self._follow(job_id, held))
            self._tasks[job_id] = task

    def unfollow(self, job_id: str) -> None:
        """Tell no longer of a job, unless somebody else follows it."""
        self._followers[job_id] -= 1
        if self._followers[job_id] <= 0:
            self._forget(job_id)

    def follow_list(self, listener: ListListener) -> None:
        """Tell from now on when a job appears in the plain list, ends or leaves it: once a second at most."""
        self._list_followers.append(listener)
        if self._list_task is None:
            known = set(self.view.store.ids())  # a job that is started right behind this is to be told
            self._list_task = asyncio.get_running_loop().create_task(self._follow_list(known))

    def unfollow_list(self, listener: ListListener) -> None:
        """Tell this one no longer of the list."""
        self._list_followers.remove(listener)
        if not self._list_followers and self._list_task is not None:
            self._list_task.cancel()
            self._list_task = None

    def look(self, job_id: str) -> None:
        """Tell at once of an end or a hand-back that there is by now."""
        if job_id in self._seen:
            with suppress(JobError, OSError):
                self._look(self.view.job(job_id), self._seen[job_id])

    def was_held(self, job_id: str) -> None:
        """An answer has told that a person has the keys: should they be back by now, that is told too."""
        self.look(job_id)
        if job_id in self._seen:
            self._seen[job_id].held = True
            self.look(job_id)

    def _forget(self, job_id: str) -> None:
        del self._followers[job_id]
        self._seen.pop(job_id, None)
        task = self._tasks.pop(job_id, None)
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    async def _follow(self, job_id: str, held: bool | None) -> None:
        while self._tasks.get(job_id) is asyncio.current_task():
            try:
                await self._follow_files(job_id, held)
                return
            except JobNotFound:
                self._forget(job_id)
                return
            except (JobError, OSError):  # too many open files, say
                logger.info("job %s can't be followed now", job_id, exc_info=True)
                await asyncio.sleep(UNREADABLE)

    async def _follow_files(self, job_id: str, held: bool | None) -> None:
        folder = self.view.folder(job_id)
        job: Job = self.view.job(job_id)
        if job_id not in self._seen:
            end = self.view.log(job_id).end
            self._seen[job_id] = Seen(end, (self.view.hold(job) is not None) if held is None else held)
        seen = self._seen[job_id]
        with FolderEvents([folder, folder / "log"]) as files:
            news = True
            while job_id in self._seen:
                if news or not isinstance(job, RunningJob) or not self.view.store.is_supervised(job_id):
                    job = self.view.job(job_id)
                    self._look(job, seen)
                else:
                    self._look_for_rest(job, seen)
                news = await files.wait(self._pause(seen))
                if not files.complete:
                    await asyncio.sleep(UNWOKEN)
                elif time.monotonic() - seen.changed < THROTTLE:
                    await asyncio.sleep(THROTTLE)

    def _look(self, job: Job, seen: Seen) -> None:
        """Tell what is new of a job."""
        end = self.view.log(job.spec.job_id).end
        if end != seen.end and self.view.shows_more(job, seen.end, end):
            seen.changed = time.monotonic()
            if seen.told != "poll":
                seen.told = None
            self._tell(Event(job, "output", end))
        seen.end = end
        if isinstance(job, EndedJob):
            self._forget(job.spec.job_id)
            self._tell(Event(job, "ended", end))
            return
        held = self.view.hold(job) is not None
        if held != seen.held:
            seen.held = held
            self._tell(Event(job, "held" if held else "handback", end))
        self._look_for_rest(job, seen)

    def _look_for_rest(self, job: Job, seen: Seen) -> None:
        """Tell that a job needs input: what can come without a change of its files."""
        if isinstance(job, RunningJob) and not seen.held and self._has_come_to_rest(job, seen):
            self._tell(Event(job, "input", seen.end))

    def _has_come_to_rest(self, job: RunningJob, seen: Seen) -> bool:
        """Whether the job waits for input and it was not told yet; what polls is told of once for each typing."""
        typed = transcript_size(self.view.folder(job.spec.job_id))
        if seen.told == "poll" and typed != seen.typed:
            seen.told = None
        if seen.told is not None:
            return False
        found: Resting | None = self.view.resting(job)
        if found is None or found.rest not in STILL or time.monotonic() - seen.changed < STILL[found.rest]:
            return False
        seen.told, seen.typed = found.rest, typed
        return True

    def _pause(self, seen: Seen) -> float:
        """Seconds until a look is worth it though no file changes: when a rest would count, then ever more rarely."""
        now = time.monotonic()
        still = now - seen.changed
        pause = next((limit - still for limit in STILL_TIMES if still < limit), min(still, LAST_LOOK))
        return pause if pause < TOGETHER else math.ceil((now + pause) / TOGETHER) * TOGETHER - now

    def _tell(self, event: Event) -> None:
        for listener in self.listeners:
            listener(event)

    # -- the list -------------------------------------------------------------------------------------------

    async def _follow_list(self, before: AbstractSet[str]) -> None:
        known = await self._listed()
        told = {job_id: status for job_id, status in known.items() if job_id in before}
        while True:
            running = [self.view.folder(job_id) for job_id, status in known.items() if status == "running"]
            # Not their logs: what a job prints is no change of the list.
            with FolderEvents([self.view.store.folder, *running]) as files:
                known = await self._listed()
                while known == told:
                    await files.wait(LIST_LOOK)
                    await asyncio.sleep(THROTTLE if files.complete else LIST_PAUSE)
                    known = await self._listed()
            told = known
            for listener in list(self._list_followers):
                listener()
            await asyncio.sleep(LIST_PAUSE)

    async def _listed(self) -> dict[str, Status]:
        """The jobs of the plain list with their states; none where they can't be read now."""
        started = time.monotonic()
        try:
            found = await anyio.to_thread.run_sync(self.view.jobs, False)
        except (JobError, OSError):
            return {}
        await asyncio.sleep(min(LIST_PAUSE, LIST_SHARE * (time.monotonic() - started)))
        return {job.spec.job_id: status_of(job) for job in found.jobs}
