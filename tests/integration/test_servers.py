"""The server remembers nothing: any number of them, killed at any time, serve the same jobs."""

from __future__ import annotations

import os

import pytest

from support.person import Person
from support.rpc import HANDSHAKE_ERA, MODERN_ERA, ToolError
from support.sandbox import Sandbox, ended, run_job, shows, timeless


@pytest.mark.promise("servers-same-jobs")
def test_the_next_server_has_the_same_jobs_after_a_sigkill(sandbox: Sandbox) -> None:
    server = sandbox.server()
    done = run_job(server, "echo done; exit 3", name="done")
    shot = run_job(server, "kill -SEGV $$")
    ended_later = server.call("execute", command="echo up; read x; echo $x; exit 4")["job_id"]
    running = server.call("execute", command="echo up; cat", name="running")["job_id"]
    for job_id in (ended_later, running):
        shows(server, job_id, "up\n")
    cursor = server.call("output", job_id=running)["cursor"]
    before = server.call("list", all=True)
    server.kill9()

    heir = sandbox.server()
    assert timeless(heir.call("list", all=True)) == timeless(before)
    assert heir.call("status", job_id=done["job_id"]) == done
    assert heir.call("status", job_id=shot["job_id"]) == shot
    assert heir.call("output", job_id=done["job_id"])["stdout"] == "done\n"
    assert heir.call("status", job_id=running)["status"] == "running"
    assert heir.call("interact", job_id=running, input="more")["stdout"] == "more\n"
    assert heir.call("output", job_id=running, since=cursor)["stdout"] == "more\nmore\n"
    heir.call("interact", job_id=ended_later, input="bye")
    assert ended(heir, ended_later)["exit_code"] == 4
    assert heir.call("kill", job_id=running) == {"status": "killed"}


@pytest.mark.promise("servers-same-jobs")
def test_a_job_that_ends_while_no_server_is_there_is_told_as_it_ended(sandbox: Sandbox) -> None:
    server = sandbox.server()
    for number in range(3):
        os.mkfifo(sandbox.path(f"go{number}"))
    job_ids = [
        server.call("execute", command=f"read x < go{number}; echo late; {end}")["job_id"]
        for number, end in enumerate(("exit 0", "exit 9", "kill -KILL $$"))
    ]
    server.kill9()
    for number in range(3):
        sandbox.path(f"go{number}").write_text("\n")
    heir = sandbox.server()
    first, second, third = (ended(heir, job_id) for job_id in job_ids)
    assert (first["status"], first["exit_code"]) == ("completed", 0)
    assert (second["status"], second["exit_code"]) == ("failed", 9)
    assert (third["status"], third["signal"]) == ("failed", "KILL")
    assert [heir.call("output", job_id=job_id)["stdout"] for job_id in job_ids] == ["late\n"] * 3


@pytest.mark.promise("servers-same-jobs")
def test_several_servers_serve_the_same_jobs(sandbox: Sandbox) -> None:
    silent = [sandbox.silent_server(protocol=era) for era in (HANDSHAKE_ERA, HANDSHAKE_ERA, MODERN_ERA)]
    first, second, third = [server.open() for server in silent]
    job_id = first.call("execute", command="echo up; cat", name="shared")["job_id"]
    shows(second, job_id, "up\n")
    assert second.call("interact", job_id=job_id, input="from the second")["stdout"].endswith("from the second\n")
    outputs = [server.call("output", job_id=job_id) for server in (first, second, third)]
    assert outputs[0] == outputs[1] == outputs[2]
    lists = [timeless(server.call("list")) for server in (first, second, third)]
    assert lists[0] == lists[1] == lists[2]
    assert third.call("kill", job_id=job_id) == {"status": "killed"}
    statuses = [server.call("status", job_id=job_id) for server in (first, second, third)]
    assert statuses[0] == statuses[1] == statuses[2]


@pytest.mark.promise("limit-jobs-all-servers")
def test_several_servers_hold_the_job_limit_together(sandbox: Sandbox) -> None:
    silent = [sandbox.silent_server(MCP_BG_MAX_JOBS="3") for _ in range(3)]
    servers = [server.open() for server in silent]
    pending = [server.start("execute", command="sleep 300") for server in servers for _ in range(4)]
    started, refused = [], []
    for one in pending:
        try:
            started.append(one.answer()["job_id"])
        except ToolError as refusal:
            refused.append(str(refusal))
    assert len(started) == 3
    assert all("3" in text and "MCP_BG_MAX_JOBS" in text for text in refused)
    assert sandbox.records() == set(started)
    assert set(sandbox.windows()) == set(started)

    servers[1].call("kill", job_id=started[0])
    for number in range(3):
        assert run_job(servers[0], f"exit {number}")["exit_code"] == number, "finished jobs don't count"
    assert servers[2].call("execute", command="sleep 300")["status"] == "running"
    with pytest.raises(ToolError, match="MCP_BG_MAX_JOBS"):
        servers[0].call("execute", command="true")


def test_another_session_name_is_another_set_of_jobs(sandbox: Sandbox) -> None:
    server, other = sandbox.server(), sandbox.server(MCP_BG_SESSION="other-jobs")
    job_id = server.call("execute", command="sleep 300")["job_id"]
    assert other.call("list", all=True) == {"jobs": []}
    theirs = other.call("execute", command="sleep 300")
    person = Person(sandbox, theirs["attach"])
    person.sees(theirs["job_id"])
    person.close()
    assert [job["job_id"] for job in server.call("list")["jobs"]] == [job_id]
    assert set(sandbox.tmux("list-sessions", "-F", "#{session_name}").split()) == {"mcp-jobs", "other-jobs"}
    assert sandbox.records("other-jobs") == {theirs["job_id"]}


def test_another_socket_name_is_another_tmux_server(sandbox: Sandbox) -> None:
    server = sandbox.server(MCP_BG_TMUX_SOCKET="elsewhere")
    answer = server.call("execute", command="echo up; cat")
    shows(server, answer["job_id"], "up")
    assert "-L elsewhere" in answer["attach"]
    assert sandbox.tmux("-L", "elsewhere", "has-session", "-t", "=mcp-jobs") == ""
    assert sandbox.tmux("list-sessions", check=False) == ""


@pytest.mark.promise("pair-attach")
def test_a_server_inside_tmux_uses_the_persons_default_server_all_the_same(sandbox: Sandbox) -> None:
    sandbox.tmux("-L", "mine", "new-session", "-d", "-s", "agent", "--", "sleep", "1000")
    socket = sandbox.tmux("-L", "mine", "display-message", "-p", "#{socket_path}")
    server = sandbox.server(TMUX=f"{socket},1,0", TMUX_PANE="%0")
    answer = server.call("execute", command="echo $((6 * 7)) up; cat")
    shows(server, answer["job_id"], "42 up")
    # Wherever it lies, the line to attach with must lead there from a plain terminal.
    Person(sandbox, answer["attach"]).sees("42 up")
    assert server.call("kill", job_id=answer["job_id"]) == {"status": "killed"}
