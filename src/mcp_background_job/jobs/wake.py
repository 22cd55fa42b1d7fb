"""Wakes an agent that sits in a pane of the person's: types one line into its composer once something has happened.

Promises: nothing is typed but into the empty composer of a program that has been at rest, with its screen unchanged,
for RESTED seconds, while nobody types there; the program is the first that is seen so, and none that comes after it;
nothing is told that the agent has been told by its own server.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from mcp_background_job.errors import JobError
from mcp_background_job.output.composer import holds, is_empty
from mcp_background_job.store.models import EndedJob, Exited, RunningJob, Signaled, signal_name
from mcp_background_job.text import one_line, shorten
from mcp_background_job.tmux.people import people
from mcp_background_job.tmux.persons_pane import PersonsPane, Shown

from .agents import records_below
from .draining import write_mark
from .events import Event
from .typing import AFTER_TEXT
from .view import JobView

Step = Literal["waiting", "done", "unsent", "gone"]

RESTED = 3.0  # seconds without a change of the screen; spinners and counters of agents at work draw each second
UNTOUCHED = 5.0  # seconds since the last key of a person who looks at the pane
SHOWN_WITHIN = 3.0  # seconds in which the program shows what was typed, or Enter is not pressed
LOOK = 0.1  # seconds between looks for it
MOST = 3  # events that one line names
NAME_WIDTH = 32  # columns of a job's name in it
SHELLS = {"ash", "bash", "csh", "dash", "elvish", "fish", "ksh", "mksh", "nu", "pwsh", "sh", "tcsh", "xonsh", "zsh"}
PASSED_ON = {"login", "su", "sudo", "tmux", "screen"}  # what has the terminal is behind them
HARMLESS = re.compile(r"[^\w .:,+=()/-]+")  # @ and $ open a list of files and skills, in which Enter chooses one


@dataclass(frozen=True)
class Program:
    """What runs in the pane's foreground; its group is 0 where the platform does not tell."""

    group: int
    command: str

    @property
    def lives(self) -> bool:
        if not self.group:
            return True
        with suppress(PermissionError):
            try:
                os.killpg(self.group, 0)
            except ProcessLookupError:
                return False
        return True


class Waker:
    """One pane, and what its agent is still to be told."""

    def __init__(self, view: JobView, pane: PersonsPane) -> None:
        self.view = view
        self.pane = pane
        self.pending: list[Event] = []
        self.program: Program | None = None
        self._still: tuple[tuple[str, ...], float] = ((), 0.0)  # what the program shows, and since when

    # -- one look -------------------------------------------------------------------------------------------

    def look(self) -> Step:
        """Type what is due if this is the moment for it; `gone` once pane or program are."""
        shown = self.pane.look()
        if shown is None or (self.program is not None and not self.program.lives):
            return "gone"
        rested = self.has_rested(shown)
        self.pending = [event for event in self.pending if self.is_news(event)]
        if not self.pending:
            return "done"
        return self.tell(shown) if rested and not self.is_being_typed_into() else "waiting"

    def has_rested(self, shown: Shown) -> bool:
        """Whether the program waits in its empty composer, and nothing above has changed for RESTED seconds."""
        ready = self.is_ready(shown)
        rows = shown.rows[: shown.row + 1] if ready else ()  # below there may be a clock
        now = time.monotonic()
        if rows != self._still[0]:
            self._still = (rows, now)
        return ready and now - self._still[1] >= RESTED

    def is_ready(self, shown: Shown) -> bool:
        """Whether the agent's program waits in its empty composer; the first program that does is the agent's."""
        from mcp_background_job.process.input_state import resting

        program = Program(foreground_group(shown.pid), shown.command)
        if shown.command.lstrip("-") in SHELLS | PASSED_ON or program.group == os.getpgrp() or not shown.takes_input:
            return False
        found = resting(shown.tty, shown.pid)
        if found is None or found.awaiting != "screen" or found.rest not in ("read", "poll"):
            return False
        if not is_empty(shown.rows, shown.row, shown.column):
            return False
        self.program = self.program or program
        return program == self.program

    def is_being_typed_into(self) -> bool:
        """Whether a person who looks at the pane has pressed a key lately."""
        recent = time.time() - UNTOUCHED
        return any(
            one.pane == self.pane.pane and one.may_type and one.active >= recent for one in people(self.pane.server)
        )

    # -- what it is told ------------------------------------------------------------------------------------

    def is_news(self, event: Event) -> bool:
        """Whether an event is still true, and its agent does not know of it."""
        for record in records_below(self.view.store.folder, self.pane.pid):
            known = record.jobs.get(event.job_id)
            if known is not None and (known.over or (event.kind == "input" and known.told >= event.offset)):
                return False
        if event.kind == "input":
            with suppress(JobError, OSError):
                job = self.view.job(event.job_id)
                held = self.view.hold(job) is not None
                return isinstance(job, RunningJob) and not held and self.view.awaiting(job) is not None
            return False
        return True

    def tell(self, shown: Shown) -> Step:
        """Type the line, and press Enter once the composer shows it and nothing else."""
        text = line(self.view, self.pending)
        if not self.pane.type(text, shown):
            return "waiting"
        self.pending.clear()
        self._still = ((), 0.0)
        deadline = time.monotonic() + SHOWN_WITHIN
        time.sleep(AFTER_TEXT)
        while time.monotonic() < deadline:
            now = self.pane.look()
            if now is None:
                return "gone"
            if holds(now.rows, now.row, text) and self.pane.press_enter(now):
                return "done"
            time.sleep(LOOK)
        return "unsent"

    def ring(self) -> None:
        """A bell in the pane, which needs a person."""
        shown = self.pane.look()
        if shown is not None:
            write_mark(shown.tty, b"\a")


def line(view: JobView, events: Sequence[Event]) -> str:
    """What is typed: one line, without anything in a job's name that a composer would obey."""
    told = [sentence(view, event) for event in events[:MOST]]
    more = len(events) - len(told)
    return " ".join([*told, *([f"And {more} more: call list."] if more else [])])


def sentence(view: JobView, event: Event) -> str:
    """`Job build (ab12cd) failed, exit 1.`"""
    job = event.job
    name = shorten(one_line(HARMLESS.sub(" ", job.spec.name)), NAME_WIDTH)
    if not isinstance(job, EndedJob):
        return f"Job {name} ({event.job_id}) waits for input ({view.awaiting(job) or 'prompt'})."
    how = f", exit {job.end.code}" if isinstance(job.end, Exited) else ""
    how = f", signal {signal_name(job.end.signal)}" if isinstance(job.end, Signaled) else how
    return f"Job {name} ({event.job_id}) {'was ' * (job.end.status == 'killed')}{job.end.status}{how}."


def foreground_group(pid: int) -> int:
    """The process group that has the terminal of a pane's first process; 0 where that is not told."""
    from mcp_background_job.process.procfs import process

    found = process(pid)
    return found.foreground if found is not None and found.foreground > 0 else 0
