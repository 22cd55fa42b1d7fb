"""How the board looks: from jobs as they were seen to lines of text. Pure.

Promises: no line is wider than the terminal; what a job printed or is called can't colour anything or move the
cursor; colours are the terminal's own, so that dark and light backgrounds are both readable; every state has a word
beside its colour.
"""

from __future__ import annotations

import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from mcp_background_job.process.usage import Usage
from mcp_background_job.store.models import EndedJob, signal_name

from .observer import Seen

SIGNS = {"running": "●", "screen": "»", "prompt": "?", "password": "?", "completed": "✓", "failed": "✗", "killed": "■"}
STYLES = {
    "running": "green",
    "screen": "cyan",
    "prompt": "black on yellow",
    "password": "black on yellow",
    "completed": "green",
    "failed": "bold white on red",
    "killed": "magenta",
    "held": "black on cyan",
    "unreadable": "bold red",
}
# Of those, the ones with a background of their own colour the word too: one in green is hard to read on some white.
LOUD = {state for state, style in STYLES.items() if " on " in style}
KILLED = {"kill": "killed", "timeout": "timeout", "window_closed": "closed", "lost": "lost"}
HELP = (
    "↑ ↓ or k j    choose a job            Enter    go to its window",
    "t             take over / hand back   x or K   kill it (asks first)",
    "c             its command             q        quit (not in window 0)",
    "In a job's window: F12 opens the menu, Ctrl-b 0 comes back here, Ctrl-b d leaves tmux.",
    "A job you hold can't be typed into or killed by an agent until you hand it back.",
)


@dataclass(frozen=True)
class Row:
    """One job, ready to be shown."""

    job_id: str
    state: str
    word: str
    name: str
    elapsed: str
    cpu: str
    memory: str
    last: str
    message: str  # what an agent asks the person who holds it to do


def plain(text: str) -> str:
    """`text` as one line of printable characters."""
    return "".join(char if char.isprintable() else " " for char in text)


def row_of(seen: Seen, last: str, usage: Usage | None, now: float) -> Row:
    """What the board says of a job at `now`, in seconds since the epoch."""
    job = seen.job
    if job is None:
        return Row(seen.job_id, "unreadable", "broken", "", "", "", "", "its record can't be read", "")
    if isinstance(job, EndedJob):
        took = job.end.duration if job.end.duration is not None else job.end.ended - job.spec.started
        state: str = job.end.status
        word = {"completed": "done", "killed": KILLED.get(job.end.cause, "killed")}.get(state, "failed")
        if state == "failed":
            word = signal_name(job.end.signal) if job.end.signal is not None else f"exit {job.end.code}"
        cpu, memory = "", ""
    else:
        took = now - job.spec.started
        state = "held" if seen.hold else seen.awaiting or "running"
        word = "at rest" if state == "screen" else state
        cpu = "" if usage is None or usage.cpu is None else f"{usage.cpu:.0f}%"
        memory = "" if usage is None else size(usage.memory)
    message = plain(seen.hold.message) if seen.hold else ""
    return Row(
        seen.job_id, state, word, plain(job.spec.name), duration(took), cpu, memory, plain(last).strip(), message
    )


