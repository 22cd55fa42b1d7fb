"""The commands that wait for a job: run --wait, wait, send.

Promises: what a job prints is shown once and whole; Ctrl-C ends the command, never the job; the exit status of a wait
is the job's own.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from mcp_background_job import responses
from mcp_background_job.errors import InvalidInput, WrongUsage
from mcp_background_job.jobs.launch import Request
from mcp_background_job.jobs.manager import JobManager
from mcp_background_job.jobs.matching import check_pattern
from mcp_background_job.jobs.waiting import Watch, wait_for
from mcp_background_job.jobs.watched import Outcome
from mcp_background_job.responses.fields import OutcomeAnswer
from mcp_background_job.store.models import EndedJob, Exited, Job, Signaled
from mcp_background_job.ui.console import end_last_line, note, print_json, print_page, progress
from mcp_background_job.ui.looks import dress_for
from mcp_background_job.ui.wording import ending_line, label

from .follow import Follower, follow, run_to_end
from .lookup import find_job
from .settings import settings

FOREVER = 10 * 365 * 86400.0  # seconds
TIMED_OUT, NO_CODE = 124, 125
CLIENT = "terminal"  # who started a job, or typed into it


def run(options: argparse.Namespace) -> int:
    """Start a job; with --wait stay with it to its end."""
    manager = JobManager(settings())
    words = options.words[1:] if options.words[:1] == ["--"] else options.words
    if not words:
        raise WrongUsage("No command is given", "Give it as one word, or as a program and its arguments")
    command = words[0] if len(words) == 1 else shlex.join(words)
    cwd = str(Path.cwd() / Path(options.cwd).expanduser())
    env = environment(options.env)
    started = manager.start(Request(command, options.name, cwd, env, options.timeout, options.separate_stderr, CLIENT))
    job = manager.view.job(started.job_id)
    if not options.wait:
        if options.json:
            print_json({"job_id": started.job_id, "status": "running", "attach": started.attach})
        else:
            print(started.job_id)
            if sys.stderr.isatty():
                print(f"  watch it:  mcp-background-job attach {started.job_id}", file=sys.stderr)
        return 0
    if options.json:
        ended = run_to_end(lambda: until_end(manager, started.job_id))
        found = manager.view.output(ended)
        fields: OutcomeAnswer = {"job_id": started.job_id}
        responses.add_page(fields, found, ended)
        responses.add_ending(fields, ended)
        print_json(fields)
    else:
        ended = run_to_end(lambda: follow(Follower(manager.view, job, dress=dress_for(manager.view, job, options))))
        if sys.stderr.isatty():
            note(ending_line(ended))
    return exit_status(ended)


def environment(pairs: list[str]) -> dict[str, str]:
    """`K=V` arguments as a map.

    Raises WrongUsage.
    """
    for pair in pairs:
        if "=" not in pair:
            raise WrongUsage(f"--env {pair[:40]!r} has no value", "Write it as NAME=VALUE")
    return dict(pair.split("=", 1) for pair in pairs)


async def until_end(manager: JobManager, job_id: str) -> EndedJob:
    found = await wait_for(Watch(manager.view, [job_id]), "exit", FOREVER)
    assert isinstance(found.job, EndedJob)
    return found.job


def wait(options: argparse.Namespace) -> int:
    manager = JobManager(settings())
    jobs = jobs_to_wait_for(manager, options)
    if options.since is not None and len(jobs) > 1:
        raise WrongUsage("--since takes one job, and several are given", "Wait for one job, or leave --since out")
    since: dict[str, int] = {} if options.since is None else {str(job.spec.job_id): options.since for job in jobs}
    watched = Watch(manager.view, [job.spec.job_id for job in jobs], options.pattern, since, person=True)
    seconds = options.timeout if options.timeout is not None else FOREVER
    names = ", ".join(job.spec.name for job in jobs[:3]) + (", …" if len(jobs) > 3 else "")

    async def waited() -> Outcome:
        await check_pattern(options.pattern)
        return await wait_for(watched, options.until, seconds)

    with progress(f"waiting for {names}"):
        found = run_to_end(waited)
    if options.json:
        print_json({"job_id": found.job.spec.job_id} | responses.outcome(found))
    elif isinstance(found.job, EndedJob):
        print(ending_line(found.job))
    else:
        print(f"{label(found.job)}: {why(found)}")
    return wait_status(found, bool(options.pattern) or options.until != "exit")


def jobs_to_wait_for(manager: JobManager, options: argparse.Namespace) -> list[Job]:
    """Those that are named; with --any and none named, all that run.

    Raises JobNotFound, WrongUsage for no name without --any, or InvalidInput where none runs.
    """
    if options.jobs:
        return [find_job(manager, given) for given in options.jobs]
    if not options.any:
        raise WrongUsage("No job is given", "Name one, or give --any for all that run")
    running: list[Job] = [job for job in manager.view.jobs(include_all=False).jobs if not isinstance(job, EndedJob)]
    if not running:
        raise InvalidInput("No job is running", "Start one first")
    return running


def why(found: Outcome) -> str:
    """Why a wait ended, after the job's name."""
    return {
        "match": "matched",
        "input": f"waits for input ({found.awaiting})",
        "quiet": "is quiet",
        "handback": "was handed back to the agents",
        "timeout": "still running",
    }.get(found.reason, found.reason)


def wait_status(found: Outcome, wanted_more: bool) -> int:
    """0 for what was waited for; a job that ended instead has never done it, whatever its exit code."""
    if found.reason == "timeout":
        return TIMED_OUT
    if found.reason == "exit" and isinstance(found.job, EndedJob):
        code = exit_status(found.job)
        return code or 1 if wanted_more else code
    return 0


def exit_status(job: EndedJob) -> int:
    """The job's own exit code, 128+n for signal n; a job that was killed has not succeeded."""
    if isinstance(job.end, Signaled):
        return 128 + job.end.signal
    if isinstance(job.end, Exited):
        return 1 if job.end.code == 0 and job.end.status == "killed" else job.end.code
    return NO_CODE


def send(options: argparse.Namespace) -> int:
    """Type as a person: also into a job whose keys a person holds."""
    manager = JobManager(settings())
    job = find_job(manager, options.job)
    if not options.text and not options.key:
        raise WrongUsage("There is nothing to send", "Give the text, or a key with --key")
    text, keys, enter = options.text, options.key, not options.no_enter
    with progress(f"waiting for {job.spec.name} to answer"):
        found = run_to_end(
            lambda: manager.interact(job.spec.job_id, text, keys, enter, options.timeout, who=CLIENT, person=True)
        )
    if options.json:
        print_json(responses.outcome(found))
        return 0
    print_page(responses.outcome(found))
    end_last_line(found.page.stdout)
    return 0
