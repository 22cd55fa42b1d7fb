"""The person's commands that answer at once: look, end, tidy, settings.

Each takes the parsed options and gives the exit status; its errors are JobErrors.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import os
import sys
import time

from mcp_background_job import responses
from mcp_background_job.config import BackgroundJobConfig
from mcp_background_job.errors import InvalidInput, StoreError
from mcp_background_job.jobs.manager import JobManager, signal_number
from mcp_background_job.jobs.sweep import sweep
from mcp_background_job.output.pages import Page
from mcp_background_job.store.models import EndedJob
from mcp_background_job.ui.console import (
    job_table,
    label,
    labelled,
    note,
    print_json,
    print_page,
    progress,
    size,
    status_lines,
)

from .lookup import find_job, settings

PAGE = 1_000_000  # characters read at a time
SWEEP_PATIENCE = 5.0  # seconds for a server that tidies up at the same time


def list_jobs(options: argparse.Namespace) -> int:
    manager = JobManager(settings())
    found = manager.view.jobs(options.all)
    if options.json:
        print_json(responses.listing(manager.view, found))
    elif found.jobs:
        job_table(manager, found.jobs)
    else:
        print(f"No jobs{'' if options.all else ' now'}. Start one: mcp-background-job run COMMAND", file=sys.stderr)
    if found.unreadable and not options.json:
        note(f"records that can't be read: {', '.join(found.unreadable)}. Run mcp-background-job doctor.")
    return 0


def status(options: argparse.Namespace) -> int:
    manager = JobManager(settings())
    job = find_job(manager, options.job)
    if options.json:
        print_json(responses.full_status(manager, job))
    else:
        status_lines(manager, job)
    return 0


def output(options: argparse.Namespace) -> int:
    """All of it for a person, page by page; as JSON one answer, bounded as an agent's is."""
    manager = JobManager(settings())
    job = find_job(manager, options.job)
    if options.json:
        found = manager.view.output(job, options.since, options.grep, options.context, since_seconds=options.last)
        print_json(responses.page(found, job))
        return 1 if options.grep and not found.stdout + found.stderr else 0
    if options.grep:
        found = manager.view.output(job, options.since, options.grep, options.context, sys.maxsize, options.last)
        print_page(responses.page(found, job))
        return 0 if found.stdout + found.stderr else 1
    since = options.since or 0
    if options.last is not None:
        if options.since is not None:
            raise InvalidInput("--since and --last are both given", "Leave one of them out")
        since = manager.view.printed_since(job, manager.view.reader(job), options.last)
    found = manager.view.output(job, since, max_chars=PAGE)
    if found.dropped_bytes:
        note(f"the oldest {size(found.dropped_bytes)} are no longer kept")
    show(found)
    while found.truncated:
        found = manager.view.output(job, found.cursor, max_chars=PAGE)
        show(found)
    end_line(found)
    return 0


def show(found: Page) -> None:
    print_page({"stdout": found.stdout, "stderr": found.stderr})


def end_line(found: Page) -> None:
    """On a terminal, don't leave the prompt behind an unfinished last line."""
    if sys.stdout.isatty() and found.stdout and not found.stdout.endswith("\n"):
        print()


def kill(options: argparse.Namespace) -> int:
    """A person may end a job whose keys a person holds."""
    signal_number(options.signal)
    manager = JobManager(settings())
    jobs = [find_job(manager, given) for given in options.jobs]
    ended: list[responses.Fields] = []
    for job in jobs:
        job_id = job.spec.job_id
        with progress(f"ending {job.spec.name}"):
            result = asyncio.run(manager.kill(job_id, options.signal, by="person"))
        ended.append({"job_id": job_id, "status": result})
        if not options.json:
            print(f"{label(job)}: {result.replace('_', ' ')}")
    if options.json:
        print_json(ended[0] if len(ended) == 1 else {"jobs": ended})
    return 0


def watch(options: argparse.Namespace) -> int:
    run_board = importlib.import_module("mcp_background_job.ui.board").run_board
    return int(run_board(settings()))


