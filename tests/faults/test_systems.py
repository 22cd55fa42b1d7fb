"""Systems that lack something: jobs run all the same, or one line at the start and in `doctor` says what is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mcp_background_job.supervisor.jobdir import TERMINFO
from support.person import Person
from support.rpc import Server, ToolError
from support.sandbox import Sandbox, shows
from support.terminal import answer
from support.waiting import wait_until

NAMESPACES = ["unshare", "-Ur", "-m", "sh", "-c"]
can_unshare = pytest.mark.skipif(
    not shutil.which("unshare")
    or subprocess.run([*NAMESPACES, "mount -t tmpfs none /mnt"], capture_output=True).returncode != 0,
    reason="a mount namespace of one's own can't be had here",
)


def server_in(sandbox: Sandbox, preparation: str) -> Server:
    """A server, and a tmux server if it starts one, where `preparation` was run in namespaces of their own."""
    program = [*NAMESPACES, f'{preparation}; exec "$@"', "sh", sys.executable, "-m", "mcp_background_job"]
    return sandbox.silent_server(program=program).open()


def doctor_in(sandbox: Sandbox, preparation: str) -> str:
    """What `doctor` says there."""
    program = [*NAMESPACES, f'{preparation}; exec "$@"', "sh", sys.executable, "-m", "mcp_background_job", "doctor"]
    return subprocess.run(program, env=sandbox.environment, capture_output=True, text=True, timeout=100).stdout


def is_told(sandbox: Sandbox, folder: Path, *said: str) -> None:
    """That execute, a server's start and `doctor` all say it, and nothing was started."""
    server = sandbox.server(TMUX_TMPDIR=str(folder))
    with pytest.raises(ToolError) as caught:
        server.call("execute", command="true")
    wait_until(lambda: all(words in server.stderr for words in said), what=f"{said} on stderr")
    assert server.stderr.count(said[0]) == 1 and "Traceback" not in server.stderr
    wrong = [
        one
        for one in answer(sandbox, "doctor", status=1, TMUX_TMPDIR=str(folder))["findings"]
        if one["level"] == "wrong"
    ]
    assert [one["check"] for one in wrong][:1] == ["system"]
    for words in said:
        assert words in str(caught.value) and words in f"{wrong[0]['text']}. {wrong[0]['remedy']}"
    assert [one for one in wrong[1:] if said[0] in one["text"]] == [], "said once"
    assert sandbox.records() == set()


@pytest.mark.promise("system-told")
def test_a_socket_path_that_is_too_long_is_told_before_tmux_is_asked(sandbox: Sandbox) -> None:
    folder = sandbox.root / ("x" * 90)
    folder.mkdir()
    is_told(sandbox, folder, "The path of tmux's socket has ", "Set TMUX_TMPDIR to a folder")


@pytest.mark.promise("system-told")
def test_a_socket_folder_that_cannot_be_made_is_told(sandbox: Sandbox) -> None:
    file = sandbox.root / "file"
    file.touch()
    is_told(sandbox, file, "can't be looked at: Not a directory", "set TMUX_TMPDIR to a folder")


@pytest.mark.promise("system-told")
@can_unshare
def test_a_system_without_pseudo_terminals_is_told(sandbox: Sandbox) -> None:
    without = "mount -t tmpfs none /dev/pts"
    server = server_in(sandbox, without)
    with pytest.raises(ToolError, match=r"no pseudo terminals .* Mount devpts"):
        server.call("execute", command="true")
    wait_until(lambda: "no pseudo terminals" in server.stderr, what="the line on stderr")
    assert "no pseudo terminals" in doctor_in(sandbox, without)


