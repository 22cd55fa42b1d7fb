"""How the board looks: from jobs as they were seen to lines of text. Pure.

Promises: what a job printed or is called can't colour anything or move the cursor; every state has a word beside its
colour; the job that is chosen is always among those shown.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from rich.text import Text

from mcp_background_job.process.usage import Usage
from mcp_background_job.store.models import EndedJob, Signaled, signal_name
from mcp_background_job.text import clip, fit, one_line, shorten, width, wrap

from .observer import Seen
from .states import STATES
from .units import duration, size
from .wording import elapsed, state_name

KILLED = {"timeout": "timeout", "window_closed": "closed", "lost": "lost"}  # cause → a word that says more
HELP = (  # with the person's keys, as they are now
    "↑ ↓ or k j    choose a job            Enter    go to its window",
    "t             take over / hand back   x or K   kill it (asks first)",
    "c             its command             q        quit (not in window 0)",
    "In a job's window: {menu} opens the menu, {prefix} 0 comes back here, {prefix} d leaves tmux.",
    "A job you hold can't be typed into or killed by an agent until you hand it back.",
)


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


def row_of(seen: Seen, last: str, usage: Usage | None) -> JobRow:
    """What the board says of a job that printed `last` last."""
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
    )


def ending_word(job: EndedJob) -> str:
    """How it ended, in at most eight characters."""
    state: str = job.end.status
    if state == "failed":
        return signal_name(job.end.signal) if isinstance(job.end, Signaled) else f"exit {job.end.exitcode}"
    return KILLED.get(job.end.cause, STATES[state].word) if state == "killed" else STATES[state].word


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


@dataclass(frozen=True)
class TableWidths:
    """Columns of a table: those of the name and of the last line, and whether there is room for CPU and memory."""

    name: int
    last: int
    usage: bool


def widths_in(columns: int) -> TableWidths:
    """The name and the last line share what the others leave."""
    usage = columns >= 60
    left = columns - (36 if usage else 26)
    name = max(6, min(30, left * 2 // 5))
    return TableWidths(name, max(0, left - name - 1), usage)


@lru_cache(maxsize=1000)
def table_line(row: JobRow, widths: TableWidths, selected: bool) -> Text:
    state = STATES[row.state]
    line = Text(no_wrap=True, overflow="crop")
    line.append(">" if selected else " ", "bold")
    line.append(state.sign, state.style)
    line.append(" " + row.job_id + " ", "reverse" if selected else "")
    line.append(fit(row.word, 8), state.word_style)
    line.append(" " + fit(row.name, widths.name), "bold")
    line.append(f" {row.elapsed:>6}")
    if widths.usage:
        line.append(f" {row.cpu:>5}{row.memory:>5}")
    line.append(" " + shorten(f"asks: {row.message}" if row.message else row.last, widths.last), "")
    return line


def heading(widths: TableWidths) -> Text:
    usage = f" {'CPU':>5}{'MEM':>5}" if widths.usage else ""
    return Text(f"   {'JOB':6} {'STATE':8} {'NAME':{widths.name}} {'TIME':>6}{usage} LAST LINE", "dim")


def summary(rows: Sequence[JobRow], session: str, columns: int) -> Text:
    """How many are in each state; the ones that need a person stand out."""
    states = [row.state for row in rows]
    counts = [
        (("starting", "running", "screen"), "running", ""),
        (("prompt", "password"), "waiting", STATES["prompt"].style),
        (("held", "asked"), "held by you", STATES["held"].style),
        (("failed",), "failed", STATES["failed"].style),
    ]
    line = Text(f" {session}  ", "bold", no_wrap=True, overflow="crop")
    for counted, word, style in counts:
        count = sum(state in counted for state in states)
        if count or word == "running":
            line.append(f"{count} {word}", style)
            line.append("  ")
    right = time.strftime("%H:%M") + "  ? help "
    gap = columns - width(line.plain) - len(right)
    if gap >= 0:
        line.append(" " * gap)
        line.append(right, "dim")
    return line


def boxed(title: str, body: Sequence[str], columns: int, most: int) -> list[Text]:
    """A panel at the bottom: a rule with its title, then the text, wrapped, in at most `most` lines."""
    lines = [line for part in body for line in wrap(part, max(10, columns - 2))]
    if len(lines) > most:
        lines = [*lines[: most - 1], f"… {len(lines) - most + 1} more lines"]
    rule = f"── {title} "
    return [
        Text(rule + "─" * max(0, columns - width(rule)), "bold"),
        *(Text(" " + clip(line, columns - 1)) for line in lines),
    ]


def frame(
    rows: Sequence[JobRow],
    chosen: str,
    panel: Sequence[Text],
    note: Text | None,
    session: str,
    columns: int,
    height: int,
) -> list[Text]:
    """The whole screen, `height` lines; the chosen job is always among those shown."""
    widths = widths_in(columns)
    top = [summary(rows, session, columns), *asked(rows, columns), heading(widths)]
    bottom = [*panel, *([note] if note is not None else [])]
    room = max(1, height - len(top) - len(bottom))
    index = next((number for number, row in enumerate(rows) if row.job_id == chosen), 0)
    start = max(0, min(index - room // 2, len(rows) - room)) if len(rows) > room else 0
    body = [table_line(row, widths, row.job_id == chosen) for row in rows[start : start + room]]
    if not rows:
        body = [
            Text(""),
            Text("   No jobs yet. What an agent starts appears here and in a window of its own.", "dim"),
        ]
    lines = [*top, *body[:room]]
    lines += [Text("")] * (height - len(lines) - len(bottom))
    return [*lines, *bottom][:height]


def asked(rows: Sequence[JobRow], columns: int) -> list[Text]:
    """What agents ask people for, whole."""
    lines: list[Text] = []
    for row in rows:
        if row.message:
            text = f"{STATES['asked'].sign} {row.name} asks: {row.message}"
            lines += [Text(fit(part, columns), STATES["asked"].style) for part in wrap(text, columns)]
    return lines
