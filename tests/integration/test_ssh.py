"""Jobs on another machine: `ssh host mcp-background-job` as the client's command, `ssh -t host tmux attach` to watch.

The other machine is this one, behind an sshd of the test's own on 127.0.0.1.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import pytest

from support.person import Person
from support.sandbox import Sandbox
from support.sshd import MISSING, Box, another_machine

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)


@pytest.fixture(scope="module")
def box(shared: Sandbox) -> Iterator[Box]:
    with another_machine(shared) as machine:
        yield machine


def test_ssh_as_the_clients_command_runs_jobs_there(box: Box) -> None:
    answer = box.call("execute", command="echo $WHERE; exit 4", wait=50)
    assert (answer["stdout"], answer["exit_code"]) == ("there\n", 4)


@pytest.mark.promise("server-ssh")
def test_a_connection_that_ends_leaves_the_jobs_running(box: Box) -> None:
    job_id = box.call("execute", command="echo up; read line; echo got $line")["job_id"]
    assert box.call("status", job_id=job_id)["status"] == "running"
    answer = box.call("interact", job_id=job_id, input="it", timeout=50)
    assert "got it" in answer["stdout"] and answer["status"] == "completed"


def test_a_person_attaches_by_ssh_and_types(box: Box) -> None:
    job_id = box.call("execute", command="read -p 'Your name? ' name; echo hello $name; exec cat", name="asks")[
        "job_id"
    ]
    box.sandbox.tmux("select-window", "-t", box.sandbox.window(job_id))
    person = Person(box.sandbox, shlex.join(box.ssh("-t", "box", "tmux", "attach", "-t", "mcp-jobs")))
    try:
        person.sees("Your name?")
        person.type("Ann")
        person.press("Enter")
        person.sees("hello Ann")
        person.press("C-b", "d")
        person.sees("LEFT")
    finally:
        person.close()
    assert "hello Ann" in box.call("output", job_id=job_id)["stdout"]
    assert box.call("kill", job_id=job_id)["status"] == "killed"
