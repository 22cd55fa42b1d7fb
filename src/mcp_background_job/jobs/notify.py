"""Has the person's command (MCP_BG_NOTIFY) run when a job ends or needs a person: starts the notifier, and runs it.

The notifier (notifier.py) is a process of its own, which outlives the server that started it. Promises: the command is
on no command line but its own and in no job's environment; nobody waits for it; it is killed after LIMIT, and with it
all that it started.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from mcp_background_job.config import JOB_VARIABLE, PREFIX, BackgroundJobConfig
from mcp_background_job.store.notices import expect, is_told_by
from mcp_background_job.supervisor.process_tree import descendants, send
from mcp_background_job.system import PORTABLE
from mcp_background_job.tmux.programs import own_python

LIMIT = 10.0  # seconds that one command may take
ROUNDS = 50  # looks at most for what is to be killed: what was forked during the last one is found by the next
DETACHED = '"$@" </dev/null >/dev/null 2>&1 &'  # so that the notifier is nobody's child
# What the notifier, and the person's command in it, are told of the settings.
PASSED_ON = ("MCP_BG_SESSION", "MCP_BG_STATE_DIR", "MCP_BG_TMUX_SOCKET")


def ensure_notifier(config: BackgroundJobConfig, session_folder: Path, job_folder: Path | None = None) -> None:
    """Have a notifier for the session's jobs, where the person has set a command; `job_folder`: of one just started."""
    if config.notify is None:
        return
    if job_folder is not None:
        expect(job_folder)
    if is_told_by(session_folder, config.notify):
        return
    program = [*own_python(), "-m", "mcp_background_job.jobs.notifier"]
    with suppress(OSError):  # too many processes: the next job's start tries again
        subprocess.run(
            ["/bin/sh", "-c", DETACHED, "sh", *program],
            env=notifier_environment(config),
            cwd="/",
            start_new_session=True,
            check=False,
        )


def notifier_environment(config: BackgroundJobConfig) -> dict[str, str]:
    """This process's, in which a desktop's programs find their session, and of our settings what names the jobs."""
    given = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX) or name == PORTABLE}
    values = (config.session_name, str(config.state_dir), config.tmux_socket_name or "")
    settings = dict(zip(PASSED_ON, values, strict=True)) | {"MCP_BG_NOTIFY": config.notify or ""}
    return given | {name: value for name, value in settings.items() if value}


def command_environment(event: str, job_id: str, name: str, status: str, exit_code: int | None) -> dict[str, str]:
    """The environment of the command for one event; the command itself is not in it."""
    given = {name: value for name, value in os.environ.items() if name not in ("MCP_BG_NOTIFY", "MCP_BG_EXIT_CODE")}
    told = {"MCP_BG_EVENT": event, JOB_VARIABLE: job_id, "MCP_BG_JOB_NAME": name, "MCP_BG_STATUS": status}
    return given | told | ({} if exit_code is None else {"MCP_BG_EXIT_CODE": str(exit_code)})


def run_command(command: str, environment: Mapping[str, str], limit: float = LIMIT) -> str:
    """Run the person's command by `sh -c` and wait for its end; what went wrong, empty if nothing did.

    This process must be a child subreaper with no other children.
    """
    before = {(process.pid, process.started) for process in descendants()}  # what earlier ones have left on purpose
    home = Path.home()
    try:
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            env=environment,
            cwd=home if home.is_dir() else "/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        return f"it can't be started: {error.strerror}"
    try:
        code = process.wait(limit)
    except subprocess.TimeoutExpired:
        # All at once, while the shell lives: without a subreaper what has left its session is known by its parent.
        for _ in range(ROUNDS):
            left = [one for one in descendants(process.pid) if (one.pid, one.started) not in before]
            if not left:
                break
            for one in left:
                send(one, signal.SIGKILL)
        process.wait()
        return f"it was killed after {limit:g} seconds"
    finally:
        reap_adopted()
    return "" if code == 0 else f"it ended with exit code {code}" if code > 0 else f"signal {-code} ended it"


def reap_adopted() -> None:
    """Collect the ended children that this process has been given."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
