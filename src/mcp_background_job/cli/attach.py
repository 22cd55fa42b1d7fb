"""`mcp-background-job attach`: from a terminal to a job's window.

Promises: the tmux client takes this process's place, so nothing stands between the person and tmux; where another
looks at the session already, the person gets a session of their own in the same group, so that each can look at a
different job, and it ends when they leave; a person who is inside that tmux server is switched, not nested.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from mcp_background_job.errors import InvalidInput, TmuxError
from mcp_background_job.jobs.manager import JobManager
from mcp_background_job.store.models import Job, run_of
from mcp_background_job.tmux.client import PATIENCE, tmux_binary
from mcp_background_job.tmux.group import session_options
from mcp_background_job.tmux.people import people
from mcp_background_job.tmux.quoting import join_commands, own_socket

from .lookup import find_job
from .settings import settings


@dataclass(frozen=True)
class Target:
    """Where to go: a session on a tmux server, and a window of it."""

    socket: str
    session: str
    window: str  # tmux's id, empty for the session's current one

    @property
    def name(self) -> str:
        return f"={self.session}:{self.window}"


def attach(options: argparse.Namespace) -> int:
    """Go to a job's window; returns only where the person was switched there."""
    manager = JobManager(settings())
    target = find_target(manager, find_job(manager, options.job) if options.job else None)
    taken = any(person.session == target.session for person in people(manager.tmux.server_at(target.socket)))
    setup = own_session(manager, target, f"{target.session}-{os.getpid()}") if taken else []
    if is_inside(target.socket):
        return switch(manager, target, setup, options.read_only)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise InvalidInput("attach needs a terminal", "Run it in one, or read the job with tail or output")
    require_known_terminal()
    # tmux refuses to nest one server in another, which is what a person who asks for it wants.
    environment = {name: value for name, value in os.environ.items() if name not in ("TMUX", "TMUX_PANE")}
    flags = ["-f", "read-only,ignore-size"] if options.read_only else []
    if setup:
        first = [*setup[0], *flags]
        commands = [first, *setup[1:]]
    else:
        commands = [["attach-session", *flags, "-t", target.name]]
    binary = tmux_binary()
    sys.stdout.flush()
    os.execve(binary, [binary, "-S", target.socket, *join_commands(commands)], environment)


def require_known_terminal() -> None:
    """Raises InvalidInput for a TERM that this machine has no entry for, which tmux would only call unsuitable."""
    import curses

    term = os.environ.get("TERM", "")
    try:
        curses.setupterm(term or "unknown")
    except curses.error:
        raise InvalidInput(
            f"This machine doesn't know the terminal TERM={term!r}",
            "Put TERM=xterm-256color before the command, or copy the entry from where you sit: "
            "infocmp -x | ssh HOST -- tic -x -",
        ) from None


def find_target(manager: JobManager, job: Job | None) -> Target:
    """The session of jobs, made if there is none yet; or the window of `job`.

    Raises InvalidInput where the window is closed, or TmuxError.
    """
    if job is None:
        manager.store.open()
        manager.tmux.ensure()
        return Target(manager.tmux.server.socket, manager.tmux.name, "")
    run = run_of(job)
    if run is None or not manager.pane_is_open(job):
        raise InvalidInput(
            f"Job {job.spec.job_id!r} {'has no window yet' if run is None else 'no longer has a window'}",
            f"Read what it printed: mcp-background-job output {job.spec.job_id}",
        )
    server = manager.tmux.server_at(run.socket)
    if server is manager.tmux.server:
        manager.tmux.ensure()
    found = server.ask("display-message", "-p", "-t", run.pane, "#{window_id} #{session_name}")
    window, session = found[0].split(" ", 1)
    # A window of a group is in each of its sessions: ours is the way in.
    ours = server.run("list-windows", "-t", f"={manager.tmux.name}", "-F", "#{window_id}")
    return Target(server.socket, manager.tmux.name if window in ours.stdout else session, window)


def own_session(manager: JobManager, target: Target, name: str) -> list[list[str]]:
    """Commands that make a session of the same windows with the same options, which goes with its last client."""
    there = f"={target.session}:"
    commands = [["new-session", "-t", f"={target.session}", "-s", name]]
    for setting, option, value in session_options(manager.tmux.server_at(target.socket), there):
        commands.append([setting, "-t", f"={name}:", option, value])
    if target.window:
        commands.append(["select-window", "-t", f"={name}:{target.window}"])
    # Last: a session with nobody attached would end at once.
    commands.append(["set-option", "-t", f"={name}:", "destroy-unattached", "on"])
    return commands


def is_inside(socket: str) -> bool:
    """Whether this terminal is a pane of the tmux server at `socket`."""
    inside = own_socket()
    return bool(inside) and Path(inside).exists() and Path(inside).samefile(socket)


def switch(manager: JobManager, target: Target, setup: list[list[str]], read_only: bool) -> int:
    """Show the target in the tmux client that this pane is in.

    Raises InvalidInput or TmuxError; then no session was left behind.
    """
    if read_only:
        raise InvalidInput(
            "Inside the same tmux server, --read-only would lock your whole terminal", "Use a terminal outside of tmux"
        )
    commands = [["switch-client", "-t", target.name]]
    name = ""
    if setup:
        name = setup[0][-1]
        commands = [[*setup[0], "-d"], *setup[1:-1], ["switch-client", "-t", f"={name}:{target.window}"], setup[-1]]
    binary = tmux_binary()
    # With the person's own TMUX and TMUX_PANE, by which tmux finds their client.
    done = subprocess.run(
        [binary, "-S", target.socket, *join_commands(commands)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    if done.returncode != 0:
        if name:
            manager.tmux.server_at(target.socket).run("kill-session", "-t", f"={name}")
        raise TmuxError(f"tmux refused: {done.stderr.strip()}", "Attach from a terminal outside of tmux")
    return 0
