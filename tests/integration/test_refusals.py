"""Bad input gets one sentence of what is wrong and one of what to do, and leaves nothing behind."""

from __future__ import annotations

import re
from typing import Any

import pytest

from support.rpc import Refused, Server, ToolError
from support.sandbox import Sandbox, run_job

HOSTILE_IDS = [
    "",
    " ",
    ".",
    "..",
    "../x",
    "../../etc/passwd",
    "/etc/passwd",
    "x/../y",
    "%0",
    "@0",
    "=mcp-jobs",
    "mcp-jobs:0",
    "$(touch pwned)",
    "#(touch pwned)",
    "#{pane_id}",
    "-h",
    "a\x00b",
    "a\nb",
    "漢字",
    "x" * 5000,
    "*",
    ".lock",
    "X1",
]
WITH_JOB_ID: dict[str, dict[str, Any]] = {
    "status": {},
    "output": {},
    "tail": {},
    "interact": {"input": "x", "timeout": 1},
    "screen": {},
    "handoff": {"message": "please"},
}


def check_form(text: str) -> None:
    """One sentence of what is wrong, one of what to do; on one line, and no word of how we are built."""
    assert "\n" not in text, text
    assert len(text) <= 600, text[:700]
    assert re.match(r"^\S.*[.:;] \S", text), f"two sentences: {text}"
    for inside in (
        "Traceback",
        "pydantic",
        "ValidationError",
        "errno",
        "KeyError",
        "NoneType",
        "libtmux",
        "input_type=",
    ):
        assert inside not in text, text


def refusal(server: Server, tool: str, /, **arguments: Any) -> str:
    """The text of a refusal, checked for its form."""
    with pytest.raises(ToolError) as caught:
        server.call(tool, **arguments)
    text = str(caught.value)
    check_form(text)
    return text


def leavings(world: Sandbox) -> tuple[set[str], set[str], str, list[str]]:
    """What a refused call could leave: records, windows, buffers, files."""
    windows = world.tmux("list-windows", "-a", "-F", "#{window_id}", check=False)
    buffers = world.tmux("list-buffers", check=False)
    return world.records(), set(windows.split()), buffers, sorted(str(path) for path in world.work.rglob("*"))


@pytest.mark.parametrize("tool", sorted(WITH_JOB_ID))
@pytest.mark.promise("safe-ids")
def test_hostile_job_ids_are_not_found_and_touch_nothing(server: Server, shared: Sandbox, tool: str) -> None:
    run_job(server, "true")
    before = leavings(shared)
    for job_id in HOSTILE_IDS:
        text = refusal(server, tool, job_id=job_id, **WITH_JOB_ID[tool])
        assert "not found" in text, (job_id, text)
        assert "Call list" in text
        assert "\x00" not in text
    assert leavings(shared) == before


@pytest.mark.promise("safe-ids")
def test_wait_refuses_hostile_job_ids_too(server: Server) -> None:
    for job_id in HOSTILE_IDS:
        assert "not found" in refusal(server, "wait", job_ids=[job_id], timeout=1)
    good = server.call("execute", command="sleep 300")["job_id"]
    assert "not found" in refusal(server, "wait", job_ids=[good, "nosuch"], timeout=1)
    assert "job_ids" in refusal(server, "wait", job_ids=[], timeout=1)


@pytest.mark.promise("safe-ids")
def test_kill_of_a_hostile_job_id_is_not_found(server: Server, shared: Sandbox) -> None:
    before = leavings(shared)
    for job_id in HOSTILE_IDS:
        assert server.call("kill", job_id=job_id) == {"status": "not_found"}
    assert leavings(shared) == before


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"command": ""}, "command"),
        ({"command": "   \n\t "}, "command"),
        ({"command": "echo a\x00b"}, "NUL"),
        ({"command": "true", "cwd": "/no/such/folder"}, "/no/such/folder"),
        ({"command": "true", "cwd": "a\x00b"}, "cwd"),
        ({"command": "true", "timeout": -5}, "timeout"),
        ({"command": "true", "wait": -1}, "wait"),
        ({"command": "true", "env": {"A=B": "x"}}, "env"),
        ({"command": "true", "env": {"": "x"}}, "env"),
        ({"command": "true", "env": {"A": "x\x00y"}}, "env"),
        ({"command": "true", "env": {"A\x00": "x"}}, "env"),
        ({"command": "true", "env": "A=x B=y"}, "env"),
        ({"command": 7}, "command"),
        ({"command": None}, "command"),
        ({"command": ["echo", 1]}, "command"),
        ({}, "command"),
        ({"command": "true", "timeout": "soon"}, "timeout"),
    ],
)
@pytest.mark.promise("job-refused-whole")
def test_execute_refuses_what_it_can_not_run_and_leaves_nothing(
    server: Server, shared: Sandbox, arguments: dict[str, Any], named: str
) -> None:
    run_job(server, "true")
    before = leavings(shared)
    assert named in refusal(server, "execute", **arguments)
    assert leavings(shared) == before


