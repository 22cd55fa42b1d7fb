"""Waiting for a job: for its end, its output, its need of input.

A wait costs nothing while nothing happens: the job's files wake it. It always ends when a job ends, whatever it
waits for, and at its time limit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import anyio
import anyio.to_thread

from mcp_background_job.errors import InvalidInput
from mcp_background_job.output.pages import DEFAULT_CHARS, MATCH_CHARS, MATCH_ENDS
from mcp_background_job.store.inotify import FolderEvents
from mcp_background_job.store.log import looking_again
from mcp_background_job.store.models import EndedJob, Job, LiveJob, RunningJob, StartingJob
from mcp_background_job.text import summed_up

from .draining import drained
from .inputs import LOOKED_AT, without_echo
from .matching import OutputSearch, ScreenSearch
from .reporting import Progress, Reports
from .view import JobView
from .watched import Outcome, WaitReason, Watched

Until = Literal["exit", "input", "quiet", "handback", "answer"]  # answer: input, after typing

if TYPE_CHECKING:
    from mcp_background_job.process.input_state import Rest

QUIET = 2.0  # seconds without output that count as quiet
LOOK_AGAIN = 1.0  # seconds between looks that no event asks for: a killed runner changes no file
FIRST_LOOK, LAST_LOOK = 0.004, 2.0  # seconds between looks at the terminal, from the last output on
STILL = 0.4  # seconds without output: longer than a spinner's pause, and than a round trip of 80 ms takes
# Seconds that a job must stay at rest, by how it rests (process/input_state.py).
SETTLES: dict[Rest, float] = {"line": 0.0, "read": 0.005, "poll": STILL, "relay": STILL}
UNCERTAIN_SETTLE = 0.4  # the same where the platform can't tell who reads the terminal
ONE_WRITE = 2048  # characters that reach the job at once; a longer paste comes in pieces
PASTE_SETTLE = 0.05  # seconds that a job must rest after a long paste, and as much for each PASTE_PIECE of it
PASTE_PIECE = 2500  # characters: a loaded machine takes that long to bring the next ones
AT_ONCE = 1024  # bytes of output that are drawn within a millisecond, whatever they are
LONGEST_SETTLE = 1.0
START_PATIENCE = 1.0  # seconds that a status waits for a job which is just being started
NO_SIGN = 0.5  # seconds after which input that moved nothing counts as taken
THROTTLE = 0.02  # seconds between two looks at a job that floods
BURST = 10.0  # looks that need not wait for each other: an end is several events, and is to be told at once


class Watch:
    """The jobs of one call, and what has been seen of them."""

    def __init__(
        self,
        view: JobView,
        job_ids: Sequence[str],
        pattern: str = "",
        since: Mapping[str, int] = {},
        max_chars: int = DEFAULT_CHARS,
        ends: tuple[int, int] | None = None,
        person: bool = False,
        all_of_them: bool = False,
        screen: Callable[[RunningJob], str] | None = None,
    ) -> None:
        self.view = view
        self.screen = ScreenSearch(view, screen)
        self.pattern = pattern
        self.max_chars, self.ends = max_chars, ends
        self.person = person  # waits on their own job: their hold is no news to them
        self.all_of_them = all_of_them  # the end of one is nothing while another runs
        self.jobs: list[Watched] = []
        for job_id in dict.fromkeys(job_ids):
            view.job(job_id)
            end = view.log(job_id).end
            start = since.get(job_id, end)
            if start > end:
                raise InvalidInput(
                    f"since={start} is beyond the output's end at {end}",
                    f"Use the cursor of an earlier answer, {end} at most",
                )
            search = OutputSearch(view, job_id, pattern, start) if pattern else None
            self.jobs.append(Watched(job_id, start, end, search))
        self.sent_at: float | None = None
        self.activity = 0
        self.looks, self.looked = BURST, time.monotonic()
        self.settle = 0.0

    def folders(self, until: Until | None = None) -> FolderEvents:
        """What to be woken by: for nothing but the end, a job that floods need not wake anybody."""
        parts = (".",) if until in ("exit", "handback") and not self.pattern else (".", "log")
        return FolderEvents([self.view.folder(w.job_id) / part for w in self.jobs for part in parts])

    async def until_started(self, seconds: float) -> None:
        """Until the runner has started the command, so that there is a terminal to type into."""
        deadline = time.monotonic() + seconds
        with self.folders() as events:
            for watched in self.jobs:
                while time.monotonic() < deadline:
                    job = self.view.job(watched.job_id)
                    if not isinstance(job, StartingJob):
                        break
                    await events.wait(deadline - time.monotonic())

    def is_behind(self) -> bool:
        """Whether output is still to be searched."""
        return any(watched.search is not None and watched.search.is_behind() for watched in self.jobs)

    def pause(self) -> float:
        """Seconds to let pass before the next look: none for BURST events, then THROTTLE for each, as in a flood."""
        if self.sent_at is not None or self.pattern:
            return 0.0
        now = time.monotonic()
        self.looks = min(BURST, self.looks + (now - self.looked) / THROTTLE)
        self.looked = now
        if self.looks < 1:
            return THROTTLE
        self.looks -= 1
        return 0.0

    async def before_typing(self, text: str) -> None:
        """Remember where the output ends, what is shown, and how often the job's processes have slept."""
        for watched in self.jobs:
            job = self.view.job(watched.job_id)
            if watched.search is not None and isinstance(job, RunningJob):
                watched.shown = await self.screen.lines(job)
            watched.start = watched.end = self.view.log(watched.job_id).end
            if watched.search is not None:
                watched.search.restart(watched.start)
            self.activity = self.slept(self.view.job(watched.job_id))
        if len(text) > ONE_WRITE:
            self.settle = min(PASTE_SETTLE * (1 + len(text) / PASTE_PIECE), LONGEST_SETTLE)

    def after_typing(self) -> None:
        self.sent_at = time.monotonic()

    def slept(self, job: Job) -> int:
        if not isinstance(job, RunningJob):
            return 0
        from mcp_background_job.process.procfs import times_slept

        return times_slept(job.run.pid)

    # -- one look -------------------------------------------------------------------------------------------

    async def reason_to_answer(self, until: Until, news: bool) -> tuple[Watched, WaitReason] | None:
        """What one of the jobs can be answered with now; without `news` no file of theirs has changed meanwhile."""
        for watched in self.jobs:
            job = watched.job
            if news or not isinstance(job, LiveJob) or not self.view.store.is_supervised(watched.job_id):
                job = watched.job = self.view.job(watched.job_id)
                self.notice_output(watched)
                if watched.search is not None and (
                    await watched.search.matches(watched.end) or await self.matches_screen(watched, job)
                ):
                    return watched, "match"
                if isinstance(job, EndedJob):
                    if self.all_of_them and any(not isinstance(other.job, EndedJob) for other in self.jobs):
                        continue
                    return watched, "exit"
                held = self.view.hold(job) is not None
                if until == "handback" and not held:
                    return watched, "handback"
                if held and not self.person and until in ("input", "answer", "quiet"):
                    return watched, "human"
            if until in ("input", "answer") and isinstance(job, RunningJob) and self.waits_for_input(watched, job):
                return watched, "input"
            still = time.monotonic() - watched.changed >= QUIET
            if still and (until == "quiet" or (until == "answer" and self.answers_unseen(watched))):
                return watched, "quiet"
        return None

    def answers_unseen(self, watched: Watched) -> bool:
        """Whether the job has answered what was typed, on a system that can't tell that it waits for more."""
        from mcp_background_job.process.input_state import certain

        job = watched.job
        if certain() or watched.search is not None or not isinstance(job, RunningJob):
            return False
        return self._has_answered(watched, job)

    async def matches_screen(self, watched: Watched, job: Job) -> bool:
        """Whether the pattern is in what a full-screen program shows, other than it did before the input."""
        if watched.search is None or not isinstance(job, RunningJob):
            return False
        found = await self.screen.find(watched.search.pattern, job, watched.start, watched.shown)
        if found is not None:
            watched.search.match = found
        return found is not None

    def notice_output(self, watched: Watched) -> None:
        end = self.view.log(watched.job_id).end
        if end != watched.end:
            watched.end, watched.changed, watched.resting = end, time.monotonic(), None

    def waits_for_input(self, watched: Watched, job: RunningJob) -> bool:
        """Whether the job waits for input, has taken what was sent, and has stayed so for long enough."""
        from mcp_background_job.process.input_state import certain

        found = self.view.resting(job)
        now = time.monotonic()
        if found is None or not self.input_taken(watched, job, now) or not self.may_rest(watched, job, found.rest):
            watched.resting = None
            return False
        if watched.resting is None or watched.resting[0] != found:
            watched.resting = (found, now)
        settle = max(self.settle, SETTLES[found.rest])
        if not certain():
            settle = UNCERTAIN_SETTLE
        return now - max(watched.resting[1], watched.changed if settle else 0.0) >= settle

    def may_rest(self, watched: Watched, job: RunningJob, rest: Rest) -> bool:
        """Whether such a rest can end the wait: where it is a guess, a pattern is better than it.

        What is behind a relay is known only by what has come back.
        """
        if rest == "relay" and (self.sent_at is None or not self._has_answered(watched, job)):
            return False
        return watched.search is None or rest in ("line", "read")

    def _has_answered(self, watched: Watched, job: RunningJob) -> bool:
        """Whether more has come back than the echo of what was typed."""
        if watched.end - watched.start > LOOKED_AT:
            return True
        text = self.view.printed_from(job, watched.start, LOOKED_AT)
        return self._without_echo(watched, text).strip() != ""

    def _without_echo(self, watched: Watched, text: str) -> str:
        """What a job has printed since the input, without it."""
        typed = self.view.inputs.lines_since(watched.job_id, self.view.folder(watched.job_id), watched.start)
        return without_echo(text, typed, True)[0]

    def input_taken(self, watched: Watched, job: RunningJob, now: float) -> bool:
        """Whether what was sent has reached the job: it printed, or one of its processes woke and slept again."""
        if self.sent_at is None or watched.end > watched.start:
            return True
        return self.slept(job) != self.activity or now - self.sent_at > NO_SIGN

    def next_look(self, until: Until) -> float:
        """Seconds until a look is worth it though no file changes."""
        if until == "quiet":
            return min(QUIET - (time.monotonic() - w.changed) for w in self.jobs) + 0.01
        if until not in ("input", "answer"):
            return LOOK_AGAIN
        since = time.monotonic() - max(max(w.changed for w in self.jobs), self.sent_at or 0.0)
        return min(max(FIRST_LOOK if self.sent_at else 5 * FIRST_LOOK, since), LAST_LOOK)

    # -- the answer -----------------------------------------------------------------------------------------

    async def outcome(self, watched: Watched, reason: WaitReason) -> Outcome:
        """The answer, drawn in a thread where it is more than a few lines, with the screen of a full-screen program."""
        if self.view.log(watched.job_id).end - watched.start <= AT_ONCE:
            found = self._outcome(watched, reason)
        else:
            found = await anyio.to_thread.run_sync(self._outcome, watched, reason)
        if isinstance(found.job, RunningJob):
            return replace(found, screen=summed_up(await self.screen.lines(found.job)))
        return found

    @looking_again
    def _outcome(self, watched: Watched, reason: WaitReason) -> Outcome:
        job = self.view.job(watched.job_id)
        long, ends = (MATCH_CHARS, MATCH_ENDS) if self.ends and reason == "match" else (self.max_chars, self.ends)
        search = watched.search if reason == "match" else None
        log = search.log if search is not None else self.view.log(watched.job_id)  # it holds what a flood drops
        if search is not None:
            log.look()
        page = self.view.reader(job, log=log).between(watched.start, long, ends)
        if (
            search is not None
            and search.matched_until > watched.start
            and search.match not in page.stdout + page.stderr
        ):
            log.end = min(log.end, search.matched_until)  # what comes behind the line is left for the next answer
            page = self.view.reader(job, log=log).between(watched.start, long, ends)
        if self.sent_at is not None:
            page = replace(page, stdout=self._without_echo(watched, page.stdout))
        match = search.match if search is not None else ""
        awaiting = self.view.awaiting(job)
        # Of a shell at its prompt: what was told before is of another command.
        code = self.view.told_exit_code(job, watched.start) if awaiting and self.sent_at is not None else None
        unsearched = watched.search.unsearched if watched.search is not None and reason != "match" else 0
        said = summed_up([self.view.last_words(job, watched.start)])
        return Outcome(
            job, reason, awaiting, page, match, command_exit_code=code, last_words=said, unsearched=unsearched
        )


