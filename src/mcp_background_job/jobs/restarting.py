"""A job's command once more: a new job, in the place that the old one's window had.

Its environment is never on disk. That of a running job is read from the kernel; once it has ended, what an agent gave
by `env` is known by its names alone. Promise: what can't be started as it was is refused before the old job is ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import psutil

from mcp_background_job.config import JOB_VARIABLE
from mcp_background_job.errors import InvalidInput, JobError
from mcp_background_job.store.models import EndedJob, Job, RunningJob, StartingJob, run_of

from .launch import Request, Started, working_folder
from .manager import JobManager

ALONE = "#{==:#{window_panes},1}"  # a person has put no pane of theirs beside the job's


def kept_environment(job: Job) -> dict[str, str] | None:
    """What a running job was started with; None where that can't be read any more."""
    if not isinstance(job, RunningJob):
        return None
    try:
        found = psutil.Process(job.run.pid).environ()
    except (psutil.Error, OSError):
        return None
    # A program may have written its title over it, or the number may be another's by now.
    return found if found.get(JOB_VARIABLE) == job.spec.job_id else None


def missing(job: Job, given: Mapping[str, str]) -> list[str]:
    """The variables that an agent gave the job and whose values nothing has."""
    return [name for name in job.spec.env if name not in given]


async def restart(manager: JobManager, job: Job, given: dict[str, str], client: str, *, kill: bool = False) -> Started:
    """Start a job's command again, with `given` over its environment; with `kill` a job that runs is ended first.

    Raises InvalidInput where it runs, or where values are missing, or as a start and a kill do.
    """
    spec = job.spec
    whole = kept_environment(job)
    if isinstance(job, StartingJob) or not (kill or isinstance(job, EndedJob)):
        raise InvalidInput(f"Job {spec.job_id!r} still runs", f"End it first: restart --kill {spec.job_id}")
    if whole is None and (names := missing(job, given)):
        raise InvalidInput(
            f"What an agent gave job {spec.job_id!r} for {', '.join(names)} is not kept",
            "Give each with --env NAME=VALUE",
        )
    if whole is not None:
        given = {name: whole[name] for name in spec.env if name in whole} | given  # whose names are recorded anew
    working_folder(spec.cwd, None)
    command = manager.view.command(spec.job_id)
    if not isinstance(job, EndedJob):
        await manager.kill(spec.job_id, person=True)
    started = manager.start(
        Request(
            command,
            spec.name,
            spec.cwd,
            given,
            spec.timeout,
            spec.separate_stderr,
            client,
            whole=whole,
            restart_of=spec.job_id,
        )
    )
    take_place(manager, job, started)
    return started


def take_place(manager: JobManager, old: Job, started: Started) -> None:
    """Show the new job's window where the old one's was, which is closed; nothing where that is not there any more."""
    run = run_of(old)
    if run is None:
        return
    pane = manager.tmux.pane(old.spec.job_id, run)
    with suppress(JobError):  # beside it, then
        pane.perform(
            [["swap-window", "-d", "-s", started.pane, "-t", run.pane], ["kill-pane", "-t", run.pane]], only_if=ALONE
        )
