"""How facts are printed on a person's terminal, and as JSON for a script.

Promises: colours only on a terminal and without NO_COLOR; a state has a sign and a word, not a colour alone; what a
job is called or runs can't move the cursor or change a colour.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mcp_background_job.jobs.manager import JobManager
from mcp_background_job.jobs.view import JobView
from mcp_background_job.responses import full_status
from mcp_background_job.responses.fields import Fields
from mcp_background_job.store.models import EndedJob, Job
from mcp_background_job.text import direction_shown, escaped, fit, one_line, shorten, width

from .states import STATES, State
from .units import duration, local_time, size
from .wording import elapsed, given_name, how_it_ended, state_name

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

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
    """A spinner on stderr while something takes long; nothing where stderr is not a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True).status(Text(text)):
        yield


def state_of(view: JobView, job: Job) -> State:
    """How the job's state looks now."""
    return STATES[state_name(job, view.hold(job), view.awaiting(job))]


def print_jobs(view: JobView, jobs: Sequence[Job]) -> None:
    """One line a job; what is too long for the terminal is cut in the name and the command."""
    from rich.text import Text

    rows = [
        (
            job.spec.job_id,
            state_of(view, job),
            how_it_ended(job) if isinstance(job, EndedJob) else "",
            duration(elapsed(job)),
            given_name(job),
            one_line(job.spec.summary),
        )
        for job in jobs
    ]
    out = console()
    longest = max(4, *(width(row[4]) for row in rows))
    name_width = min(longest, max(8, out.width // 5)) if out.is_terminal else longest
    room = max(8, out.width - 8 - 12 - 6 - 8 - name_width - 2)
    out.print(Text(f"JOB     {'STATE':<12}EXIT    TIME  {'NAME':<{name_width}}  COMMAND", "bold"), overflow="ignore")
    for job_id, state, code, took, name, command in rows:
        line = Text(f"{job_id}  ")
        line.append(fit(f"{state.sign} {state.word}", 12), state.style)
        line.append(f"{code:<6}{took:>6}  {fit(name, name_width)}  ")
        line.append(shorten(command, room), "dim")
        out.print(line, overflow="ignore", no_wrap=True, crop=False)


def print_status(manager: JobManager, job: Job) -> None:
    """All that is known of a job, a fact a line."""
    from rich.text import Text

    fields = full_status(manager.view, job, manager.attach_command(job))
    state = state_of(manager.view, job)
    shown: dict[str, object] = {"job": fields["job_id"], "name": given_name(job)}
    shown["state"] = Text(f"{state.sign} {state.word}", state.style)
    if isinstance(job, EndedJob):
        shown["why"] = fields["reason"]
        shown["exit code"], shown["signal"] = fields.get("exit_code"), fields.get("signal")
    shown["holder"] = fields.get("holder")
    shown["command"], shown["folder"] = escaped(str(fields["command"])), escaped(str(fields["cwd"]))
    shown["started"] = f"{local_time(job.spec.started)}, by {job.spec.client or 'an agent'}"
    shown["ran" if isinstance(job, EndedJob) else "running for"] = duration(elapsed(job))
    shown["pid"] = fields.get("pid")
    if isinstance(job, EndedJob):
        shown["CPU time"] = None if job.end.cpu is None else duration(job.end.cpu)
        shown["memory"] = None if job.end.peak_memory is None else size(job.end.peak_memory)
    shown["attach"], shown["log"] = fields.get("attach"), fields["log"]
    print_facts(shown)


def print_facts(facts: Mapping[str, object]) -> None:
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


def print_page(fields: Fields) -> None:
    """Output as the job printed it: stdout to stdout, stderr to stderr; on a terminal nothing reorders it."""
    for stream, text in ((sys.stdout, str(fields["stdout"])), (sys.stderr, str(fields["stderr"]))):
        stream.write(direction_shown(text) if stream.isatty() else text)
        stream.flush()


def end_last_line(text: str) -> None:
    """On a terminal, don't leave the prompt behind an unfinished last line of `text`, which was printed."""
    if sys.stdout.isatty() and text and not text.endswith("\n"):
        print()
