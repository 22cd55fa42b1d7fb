"""What a job is told and what it prints is for nobody else: not on disk, not on a command line, not for other users."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from support.faults import log_writers
from support.rpc import Server, ToolError
from support.sandbox import Sandbox, ended, printed, run_job, shows
from support.waiting import wait_until

SECRET = "s3cret-0f-the-agent"
NOBODY = 65534
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "sh", "-c"]

as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root to be another user")
on_linux = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks into /proc")


def modes(folder: Path) -> dict[str, int]:
    return {str(path): stat.S_IMODE(path.lstat().st_mode) for path in (folder, *folder.rglob("*"))}


def holders(sandbox: Sandbox, what: str) -> set[int]:
    """The processes of a sandbox whose environment holds a text."""
    found = set()
    for process in sandbox.processes():
        with contextlib.suppress(OSError):
            if what.encode() in Path(f"/proc/{process.pid}/environ").read_bytes():
                found.add(process.pid)
    return found


class Watcher:
    """Reads every command line of the machine, again and again, until it is told to stop."""

    def __init__(self, text: str) -> None:
        self.text = text.encode()
        self.seen: list[bytes] = []
        self.rounds = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._over.is_set():
            for pid in os.listdir("/proc"):  # noqa: PTH208 - as fast as can be
                if pid.isdigit():
                    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123
                        words = file.read()
                        if self.text in words:
                            self.seen.append(words)
            self.rounds += 1

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(60)


# -- modes --------------------------------------------------------------------------------------------------


@pytest.mark.promise("private-files")
def test_every_folder_that_is_made_is_0700_though_the_umask_allows_all(sandbox: Sandbox) -> None:
    state = sandbox.root / "several" / "folders" / "deep"
    server = sandbox.server(umask=0, MCP_BG_STATE_DIR=str(state))
    run_job(server, "echo out; echo err >&2", separate_stderr=True)
    job_id = server.call("execute", command="cat")["job_id"]
    server.call("interact", job_id=job_id, input="x")
    server.call("handoff", job_id=job_id, message="look")
    found = modes(sandbox.root / "several")
    wrong = {path: oct(mode) for path, mode in found.items() if mode & 0o077}
    assert not wrong
    assert len(found) > 20


@pytest.mark.promise("private-state")
def test_a_state_folder_that_others_may_write_to_is_refused(sandbox: Sandbox) -> None:
    sandbox.state.mkdir()
    sandbox.state.chmod(0o777)
    with pytest.raises(ToolError, match="MCP_BG_STATE_DIR"):
        sandbox.server().call("execute", command="true")
    assert not sandbox.records() and not sandbox.windows()


def test_a_session_folder_that_was_opened_to_others_is_closed_again(sandbox: Sandbox) -> None:
    session = sandbox.state / "mcp-jobs"
    session.mkdir(parents=True)
    session.chmod(0o755)
    run_job(sandbox.server(), "true")
    assert stat.S_IMODE(session.stat().st_mode) == 0o700


# -- secrets ------------------------------------------------------------------------------------------------


@on_linux
@pytest.mark.promise("private-environment")
def test_a_secret_is_in_the_jobs_own_processes_and_nowhere_else(sandbox: Sandbox) -> None:
    server = sandbox.server(AGENT_SECRET=SECRET)
    with Watcher(SECRET) as watcher:
        plain = server.call("execute", command="echo up; exec cat")["job_id"]
        given = server.call("execute", command="echo up; exec cat", env={"MORE": SECRET + "-more"})["job_id"]
        apart = server.call("execute", command="echo up; exec cat", separate_stderr=True)["job_id"]
        for job_id in (plain, given, apart):
            shows(server, job_id, "up")
            server.call("interact", job_id=job_id, input="x")
        wait_until(lambda: watcher.rounds >= 10)
    assert not watcher.seen
    assert not [path for path, content in sandbox.stored_bytes() if SECRET.encode() in content]
    jobs = {server.call("status", job_id=job_id)["pid"] for job_id in (plain, given, apart)}
    # A tmux client has the server's for the moment between fork and exec.
    wait_until(lambda: holders(sandbox, SECRET) == jobs | {server.process.pid}, what="the secret in no other process")
    tmux = sandbox.tmux_server()
    assert tmux is not None and tmux.pid not in jobs
    assert SECRET not in sandbox.tmux("show-environment", "-g") + sandbox.tmux("show-environment", "-t", "mcp-jobs")


@on_linux
@pytest.mark.promise("private-environment")
def test_the_environment_is_gone_from_disk_once_the_job_runs(server: Server, shared: Sandbox) -> None:
    job_id = server.call("execute", command="echo $A; cat", env={"A": SECRET + "-printed"})["job_id"]
    shows(server, job_id, SECRET)
    assert not (shared.state / "mcp-jobs" / job_id / "environment").exists()


@pytest.mark.promise("private-environment")
def test_the_environment_of_a_job_that_never_came_to_run_is_gone_too(sandbox: Sandbox) -> None:
    folder = sandbox.root / "bin"
    folder.mkdir()
    tmux = folder / "tmux"
    tmux.write_text('#!/bin/sh\n[ "$1" = -V ] && exec echo tmux 3.4\necho no >&2\nexit 1\n')
    tmux.chmod(0o755)
    server = sandbox.server(PATH=f"{folder}:{os.environ['PATH']}", AGENT_SECRET=SECRET)
    with pytest.raises(ToolError, match="tmux refused"):
        server.call("execute", command="true")
    assert not [path for path, content in sandbox.stored_bytes() if SECRET.encode() in content]


@pytest.mark.promise("private-token")
def test_the_token_of_the_http_server_is_not_inherited_by_jobs(sandbox: Sandbox) -> None:
    token = "a-token-of-enough-characters"
    server = sandbox.server(MCP_BG_HTTP_TOKEN=token)
    assert token not in printed(server, "env; tmux show-environment -g; tmux show-environment")
    assert not [path for path, content in sandbox.stored_bytes() if token.encode() in content]


@pytest.mark.promise("no-secret-on-disk")
def test_what_is_typed_while_the_echo_is_off_is_nowhere_on_disk(server: Server, shared: Sandbox) -> None:
    command = "stty -echo; printf 'Password: '; read -r word; stty echo; echo; echo ${#word}"
    job_id = server.call("execute", command=command)["job_id"]
    shows(server, job_id, "Password: ")
    server.call("wait", job_ids=[job_id], until="input", timeout=50)
    server.call("interact", job_id=job_id, input=SECRET + "-typed")
    assert ended(server, job_id)["exit_code"] == 0
    assert f"{len(SECRET) + 6}\n" in server.call("output", job_id=job_id)["stdout"]
    folder = shared.state / "mcp-jobs"
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files and not [path for path in files if f"{SECRET}-typed".encode() in path.read_bytes()]


# -- a folder that isn't ours -------------------------------------------------------------------------------


@pytest.fixture(params=["state", "session"])
def place(request: pytest.FixtureRequest, sandbox: Sandbox) -> Iterator[Path]:
    """Where the state folder is to be, or the session's in it."""
    if request.param == "session":
        sandbox.state.mkdir(mode=0o700)
        yield sandbox.state / "mcp-jobs"
    else:
        yield sandbox.state


