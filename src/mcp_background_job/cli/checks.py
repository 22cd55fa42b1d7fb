"""What doctor checks, step by step: settings, tmux, folders, jobs, environments, and a tiny job from start to end.

Promises: each step may be run at any time, also while jobs run; the tiny jobs run in a session and a state folder of
their own, of which nothing is left; a finding that is wrong says what to do.
"""

from __future__ import annotations

import asyncio
import difflib
import os
import platform
import re
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mcp_background_job import __version__
from mcp_background_job.config import BackgroundJobConfig, ConfigError, load_config, unknown_variables
from mcp_background_job.errors import JobError
from mcp_background_job.jobs.environment import BaseEnvironment, in_words
from mcp_background_job.jobs.launch import Request, job_shell
from mcp_background_job.jobs.manager import JobManager
from mcp_background_job.jobs.surroundings import lacks
from mcp_background_job.store.models import EndedJob, RunningJob
from mcp_background_job.store.notices import last_failure
from mcp_background_job.supervisor.jobdir import TERMINALS, known_terminal
from mcp_background_job.tmux.client import TmuxServer, tmux_binary, version_text
from mcp_background_job.tmux.quoting import own_socket
from mcp_background_job.tmux.session import JobsSession
from mcp_background_job.ui.units import size
from mcp_background_job.ui.wording import label

Level = Literal["ok", "note", "wrong"]

LOW_DISK, NO_DISK = 500 << 20, 20 << 20  # bytes free: to mention, and to call wrong
PATIENCE = 15.0  # seconds for each step of the round trip
TOLD_FROM_TMUX = ("PATH", "LANG", "LC_ALL", "SSH_AUTH_SOCK", "DISPLAY", "WAYLAND_DISPLAY", "TMUX_TMPDIR")
SECRETS = re.compile(r"TOKEN|SECRET|PASSWORD|API_?KEY")
# Without echo: a question with it is told as one on Linux alone.
QUESTION = """printf 'question? '; stty -echo; read -r answer; printf 'got %s\\n' "$answer"; exit 7"""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    check: str
    text: str
    remedy: str = ""


def check_settings() -> Iterator[Finding]:
    """looking at the settings"""
    python = f"{platform.python_implementation()} {platform.python_version()} at {sys.executable}"
    yield Finding("ok", "program", f"mcp-background-job {__version__}, {python}")
    known = [str(field.validation_alias) for field in BackgroundJobConfig.model_fields.values()]
    for name in unknown_variables():
        close = difflib.get_close_matches(name, known, 1)
        remedy = f"Did you mean {close[0]}?" if close else "Unset it; `mcp-background-job config` lists the settings"
        yield Finding("note", "settings", f"{name} is set, but is not a setting of this program", remedy)
    try:
        load_config()
    except ConfigError as error:
        problem, _, remedy = str(error).partition(": ")
        yield Finding("wrong", "settings", problem, remedy[:1].upper() + remedy[1:])
    else:
        ours = sum(name in os.environ for name in known)
        yield Finding("ok", "settings", f"{ours} set in this environment; the rest have their defaults")


def check_tmux() -> Iterator[Finding]:
    """asking tmux"""
    config = load_config()
    tmux = JobsSession(config, config.state_dir / config.session_name)
    binary = tmux_binary()
    version = version_text(binary)
    yield Finding("ok", "tmux", f"{version} at {binary}")
    listed = tmux.server.run("list-sessions", "-F", "#{version} #{socket_path} #{session_name}")
    if listed.returncode != 0:
        said = "; ".join(listed.stderr)
        if "no server running" in said or "No such file" in said or "no sessions" in said:
            yield Finding("ok", "tmux server", "not running yet; the first job starts it")
            return
        remedy = "Check who owns the socket, or set MCP_BG_TMUX_SOCKET to a name of its own for the jobs"
        yield Finding("wrong", "tmux server", f"can't be reached: {said}", remedy)
        return
    running, socket, _ = listed.stdout[0].split(" ", 2)
    yield Finding("ok", "tmux server", f"answers at {socket}")
    if running and running not in version:
        remedy = "It goes with its last session; jobs of another MCP_BG_TMUX_SOCKET get a server of the new version"
        yield Finding("note", "tmux server", f"runs tmux {running}, the program is {version}", remedy)
    if any(line.split(" ", 2)[2] == config.session_name for line in listed.stdout):
        yield from check_session(tmux, config.session_name)
    else:
        yield Finding("ok", "session", f"{config.session_name} does not exist yet; the first job creates it")
    yield from check_outer_keys(tmux, config.menu_key.split())


