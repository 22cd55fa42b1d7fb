"""The board's jobs, ready to be shown: what is said of each, which of them, in which order. Pure.

Promises: every state has a word beside its colour; jobs that need a person come first, also among groups.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mcp_background_job.process.usage import Usage
from mcp_background_job.store.models import EndedJob, Signaled, signal_name
from mcp_background_job.text import one_line, shorten, width

from .observer import Seen
from .states import STATES
from .units import duration, rough, size
from .wording import elapsed, ending_cause, state_name

KILLED = {"timeout": "timeout", "window_closed": "closed", "lost": "lost"}  # cause → a word that says more

SAID_BY_STATE = re.compile(r"^(waits for you|you hold it|killed) ")


@dataclass(frozen=True)
class JobRow:
    """One job, ready to be shown."""

    job_id: str
    state: str  # a key of STATES
    word: str
    name: str
    elapsed: str
    cpu: str
    memory: str
    last: str
    message: str  # what an agent asks the person who holds it to do
    remark: str = ""  # since when it waits for a person, or why it ended
    owner: str = ""  # the agent that started it, and in which folder
    cpu_bars: str = ""
    memory_bars: str = ""

    def says(self, columns: int) -> str:
        """The remark, then what an agent asks or what the job printed last.

        Where that is more than `columns`, without those words of the remark that the state says already.
        """
        last = self.message or self.last
        whole = ": ".join(filter(None, (self.remark, last)))
        if width(whole) <= columns:
            return whole
        return shorten(": ".join(filter(None, (SAID_BY_STATE.sub("", self.remark), last))), columns)


def row_of(
    seen: Seen, last: str, usage: Usage | None, cpu_bars: str = "", memory_bars: str = "", now: float | None = None
) -> JobRow:
    """What the board says of a job that printed `last` last; `now` is in seconds since the epoch."""
    job = seen.job
    state = state_name(job, seen.hold, seen.awaiting)
    if job is None:
        return JobRow(seen.job_id, state, STATES[state].word, "", "", "", "", "its record can't be read", "")
    return JobRow(
        seen.job_id,
        state,
        ending_word(job) if isinstance(job, EndedJob) else STATES[state].word,
        one_line(job.spec.name),
        duration(elapsed(job)),
        "" if usage is None or usage.cpu is None else f"{usage.cpu:.0f}%",
        "" if usage is None else size(usage.memory),
        one_line(last),
        one_line(seen.hold.message) if seen.hold else "",
        remark(seen, state, time.time() if now is None else now),
        owner(seen),
        cpu_bars,
        memory_bars,
    )


def remark(seen: Seen, state: str, now: float) -> str:
    """Since when a job waits for a person; of one that was ended, why. Empty where its word says it all."""
    if isinstance(seen.job, EndedJob):
        cause = ending_cause(seen.job)
        return "" if cause.startswith("exit ") else cause
    if seen.hold is not None:
        return f"{'waits for you' if seen.hold.message else 'you hold it'} since {rough(now - seen.hold.since)}"
    if state in ("prompt", "password"):
        return f"waits for you since {rough(now - seen.waiting_since)}" if seen.waiting_since else "waits for you"
    return ""


def ending_word(job: EndedJob) -> str:
    """How it ended, in at most eight characters."""
    state: str = job.end.status
    if state == "failed":
        return signal_name(job.end.signal) if isinstance(job.end, Signaled) else f"exit {job.end.exitcode}"
    return KILLED.get(job.end.cause, STATES[state].word) if state == "killed" else STATES[state].word


def owner(seen: Seen) -> str:
    """Who started the job, and where."""
    if seen.job is None:
        return "of a record that can't be read"
    spec = seen.job.spec
    return one_line(f"{spec.client or 'an agent'} in {spec.cwd}")


def order(seen: Seen) -> tuple[int, float]:
    """What an agent asks a person for, then what waits for input, what runs, what has ended; the newest first."""
    job = seen.job
    if job is None:
        return 4, 0.0
    if isinstance(job, EndedJob):
        return 3, -job.end.ended
    if seen.hold is not None and seen.hold.message:
        return 0, -job.spec.started
    return 1 if seen.hold or seen.awaiting in ("prompt", "password") else 2, -job.spec.started


def grouped(rows: Iterable[JobRow]) -> list[JobRow | str]:
    """The rows below a heading for each agent and folder; the group of the first row comes first."""
    groups: dict[str, list[JobRow]] = {}
    for row in rows:
        groups.setdefault(row.owner, []).append(row)
    found: list[JobRow | str] = []
    for heading, members in groups.items():
        found += [f"{heading} ({len(members)})", *members]
    return found


def matches(wanted: str, facts: Sequence[str]) -> bool:
    """Whether every word that was typed is somewhere in what is known of a job, in whatever case."""
    known = "\n".join(facts).casefold()
    return all(word in known for word in wanted.casefold().split())
