"""JobManager: the verbs. What it knows lies in job folders and in tmux, so any number of them see the same jobs.

Every wait is bounded, and a cancelled caller leaves nothing behind.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Literal, NamedTuple

import anyio
import anyio.to_thread

from mcp_background_job.config import BackgroundJobConfig
from mcp_background_job.errors import HumanHolds, InvalidInput, JobError, JobNotFound, StoreError
from mcp_background_job.output.pages import WAIT_CHARS, WAIT_ENDS
from mcp_background_job.process.orphans import end_processes, resume
from mcp_background_job.store.inotify import FolderEvents
from mcp_background_job.store.lifelines import ServerLifeline
from mcp_background_job.store.models import EndedJob, Job, RunningJob, StartingJob, run_of, signal_name
from mcp_background_job.store.notices import end_is_due
from mcp_background_job.store.requests import request_kill, request_signal
from mcp_background_job.store.transcript import Sent
from mcp_background_job.tmux.panes import Capture, capture, list_panes
from mcp_background_job.tmux.session import JobsSession

from .control import Control, Handoff
from .environment import BaseEnvironment
from .events import JobEvents
from .inputs import LOOKED_AT, note_if_shown
from .launch import GRACE, Request, Started, prepare
from .matching import check_pattern
from .notify import ensure_notifier
from .reporting import Progress
from .sweep import sweep
from .typing import Input
from .view import JobView
from .waiting import AT_ONCE, Until, Watch, wait_for
from .watched import Outcome

KILL_LIMIT = GRACE + 15.0  # seconds until an unanswered kill is an error
STOPPED = 0.5  # seconds without an answer to a kill after which the runner may have been stopped
LOOK_AGAIN = 0.25  # seconds between looks at a job that is being killed: a killed runner changes no file
MAX_WAIT = 50.0  # seconds: clients built on the TypeScript SDK give up a call after 60
# Which go to the foreground of the job's terminal and end no job: a program may do what it wants with its own.
PASSED_ON = {"STOP", "TSTP", "TTIN", "TTOU", "CONT", "CHLD", "URG", "WINCH", "USR1", "USR2"}

KillStatus = Literal["killed", "already_terminated", "not_found", "signalled"]


class Killed(NamedTuple):
    """What a kill did: the job's fate, and how many processes of an ended one it ended."""

    status: KillStatus
    ended_processes: int = 0