def check_session(tmux: JobsSession, session: str) -> Iterator[Finding]:
    """Whether the session has the options that keep jobs alive."""
    options = dict(line.partition(" ")[::2] for line in tmux.server.run("show-options", "-t", f"={session}:").stdout)
    if "@mcp_jobs" not in options:
        remedy = "The next job sets its options; for a separate session set MCP_BG_SESSION to another name"
        yield Finding("note", "session", f"{session} exists, but was not made by this program", remedy)
    elif options.get("destroy-unattached") != "off":
        remedy = f"tmux set-option -t ={session}: destroy-unattached off"
        yield Finding("wrong", "session", f"{session} would end with all jobs when you detach", remedy)
    else:
        attach, keys = tmux.attach_command(), tmux.look.keys()
        yield Finding("ok", "session", f"{session} exists with its options; attach to it: {attach}")
        yield Finding("ok", "keys", f"{keys.menu} opens the menu in a job's window, the prefix is {keys.prefix}")
    if tmux.server.run("show-options", "-sv", "exit-unattached").stdout == ["on"]:
        remedy = "tmux set-option -s exit-unattached off"
        yield Finding("wrong", "session", "the tmux server would end with all jobs when you detach", remedy)


def check_outer_keys(tmux: JobsSession, keys: list[str]) -> Iterator[Finding]:
    """Whether what is around this terminal takes the menu's keys, as far as it tells."""
    remedy = "Set MCP_BG_MENU_KEY to another key, such as M-m, or use the commands take, give, kill, again, history"
    if "GUAKE_TAB_UUID" in os.environ and keys == ["F12"]:
        yield Finding(
            "note", "keys", "Guake, in which this terminal is, hides itself by F12 unless you changed that", remedy
        )
    outer = own_socket()
    if outer and outer != tmux.server.socket:
        server = TmuxServer(socket=outer)
        prefixes = server.run("display-message", "-p", "#{prefix} #{prefix2}").stdout
        taken = " ".join(prefixes).split()
        taken += [key for key in keys if server.run("list-keys", "-T", "root", key).stdout]
        lost = [key for key in keys if key in taken]
        if lost:
            yield Finding("note", "keys", f"the tmux around this terminal takes {', '.join(lost)} for itself", remedy)


def check_system() -> Iterator[Finding]:
    """looking at what jobs need of the system"""
    manager = JobManager(load_config())
    errors = [str(error).partition(". ") for error in lacks(manager.view, manager.tmux.server)]
    yield from (Finding("wrong", "system", problem, remedy) for problem, _, remedy in errors)
    if not known_terminal():
        remedy = "Install terminfo's basic entries (Debian: ncurses-base, Alpine: ncurses-terminfo-base)"
        yield Finding(
            "note", "system", f"terminfo has none of {', '.join(TERMINALS)}: full-screen programs fail", remedy
        )
    if not errors:
        yield Finding("ok", "system", f"has all that jobs need; they run by {job_shell()}")


def check_state() -> Iterator[Finding]:
    """looking at the state folder"""
    config = load_config()
    folder = config.state_dir
    there = folder
    while not there.exists():
        there = there.parent
    if there != folder:
        if os.access(there, os.W_OK | os.X_OK):  # else check_system says so
            yield Finding("ok", "state folder", f"{folder} does not exist yet; the first job creates it")
    else:
        yield from check_folder(folder)
        if (folder / config.session_name).exists():
            yield from check_folder(folder / config.session_name, private=True)
    free = shutil.disk_usage(there).free
    level: Level = "ok" if free >= LOW_DISK else "note" if free >= NO_DISK else "wrong"
    remedy = "Free some space, run `mcp-background-job clean --all`, or lower MCP_BG_MAX_OUTPUT_SIZE"
    yield Finding(level, "disk", f"{size(free)} free at {there}", "" if level == "ok" else remedy)


