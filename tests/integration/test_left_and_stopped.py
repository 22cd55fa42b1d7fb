"""What a job leaves running, what is stopped, who ended what, and names by which nobody ends us by accident."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess

import psutil
import pytest

from support.rpc import Server
from support.sandbox import PYTHON, Sandbox, alive, ended, run_job, shows, words_of
from support.terminal import cli
from support.waiting import wait_until


def names_of_ours(sandbox: Sandbox) -> set[str]:
    """The names of all processes that run code of ours."""
    found = set()
    for process in sandbox.processes():
        with contextlib.suppress(psutil.Error):
            if "mcp_background_job" in " ".join(words_of(process)[:9]):
                found.add(process.name())
    return found - {"sh", "tmux: server", "tmux: client"}


def until(condition: str) -> str:
    """A shell's wait for a test(1): what a job leaves must have come as far as that."""
    return f"until [ {condition} ]; do sleep 0.02; done"


@pytest.mark.linux("processes have names of their own")
@pytest.mark.promise("own-names")
def test_killall_python3_ends_none_of_ours(server: Server, shared: Sandbox) -> None:
    job_id = server.call("execute", command=f"{PYTHON} -c 'import time; time.sleep(1000)'")["job_id"]
    server.call("output", job_id=job_id, grep="x")  # starts the search's process
    wait_until(lambda: server.call("status", job_id=job_id).get("pid"))
    due = {"mcp-bg-runner", "mcp-bg-log", "mcp-bg-board", "mcp-bg-server", "mcp-bg-regex"}
    wait_until(lambda: names_of_ours(shared) == due)  # the board takes a moment to start
    mine = [str(process.pid) for process in shared.processes()]
    if shutil.which("pgrep"):
        matched = subprocess.run(["pgrep", "python"], capture_output=True, text=True, check=False).stdout.split()
        for pid in set(matched) & set(mine):
            with contextlib.suppress(psutil.NoSuchProcess):
                assert "mcp_background_job" not in " ".join(words_of(psutil.Process(int(pid))))
    server.call("kill", job_id=job_id, signal="KILL")


@pytest.mark.promise("left-running")
def test_what_an_ended_job_left_running_is_told_and_ended_by_a_kill(server: Server) -> None:
    code = 'import time; open("left1", "w").close(); time.sleep(1000)'
    job_id = run_job(server, f"setsid nohup {PYTHON} -c '{code}' >/dev/null 2>&1 & {until('-e left1')}")["job_id"]
    (left,) = server.call("status", job_id=job_id)["left_running"]
    assert "time.sleep(1000)" in left["command"] and alive(left["pid"])
    assert server.call("kill", job_id=job_id) == {"status": "already_terminated", "ended_processes": 1}
    wait_until(lambda: not alive(left["pid"]))
    assert "left_running" not in server.call("status", job_id=job_id)
    assert server.call("kill", job_id=job_id) == {"status": "already_terminated"}


@pytest.mark.promise("left-running")
def test_what_was_left_and_minds_no_signal_is_killed(server: Server) -> None:
    stays = (
        "import signal, time; signal.signal(15, signal.SIG_IGN); signal.signal(1, signal.SIG_IGN)"
        "; open('left2', 'w').close(); time.sleep(1000)"
    )
    job_id = run_job(server, f'setsid {PYTHON} -c "{stays}" >/dev/null 2>&1 & {until("-e left2")}')["job_id"]
    (left,) = server.call("status", job_id=job_id)["left_running"]
    assert server.call("kill", job_id=job_id, signal="KILL")["ended_processes"] == 1
    wait_until(lambda: not alive(left["pid"]))


@pytest.mark.linux("looks into /proc")
@pytest.mark.promise("left-running")
def test_what_was_left_and_is_stopped_minds_the_signal(server: Server, shared: Sandbox) -> None:
    stops = "trap 'echo cleaned >cleaned; exit' TERM; kill -STOP $$; sleep 1000"
    stopped = until("-n \"$(grep '^State:.T' /proc/$!/status)\"")
    escaped = stops.replace("$", chr(92) + "$")
    job_id = run_job(server, f'setsid bash -c "{escaped}" >/dev/null 2>&1 & {stopped}')["job_id"]
    (left,) = server.call("status", job_id=job_id)["left_running"]
    wait_until(lambda: psutil.Process(left["pid"]).status() == psutil.STATUS_STOPPED)
    assert server.call("kill", job_id=job_id)["ended_processes"] == 1
    assert shared.path("cleaned").read_text() == "cleaned\n"


