"""`mcp-background-job notify`, as MCP_BG_NOTIFY: shows an event on the terminals of those who are attached.

And `notify-me`: the end of one job, without that setting.
"""

from __future__ import annotations

import argparse
import os
from contextlib import suppress

from mcp_background_job.config import JOB_VARIABLE
from mcp_background_job.errors import JobNotFound, WrongUsage
from mcp_background_job.jobs.manager import JobManager
from mcp_background_job.jobs.telling import is_to_be_told, tell_no_more, tell_when_it_ends
from mcp_background_job.store.models import run_of
from mcp_background_job.tmux.terminals import tell_terminals
from mcp_background_job.ui.wording import label

from .lookup import find_job
from .settings import settings

WORDS = {"input": "needs your input", "handoff": "was handed to you", "handback": "was handed back"}


def notify(options: argparse.Namespace) -> int:
    """Tell of the event that the environment names; nobody attached, or all looking at the job, is no failure."""
    job_id, event = os.environ.get(JOB_VARIABLE, ""), os.environ.get("MCP_BG_EVENT", "")
    if not job_id or not event:
        raise WrongUsage("There is no event to tell of", "Set MCP_BG_NOTIFY='mcp-background-job notify' for the server")
    manager = JobManager(settings())
    socket, pane = "", ""
    with suppress(JobNotFound):
        job = manager.view.job(job_id)
        if event == "ended" and is_to_be_told(manager, job):
            return 0  # by the job's own window
        if (run := run_of(job)) is not None:
            socket, pane = run.socket, run.pane
    tell_terminals(manager.tmux.server_at(socket), manager.tmux.name, pane, sentence(event))
    return 0


def notify_me(options: argparse.Namespace) -> int:
    """Have the end of one job told, or no more, as the menu does."""
    manager = JobManager(settings())
    job = find_job(manager, options.job)
    (tell_no_more if options.undo else tell_when_it_ends)(manager, job)
    print(
        f"{label(job)}: its end is {'not ' if options.undo else ''}told on the terminals attached to its tmux server."
    )
    return 0


def sentence(event: str) -> str:
    """`build has ended: failed, exit 1`"""
    name, status = os.environ.get("MCP_BG_JOB_NAME", "A job"), os.environ.get("MCP_BG_STATUS", "")
    code = os.environ.get("MCP_BG_EXIT_CODE", "")
    if event == "ended":
        return f"{name} has ended: {status}{', exit ' + code if code else ''}"
    return f"{name} {WORDS.get(event, event)}"
