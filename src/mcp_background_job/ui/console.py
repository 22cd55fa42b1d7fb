"""How facts look on a person's terminal, and as JSON for a script.

Promises: colours only on a terminal and without NO_COLOR; a state has a sign and a word, not a colour alone; what a
job is called or runs can't move the cursor or change a colour.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from mcp_background_job.jobs.launch import clean_name
from mcp_background_job.jobs.manager import JobManager
from mcp_background_job.responses import Fields, full_status
from mcp_background_job.store.models import EndedJob, Job, signal_name

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

SIGNS = {"running": "●", "completed": "✓", "failed": "✗", "killed": "■"}
STYLES = {"running": "cyan", "completed": "green", "failed": "bold red", "killed": "magenta"}
WAITS = {"prompt": "prompt", "password": "password", "screen": "at rest"}
NAME_WIDTH = 32  # cells of a job's name in a sentence
PIPE_WIDTH = 10_000  # columns where nobody looks, so that nothing is cut for grep


def print_json(fields: object) -> None:
    print(json.dumps(fields, ensure_ascii=False))


def note(text: str) -> None:
    """A remark beside the output, for a person."""
    print(f"mcp-background-job: {text}", file=sys.stderr, flush=True)


def console() -> Console:
    """Standard output as rich sees it; rich itself honours NO_COLOR."""
    from rich.console import Console

    return Console(
        highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else PIPE_WIDTH, soft_wrap=False
    )


@contextmanager
def progress(text: str) -> Iterator[None]:
    """A spinner on stderr while something takes long; nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True).status(Text(text)):
        yield


def span(seconds: float) -> str:
    """`4.2s`, `3m12s`, `2h05m`, `3d04h`: at most six characters."""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f}s"
    total = round(seconds)
    for unit, size, below in (("m", 60, "s"), ("h", 3600, "m"), ("d", 86400, "h")):
        if total < size * (60 if unit != "h" else 24) or unit == "d":
            if total < 60:
                return f"{total}s"
            rest = total % size // {"s": 1, "m": 60, "h": 3600}[below]
            return f"{total // size}{unit}{rest:02d}{below}"
    raise AssertionError


def local_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def elapsed(job: Job) -> float:
    """Seconds that the job has run."""
    if isinstance(job, EndedJob):
        return job.end.duration if job.end.duration is not None else max(0.0, job.end.ended - job.spec.started)
    return job.spec.age


def state(manager: JobManager, job: Job) -> tuple[str, str]:
    """The state as sign and word, and its style."""
    if isinstance(job, EndedJob):
        return f"{SIGNS[job.end.status]} {job.end.status}", STYLES[job.end.status]
    if manager.view.hold(job) is not None:
        return "⚑ human", "bold yellow"
    awaiting = manager.view.awaiting(job)
    if awaiting is not None:
        return f"? {WAITS.get(awaiting, awaiting)}", "bold yellow"
    return f"{SIGNS['running']} running", STYLES["running"]


def how_it_ended(job: EndedJob) -> str:
    """The exit code, or the signal's name; empty where neither is known."""
    if job.end.code is not None:
        return str(job.end.code)
    return signal_name(job.end.signal) if job.end.signal is not None else ""


def ending_line(job: EndedJob) -> str:
    """One sentence on how a job ended."""
    facts = f"exit {job.end.code}" if job.end.code is not None else how_it_ended(job)
    reason = f" ({job.end.reason.replace('_', ' ')})" if job.end.status == "killed" else ""
    after = f" after {span(elapsed(job))}"
    return f"{label(job)}: {job.end.status}{reason}{', ' + facts if facts else ''}{after}"


def label(job: Job) -> str:
    """A job in a sentence: its id and its name."""
    return f"{job.spec.job_id} {cut(job.spec.name, NAME_WIDTH).rstrip()}"


def given_name(job: Job) -> str:
    """The job's name; empty where it is only the beginning of its command."""
    return "" if job.spec.name == clean_name(job.spec.summary)[:40] else job.spec.name