def refuses_everything(sandbox: Sandbox, job_id: str, folder: Path) -> None:
    before = listing(folder)
    server = sandbox.server()
    calls: dict[str, dict[str, object]] = {
        "execute": {"command": "true"},
        "list": {"all": True},
        "status": {"job_id": job_id},
        "output": {"job_id": job_id},
        "kill": {"job_id": job_id},
        "interact": {"job_id": job_id, "input": "x"},
    }
    for tool, arguments in calls.items():
        with pytest.raises(ToolError, match="MCP_BG_STATE_DIR"):
            server.call(tool, **arguments)
    wait_until(lambda: "tidying up failed" in server.stderr, what="the tidying, which begins by itself")
    assert listing(folder) == before
    assert not sandbox.windows()


def foreign_job(sandbox: Sandbox, maker: Server, made_in: Sandbox) -> tuple[Path, str]:
    """A state folder with the record of a job, as somebody else might prepare it."""
    job_id = run_job(maker, "echo bait")["job_id"]
    state = sandbox.root / "elsewhere"
    session = state / "mcp-jobs"
    shutil.copytree(made_in.state / "mcp-jobs" / job_id, session / job_id, ignore=fifos)
    os.utime(session / job_id / "exit.json", (0, 0))
    for folder in (state, session):
        folder.chmod(0o700)
    return state, job_id


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.lstat().st_mtime_ns, path.lstat().st_mode) for path in (folder, *folder.rglob("*"))}