def check_folder(folder: Path, private: bool = False) -> Iterator[Finding]:
    """Owner, mode, and whether a file can be made in it."""
    facts = folder.lstat()
    mode = stat.S_IMODE(facts.st_mode)
    if not stat.S_ISDIR(facts.st_mode):
        yield Finding("wrong", "state folder", f"{folder} is a link or not a folder", "Replace it with your own folder")
    elif facts.st_uid != os.getuid():
        remedy = f"sudo chown -R {os.getuid()} {folder}, or set MCP_BG_STATE_DIR to another folder"
        yield Finding("wrong", "state folder", f"{folder} belongs to user {facts.st_uid}", remedy)
    elif private and mode & 0o077:
        remedy = f"chmod 700 {folder}"
        yield Finding("wrong", "state folder", f"{folder} has mode {mode:o}: other users may read the output", remedy)
    else:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
        yield Finding("ok", "state folder", f"{folder} is yours and writable, mode {mode:o}")


def check_jobs() -> Iterator[Finding]:
    """looking at the jobs"""
    manager = JobManager(load_config())
    found = manager.view.jobs(include_all=True)
    live = [job for job in found.jobs if not isinstance(job, EndedJob)]
    running = [job for job in live if isinstance(job, RunningJob)]
    limit = manager.config.max_concurrent_jobs
    text = f"{len(live)} running of at most {limit}, {len(found.jobs) - len(live)} finished jobs kept"
    if len(live) >= limit:
        yield Finding("note", "jobs", text, "No new job can start: end one, or raise MCP_BG_MAX_JOBS")
    else:
        yield Finding("ok", "jobs", text)
    if found.unreadable:
        remedy = f"Remove them from {manager.store.folder}"
        yield Finding("note", "jobs", f"not the record of a job: {', '.join(found.unreadable)}", remedy)
    for socket in {job.run.socket for job in running}:
        rows = manager.tmux.server_at(socket).run("list-panes", "-a", "-F", "#{pane_id} #{pane_pipe}").stdout
        unlogged = {row.split(" ")[0] for row in rows if row.endswith(" 0")}
        for job in running:
            if job.run.socket == socket and job.run.pane in unlogged:
                remedy = "Its supervisor starts another; if this persists, its output is only in its window"
                yield Finding("wrong", "jobs", f"{label(job)} has lost its log writer", remedy)


def check_environment() -> Iterator[Finding]:
    """comparing environments"""
    config = load_config()
    answer = JobsSession(config, config.state_dir / config.session_name).server.run("show-environment", "-g")
    if answer.returncode != 0:
        return
    theirs = dict(line.partition("=")[::2] for line in answer.stdout if "=" in line)
    stale = [name for name in TOLD_FROM_TMUX if name in os.environ and theirs.get(name) != os.environ[name]]
    dead = [name for name in ("SSH_AUTH_SOCK",) if name in theirs and not Path(theirs[name]).exists()]
    secret = sorted(name for name in theirs if SECRETS.search(name))
    if stale or dead:
        names = ", ".join(dict.fromkeys([*stale, *dead]))
        fix = f'tmux set-environment -g {(stale or dead)[0]} "…"'
        remedy = f"Jobs use their MCP server's environment; for windows that you open yourself: {fix}"
        yield Finding("note", "environment", f"the tmux server and this terminal differ in {names}", remedy)
    if secret:
        remedy = f"If you don't want it there: tmux set-environment -gu {secret[0]}"
        yield Finding("note", "environment", f"the tmux server holds {', '.join(secret)}", remedy)
    if not (stale or dead or secret):
        yield Finding("ok", "environment", "the tmux server and this terminal agree")