def test_a_cwd_that_is_a_file_or_may_not_be_entered_is_refused(server: Server, shared: Sandbox) -> None:
    file = shared.path("a-file")
    file.write_text("")
    assert str(file) in refusal(server, "execute", command="true", cwd=str(file))


@pytest.mark.promise("job-refused-whole")
def test_a_refused_first_execute_makes_no_session_and_no_record(sandbox: Sandbox) -> None:
    server = sandbox.server()
    for arguments in ({"command": ""}, {"command": "true", "cwd": "/no/such/folder"}, {"command": "a\x00"}):
        refusal(server, "execute", **arguments)
    assert sandbox.records() == set()
    assert sandbox.tmux("list-windows", "-a", check=False) == ""


@pytest.mark.parametrize("lines", [1001, -1, 10**12])
@pytest.mark.promise("server-arguments")
def test_tail_refuses_a_count_out_of_range(server: Server, lines: int) -> None:
    job = run_job(server, "true")
    assert "lines" in refusal(server, "tail", job_id=job["job_id"], lines=lines)


@pytest.mark.parametrize(
    ("tool", "arguments", "named"),
    [
        ("output", {"since": -1}, "since"),
        ("output", {"max_chars": -1}, "max_chars"),
        ("output", {"context": -1, "grep": "x"}, "context"),
        ("output", {"grep": "("}, "regular expression"),
        ("interact", {"timeout": -1}, "timeout"),
        ("interact", {"pattern": "("}, "regular expression"),
        ("wait", {"pattern": "("}, "regular expression"),
        ("wait", {"timeout": -1}, "timeout"),
        ("wait", {"until": "doomsday"}, "until"),
        ("kill", {"signal": "BOGUS"}, "signal"),
    ],
)
@pytest.mark.promise("server-arguments")
def test_parameters_out_of_range_are_refused_by_name(
    server: Server, tool: str, arguments: dict[str, Any], named: str
) -> None:
    job_id = server.call("execute", command="cat")["job_id"]
    target: dict[str, Any] = {"job_ids": [job_id]} if tool == "wait" else {"job_id": job_id}
    assert named in refusal(server, tool, **target, **arguments)
    assert server.call("output", job_id=job_id)["stdout"] == ""
    assert server.call("kill", job_id=job_id, signal="KILL") == {"status": "killed"}


@pytest.mark.promise("server-arguments")
def test_every_tool_refuses_an_unknown_parameter_by_its_name(server: Server, shared: Sandbox) -> None:
    job = run_job(server, "true")
    arguments: dict[str, dict[str, Any]] = {
        "execute": {"command": "true"},
        "list": {},
        "kill": {"job_id": job["job_id"]},
        "wait": {"job_ids": [job["job_id"]]},
        **{tool: {"job_id": job["job_id"], **extra} for tool, extra in WITH_JOB_ID.items()},
    }
    before = leavings(shared)
    for tool, given in arguments.items():
        assert "bogus_one" in refusal(server, tool, **given, bogus_one=1), tool
    assert leavings(shared) == before


@pytest.mark.promise("server-arguments")
def test_a_missing_job_id_is_refused_by_name(server: Server) -> None:
    for tool in ("status", "output", "tail", "interact", "kill", "screen"):
        assert "job_id" in refusal(server, tool)
    for wrong in (7, None, ["x"], {"a": 1}):
        assert "job_id" in refusal(server, "status", job_id=wrong)


def test_an_unknown_tool_is_refused(server: Server) -> None:
    with pytest.raises(Refused, match="no_such_tool"):
        server.call("no_such_tool")


@pytest.mark.promise("job-refused-whole")
def test_the_job_limit_refuses_by_saying_what_to_do_and_leaves_nothing(sandbox: Sandbox) -> None:
    server = sandbox.server(MCP_BG_MAX_JOBS="1")
    job_id = server.call("execute", command="sleep 300")["job_id"]
    before = leavings(sandbox)
    for _ in range(3):
        text = refusal(server, "execute", command="true")
        assert "1" in text and "MCP_BG_MAX_JOBS" in text
    assert leavings(sandbox) == before
    assert server.call("kill", job_id=job_id) == {"status": "killed"}
    assert run_job(server, "exit 3")["exit_code"] == 3
