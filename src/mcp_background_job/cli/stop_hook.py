"""`mcp-background-job stop-hook`: what an agent's client runs when the agent wants to end its turn.

Claude Code and Codex (Stop) and Gemini CLI (AfterAgent) take exit status 2 with a text on stderr as "go on, and mind
this"; Cursor (stop) takes a JSON object. Promises: an agent is told of the jobs that it has started or asked about, and
of each once, so that a server that it keeps running holds up one turn; what goes wrong here holds up none.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from mcp_background_job.errors import JobError
from mcp_background_job.jobs.agents import own_records
from mcp_background_job.jobs.view import JobView
from mcp_background_job.store.models import Job, LiveJob
from mcp_background_job.text import one_line, shorten
from mcp_background_job.ui.console import print_json

from .settings import settings

GO_ON, FAILED = 2, 1
TOLD = "stop-hook-{}"  # a file in a job's folder: the agent of this process id was told that it runs
MOST = 5  # jobs that are named
NAME_WIDTH = 32


def stop_hook(options: argparse.Namespace) -> int:
    """GO_ON where there is something to tell."""
    given = said()
    if given.get("stop_hook_active") or given.get("loop_count"):
        return 0
    try:
        view = JobView(settings())
    except SystemExit:
        return FAILED  # and not GO_ON, which means something to an agent's client
    jobs = untold(view)
    if not jobs:
        return 0
    if options.cursor:
        print_json({"followup_message": reminder(view, jobs)})
        return 0
    print(reminder(view, jobs), file=sys.stderr)
    return GO_ON


def said() -> dict[str, Any]:
    """What the client tells its hook on stdin; nothing where that is no JSON object."""
    if sys.stdin.isatty():
        return {}
    try:
        found = json.loads(sys.stdin.buffer.read().decode("utf-8-sig"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def untold(view: JobView) -> list[Job]:
    """The agent's jobs that run and that it was not told of here; from now on it was."""
    found: dict[str, Job] = {}
    for record in own_records(view.store.folder):
        for job_id in record.jobs:
            try:
                job = view.job(job_id)
                if isinstance(job, LiveJob):
                    told = view.folder(job_id) / TOLD.format(record.pid)
                    os.close(os.open(told, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
                    found[job_id] = job
            except (JobError, OSError):
                continue  # it is gone, or was told; on a full disk nothing is told rather than again and again
    return list(found.values())


def reminder(view: JobView, jobs: Sequence[Job]) -> str:
    """`2 of your background jobs still run: …`"""
    named = [described(view, job) for job in jobs[:MOST]]
    more = [f"{len(jobs) - MOST} more"] if len(jobs) > MOST else []
    which = (
        "1 of your background jobs still runs" if len(jobs) == 1 else f"{len(jobs)} of your background jobs still run"
    )
    return f"{which}: {', '.join(named + more)}. Call wait if your answer depends on them; else say that they go on."


def described(view: JobView, job: Job) -> str:
    awaiting = view.awaiting(job)
    waits = f", waits for input: {awaiting}" if awaiting else ""
    return f"{shorten(one_line(job.spec.name), NAME_WIDTH)} ({job.spec.job_id}{waits})"
