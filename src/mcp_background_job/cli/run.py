"""The person's commands that stay: tail -f, run --wait, wait, send.

Promises: what a job prints is shown once and whole; Ctrl-C ends the look, never the job; the exit status of a wait is
the job's own.
"""

from __future__ import annotations

import argparse
import asyncio
import shlex
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TypeVar

from mcp_background_job import responses
from mcp_background_job.errors import WrongUsage
from mcp_background_job.jobs.launch import Request
from mcp_background_job.jobs.manager import JobManager
from mcp_background_job.jobs.waiting import Outcome, Watch, wait_for
from mcp_background_job.store.models import EndedJob, Job
from mcp_background_job.ui.console import ending_line, label, note, print_json, print_page, progress

from .follow import Follower, follow, line_begins
from .lookup import find_job, settings

T = TypeVar("T")

FOREVER = 10 * 365 * 86400.0  # seconds
TIMED_OUT, NO_CODE = 124, 125
CLIENT = "terminal"  # who started a job, or typed into it


def run_to_end(work: Callable[[], Coroutine[object, object, T]]) -> T:
    """As asyncio.run, but quiet when Ctrl-C comes while the event loop is being made."""

    async def inside() -> T:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        return await work()

    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    return asyncio.run(inside())


def tail(options: argparse.Namespace) -> int:
    manager = JobManager(settings())
    job = find_job(manager, options.job)
    if options.follow and not options.json:
        return tail_on(manager, job, options.lines)
    if options.follow:
        raise WrongUsage("--follow has no JSON form", "Leave one of the two out")
    found = manager.view.tail(job, options.lines)
    if options.json:
        print_json(responses.page(found, job))
        return 0
    print_page(responses.page(found, job))
    if sys.stdout.isatty() and found.stdout and not found.stdout.endswith("\n"):
        print()
    return 0


def tail_on(manager: JobManager, job: Job, lines: int) -> int:
    """The last lines, and what comes after them; the unfinished last line belongs to what comes."""
    found = manager.view.tail(job, lines)
    cursor, out = found.cursor, found.stdout
    if not job.spec.separate_stderr:
        cursor = line_begins(manager.store.log(job.spec.job_id), found.cursor)
        out = out[: out.rfind("\n") + 1]
    print_page({"stdout": out, "stderr": found.stderr})
    ended = run_to_end(lambda: follow(Follower(manager, job, cursor)))
    if sys.stderr.isatty():
        note(ending_line(ended))
    return 0


def run(options: argparse.Namespace) -> int:
    """Start a job; with --wait stay with it to its end."""
    manager = JobManager(settings())
    words = options.words[1:] if options.words[:1] == ["--"] else options.words
    if not words:
        raise WrongUsage("There is no command to run", "Give it as one word, or as a program and its arguments")
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
        fields: responses.OutcomeAnswer = {"job_id": started.job_id}
        responses.add_page(fields, found, ended)
        responses.add_ending(fields, ended)
        print_json(fields)
    else:
        ended = run_to_end(lambda: follow(Follower(manager, job)))
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
    jobs = [find_job(manager, given) for given in options.jobs]
    if options.since is not None and len(jobs) > 1:
        raise WrongUsage("--since is for one job, and several are given", "Wait for one job, or leave --since out")
    watched = Watch(manager.view, [job.spec.job_id for job in jobs], options.pattern, options.since, person=True)
    seconds = options.timeout if options.timeout is not None else FOREVER
    names = ", ".join(job.spec.name for job in jobs[:3]) + (", …" if len(jobs) > 3 else "")
    with progress(f"waiting for {names}"):
        found = run_to_end(lambda: wait_for(watched, options.until, seconds))
    if options.json:
        print_json({"job_id": found.job.spec.job_id} | responses.outcome(found))
    elif isinstance(found.job, EndedJob):
        print(ending_line(found.job))
    else:
        print(f"{label(found.job)}: {why(found)}")
    return wait_status(found, bool(options.pattern) or options.until != "exit")


def why(found: Outcome) -> str:
    """A wait's reason in a person's words."""
    return {
        "match": "matched",
        "input": f"waits for input ({found.awaiting})",
        "quiet": "is quiet",
        "handback": "the agents have its keys",
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
    if job.end.signal is not None:
        return 128 + job.end.signal
    if job.end.code is None:
        return NO_CODE
    return 1 if job.end.code == 0 and job.end.status == "killed" else job.end.code


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
    if sys.stdout.isatty() and found.page.stdout and not found.page.stdout.endswith("\n"):
        print()
    return 0
