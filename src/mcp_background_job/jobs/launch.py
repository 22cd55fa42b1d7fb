"""What a job needs before its window is opened: a command that may run, a folder, an environment.

Promise: whatever can't be started is refused here, before anything of it exists.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mcp_background_job.config import JOB_VARIABLE, BackgroundJobConfig
from mcp_background_job.errors import InvalidInput, NotAllowed
from mcp_background_job.store.clock import boot_id
from mcp_background_job.store.models import JobId, Launch, Spec, new_nonce, summary_of
from mcp_background_job.text import one_line
from mcp_background_job.tmux.client import tmux_binary
from mcp_background_job.tmux.panes import COLUMNS, ROWS
from mcp_background_job.tmux.quoting import pipe_command

from .environment import BaseEnvironment, job_environment
from .shells import with_init

# -I and -S: nothing of the person's Python set-up, and a start of 15 ms. Paths are bytes, whatever the locale.
ENTRYPOINT = (sys.executable, "-I", "-S", "-X", "utf8", str(Path(__file__).parents[1] / "supervisor" / "entrypoint.py"))
GRACE = 5.0  # seconds between the signal and KILL
BASH = "/bin/bash"  # before another on PATH: what is tried out in a terminal is then the same
MAX_COMMAND = 1_000_000  # bytes
MAX_NAME = 80  # characters


@dataclass(frozen=True)
class Request:
    """What a caller wants to have run."""

    command: str
    name: str = ""
    cwd: str = ""
    env: Mapping[str, str] | None = None
    timeout: float | None = None  # seconds
    separate_stderr: bool = False
    client: str = ""
    whole: Mapping[str, str] | None = None  # the environment that an earlier run had, instead of the server's own
    restart_of: str = ""  # the earlier run's id


@dataclass(frozen=True)
class Started:
    """A job that was started, and where to look at it."""

    job_id: str
    attach: str
    pane: str


@dataclass(frozen=True)
class Prepared:
    """All that goes into the folder of a job that is about to be started, and what its window runs."""

    spec: Spec
    command: bytes
    environment: Mapping[str, str]
    launch: Launch
    runner: tuple[str, ...]


def prepare(
    config: BackgroundJobConfig, request: Request, job_id: JobId, folder: Path, socket: str, base: BaseEnvironment
) -> Prepared:
    """The launch of `request` as job `job_id` in `folder`, its `env` over `base`.

    Raises InvalidInput, NotAllowed or TmuxMissing.
    """
    command = checked_command(request.command, request.env, config)
    cwd = working_folder(request.cwd, config.working_directory)
    if request.whole is None:
        environment = job_environment(base.get(), request.env or {}, job_id, request.command)
    else:
        environment = {**request.whole, **(request.env or {}), JOB_VARIABLE: job_id}
    spec = Spec(
        job_id=job_id,
        name=one_line(request.name)[:MAX_NAME] or name_from(request.command),
        summary=summary_of(request.command),
        cwd=cwd,
        started=time.time(),
        started_monotonic=time.monotonic(),
        boot=boot_id(),
        timeout=request.timeout if request.timeout is not None else config.default_job_timeout,
        separate_stderr=request.separate_stderr,
        nonce=new_nonce(),
        socket=socket,
        client=request.client,
        env=tuple(request.env or ()),
        restart_of=request.restart_of,
    )
    launch = Launch(
        cwd=cwd,
        shell=job_shell(),
        timeout=spec.timeout,
        grace=GRACE,
        umask=current_umask(),
        rows=ROWS,
        columns=COLUMNS,
        separate_stderr=request.separate_stderr,
        nonce=spec.nonce,
        log_limit=config.max_output_size_bytes,
        tmux=tmux_binary(),
        instead=with_init(request.command),
        pipe=pipe_command([*ENTRYPOINT, "logwriter", str(folder)]),
    )
    return Prepared(spec, command, environment, launch, (*ENTRYPOINT, "runner", str(folder)))


def checked_command(command: str, env: Mapping[str, str] | None, config: BackgroundJobConfig) -> bytes:
    """The command's bytes, if it may run.

    Raises InvalidInput or NotAllowed.
    """
    command = unix_lines(command)
    try:
        data = command.encode()
    except UnicodeEncodeError:
        raise InvalidInput("The command is not valid Unicode", "Send it as plain text") from None
    if not command.strip():
        raise InvalidInput("The command is empty", "Give the shell command to run")
    if "\0" in command:
        raise InvalidInput("The command has a NUL character", "Remove it: no shell can read one")
    if len(data) > MAX_COMMAND:
        raise InvalidInput(
            f"The command is {len(data)} bytes long, the limit is {MAX_COMMAND}", "Write it to a file and run that"
        )
    patterns = config.allowed_command_patterns
    if patterns:
        from .allowlist import check_command

        check_command(command, patterns)
        if env:
            # PATH, LD_PRELOAD or BASH_ENV would let an allowed name run anything.
            raise NotAllowed("env can't be set", patterns)
    for key, value in (env or {}).items():
        if not key or "=" in key or "\0" in key + value:
            raise InvalidInput(f"env has the name {key[:40]!r}", "Use names without = and text without NUL")
    return data


def unix_lines(command: str) -> str:
    """A command whose lines all end as on Windows, as a shell reads it."""
    return command.replace("\r\n", "\n") if command.count("\r\n") == command.count("\n") else command


def working_folder(cwd: str, base: Path | None) -> str:
    """The absolute folder to run in; relative to `base`, or to the server's own.

    Raises InvalidInput where it can't be entered.
    """
    if "\0" in cwd:
        raise InvalidInput("cwd has a NUL character", "Give an existing folder")
    folder = (base or Path.cwd()) / Path(cwd).expanduser()
    # os.path's: a name that is too long is no folder, and no error either.
    if not os.path.isdir(folder) or not os.access(folder, os.X_OK):  # noqa: PTH112
        raise InvalidInput(f"cwd {cwd[:200]!r} is not a folder that can be entered", "Give an existing folder")
    return str(folder)


def name_from(command: str) -> str:
    """The name of a job that was given none."""
    return one_line(command)[:40]


def job_shell() -> str:
    """bash where there is one that can be run, else sh; never the person's own $SHELL."""
    return shutil.which(BASH) or shutil.which("bash") or "/bin/sh"


def current_umask() -> int:
    """This process's umask; reading it needs setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
