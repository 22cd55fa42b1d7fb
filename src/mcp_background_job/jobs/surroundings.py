"""What this system lacks for jobs: told at a server's start and by `doctor`, before a job needs it."""

from __future__ import annotations

import os
from collections.abc import Iterator

from mcp_background_job.errors import JobError
from mcp_background_job.supervisor.process_tree import processes
from mcp_background_job.tmux.client import TmuxServer, tmux_binary
from mcp_background_job.tmux.place import check_terminals

from .view import JobView


def lacks(view: JobView, tmux: TmuxServer) -> Iterator[JobError]:
    """One error for each thing that is missing, whose text says what to do."""
    for check in (tmux_binary, tmux.check_place, check_terminals, check_processes, view.store.check_writable):
        try:
            check()
        except JobError as error:
            yield error


def check_processes() -> None:
    """Raises JobError where no process can be seen, so that none could be ended."""
    if os.getpid() not in {process.pid for process in processes()}:
        raise JobError("Neither /proc nor ps tells of processes, so no job could be killed. Mount proc on /proc.")