class JobManager:
    """All that agents and people can ask for."""

    def __init__(self, config: BackgroundJobConfig) -> None:
        self.config = config
        self.view = JobView(config)
        self.store = self.view.store
        self.events = JobEvents(self.view)
        self.tmux = JobsSession(config, self.store.folder)
        self.control = Control(self.view, self.tmux)
        self.environment = BaseEnvironment(config.environment)
        self.lifeline: ServerLifeline | None = None  # of the server with which jobs end

    def prepare_to_serve(self) -> None:
        """This process is a server: its next calls of tmux are prepared, and jobs end with it where that is set."""
        self.tmux.prepare_calls()
        if self.config.on_disconnect == "kill":
            self.lifeline = ServerLifeline(self.store)
        with suppress(StoreError):  # which the first call tells
            if self.config.notify and self.store.ids():
                ensure_notifier(self.config, self.store.folder)  # for what ended while no notifier lived

    # -- starting -------------------------------------------------------------------------------------------

    def start(self, request: Request) -> Started:
        """Start a command in a window of its own.

        Raises InvalidInput, NotAllowed, TooManyJobs, StoreError or TmuxError; then no trace of it is left.
        """
        job_id = self.store.new_id()
        folder = self.view.folder(job_id)
        made = prepare(self.config, request, job_id, folder, self.tmux.server.socket, self.environment)
        launch = replace(made.launch, lifeline=self.lifeline.hold()) if self.lifeline else made.launch
        self.store.create(made.spec, made.command, made.environment, launch, self.config.max_concurrent_jobs)
        try:
            window = self.tmux.open_window(job_id, made.spec.name, made.runner, made.launch.pipe)
        except BaseException:
            self.store.discard(job_id)
            raise
        self.store.note_window(job_id, window.pane, window.pid)
        ensure_notifier(self.config, self.store.folder, folder)
        return Started(job_id, self.tmux.attach_command(window.pane), window.pane)

    def attach_command(self, job: Job) -> str:
        """What a person types to see this job's window."""
        place = job.window if isinstance(job, StartingJob) else job.run
        return self.tmux.attach_command(place.pane if place else "")

    # -- ending ---------------------------------------------------------------------------------------------

    async def kill(self, job_id: str, signal_text: str = "TERM", who: str = "", person: bool = False) -> Killed:
        """End the job and everything it started; returns once all of it has ended. A `person` may, held or not.

        What an ended job has left running is ended, too. A signal that ends no job is passed on to its foreground.
        Raises InvalidInput for what is no signal, HumanHolds, or JobError where the job doesn't end.
        """
        signum = signal_number(signal_text)
        try:
            job = self.view.job(job_id)
        except JobNotFound:
            return Killed("not_found")
        if isinstance(job, EndedJob):
            return Killed("already_terminated", await self._end_left(job, signum))
        if not person:
            await self.control.require_agent_control(job)
        if signal_name(signum) in PASSED_ON:
            request_signal(self.view.folder(job_id), signum)
            return Killed("signalled")
        with FolderEvents([self.view.folder(job_id)]) as events:
            noted = request_kill(self.view.folder(job_id), signum, "a person" if person else who or "an agent")
            ended = await self._until_ended(job_id, events)
        await self._end_left(ended, signum)
        # Where the disk takes no record, nobody will know why it ended.
        by_us = ended.end.cause == "kill" or (ended.end.cause == "lost" and not noted)
        return Killed("killed" if by_us else "already_terminated")

    async def _end_left(self, job: EndedJob, signum: int) -> int:
        """End the processes that an ended job has left running; how many there were."""
        if not self.view.left_running(job):
            return 0
        grace = 0.0 if signum == signal.SIGKILL else GRACE
        return await anyio.to_thread.run_sync(end_processes, job.spec.job_id, signum, grace)

    async def _until_ended(self, job_id: str, events: FolderEvents) -> EndedJob:
        started = time.monotonic()
        while (waited := time.monotonic() - started) < KILL_LIMIT:
            job = self.view.job(job_id)
            if isinstance(job, EndedJob):
                return job
            if isinstance(job, RunningJob) and waited > STOPPED:
                # It was stopped (SIGSTOP); it ends the job as soon as it can.
                resume(self.view.folder(job_id), job.run.runner, job.run.tty)
            await events.wait(LOOK_AGAIN)
        raise JobError(
            f"Job {job_id!r} has not ended {KILL_LIMIT:.0f} seconds after the signal. "
            "Call status to see it, or kill it again with signal=KILL."
        )

    # -- typing and waiting ---------------------------------------------------------------------------------

    async def interact(
        self,
        job_id: str,
        text: str,
        keys: Sequence[str] = (),
        enter: bool = True,
        timeout: float = 10.0,
        pattern: str = "",
        who: str = "",
        progress: Progress | None = None,
        person: bool = False,
    ) -> Outcome:
        """Type into the job and wait for its answer; a `person` may do so while a person has the keys.

        Raises JobNotFound, JobNotRunning, HumanHolds, InvalidInput or TmuxError; then nothing was sent.
        """
        self.view.running(job_id)
        await check_pattern(pattern)
        watch = Watch(self.view, [job_id], pattern=pattern, person=person, screen=self._shown)
        await watch.until_started(min(timeout, 5.0))
        job = self.view.running(job_id)
        if not person:
            await self.control.require_agent_control(job)
        started = time.monotonic()
        if (text or keys) and not person and not await self.control.until_pause(job_id, timeout):
            return await watch.outcome(watch.jobs[0], "human")
        await watch.before_typing(text)
        if not isinstance(job, RunningJob):
            raise InvalidInput(f"Job {job_id!r} is still starting", "Call interact again in a second")
        typed = Input(self.view, self.tmux.pane(job_id, job.run), job, text, keys, enter, who, by_agent=not person)
        try:
            sent = await anyio.to_thread.run_sync(typed.send)
        except HumanHolds:
            if typed.text_sent:
                raise
            if await self.control.is_held(job_id):
                await self.control.require_agent_control(self.view.running(job_id))  # which says more
                raise
            sent = await anyio.to_thread.run_sync(typed.send)
        watch.after_typing()
        left = max(0.0, min(timeout, MAX_WAIT) - (time.monotonic() - started))
        try:
            return await wait_for(watch, "answer", left, progress)
        finally:
            if sent is not None and sent.text:
                with anyio.CancelScope(shield=True):
                    await self._note_if_shown(job, sent)

    async def _note_if_shown(self, job: RunningJob, sent: Sent) -> None:
        job_id = job.spec.job_id
        more = self.view.log(job_id).end - sent.offset > AT_ONCE
        output = partial(self.view.printed_from, job, sent.offset, LOOKED_AT)
        note_if_shown(self.view.folder(job_id), sent, await anyio.to_thread.run_sync(output) if more else output())

    async def wait(
        self,
        job_ids: Sequence[str],
        until: Until = "exit",
        timeout: float = 30.0,
        pattern: str = "",
        since: Mapping[str, int] = {},
        progress: Progress | None = None,
        all_of_them: bool = False,
    ) -> Outcome:
        """Until one of the jobs has ended, or all of them, or `until` or `pattern` holds for one of them.

        `since`: the cursor behind which a job's output is new; by default its end now.

        Raises JobNotFound or InvalidInput.
        """
        await check_pattern(pattern)
        watch = Watch(
            self.view,
            job_ids,
            pattern,
            since,
            WAIT_CHARS,
            WAIT_ENDS,
            all_of_them=all_of_them,
            screen=self._shown,
        )
        return await wait_for(watch, until, min(timeout, MAX_WAIT), progress)

    # -- the window -----------------------------------------------------------------------------------------

    def handoff(self, job_id: str, message: str) -> Handoff:
        """Ask a person to go on with a job.

        Raises JobNotFound, JobNotRunning or InvalidInput.
        """
        return self.control.handoff(job_id, message, self.attach_command)

    def take_back(self, job_id: str) -> Handoff:
        """End an agent's own hand-off.

        Raises JobNotFound, JobNotRunning or HumanHolds.
        """
        job = self.control.take_back(job_id)
        return Handoff(job, None, self.attach_command(job), self.control.watching(job))

    def screen(self, job_id: str) -> Capture:
        """What a person sees in the job's window; an ended one's while it is open.

        Raises JobNotFound, InvalidInput or TmuxError.
        """
        job = self.view.job(job_id)
        run = run_of(job)
        if run is None or (isinstance(job, EndedJob) and not self.pane_is_open(job)):
            raise InvalidInput(f"Job {job_id!r} has no window", "Call output to read what it printed")
        return capture(self.tmux.pane(job_id, run))

    def _shown(self, job: RunningJob) -> str:
        return capture(self.tmux.pane(job.spec.job_id, job.run)).text

    def pane_is_open(self, job: Job) -> bool:
        """Whether the job's window is there, with the process that it was opened with."""
        run = run_of(job)
        if run is None:
            return False
        panes = list_panes(self.tmux.server_at(run.socket))
        return any(
            pane.pane == run.pane and pane.job_id == job.spec.job_id and pane.pid in (0, run.runner) for pane in panes
        )

    def sweep(self) -> None:
        """Tidy up, unless another server is at it, and see to it that what is to be told will be."""
        sweep(self.view, self.tmux)
        if self.config.notify and any(end_is_due(self.view.folder(job_id)) for job_id in self.store.ids()):
            ensure_notifier(self.config, self.store.folder)  # the one before may have been killed


def signal_number(text: str) -> int:
    """`TERM`, `SIGTERM` or `15` → 15.

    Raises InvalidInput for no signal.
    """
    name = text.strip().upper().removeprefix("SIG")
    try:
        number = int(name) if name.isdigit() else int(signal.Signals[f"SIG{name}"])
        signal.Signals(number)
    except (KeyError, ValueError):
        raise InvalidInput(
            f"{text[:40]!r} is not a valid signal", "Use TERM, INT, HUP, QUIT, KILL, STOP or CONT"
        ) from None
    return number
