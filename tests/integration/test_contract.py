"""Lines of the contract that are about arguments and fields, each on the real server."""

from __future__ import annotations

import pytest

from support.rpc import Server, ToolError
from support.sandbox import Sandbox, run_job, shows


@pytest.mark.promise("brought-along")
def test_execute_takes_what_models_bring_from_other_shell_tools(server: Server) -> None:
    job_id = server.call("execute", command="true", description="build the docs", run_in_background=True)["job_id"]
    assert server.call("status", job_id=job_id)["name"] == "build the docs"
    job_id = server.call("execute", command="true", description="build the docs", name="docs")["job_id"]
    assert server.call("status", job_id=job_id)["name"] == "docs"
    with pytest.raises(ToolError, match="Unknown parameter 'background'"):
        server.call("execute", command="true", background=True)
    with pytest.raises(ToolError, match="Unknown parameter 'description'"):
        server.call("status", job_id=job_id, description="x")


@pytest.mark.promise("left-out")
def test_a_default_given_and_what_can_mean_nothing_else_are_as_left_out(server: Server) -> None:
    job_id = run_job(server, "seq 60", timeout=0, env=None, cwd="", pattern="", separate_stderr=None)["job_id"]
    plain = server.call("output", job_id=job_id)
    assert (
        server.call("output", job_id=job_id, since=None, grep="", context=0, max_chars=0, since_seconds=None) == plain
    )
    assert server.call("output", job_id=job_id, since="", max_chars="") == plain
    assert server.call("tail", job_id=job_id, lines=0) == server.call("tail", job_id=job_id, lines=50)
    # 0 and "" that mean something stay what they are.
    assert server.call("output", job_id=job_id, since=0)["stdout"] == plain["stdout"]
    with pytest.raises(ToolError, match="command"):
        server.call("execute", command="")


@pytest.mark.promise("by-name")
def test_a_job_is_found_by_its_name(server: Server) -> None:
    old = run_job(server, "echo old", name="web server")["job_id"]
    assert server.call("status", job_id="web server")["job_id"] == old
    new = server.call("execute", command="echo new; exec cat", name="web server")["job_id"]
    shows(server, new, "new")
    # The one that runs is meant.
    for tool, more in [("status", {}), ("output", {}), ("tail", {}), ("screen", {}), ("interact", {"input": "x"})]:
        server.call(tool, job_id="web server", **more)
    assert server.call("tail", job_id="web server")["stdout"].startswith("new\n")
    assert server.call("wait", job_ids=["web server"], timeout=0.1)["job_id"] == new
    assert server.call("kill", job_id="web server")["status"] == "killed"
    with pytest.raises(ToolError, match="could be any of 2 jobs"):
        server.call("status", job_id="web server")
    with pytest.raises(ToolError, match=r"Job 'nobody' not found\. Call list"):
        server.call("status", job_id="nobody")
    assert server.call("kill", job_id="nobody") == {"status": "not_found"}


@pytest.mark.linux("prompt is not told elsewhere")
@pytest.mark.promise("list-told")
def test_a_list_tells_how_long_and_what_waits_and_running_ones_first(sandbox: Sandbox) -> None:
    server = sandbox.server()
    asks = server.call("execute", command="read x", wait=50)["job_id"]
    ended = run_job(server, "sleep 0.2; exit 3")["job_id"]
    first, second = server.call("list")["jobs"]
    assert (first["job_id"], first["awaiting_input"], first["status"]) == (asks, "prompt", "running")
    assert first["duration"] > 0
    assert (second["job_id"], second["exit_code"]) == (ended, 3) and second["duration"] > 0.15
    assert "awaiting_input" not in second


@pytest.mark.promise("stderr-asked")
def test_stderr_is_a_field_where_it_was_asked_for(server: Server) -> None:
    assert "stderr" not in server.call("execute", command="echo x", wait=50)
    apart = server.call("execute", command="echo x >&2", wait=50, separate_stderr=True)
    assert apart["stderr"] == "x\n"
    merged = run_job(server, "echo x")["job_id"]
    assert "stderr" not in server.call("wait", job_ids=[merged])
    assert server.call("wait", job_ids=[apart["job_id"]], since=0)["stderr"] == "x\n"
    assert server.call("output", job_id=merged)["stderr"] == server.call("tail", job_id=merged)["stderr"] == ""


def test_attach_is_told_while_there_is_a_window(server: Server, shared: Sandbox) -> None:
    ended_at_once = server.call("execute", command="true", wait=20)
    assert ended_at_once["status"] == "completed" and "attach" not in ended_at_once
    job_id = ended_at_once["job_id"]
    assert "attach" in server.call("status", job_id=job_id), "its window stays open for some minutes"
    closed = server.call("execute", command="exec sleep 300")["job_id"]
    shared.tmux("kill-window", "-t", shared.window(closed))
    server.call("wait", job_ids=[closed], timeout=20)
    assert "attach" not in server.call("status", job_id=closed)


@pytest.mark.linux("prompt is not told elsewhere")
@pytest.mark.promise("wait-all")
def test_a_wait_for_all_of_several_tells_how_each_ended(server: Server) -> None:
    jobs = [server.call("execute", command=f"sleep {n / 5}; exit {n}")["job_id"] for n in (3, 0, 2)]
    asks = server.call("execute", command="read x; exit 4", wait=20)["job_id"]
    late = server.call("wait", job_ids=[*jobs, asks], all=True, timeout=1)
    assert late["reason"] == "timeout" and late["jobs"][-1] == {
        "job_id": asks,
        "name": "read x; exit 4",
        "status": "running",
        "awaiting_input": "prompt",
    }
    waiting = server.start("wait", job_ids=[*jobs, asks], all=True, timeout=40)
    server.call("interact", job_id=asks, input="x", timeout=0)
    answer = waiting.answer()
    assert answer == {
        "reason": "exit",
        "jobs": [
            {"job_id": jobs[0], "name": "sleep 0.6; exit 3", "status": "failed", "exit_code": 3},
            {"job_id": jobs[1], "name": "sleep 0.0; exit 0", "status": "completed", "exit_code": 0},
            {"job_id": jobs[2], "name": "sleep 0.4; exit 2", "status": "failed", "exit_code": 2},
            {"job_id": asks, "name": "read x; exit 4", "status": "failed", "exit_code": 4},
        ],
    }
    assert server.call("wait", job_ids=jobs, all=True) == {"reason": "exit", "jobs": answer["jobs"][:3]}
    for more in ({"until": "input"}, {"pattern": "x"}):
        with pytest.raises(ToolError, match="all is for ends alone"):
            server.call("wait", job_ids=jobs, all=True, **more)


def test_a_match_is_told_with_what_stands_right_before_it(server: Server) -> None:
    command = "seq 1000 1999; echo listening; exec sleep 300"
    answer = server.call("execute", command=command, wait=20, pattern="^listening")
    head, note, tail = answer["stdout"].partition("[… ")
    assert note and head.startswith("1000\n1001\n") and tail.endswith("\n1998\n1999\nlistening\n")
    assert len(answer["stdout"]) < 700 and answer["truncated"]
