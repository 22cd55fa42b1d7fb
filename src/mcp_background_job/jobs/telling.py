"""A person is told when one job ends: by the job's own window, for as long as its tmux server lives.

The runner has tmux run a command that stands in an option of the pane, once the exit record is there; so no server,
board or notifier has to be alive. A runner that was killed leaves that to a hook of the pane: tmux (3.3a) may notice
that a pane's program has ended only when the next one does. Promise: the command passes no format of tmux, and is the
menu's program with this session's settings.
"""

from __future__ import annotations

import shlex

from mcp_background_job.errors import InvalidInput
from mcp_background_job.store.models import Job, run_of
from mcp_background_job.supervisor.pane import TELL
from mcp_background_job.tmux.panes import JobPane
from mcp_background_job.tmux.programs import program_argv

from .manager import JobManager
from .notify import ensure_notifier

ALIVE = "#{!=:#{pane_dead},1}"


def tell_when_it_ends(manager: JobManager, job: Job) -> None:
    """Have the end told on the terminals that are attached then, and by this process's MCP_BG_NOTIFY, if it has one.

    Raises InvalidInput for a job that has ended, or TmuxError.
    """
    job_id, pane = job.spec.job_id, pane_of(manager, job)
    ensure_notifier(manager.config, manager.store.folder, manager.view.folder(job_id))
    argv = [*program_argv(manager.config, "menu"), f"--state={manager.store.folder}", f"--job={job_id}", "tell-end"]
    commands = [
        ["set-option", "-p", "-t", pane.pane, TELL, shlex.join(argv)],
        ["set-hook", "-p", "-t", pane.pane, "pane-died", f"run-shell -b '#{{{TELL}}}'"],
    ]
    if pane.perform(commands, only_if=ALIVE) is not None:
        raise ended(job_id)


def tell_no_more(manager: JobManager, job: Job) -> None:
    """Raises InvalidInput for a job that has ended, or TmuxError."""
    pane = pane_of(manager, job)
    commands = [["set-option", "-pu", "-t", pane.pane, TELL], ["set-hook", "-p", "-t", pane.pane, "pane-died", ""]]
    if pane.perform(commands) is not None:
        raise ended(job.spec.job_id)


def is_to_be_told(manager: JobManager, job: Job) -> bool:
    """Whether the person has asked for it, the job having ended or not."""
    run = run_of(job)
    if run is None:
        return False
    return bool(manager.tmux.server_at(run.socket).run("show-options", "-pqv", "-t", run.pane, TELL).stdout)


def pane_of(manager: JobManager, job: Job) -> JobPane:
    run = run_of(job)
    if run is None:
        raise InvalidInput(f"Job {job.spec.job_id!r} has no window yet", "Try it again")
    return manager.tmux.pane(job.spec.job_id, run)


def ended(job_id: str) -> InvalidInput:
    return InvalidInput(f"Job {job_id!r} has ended", f"See how: mcp-background-job status {job_id}")
