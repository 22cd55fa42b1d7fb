"""How the board looks: from jobs that are ready to be shown to lines of text. Pure.

Promises: what a job printed or is called can't colour anything or move the cursor; the job that is chosen is always
among those shown; questions and remarks are, however low the terminal.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from rich.text import Text

from mcp_background_job.text import clip, fit, shorten, width, wrap

from .board_rows import JobRow
from .states import STATES

LOW = 10  # lines of a terminal, below which jobs stand there without their heading
BARS = 8  # columns of a sparkline in the table
KEYS = (
    ("↑ ↓ or k j", "choose a job"),
    ("Enter", "go to its window"),
    ("t", "take over / hand back"),
    ("x or K", "kill it (asks first)"),
    ("c", "its command"),
    ("d", "details and last lines"),
    ("/", "only jobs with these words"),
    ("a", "by agent and folder"),
    ("Escape", "all jobs, or no panel"),
    ("q", "quit (not in window 0)"),
)
HELP = (
    "With the mouse: a click chooses, another one goes to the window, the wheel scrolls.",
    "In a job's window: {menu} opens the menu, {prefix} 0 comes back here, {prefix} d leaves tmux.",
    "A job you hold can't be typed into or killed by an agent until you hand it back.",
)


@dataclass(frozen=True)
class TableWidths:
    """Columns of a table: those of the name and of the last line, and whether there is room for more facts."""

    clock: bool  # the id and the time
    name: int
    last: int
    usage: bool  # CPU and memory
    bars: bool  # and how they were lately


def widths_in(columns: int) -> TableWidths:
    """The name and the last line share what the others leave; a narrow table has no last line."""
    clock, usage, bars = columns >= 36, columns >= 60, columns >= 110
    left = columns - (26 if clock else 12) - (10 if usage else 0) - (2 * BARS + 2 if bars else 0)
    if not usage:
        return TableWidths(clock, max(6, left), 0, False, False)
    name = max(6, min(30, left * 2 // 5))
    return TableWidths(clock, name, max(0, left - name - 1), usage, bars)


@lru_cache(maxsize=1000)
def table_line(row: JobRow, widths: TableWidths, selected: bool) -> Text:
    state = STATES[row.state]
    line = Text(no_wrap=True, overflow="crop")
    line.append(">" if selected else " ", "bold")
    line.append(state.sign, state.style)
    line.append(f" {row.job_id} " if widths.clock else " ", "reverse" if selected else "")
    line.append(fit(row.word, 8), state.word_style)
    line.append(" " + fit(row.name, widths.name), "bold")
    if widths.clock:
        line.append(f" {row.elapsed:>6}")
    if widths.usage:
        line.append(f" {row.cpu:>5}" + (f" {row.cpu_bars:>{BARS}}" if widths.bars else ""))
        line.append(f"{row.memory:>5}" + (f" {row.memory_bars:>{BARS}}" if widths.bars else ""))
        line.append(" " + row.says(widths.last), "")
    return line


def heading(widths: TableWidths) -> Text:
    bars = " " * (BARS + 1) if widths.bars else ""
    usage = f" {'CPU':>5}{bars}{'MEM':>5}{bars} LAST LINE" if widths.usage else ""
    job, clock = (f"{'JOB':6} ", f" {'TIME':>6}") if widths.clock else ("", "")
    return Text(f"   {job}{'STATE':8} {'NAME':{widths.name}}{clock}{usage}", "dim")


def summary(states: Sequence[str], session: str, columns: int) -> Text:
    """How many jobs are in each state; those that need a person stand out."""
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


def rule(title: str, columns: int) -> Text:
    begin = f"── {title} "
    return Text(begin + "─" * max(0, columns - width(begin)), "bold")


def boxed(title: str, body: Sequence[str], columns: int, most: int) -> list[Text]:
    """A panel at the bottom: a rule with its title, then the text, wrapped, in at most `most` lines."""
    lines = [line for part in body for line in wrap(part, max(10, columns - 2))]
    if len(lines) > most:
        lines = [*lines[: most - 1], f"… {len(lines) - most + 1} more lines"]
    return [rule(title, columns), *(Text(" " + clip(line, columns - 1)) for line in lines)]


def help_lines(columns: int, menu: str, prefix: str) -> list[str]:
    """The board's keys, two in a line where there is room, then the rest; the menu's key and the prefix as they are."""
    rest = [line.format(menu=menu, prefix=prefix) for line in HELP]
    cells = [f"{key:<12}{what:<30}" for key, what in KEYS]
    if columns < 84:
        return [*(cell.rstrip() for cell in cells), *rest]
    return [*(cells[at] + cells[at + 1].rstrip() for at in range(0, len(cells), 2)), *rest]


def details(title: str, facts: Sequence[str], last: Sequence[str], columns: int, height: int) -> list[Text]:
    """A panel of `height` lines: what is known of a job, then its last lines, of which the newest are shown."""
    head = [shorten(fact, columns - 2) for fact in facts]
    room = max(0, height - 1 - len(head))
    lines = [clip(line, columns - 2) for line in last[-room:]] if room else []
    lines = [*head, *lines, *[""] * (room - len(lines))]
    return [rule(title, columns), *(Text(" " + line) for line in lines)]


@dataclass(frozen=True)
class Frame:
    """A whole screen, and which job is in which of its lines; empty where there is none."""

    lines: list[Text]
    jobs: list[str]


def frame(
    entries: Sequence[JobRow | str],
    chosen: str,
    states: Sequence[str],
    panel: Sequence[Text],
    notes: Sequence[Text],
    session: str,
    columns: int,
    height: int,
) -> Frame:
    """The whole screen, `height` lines, of rows and their headings; `states` are those of all jobs."""
    widths = widths_in(columns)
    rows = [entry for entry in entries if isinstance(entry, JobRow)]
    top = [summary(states, session, columns)]
    if height >= LOW:
        asks, most = asked(rows, columns), height // 3
        if len(asks) > most:
            asks = [*asks[: most - 1], Text(f"… {len(asks) - most + 1} more lines", STATES["asked"].style)]
        top += [*asks, heading(widths)]
    said = foot(rows, chosen, columns) if not widths.usage and height - len(top) - len(notes) > 1 else []
    bottom = [*(panel or said), *notes][-height:]
    room = max(1, height - len(top) - len(bottom))
    here = next((at for at, one in enumerate(entries) if isinstance(one, JobRow) and one.job_id == chosen), 0)
    start = max(0, min(here - room // 2, len(entries) - room))
    shown = entries[start : start + room]
    body = [
        Text(f" {fit(shorten(one, columns - 2), columns - 2)}", "bold underline")
        if isinstance(one, str)
        else table_line(one, widths, one.job_id == chosen)
        for one in shown
    ]
    if not rows:
        text = (
            "No job matches." if states else "No jobs yet. What an agent starts appears here, in a window of its own."
        )
        body = [Text(""), *(Text("   " + line, "dim") for line in wrap(text, max(10, columns - 4)))]
    lines = [*top, *body][: height - len(bottom)]
    jobs = ["" if isinstance(one, str) else one.job_id for one in shown]
    jobs = ([""] * len(top) + jobs)[: len(lines)]
    lines += [Text("")] * (height - len(lines) - len(bottom))
    return Frame([*lines, *bottom], jobs + [""] * (height - len(jobs)))


def foot(rows: Sequence[JobRow], chosen: str, columns: int) -> list[Text]:
    """What a narrow table has no room for, of the chosen job alone."""
    says = next((row.says(columns - 1) for row in rows if row.job_id == chosen), "")
    return [Text(" " + says, "bold")] if says else []


def asked(rows: Sequence[JobRow], columns: int) -> list[Text]:
    """What agents ask people for, whole."""
    lines: list[Text] = []
    for row in rows:
        if row.message:
            text = f"{STATES['asked'].sign} {row.name} asks: {row.message}"
            lines += [Text(fit(part, columns), STATES["asked"].style) for part in wrap(text, columns)]
    return lines