@pytest.mark.promise("left-running")
def test_a_job_that_leaves_nothing_tells_nothing(server: Server) -> None:
    assert "left_running" not in server.call("status", job_id=run_job(server, "sleep 0.1 & wait")["job_id"])


@pytest.mark.promise("signalled")
def test_a_stopped_job_says_so_and_goes_on_with_cont(server: Server) -> None:
    job_id = server.call("execute", command="echo up; exec cat")["job_id"]
    shows(server, job_id, "up")
    server.call("interact", job_id=job_id, keys=["C-z"], timeout=0.5)
    wait_until(lambda: server.call("status", job_id=job_id).get("stopped"))
    assert server.call("status", job_id=job_id)["status"] == "running"
    assert server.call("kill", job_id=job_id, signal="CONT") == {"status": "signalled"}
    wait_until(lambda: "stopped" not in server.call("status", job_id=job_id))
    assert "hello" in server.call("interact", job_id=job_id, input="hello")["stdout"]
    assert server.call("kill", job_id=job_id, signal="STOP") == {"status": "signalled"}
    wait_until(lambda: server.call("status", job_id=job_id).get("stopped"))
    # A kill ends what is stopped, too.
    assert server.call("kill", job_id=job_id) == {"status": "killed"}


@pytest.mark.parametrize("name", ["USR1", "SIGUSR2", "WINCH", str(int(signal.SIGUSR1))])
@pytest.mark.promise("signalled")
def test_signals_that_end_nothing_reach_the_foreground(server: Server, name: str) -> None:
    number = int(name) if name.isdigit() else int(signal.Signals[f"SIG{name.removeprefix('SIG')}"])
    code = (
        f"import signal, sys; signal.signal({number}, lambda *_: print('got it', flush=True)); print('up', flush=True)"
    )
    # Not in one endless read: a signal right before it would be minded after it.
    waits = "import time; [time.sleep(0.05) for _ in range(2000)]"
    job_id = server.call("execute", command=f'{PYTHON} -c "{code}; {waits}"')["job_id"]
    shows(server, job_id, "up")
    assert server.call("kill", job_id=job_id, signal=name) == {"status": "signalled"}
    shows(server, job_id, "got it")
    server.call("kill", job_id=job_id, signal="KILL")


@pytest.mark.promise("killed-by")
def test_a_kill_is_told_by_who_asked(server: Server, shared: Sandbox) -> None:
    jobs = [server.call("execute", command="echo up; exec sleep 1000")["job_id"] for _ in range(3)]
    shows(server, jobs[2], "up")  # its runner minds signals by now
    server.call("kill", job_id=jobs[0])
    cli(shared, "kill", jobs[1])
    # From outside, of the runner itself: nobody asked here.
    os.kill(shared.runner(jobs[2]).pid, signal.SIGTERM)
    ended(server, jobs[2])
    told = [server.call("status", job_id=job_id) for job_id in jobs]
    assert [(one["status"], one["reason"], one.get("killed_by")) for one in told[1:]] == [
        ("killed", "kill", "a person"),
        ("failed", "signal", None),
    ]
    assert (told[0]["status"], told[0]["reason"]) == ("killed", "kill") and told[0]["killed_by"] not in ("", "a person")
    assert told[2]["signal"] == "TERM"


@pytest.mark.promise("kill-tree")
def test_an_interactive_shell_ends_at_once(server: Server) -> None:
    for shell in ("bash --norc -i", "bash --norc -i -c 'trap : INT; while :; do read x; done'"):
        job_id = server.call("execute", command=shell, wait=50)["job_id"]
        server.call("kill", job_id=job_id)
        assert server.call("status", job_id=job_id)["status"] == "killed"