def job_table(manager: JobManager, jobs: Sequence[Job]) -> None:
    """One line a job; what is too long for the terminal is cut in the name and the command."""
    from rich.cells import cell_len, set_cell_size
    from rich.text import Text

    rows = [
        (
            job.spec.job_id,
            *state(manager, job),
            how_it_ended(job) if isinstance(job, EndedJob) else "",
            span(elapsed(job)),
            given_name(job),
            one_line(job.spec.summary),
        )
        for job in jobs
    ]
    out = console()
    longest = max(4, *(cell_len(row[5]) for row in rows))
    name_width = min(longest, max(8, out.width // 5)) if out.is_terminal else longest
    room = max(8, out.width - 8 - 12 - 6 - 8 - name_width - 2)
    out.print(Text(f"JOB     {'STATE':<12}EXIT    TIME  {'NAME':<{name_width}}  COMMAND", "bold"), overflow="ignore")
    for job_id, words, style, code, time_taken, name, command in rows:
        line = Text(f"{job_id}  ")
        line.append(set_cell_size(words, 12), style)
        line.append(f"{code:<6}{time_taken:>6}  {cut(name, name_width)}  ")
        line.append(cut(command, room).rstrip(), "dim")
        out.print(line, overflow="ignore", no_wrap=True, crop=False)


def cut(text: str, width: int) -> str:
    """`text` in exactly `width` cells, with … where it is too long."""
    from rich.cells import cell_len, set_cell_size

    return set_cell_size(text, width) if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"


def one_line(text: str) -> str:
    return "".join(char for char in " ".join(text.split()) if char.isprintable())


def status_lines(manager: JobManager, job: Job) -> None:
    """All that is known of a job, a fact a line."""
    from rich.text import Text

    fields = full_status(manager, job)
    words, style = state(manager, job)
    shown: dict[str, object] = {"job": fields["job_id"], "name": given_name(job), "state": Text(words, style)}
    if isinstance(job, EndedJob):
        shown["why"] = fields["reason"]
        shown["exit code"], shown["signal"] = fields.get("exit_code"), fields.get("signal")
    shown["holder"] = fields.get("holder")
    shown["command"], shown["folder"] = printable(str(fields["command"])), printable(str(fields["cwd"]))
    shown["started"] = f"{local_time(job.spec.started)}, by {job.spec.client or 'an agent'}"
    shown["ran" if isinstance(job, EndedJob) else "running for"] = span(elapsed(job))
    shown["pid"] = fields.get("pid")
    if isinstance(job, EndedJob):
        shown["CPU time"] = None if job.end.cpu is None else span(job.end.cpu)
        shown["memory"] = None if job.end.peak_memory is None else size(job.end.peak_memory)
    shown["attach"], shown["log"] = fields["attach"], fields["log"]
    labelled(shown)


def labelled(facts: Mapping[str, object]) -> None:
    """A label and a fact a line; those that are None or empty are left out."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, fact in facts.items():
        if fact is not None and fact != "":
            table.add_row(label, fact if isinstance(fact, Text) else Text(str(fact)))
    print_table(table)


def print_table(table: Table) -> None:
    """Without the blanks that fill up the last column: in a pipe they are noise."""
    out = console()
    with out.capture() as captured:
        out.print(table)
    for line in captured.get().splitlines():
        print(line.rstrip())


def printable(text: str) -> str:
    """`text` with its line breaks, and every other control character shown as a name for it."""
    return "".join(char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text)


def size(number: int) -> str:
    """`512 B`, `3.4 MB`."""
    amount = float(number)
    for unit in ("B", "KB", "MB", "GB"):
        if amount < 1024 or unit == "GB":
            break
        amount /= 1024
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


def print_page(fields: Fields) -> None:
    """Output as the job printed it: stdout to stdout, stderr to stderr."""
    sys.stdout.write(str(fields["stdout"]))
    sys.stdout.flush()
    sys.stderr.write(str(fields["stderr"]))
    sys.stderr.flush()