@pytest.mark.promise("private-state")
def test_a_link_in_the_folders_place_is_refused_and_nothing_is_done(
    sandbox: Sandbox, place: Path, server: Server, shared: Sandbox
) -> None:
    state, job_id = foreign_job(sandbox, server, shared)
    place.symlink_to(state if place == sandbox.state else state / "mcp-jobs")
    refuses_everything(sandbox, job_id, state)


@as_root
@pytest.mark.promise("private-state")
def test_a_folder_of_another_user_is_refused_and_nothing_is_done(
    sandbox: Sandbox, place: Path, server: Server, shared: Sandbox
) -> None:
    state, job_id = foreign_job(sandbox, server, shared)
    (state if place == sandbox.state else state / "mcp-jobs").rename(place)
    os.chown(place, NOBODY, NOBODY)
    refuses_everything(sandbox, job_id, place)


def fifos(folder: str, found: list[str]) -> list[str]:
    return [name for name in found if stat.S_ISFIFO(Path(folder, name).lstat().st_mode)]


# -- another user of the machine ----------------------------------------------------------------------------


@as_root
@on_linux
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="there is no setpriv")
@pytest.mark.promise("private-files")
def test_another_user_can_read_type_and_end_nothing(sandbox: Sandbox) -> None:
    for folder in (sandbox.root, sandbox.home, sandbox.work, sandbox.sockets):
        folder.chmod(0o755)  # so that what protects the jobs is their own modes
    server = sandbox.server(umask=0, AGENT_SECRET=SECRET)
    job_id = server.call("execute", command="echo $AGENT_SECRET; cat")["job_id"]
    shows(server, job_id, SECRET)
    facts = server.call("status", job_id=job_id)
    folder = sandbox.state / "mcp-jobs" / job_id
    tty = os.readlink(f"/proc/{facts['pid']}/fd/0")  # noqa: PTH115
    tmux = sandbox.tmux_server()
    assert tmux is not None
    # Those that stay: the board has a tmux client now and then.
    pids = [server.process.pid, tmux.pid, facts["pid"], sandbox.runner(job_id).pid]
    pids += [writer.pid for writer in log_writers(sandbox, job_id)]
    assert len(pids) == 5

    def attempt(script: str) -> subprocess.CompletedProcess[str]:
        environment = {**sandbox.environment, "HOME": "/nonexistent", "BG_TEST_ID": "nobody"}
        return subprocess.run(
            [*AS_NOBODY, script], env=environment, cwd="/", capture_output=True, text=True, timeout=120
        )

    assert attempt(f"ls {sandbox.root}").stdout.split(), "the other user gets as far as our folders"
    socket = sandbox.tmux("display-message", "-p", "#{socket_path}")
    attempts = [
        f"ls {sandbox.state}",
        f"ls {folder.parent}",
        f"cat {folder}/command",
        f"cat {folder}/log/*.log {folder}/log/00000000000000000000.log",
        f"echo x > {folder}/control",
        f"echo 9 > {folder}/kill",
        f"ln -s /etc/passwd {folder.parent}/zzzzzz",
        f"tmux -S {socket} capture-pane -p -t mcp-jobs",
        f"tmux -S {socket} send-keys -t mcp-jobs x",
        f"cat {tty}",
        f"echo x > {tty}",
        *(f"cat /proc/{pid}/environ" for pid in pids),
        *(f"kill -9 {pid}" for pid in pids),
    ]
    for script in attempts:
        done = attempt(script)
        assert done.returncode != 0, f"{script}: {done.stdout!r}"
        assert done.stdout == ""
    assert all(psutil.pid_exists(pid) for pid in pids)
    assert server.call("output", job_id=job_id)["stdout"] == SECRET + "\n"