@pytest.mark.promise("system-works")
@can_unshare
@pytest.mark.parametrize("shell", ["not executable", "busybox"])
def test_without_a_bash_that_runs_jobs_run_by_sh(sandbox: Sandbox, shell: str) -> None:
    bash = sandbox.root / "bash"
    bash.touch(0o644)
    paths = {os.path.realpath(path) for path in ("/bin/bash", shutil.which("bash")) if path and Path(path).exists()}
    preparation = "; ".join(f"mount --bind {bash} {path}" for path in paths) or "true"
    if shell == "busybox":
        if not shutil.which("busybox"):
            pytest.skip("busybox is not installed")
        copy = shutil.copy(str(shutil.which("busybox")), sandbox.root / "sh")
        preparation += f"; mount --bind {copy} {os.path.realpath('/bin/sh')}"
    # First, or its jobs would be in the server's namespaces, and not be seen from its own.
    said = doctor_in(sandbox, preparation)
    assert "they run by /bin/sh" in said and "Nothing is wrong" in said
    found = server_in(sandbox, preparation).call("execute", command="echo é 😀; exit 3", wait=50)
    assert (found["stdout"], found["exit_code"]) == ("é 😀\n", 3)


@pytest.mark.promise("system-works")
@can_unshare
def test_without_terminfo_jobs_run_and_doctor_says_so(sandbox: Sandbox) -> None:
    empty = sandbox.root / "empty"
    empty.mkdir()
    preparation = "; ".join(f"mount --bind {empty} {folder}" for folder in TERMINFO if Path(folder).is_dir())
    said = doctor_in(sandbox, preparation)
    assert "terminfo has none of tmux-256color" in said and "Nothing is wrong" in said
    assert server_in(sandbox, preparation).call("execute", command="echo up", wait=50)["stdout"] == "up\n"


@pytest.mark.promise("system-works")
@can_unshare
@pytest.mark.parametrize("what", ["instances", "watches"])
def test_with_inotify_used_up_everything_is_told_by_looking(sandbox: Sandbox, what: str) -> None:
    server = server_in(sandbox, f"echo 0 > /proc/sys/user/max_inotify_{what}")
    job_id = server.call("execute", command="read -p 'name? ' x; echo $x; read y", name="talk")["job_id"]
    assert server.call("wait", job_ids=[job_id], until="input", timeout=50)["reason"] == "input"
    person = Person(sandbox, "exec tmux attach -t mcp-jobs:0")
    try:
        person.sees("talk", "prompt")
        assert server.call("interact", job_id=job_id, input="ann", timeout=50)["stdout"] == "ann\n"
        assert server.call("interact", job_id=job_id, input="", keys=["Enter"], timeout=50)["reason"] == "exit"
        person.sees("talk", "done")
    finally:
        person.close()


@pytest.mark.promise("system-works")
@pytest.mark.parametrize("locale", ["C", "POSIX"])
def test_the_board_is_drawn_without_a_utf_8_locale(sandbox: Sandbox, locale: str) -> None:
    server = sandbox.server(LC_ALL=locale, LANG=locale, PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    job_id = server.call("execute", command="echo é 😀; exec cat", name="ü✓")["job_id"]
    person = Person(sandbox, "exec tmux -u attach -t mcp-jobs:0")
    try:
        person.sees("ü✓")
    finally:
        person.close()
    assert shows(server, job_id, "\n") == "é 😀\n"


@pytest.mark.promise("system-told")
@can_unshare
def test_a_home_that_takes_no_state_folder_is_told(sandbox: Sandbox) -> None:
    del sandbox.environment["MCP_BG_STATE_DIR"]
    read_only = f"mount --bind {sandbox.home} {sandbox.home}; mount -o remount,bind,ro {sandbox.home}"
    server = server_in(sandbox, read_only)
    with pytest.raises(ToolError, match=r"can't be made: .*MCP_BG_STATE_DIR"):
        server.call("execute", command="true")
    wait_until(lambda: "can't be written to" in server.stderr, what="the line on stderr")
    assert "can't be written to" in doctor_in(sandbox, read_only)
    sandbox.environment["MCP_BG_STATE_DIR"] = str(sandbox.state)
    assert server_in(sandbox, read_only).call("execute", command="echo up", wait=50)["stdout"] == "up\n"
