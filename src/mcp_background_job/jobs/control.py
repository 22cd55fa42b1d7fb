"""Who may type into a job: the person who holds it, or agents in the pauses of people who look at it.

Promise: a hold is a file, so it survives every server; only the person, or the end of the job, ends it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import anyio
import anyio.to_thread

from mcp_background_job.errors import HumanHolds, InvalidInput
from mcp_background_job.store.holds import release, set_hold
from mcp_background_job.store.models import Hold, Job, LiveJob, RunningJob, run_of
from mcp_background_job.text import one_line
from mcp_background_job.tmux.panes import mark
from mcp_background_job.tmux.people import attached_to, last_key, people, tell, typed_in_control_mode
from mcp_background_job.tmux.session import JobsSession

from .draining import write_mark
from .presence import Presence, absent_holder
from .view import JobView

MAX_MESSAGE = 500  # characters that a person is shown of what an agent asks
NOBODY_ATTACHED = 1.0  # seconds for which the answer that nobody is attached holds
HOLD_WRITTEN = 2.0  # seconds from the key that takes a job over until the hold is on disk; 0.1 is usual
RING_PAUSE = 3.0  # seconds between two bells: of a hundred hand-offs at once the status line tells
TYPING_PAUSE = 3.0  # seconds without a key of a person after which an agent may type


@dataclass(frozen=True)
class Handoff:
    """A person who was asked: their hold, how they get to the job, and how many are attached."""

    job: LiveJob
    hold: Hold | None  # None once it was taken back
    attach: str
    watching: int


class Control:
    """The holds of one session's jobs, and the pauses of those who type into them."""

    def __init__(self, view: JobView, tmux: JobsSession) -> None:
        self.view = view
        self.tmux = tmux
        self._nobody_at = -math.inf  # when last nobody was attached
        self._rang = -math.inf  # when a hand-off last rang

    # -- holds ----------------------------------------------------------------------------------------------

    def take(self, job_id: str, message: str = "") -> Hold:
        """Give the keys of a running job to a person.

        Raises JobNotFound or JobNotRunning.
        """
        job = self.view.running(job_id)
        hold = Hold(since=time.time(), message=message)
        set_hold(self.view.folder(job_id), hold)
        self._show_holder(job, "human", message)
        return hold

    def give(self, job_id: str) -> None:
        """Hand the keys back to the agents.

        Raises JobNotFound.
        """
        job = self.view.job(job_id)
        set_hold(self.view.folder(job_id), None)
        self._show_holder(job, "", "")

    def release(self, job_id: str, hold: Hold, declined: bool) -> None:
        """Hand back this very hold, and no other that a person has taken meanwhile.

        `declined` where they don't do what they were asked for. Raises JobNotFound.
        """
        job = self.view.job(job_id)
        if release(self.view.folder(job_id), hold, declined):
            self._show_holder(job, "", "")

    def _show_holder(self, job: Job, holder: str, message: str) -> None:
        run = run_of(job)
        if run is not None:
            mark(self.tmux.pane(job.spec.job_id, run), {"@mcp_holder": holder, "@mcp_message": message})

    def handoff(self, job_id: str, message: str, attach: Callable[[Job], str]) -> Handoff:
        """Ask a person to go on with a job: they get the keys, a bell and the message.

        Raises JobNotFound, JobNotRunning or InvalidInput.
        """
        if not message.strip():
            raise InvalidInput("The message is empty", "Say in one sentence what the person should do")
        text = one_line(message)[:MAX_MESSAGE]
        hold = self.take(job_id, text)
        job = self.view.running(job_id)
        watching = 0
        if isinstance(job, RunningJob):
            if time.monotonic() - self._rang > RING_PAUSE:
                self._rang = time.monotonic()
                write_mark(job.run.tty, b"\a")
            server = self.tmux.server_at(job.run.socket)
            tell(server, self.tmux.name, job.run.pane, f"an agent asks in {job.spec.name}: {text}")
            watching = self.watching(job)
        return Handoff(job, hold, attach(job), watching)

    def take_back(self, job_id: str) -> LiveJob:
        """End an agent's hand-off that no person has come for; the job.

        Raises JobNotFound, JobNotRunning, or HumanHolds where a person has taken the keys, or has come since.
        """
        job = self.view.running(job_id)
        hold = self.view.hold(job)
        if hold is not None:
            if not self.can_take_back(job, hold):
                raise HumanHolds(job_id)
            self.release(job_id, hold, declined=False)
        return job

    def can_take_back(self, job: Job, hold: Hold) -> bool:
        """Whether a hold is an agent's hand-off, and nobody has attached or typed since; one second is not told apart.

        Raises TmuxError.
        """
        if not hold.message or not isinstance(job, RunningJob):
            return bool(hold.message)
        server, since = self.tmux.server_at(job.run.socket), int(hold.since)
        session, pane = self.tmux.name, job.run.pane
        now_attached = any(person.is_at(session, pane) and person.active >= since for person in people(server))
        return not now_attached and last_key(server, session, pane) <= since

    def watching(self, job: Job) -> int:
        """How many people are attached to the session of jobs, or look at the job elsewhere."""
        run = run_of(job)
        return 0 if run is None else attached_to(self.tmux.server_at(run.socket), self.tmux.name, run.pane)

    def absent_holder(self, job: Job) -> Presence | None:
        """The presence of the person who holds the job, once they seem to have left."""
        hold = self.view.hold(job)
        if hold is None or not isinstance(job, RunningJob):
            return None
        return absent_holder(self.tmux.server_at(job.run.socket), self.tmux.name, job.run.pane, hold)

    async def require_agent_control(self, job: Job) -> None:
        """Raises HumanHolds while a person has the keys."""
        hold = self.view.hold(job)
        if hold is not None:
            away = await anyio.to_thread.run_sync(self.absent_holder, job)
            # Who is not away, or a tmux that doesn't answer, is not asked about any more.
            back = away is not None and await anyio.to_thread.run_sync(self.can_take_back, job, hold)
            raise HumanHolds(job.spec.job_id, str(away or ""), can_take_back=back)

    async def is_held(self, job_id: str) -> bool:
        """Whether the hold that a pane shows is one: the key marks the pane, then a program writes the hold down.

        A mark without a hold behind it, of a hand-back that tmux did not get, is taken away.
        """
        deadline = time.monotonic() + HOLD_WRITTEN
        while time.monotonic() < deadline:
            if self.view.hold(self.view.running(job_id)) is not None:
                return True
            await anyio.sleep(0.02)
        await anyio.to_thread.run_sync(self._show_holder, self.view.running(job_id), "", "")
        return False

    # -- pauses ---------------------------------------------------------------------------------------------

    def typed_ago(self, job: LiveJob) -> float:
        """Seconds since a person who looks at the job's window pressed a key."""
        if not isinstance(job, RunningJob) or time.monotonic() - self._nobody_at < NOBODY_ATTACHED:
            return math.inf
        server = self.tmux.server_at(job.run.socket)
        attached = people(server)
        if not attached:
            self._nobody_at = time.monotonic()
        active = [float(p.active) for p in attached if p.may_type and not p.control and p.pane == job.run.pane]
        if any(p.control for p in attached):
            active.append(typed_in_control_mode(server, job.run.pane))
        ago = time.time() - max(active, default=-math.inf)
        # A key from the future: the clock was set back since, and nobody knows when that key was.
        return math.inf if ago < -1 else max(0.0, ago)

    async def until_pause(self, job_id: str, seconds: float) -> bool:
        """Wait for a pause of a person who types into the job's window; False where there is none in time."""
        deadline = time.monotonic() + seconds
        while True:
            ago = await anyio.to_thread.run_sync(self.typed_ago, self.view.running(job_id))
            if ago >= TYPING_PAUSE:
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            await anyio.sleep(min(TYPING_PAUSE - ago + 0.05, left))