async def started(view: JobView, job_id: str) -> Job:
    """The job once its command has been started, which takes some milliseconds after `start`.

    Raises JobNotFound or StoreError.
    """
    job = view.job(job_id)
    if isinstance(job, StartingJob):
        await Watch(view, [job_id]).until_started(START_PATIENCE)
        job = view.job(job_id)
    return job


async def wait_for(watch: Watch, until: Until, timeout: float, progress: Progress | None = None) -> Outcome:
    """Until `until` or the pattern, or `timeout` s.

    `progress` is told now and then how it goes, so that clients show life and don't give up.
    """
    deadline = time.monotonic() + timeout
    reports = Reports(watch.view, [watched.job_id for watched in watch.jobs], progress) if progress else None
    with ExitStack() as stack:
        for watched in watch.jobs:
            if watched.search is not None:
                stack.enter_context(watched.search.searching())
        events = stack.enter_context(watch.folders(until))
        news = True
        while True:
            found = await watch.reason_to_answer(until, news)
            if found is not None and found[1] == "input":
                found = await confirm(watch, found[0])
                if found is not None and found[0].search is not None and await found[0].search.matches(found[0].end):
                    found = found[0], "match"
            now = time.monotonic()
            if found is not None:
                return await watch.outcome(*found)
            if now >= deadline:
                return await watch.outcome(watch.jobs[0], "timeout")
            behind = watch.is_behind()
            pause = 0.0 if behind else min(watch.next_look(until), deadline - now)
            if reports is not None:
                await reports.report()
                pause = min(pause, reports.pause())
            news = await events.wait(pause) or behind
            if news and (pause := watch.pause()):
                await anyio.sleep(pause)


async def confirm(watch: Watch, watched: Watched) -> tuple[Watched, WaitReason] | None:
    """Make sure that all the job printed before it came to rest is in the log, and that it still rests."""
    job = watch.view.job(watched.job_id)
    if not isinstance(job, RunningJob):
        return None
    found = await drained(watch.view, job)
    if found is None:
        return watched, "input"
    # Anything else that came meanwhile is news: look again.
    if found.more or watch.view.awaiting(job) is None:
        watched.end, watched.changed, watched.resting = found.end, time.monotonic(), None
        return None
    watched.end = found.end
    return watched, "input"
