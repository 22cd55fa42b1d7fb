"""What README promises for macOS and BSD, with all switched off that only Linux has (system.py)."""

from __future__ import annotations

import time

import pytest

from support.rpc import Server
from support.sandbox import PYTHON, Sandbox, alive, ended, shows
from support.terminal import cli
from support.waiting import wait_until

# A child with a session of its own, whose parent ends: nothing of the process tree leads to it.
DAEMON = f"{PYTHON} -c 'import os, time; os.fork() and os._exit(0); os.setsid(); print(os.getpid()); time.sleep(300)'"
STRAY = "sh -c 'sleep 301 & echo $!'"  # its parent ends, its session stays the job's


@pytest.fixture(scope="module")
def portable(shared: Sandbox) -> Server:
    shared.environment["MCP_BG_PORTABLE"] = "1"
    return shared.server()


def pid_from(server: Server, job_id: str) -> int:
    return int(shows(server, job_id, "\n").split()[0])


@pytest.mark.promise("kill-tree")
@pytest.mark.parametrize("leaves", [STRAY, DAEMON])
def test_a_kill_takes_what_has_lost_its_parent(portable: Server, leaves: str) -> None:
    job_id = portable.call("execute", command=f"{leaves}; exec sleep 302")["job_id"]
    pid = pid_from(portable, job_id)
    began = time.monotonic()
    assert portable.call("kill", job_id=job_id) == {"status": "killed"}
    assert not alive(pid)
    # Time is the promise: ps once found itself among the job's processes, until the grace and 5 s were over.
    assert time.monotonic() - began < 5


@pytest.mark.promise("end-timeout")
def test_a_timeout_ends_the_session_and_what_has_left_it_is_told(portable: Server) -> None:
    command = f"{STRAY}; {DAEMON}; exec sleep 302"
    job_id = portable.call("execute", command=command, timeout=2)["job_id"]
    assert ended(portable, job_id)["reason"] == "timeout"
    stray, daemon = map(int, portable.call("output", job_id=job_id)["stdout"].split())
    assert not alive(stray) and alive(daemon)
    assert [one["pid"] for one in portable.call("status", job_id=job_id)["left_running"]] == [daemon]
    assert portable.call("kill", job_id=job_id) == {"status": "already_terminated", "ended_processes": 1}
    assert not alive(daemon)


@pytest.mark.promise("awaiting-told")
def test_a_password_and_a_shell_are_told_once_they_are_quiet(portable: Server) -> None:
    asks = portable.call("execute", command="stty -echo; echo password:; read x; exec sleep 300")["job_id"]
    found = portable.call("wait", job_ids=[asks], until="input", timeout=50)
    assert (found["reason"], found["awaiting_input"]) == ("input", "password")
    shell = portable.call("execute", command="exec bash --norc -i", wait=50)
    assert (shell["reason"], shell["awaiting_input"]) == ("input", "screen")
    assert "42\n" in portable.call("interact", job_id=shell["job_id"], input="echo $((6 * 7))", timeout=50)["stdout"]
    for job_id in (asks, shell["job_id"]):
        portable.call("kill", job_id=job_id)


def test_an_answer_in_line_mode_comes_once_it_is_quiet(portable: Server) -> None:
    """That the program waits for more can't be told, and the timeout would be waited for each time."""
    job_id = portable.call("execute", command="while read x; do sleep 0.3; echo got $x; done")["job_id"]
    wait_until(lambda: portable.call("status", job_id=job_id).get("pid"))
    found = portable.call("interact", job_id=job_id, input="one", timeout=50)
    assert (found["reason"], found["stdout"]) == ("quiet", "got one\n")
    assert "awaiting_input" not in found
    portable.call("kill", job_id=job_id)


def test_doctor_finds_nothing_wrong(portable: Server, shared: Sandbox) -> None:
    assert "Nothing is wrong." in cli(shared, "doctor").stdout
