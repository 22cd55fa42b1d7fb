"""The commands that act at once: kill, take, give, fit, clean; and watch, which opens the board.

Each takes the parsed options and gives the exit status; its errors are JobErrors.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time

from mcp_background_job.errors import InvalidInput, StoreError
from mcp_background_job.jobs.manager import JobManager, signal_number
from mcp_background_job.jobs.sweep import sweep
from mcp_background_job.responses import killed
from mcp_background_job.responses.fields import Fields
from mcp_background_job.store.models import EndedJob, run_of
from mcp_background_job.tmux import fitting
from mcp_background_job.ui.console import print_json, progress
from mcp_background_job.ui.units import size
from mcp_background_job.ui.wording import label

from .lookup import find_job
from .settings import settings

SWEEP_PATIENCE = 5.0  # seconds for a server that cleans up at the same time


def kill(options: argparse.Namespace) -> int:
    """A person may end a job whose keys a person holds."""
    signal_number(options.signal)
    manager = JobManager(settings())
    jobs = [find_job(manager, given) for given in options.jobs]
    ended: list[Fields] = []
    for job in jobs:
        job_id = job.spec.job_id
        with progress(f"ending {job.spec.name}"):
            result = asyncio.run(manager.kill(job_id, options.signal, person=True))
        ended.append({"job_id": job_id, **killed(result)})
        if not options.json:
            left = f", {result.ended_processes} left processes ended" if result.ended_processes else ""
            print(f"{label(job)}: {result.status.replace('_', ' ')}{left}")
    if options.json:
        print_json(ended[0] if len(ended) == 1 else {"jobs": ended})
    return 0


def watch(options: argparse.Namespace) -> int:
    """The board, or plain lines for a person who asks for them here or of all their programs."""
    from mcp_background_job.ui.plain_board import run_plain, wants_plain

    if options.plain or wants_plain(os.environ):
        return run_plain(settings())
    from mcp_background_job.ui.board import run_board  # rich, which the other commands here do without

    return run_board(settings())


def fit(options: argparse.Namespace) -> int:
    """To the terminal of the person who looks at the job's window."""
    manager = JobManager(settings())
    job = find_job(manager, options.job)
    run = run_of(job)
    if run is None or not manager.pane_is_open(job):
        raise InvalidInput(f"Job {job.spec.job_id!r} has no window", "Call list to see the jobs")
    pane = manager.tmux.pane(job.spec.job_id, run)
    if not options.undo:
        columns, rows = fitting.fit(pane)
        print(f"{label(job)}: {columns} columns and {rows} lines, until nobody looks or fit --undo.")
    elif fitting.as_it_was(pane):
        print(f"{label(job)}: as it was.")
    else:
        print(f"{label(job)}: was not fitted.")
    return 0


def take(options: argparse.Namespace) -> int:
    manager = JobManager(settings())
    job = find_job(manager, options.job)
    manager.control.take(job.spec.job_id)
    if options.json:
        print_json({"job_id": job.spec.job_id, "holder": "human", "attach": manager.attach_command(job)})
        return 0
    print(f"You hold {label(job)}: agents can read it, but not type into it or kill it.")
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
    print(f"You handed {label(job)} back to the agents.")
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
            raise StoreError("A server of this session is still cleaning up")
        time.sleep(0.05)
    removed = sorted(before - set(manager.store.ids()))
    freed = max(0, used - folder_bytes(manager))
    if options.json:
        print_json({"removed": removed, "freed_bytes": freed})
    else:
        print(f"Removed {len(removed)} finished job{'' if len(removed) == 1 else 's'}, {size(freed)} in all.")
        left = sum(isinstance(job, EndedJob) for job in manager.view.jobs(include_all=True).jobs)
        if left:
            print(f"Kept {left} that list still shows; clean --all removes them too.")
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