def duration(seconds: float) -> str:
    """At most six characters: 12s, 3m05s, 25m, 2h07m, 4d11h; the longer it is, the more rarely it changes."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 3600:
        return f"{whole // 60}m"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02d}h"


def size(number: int) -> str:
    """At most five characters: 830K, 12M, 1.5G."""
    if number < 1 << 20:
        return f"{number >> 10}K"
    if number < 1000 << 20:
        return f"{number >> 20}M"
    return f"{number / (1 << 30):.1f}G"


def order(seen: Seen) -> tuple[int, float]:
    """Whoever an agent asks for first, then what waits for input, what runs, what has ended; the newest first."""
    job = seen.job
    if job is None:
        return 4, 0.0
    if isinstance(job, EndedJob):
        return 3, -job.end.ended
    if seen.hold is not None and seen.hold.message:
        return 0, -job.spec.started
    return 1 if seen.hold or seen.awaiting in ("prompt", "password") else 2, -job.spec.started


@dataclass(frozen=True)
class Widths:
    """Columns of a table: those of the name and of the last line, and whether there is room for CPU and memory."""

    name: int
    last: int
    usage: bool


def widths_in(columns: int) -> Widths:
    """The name and the last line share what the others leave."""
    usage = columns >= 60
    left = columns - (36 if usage else 26)
    name = max(6, min(30, left * 2 // 5))
    return Widths(name, max(0, left - name - 1), usage)


@lru_cache(maxsize=1000)
def table_line(row: Row, widths: Widths, selected: bool) -> Text:
    line = Text(no_wrap=True, overflow="crop")
    sign = "@" if row.state == "held" else SIGNS.get(row.state, "!")
    line.append(">" if selected else " ", "bold")
    line.append(sign, STYLES[row.state])
    line.append(" " + row.job_id + " ", "reverse" if selected else "")
    line.append(set_cell_size(row.word, 8), STYLES[row.state] if row.state in LOUD else "")
    line.append(" " + set_cell_size(shortened(row.name, widths.name), widths.name), "bold")
    line.append(f" {row.elapsed:>6}")
    if widths.usage:
        line.append(f" {row.cpu:>5}{row.memory:>5}")
    line.append(" " + shortened(f"asks: {row.message}" if row.message else row.last, widths.last), "")
    return line


def shortened(text: str, width: int) -> str:
    return text if cell_len(text) <= width else set_cell_size(text, max(0, width - 1)) + "…"


def heading(widths: Widths) -> Text:
    usage = f" {'CPU':>5}{'MEM':>5}" if widths.usage else ""
    return Text(f"   {'JOB':6} {'STATE':8} {'NAME':{widths.name}} {'TIME':>6}{usage} LAST LINE", "dim")


def summary(rows: Sequence[Row], session: str, columns: int) -> Text:
    """How many are in each state; the ones that need a person stand out."""
    states = [row.state for row in rows]
    counts = [
        (sum(state in ("running", "screen") for state in states), "running", ""),
        (sum(state in ("prompt", "password") for state in states), "waiting", STYLES["prompt"]),
        (states.count("held"), "held by you", STYLES["held"]),
        (states.count("failed"), "failed", STYLES["failed"]),
    ]
    line = Text(f" {session}  ", "bold", no_wrap=True, overflow="crop")
    for count, word, style in counts:
        if count or word == "running":
            line.append(f"{count} {word}", style)
            line.append("  ")
    right = time.strftime("%H:%M") + "  ? help "
    line.append(" " * max(0, columns - line.cell_len - cell_len(right)))
    if line.cell_len + cell_len(right) <= columns:
        line.append(right, "dim")
    return line


def boxed(title: str, body: Sequence[str], columns: int, most: int) -> list[Text]:
    """A panel at the bottom: a rule with its title, then the text, wrapped, in at most `most` lines."""
    lines: list[str] = []
    for part in body:
        wrapped = textwrap.wrap(part, max(10, columns - 2), drop_whitespace=False, replace_whitespace=False)
        lines += wrapped or [""]
    if len(lines) > most:
        lines = [*lines[: most - 1], f"… {len(lines) - most + 1} more lines"]
    rule = f"── {title} "
    return [
        Text(rule + "─" * max(0, columns - cell_len(rule)), "bold"),
        *(Text(" " + set_cell_size(line, min(cell_len(line), columns - 1))) for line in lines),
    ]


def frame(
    rows: Sequence[Row], chosen: str, panel: Sequence[Text], note: Text | None, session: str, columns: int, height: int
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
        body = [Text(""), Text("   No jobs yet. What an agent starts appears here, and in a window of its own.", "dim")]
    lines = [*top, *body[:room]]
    lines += [Text("")] * (height - len(lines) - len(bottom))
    return [*lines, *bottom][:height]


def asked(rows: Sequence[Row], columns: int) -> list[Text]:
    """What agents ask people for, whole."""
    lines: list[Text] = []
    for row in rows:
        if row.message:
            text = f"@ {row.name} asks: {row.message}"
            lines += [Text(set_cell_size(part, columns), STYLES["held"]) for part in textwrap.wrap(text, columns)]
    return lines