def check_login_shell() -> Iterator[Finding]:
    """asking the login shell"""
    config = load_config()
    if config.environment == "inherit":
        return
    begun = time.monotonic()
    told = BaseEnvironment(config.environment).told()
    took = (time.monotonic() - begun) * 1000
    if not told.problem:
        yield Finding("ok", "login shell", f"{told.shell} told its environment in {took:.0f} ms; jobs have that")
        return
    remedy = "See what its files exec or wait for; by MCP_BG_RESOLVING_ENVIRONMENT they can tell that nobody is there"
    yield Finding("note" if told.environment else "wrong", "login shell", in_words(told), remedy)


def check_notify() -> Iterator[Finding]:
    """looking at what MCP_BG_NOTIFY has done"""
    config = load_config()
    if config.notify is None:
        return
    failure = last_failure(config.state_dir / config.session_name)
    if failure:
        remedy = "Try it: MCP_BG_EVENT=ended MCP_BG_JOB_ID=x MCP_BG_JOB_NAME=x MCP_BG_STATUS=completed sh -c '…'"
        yield Finding("wrong", "MCP_BG_NOTIFY", f"the command has failed, {failure}", remedy)
    else:
        yield Finding("ok", "MCP_BG_NOTIFY", "the command has not failed")


def check_round_trip() -> Iterator[Finding]:
    """running a tiny job"""
    config = load_config()
    inside = config.state_dir if config.state_dir.is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix=".doctor-", dir=inside))
    own = {
        "session_name": f"{config.session_name[:40]}-doctor-{os.getpid()}",
        "state_dir": folder,
        "allowed_command_patterns": (),
        "default_job_timeout": PATIENCE * 4,
        "max_concurrent_jobs": 10,
        "environment": "inherit",
        "notify": None,
    }
    manager = JobManager(config.model_copy(update=own))
    begun = time.monotonic()
    try:
        problem = asyncio.run(round_trip(manager))
        took = (time.monotonic() - begun) * 1000
        if problem:
            yield Finding("wrong", "round trip", problem, "Please report this with the output of doctor --json")
        else:
            text = f"a job was started, asked, answered, read and ended, another killed, in {took:.0f} ms"
            yield Finding("ok", "round trip", text)
        if manager.tmux.look.complaints:
            said = "; ".join(manager.tmux.look.complaints)
            remedy = f"Fix {config.tmux_conf}, or unset MCP_BG_TMUX_CONF; the next session reads it again"
            yield Finding("note", "tmux.conf", f"tmux refuses some of it: {said}", remedy)
    finally:
        with suppress(JobError):
            manager.tmux.server.run("kill-session", "-t", f"={manager.config.session_name}")
        shutil.rmtree(folder, ignore_errors=True)


async def round_trip(manager: JobManager) -> str:
    """Do all that a job must be able to do; what failed, or nothing."""
    asked = manager.start(Request(QUESTION, "doctor")).job_id
    found = await manager.wait([asked], "input", PATIENCE, since={asked: 0})
    if found.reason != "input":
        return f"a job that asks a question was not detected as waiting ({found.reason})"
    found = await manager.interact(asked, "well", timeout=PATIENCE)
    if found.reason != "exit":
        found = await manager.wait([asked], "exit", PATIENCE)
    job = manager.view.job(asked)
    if not isinstance(job, EndedJob) or job.end.exitcode != 7:
        return f"a job that exits with 7 ended with {job.end.exitcode if isinstance(job, EndedJob) else 'nothing'}"
    if "got well" not in manager.view.output(job).stdout:
        return "the output of a job did not reach its log"
    slept = manager.start(Request("sleep 1000", "doctor")).job_id
    killed = await manager.kill(slept)
    return "" if killed.status == "killed" else f"a job that was killed is {killed.status}"


STEPS = (
    check_settings,
    check_system,
    check_tmux,
    check_state,
    check_jobs,
    check_environment,
    check_login_shell,
    check_notify,
    check_round_trip,
)
