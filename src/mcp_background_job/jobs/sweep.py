"""Tidying: the windows and the records of ended jobs go when their time has come.

Promises: one server of a session does it at a time; only panes that were opened for this state folder are closed; what
a person runs in a job's former pane is theirs.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from mcp_background_job.store.clients import sweep_clients
from mcp_background_job.store.lifelines import remove_broken
from mcp_background_job.store.models import EndedJob, run_of
from mcp_background_job.tmux.client import TmuxServer
from mcp_background_job.tmux.panes import JobPane, Pane, close_panes, list_panes, mark
from mcp_background_job.tmux.session import JobsSession

from .view import JobView

OURS = ("@mcp_job_id", "@mcp_state", "@mcp_status", "@mcp_holder", "@mcp_message")  # what makes a pane a job's


def sweep(view: JobView, tmux: JobsSession) -> bool:
    """Close the windows and remove the records that are due; False where another server is at it."""
    if not view.store.folder.is_dir():
        return True
    with view.store.sweeping() as alone:
        if alone:
            sweep_alone(view, tmux)
        return alone


def sweep_alone(view: JobView, tmux: JobsSession) -> None:
    store, config = view.store, view.config
    store.remove_half_made()
    sweep_clients(store.folder, config.retention_seconds)
    remove_broken(store.folder)
    # Ours also where no record is left that names it.
    sockets = {tmux.server.socket}
    ended: dict[str, EndedJob] = {}
    for job in store.load_all()[0]:
        if isinstance(job, EndedJob):
            ended[job.spec.job_id] = job
        # A runner that was killed at once has not said where it is.
        run = run_of(job)
        sockets.add(job.spec.socket if run is None else run.socket)
    ages = {job_id: store.age(job) for job_id, job in ended.items()}
    close_after = config.cleanup_interval_seconds
    due = {job_id: ended[job_id] for job_id, age in ages.items() if age > close_after}
    for socket in sockets:
        close_windows(view, tmux.server_at(socket), due)
    for job_id, age in ages.items():
        store.notice_clock(ended[job_id])
        if age > max(config.retention_seconds, close_after):
            store.discard(job_id)


def close_windows(view: JobView, server: TmuxServer, due: Mapping[str, EndedJob]) -> None:
    """Close our panes on one tmux server: those of jobs that are due, and those without a record."""
    if not Path(server.socket).exists() or shutil.which("tmux") is None:
        return
    doomed: list[Pane] = []
    for pane in list_panes(server):
        if pane.state != str(view.store.folder):
            continue
        job = due.get(pane.job_id)
        if job is None:
            if not view.folder(pane.job_id).is_dir():
                doomed.append(pane)
        elif pane.dead or job.run is None or pane.pid == job.run.runner:
            doomed.append(pane)
        else:
            # What a person has respawned in it is theirs, also when no record tells so any more.
            mark(JobPane(server, pane.pane, pane.job_id), dict.fromkeys(OURS, ""))
    close_panes(server, doomed)