def take(options: argparse.Namespace) -> int:
    manager = JobManager(settings())
    job = find_job(manager, options.job)
    manager.control.take(job.spec.job_id)
    if options.json:
        print_json({"job_id": job.spec.job_id, "holder": "human", "attach": manager.attach_command(job)})
        return 0
    print(f"You hold {label(job)}: agents read it, and neither type nor kill.")
    print(f"  go to it:   {manager.attach_command(job)}")
    print(f"  hand back:  mcp-background-job give {job.spec.job_id}")
    return 0


def give(options: argparse.Namespace) -> int:
    manager = JobManager(settings())
    job = find_job(manager, options.job)
    manager.control.give(job.spec.job_id)
    if options.json:
        print_json({"job_id": job.spec.job_id, "holder": "agent"})
        return 0
    print(f"The agents have the keys of {label(job)} again.")
    return 0


def clean(options: argparse.Namespace) -> int:
    """Let the sweep that every server does come early: as if the retention were over now."""
    config = settings()
    early: dict[str, float] = {"retention_seconds": 0.0}
    if options.all:
        early["cleanup_interval_seconds"] = 0.0
    manager = JobManager(config.model_copy(update=early))
    before = set(manager.store.ids())
    used = folder_bytes(manager)
    deadline = time.monotonic() + SWEEP_PATIENCE
    while not sweep(manager.view, manager.tmux):
        if time.monotonic() > deadline:
            raise StoreError("A server of this session has been tidying up for too long")
        time.sleep(0.05)
    removed = sorted(before - set(manager.store.ids()))
    freed = max(0, used - folder_bytes(manager))
    if options.json:
        print_json({"removed": removed, "freed_bytes": freed})
    else:
        print(f"Removed {len(removed)} finished job{'' if len(removed) == 1 else 's'} and {size(freed)} of their logs.")
        left = sum(isinstance(job, EndedJob) for job in manager.view.jobs(include_all=True).jobs)
        if left:
            print(f"{left} that list still shows {'stays' if left == 1 else 'stay'}; clean --all removes them, too.")
    return 0


def folder_bytes(manager: JobManager) -> int:
    """What the session's folder holds; files may go while we look."""
    total = 0
    for folder, _, names in os.walk(manager.store.folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size  # noqa: PTH118 - os.walk gives text
            except OSError:
                continue
    return total


def demo(options: argparse.Namespace) -> int:
    from .demo import run_demo

    return run_demo()


def show_config(options: argparse.Namespace) -> int:
    """Each setting with its value and where that comes from."""
    config = settings()
    rows: list[responses.Fields] = []
    for name, field in BackgroundJobConfig.model_fields.items():
        variable = str(field.validation_alias)
        source = "environment" if variable in os.environ else "default"
        rows.append({"variable": variable, "value": value_of(config, name), "from": source})
    if options.json:
        print_json({"settings": rows})
    else:
        labelled({str(row["variable"]): in_words(row) for row in rows})
    return 0


UNSET = {
    "MCP_BG_WORKING_DIR": "none: the server's own folder",
    "MCP_BG_ALLOWED_COMMANDS": "none: any command",
    "MCP_BG_TMUX_SOCKET": "none: your default tmux server",
}


def in_words(row: responses.Fields) -> str:
    variable, value = str(row["variable"]), row["value"]
    text = UNSET.get(variable, "none") if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    return f"{text}  ← environment" if row["from"] == "environment" else text


def value_of(config: BackgroundJobConfig, name: str) -> str | int | float | None:
    """A setting's value as its variable takes it; a secret only as being there."""
    value: object = getattr(config, name)
    if name == "http_token":
        return None if value is None else "(hidden)"
    if name == "allowed_command_patterns":
        return ",".join(pattern.pattern for pattern in config.allowed_command_patterns) or None
    return value if value is None or isinstance(value, (int, float)) else str(value)


def completion(options: argparse.Namespace) -> int:
    """The script that lets a shell ask this program; argcomplete's own."""
    from argcomplete.shell_integration import shellcode

    print(shellcode(["mcp-background-job"], shell=options.shell))
    return 0
