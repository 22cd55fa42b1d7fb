"""The board for a screen reader, a log or a pipe: `mcp-background-job watch --plain`.

Promises: one line for each job, then one when something changes, what matters first; no line is ever drawn anew, and
there are no colours, boxes or signs in them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from mcp_background_job.config import BackgroundJobConfig
from mcp_background_job.errors import JobError
from mcp_background_job.jobs.manager import JobManager
from mcp_background_job.store.models import EndedJob
from mcp_background_job.supervisor.naming import name_process
from mcp_background_job.text import direction_shown, one_line

from . import board_rows
from .last_lines import LastLines
from .observer import Observer, Seen, Watched
from .units import duration
from .wording import elapsed, ending_cause, state_name

CALM = 0.3  # seconds from a change to its line: a state that is over by then is not told
WORDS = {
    "starting": "starts", "running": "runs", "prompt": "waits for your input", "password": "waits for a password",
    "screen": "waits for a key", "held": "is held by you", "asked": "is held by you",
    "unreadable": "has a record that can't be read",
}  # fmt: skip


def wants_plain(environment: Mapping[str, str]) -> bool:
    """Whether a person has asked all their programs for plain lines: by ACCESSIBLE, as huh's, or by TERM=dumb."""
    return environment.get("ACCESSIBLE", "0") not in ("", "0", "false") or environment.get("TERM") == "dumb"


def sentence(seen: Seen, last: str) -> str:
    """One line on how a job is; `last` is what it printed last."""
    name = seen.job_id if seen.job is None else f"{one_line(seen.job.spec.name)} {seen.job_id}"
    if isinstance(seen.job, EndedJob):
        return direction_shown(f"{name} ended: {ending_cause(seen.job)} after {duration(elapsed(seen.job))}")
    state = state_name(seen.job, seen.hold, seen.awaiting)
    says = one_line(seen.hold.message) if seen.hold else ""
    asked = f", an agent asks: {says}" if says else ""
    shown = f": {last}" if last and state in ("prompt", "password") else ""
    return direction_shown(f"{name} {WORDS[state]}{asked}{shown}")


class PlainBoard:
    """Tells what the observer sees."""

    def __init__(self, config: BackgroundJobConfig) -> None:
        manager = JobManager(config)
        self.wake = asyncio.Event()
        self.observer = Observer(manager.view, manager.tmux, self.wake)
        self.last_lines = LastLines(manager.view)
        self.told: dict[str, tuple[str, object]] = {}  # how each job was when it was told of

    async def run(self) -> int:
        while True:
            _, pause = self.observer.update()
            for seen in sorted(self.observer.seen.values(), key=board_rows.order):
                self.tell(seen)
            self.told = {job_id: told for job_id, told in self.told.items() if job_id in self.observer.seen}
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self.wake.wait()
            await asyncio.sleep(CALM)
            self.wake.clear()

    def tell(self, seen: Watched) -> None:
        """A line, unless the job is as it was told."""
        now = (state_name(seen.job, seen.hold, seen.awaiting), seen.hold)
        if self.told.get(seen.job_id) != now and not self.is_passing(seen):
            self.told[seen.job_id] = now
            print(sentence(seen, self.last_line(seen)), flush=True)

    def is_passing(self, seen: Watched) -> bool:
        """Whether the job is about to be in another state: it starts, or has only just begun to wait."""
        state = state_name(seen.job, seen.hold, seen.awaiting)
        return state == "starting" or (state == "running" and seen.waits_since is not None)

    def last_line(self, seen: Seen) -> str:
        try:
            return self.last_lines.last(seen)
        except (JobError, OSError):
            return ""


def run_plain(config: BackgroundJobConfig) -> int:
    """Tell until Ctrl-C; the exit status."""
    name_process("mcp-bg-board")
    print(f"Jobs of {config.session_name}, a line for each change. Ctrl-C ends this, the jobs go on.", flush=True)

    async def show() -> int:
        return await PlainBoard(config).run()

    return asyncio.run(show())
