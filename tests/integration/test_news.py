"""What an answer tells of other jobs: each thing once, to each client that has to do with the job."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable

import pytest

from integration.test_http import HEADERS, INITIALIZE, HttpServer, served
from mcp_background_job.store.holds import set_hold
from support.rpc import HANDSHAKE_ERA, MODERN_ERA, Answer, Server
from support.sandbox import SESSION, Sandbox, ended
from support.terminal import cli
from support.waiting import wait_until

pytestmark = pytest.mark.promise("news")


@pytest.fixture
def server(sandbox: Sandbox) -> Server:
    return sandbox.server()


def sleeper(server: Server) -> str:
    """A job that has nothing to tell, to ask about."""
    job_id: str = server.call("execute", command="exec sleep 300", name="sleeper")["job_id"]
    return job_id


def news(server: Server, count: int = 1, about: str = "") -> list[Answer]:
    """Ask about a job until `count` news have come with the answers."""
    server.news.clear()

    def told() -> list[Answer]:
        server.call("status", job_id=about)
        return server.news if len(server.news) >= count else []

    return wait_until(told, what="the news")


def none_more(server: Server, about: str) -> None:
    """Whatever was to be told has been: a job that ends after it is told alone."""
    server.news.clear()
    last = server.call("execute", command="exit 7", name="last")["job_id"]
    wait_until(lambda: server.call("status", job_id=about) and last in [item["job_id"] for item in server.news])
    assert [item["job_id"] for item in server.news] == [last]


def test_an_end_is_told_once_with_any_answer(server: Server) -> None:
    other = sleeper(server)
    job_id = server.call("execute", command="sleep 0.2; exit 3", name="build")["job_id"]
    assert news(server, about=other) == [
        {"job_id": job_id, "name": "build", "event": "ended", "status": "failed", "exit_code": 3}
    ]
    none_more(server, other)


def test_a_job_whose_execute_was_cancelled_is_named_once_it_ends(sandbox: Sandbox, server: Server) -> None:
    other = sleeper(server)
    call = server.start("execute", command="until [ -e go ]; do sleep 0.05; done; exit 5", name="build", wait=50)
    [job_id] = wait_until(lambda: set(sandbox.windows()) - {other}, what="the job")
    server.cancel(call)
    server.call("status", job_id=other)
    sandbox.path("go").touch()
    assert news(server, about=other) == [
        {"job_id": job_id, "name": "build", "event": "ended", "status": "failed", "exit_code": 5}
    ]


def test_a_job_that_ended_before_its_answer_left_is_told_all_the_same(server: Server) -> None:
    other = sleeper(server)
    jobs = [server.call("execute", command="true", name=str(n))["job_id"] for n in range(4)]
    wait_until(lambda: server.call("status", job_id=other) and len(server.news) >= len(jobs))
    assert sorted(item["job_id"] for item in server.news) == sorted(jobs)


@pytest.mark.parametrize("tool", ["wait", "status", "output", "tail", "list", "kill"])
def test_what_an_answer_tells_is_no_news(sandbox: Sandbox, server: Server, tool: str) -> None:
    other = sleeper(server)
    job_id = server.call("execute", command="exit 4")["job_id"]
    wait_until((sandbox.state / SESSION / job_id / "exit.json").exists)
    arguments: Answer = {"list": {}, "wait": {"job_ids": [job_id]}}.get(tool, {"job_id": job_id})
    server.call(tool, **arguments)
    none_more(server, other)


@pytest.mark.parametrize("command", ["exit 4", "sleep 300"])
@pytest.mark.parametrize(("tool", "arguments"), [("status", {}), ("kill", {}), ("wait", {"all": True, "timeout": 1})])
def test_what_the_first_answer_about_a_job_tells_is_no_news(
    sandbox: Sandbox, server: Server, tool: str, arguments: Answer, command: str
) -> None:
    other, stranger = sleeper(server), sandbox.server()
    job_id = stranger.call("execute", command=command, wait=1)["job_id"]
    server.call(tool, **arguments, **({"job_ids": [job_id]} if tool == "wait" else {"job_id": job_id}))
    if command == "exit 4" or tool == "kill":
        none_more(server, other)
    else:
        stranger.call("kill", job_id=job_id)
        assert [item["job_id"] for item in news(server, about=other)] == [job_id]


def test_a_need_of_input_is_told_once_and_again_when_it_needs_more(sandbox: Sandbox, server: Server) -> None:
    other = sleeper(server)
    job_id = server.call("execute", command="sleep 0.2; read -p 'One? ' x; sleep 1; read -p 'Two? ' x; exit 2")[
        "job_id"
    ]
    [asked] = news(server, about=other)
    assert (asked["job_id"], asked["event"], asked["status"]) == (job_id, "input", "running")
    cli(sandbox, "send", job_id, "x")  # by somebody else: an answer of this client's own might tell what comes of it
    [asked] = news(server, about=other)
    assert (asked["job_id"], asked["event"]) == (job_id, "input")
    cli(sandbox, "send", job_id, "x")
    [told] = news(server, about=other)
    assert (told["event"], told["exit_code"]) == ("ended", 2)
    none_more(server, other)


def test_what_waits_for_input_in_an_answer_is_no_news(server: Server) -> None:
    other = sleeper(server)
    job_id = server.call("execute", command="read -p 'Who? ' x", wait=50)["job_id"]
    server.call("interact", job_id=job_id, input="me")
    job_id = server.call("execute", command="exec cat", wait=50)["job_id"]
    server.call("interact", job_id=job_id, input="me")
    none_more(server, other)


def test_an_event_loop_that_goes_on_printing_is_told_once(server: Server) -> None:
    other = sleeper(server)
    poll = "import select,sys,tty; tty.setraw(0); print('up');\nwhile 1: select.select([0], [], [], 4); print('.')"
    job_id = server.call("execute", command=f"{sys.executable} -c {shlex.quote(poll)}")["job_id"]
    [asked] = news(server, about=other)
    assert (asked["job_id"], asked["event"]) == (job_id, "input")
    wait_until(lambda: server.call("output", job_id=job_id)["stdout"].count(".") >= 2)
    none_more(server, other)


def test_a_hand_back_is_told(sandbox: Sandbox, server: Server) -> None:
    other = sleeper(server)
    job_id = server.call("execute", command="exec cat", wait=50)["job_id"]
    server.call("handoff", job_id=job_id, message="look")
    cli(sandbox, "give", job_id)
    [told] = news(server, about=other)
    assert told == {"job_id": job_id, "name": "exec cat", "event": "handback", "status": "running"}
    # Told by the answer to the wait for it, it is no news.
    server.call("handoff", job_id=job_id, message="look")
    waiting = server.start("wait", job_ids=[job_id], until="handback", timeout=50)
    cli(sandbox, "give", job_id)
    assert waiting.answer()["reason"] == "handback"
    assert waiting.news == []
    none_more(server, other)


def test_a_hand_back_right_behind_the_hand_off_is_told(sandbox: Sandbox, server: Server) -> None:
    other = sleeper(server)
    job_id = server.call("execute", command="exec cat", wait=50)["job_id"]
    for _ in range(3):
        handed = server.start("handoff", job_id=job_id, message="look")
        wait_until((sandbox.state / SESSION / job_id / "holder").exists)
        set_hold(sandbox.state / SESSION / job_id, None)  # as a form does that declines at once
        assert handed.answer()["holder"] == "human"
        told = handed.news or news(server, about=other)
        assert [(item["job_id"], item["event"]) for item in told] == [(job_id, "handback")]
        none_more(server, other)


def test_five_at_most_are_told_at_a_time(sandbox: Sandbox, server: Server) -> None:
    other = sleeper(server)
    command = "until [ -e go ]; do sleep 0.05; done"
    jobs = [server.call("execute", command=command, name=str(n))["job_id"] for n in range(7)]
    sandbox.path("go").touch()
    for job_id in jobs:
        wait_until((sandbox.state / SESSION / job_id / "exit.json").exists)
    told: list[list[str]] = []
    while sum(map(len, told)) < 7:
        server.news.clear()
        server.call("status", job_id=other)
        told.append([item["job_id"] for item in server.news])
    assert max(map(len, told)) <= 5
    assert sorted(job_id for ids in told for job_id in ids) == sorted(jobs)


@pytest.mark.parametrize("protocol", [HANDSHAKE_ERA, MODERN_ERA])
def test_each_client_is_told_once(sandbox: Sandbox, protocol: str) -> None:
    first, second = sandbox.server(protocol=protocol), sandbox.server(protocol=protocol)
    other = sleeper(first)
    job_id = first.call("execute", command="read x; exit 5", wait=50)["job_id"]
    second.call("status", job_id=job_id)
    cli(sandbox, "send", job_id, "x")
    for server in (first, second):
        [told] = news(server, about=other)
        assert (told["job_id"], told["exit_code"]) == (job_id, 5)
        none_more(server, other)


def test_other_clients_jobs_are_no_news(sandbox: Sandbox, server: Server) -> None:
    other = sleeper(server)
    stranger = sandbox.server()
    ended(stranger, stranger.call("execute", command="true")["job_id"])
    none_more(server, other)


def test_a_server_that_is_started_anew_tells_what_its_client_was_not_told(sandbox: Sandbox, server: Server) -> None:
    other = sleeper(server)
    known = server.call("execute", command="exit 1")["job_id"]
    assert [item["job_id"] for item in news(server, about=other)] == [known]
    job_id = server.call("execute", command="read x; exit 6", wait=50)["job_id"]
    handed = server.call("execute", command="exec cat", wait=50)["job_id"]
    server.call("handoff", job_id=handed, message="look")
    server.kill9()
    cli(sandbox, "send", job_id, "x")
    cli(sandbox, "give", handed)
    again = sandbox.server()
    found = {(item["job_id"], item["event"], item.get("exit_code")) for item in news(again, 2, other)}
    assert found == {(job_id, "ended", 6), (handed, "handback", None)}
    none_more(again, other)
    # A second client's server, beside it, has nothing to take up.
    none_more(sandbox.server(), other)


def test_what_was_not_told_outlives_a_server_that_is_killed_in_its_first_call(sandbox: Sandbox, server: Server) -> None:
    other = sleeper(server)
    job_id = server.call("execute", command="read x; exit 6", wait=50)["job_id"]
    server.kill9()
    again = sandbox.server()
    waiting = again.start("wait", job_ids=[other], timeout=50, progress=True)
    wait_until(lambda: waiting.progress)
    again.kill9()
    cli(sandbox, "send", job_id, "x")
    third = sandbox.server()
    assert [(item["job_id"], item["event"]) for item in news(third, about=other)] == [(job_id, "ended")]
    none_more(third, other)


def over_http(web: HttpServer) -> Callable[..., tuple[bytes, dict[str, str]]]:
    """Body and headers of a client's calls, in a session of its own."""

    def message(method: str, params: Answer) -> bytes:
        return json.dumps({"jsonrpc": "2.0", "id": 2, "method": method, "params": params}).encode()

    hello = web.ask("POST", "/mcp", json.dumps(INITIALIZE).encode())
    headers = {**HEADERS, "Mcp-Session-Id": str(hello.getheader("mcp-session-id"))}
    return lambda tool, **arguments: (message("tools/call", {"name": tool, "arguments": arguments}), headers)


def answered(web: HttpServer, request: tuple[bytes, dict[str, str]]) -> Answer:
    response = web.ask("POST", "/mcp", *request)
    lines: list[str] = response.body.decode().splitlines()  # type: ignore[attr-defined]
    message = json.loads(next(line.removeprefix("data: ") for line in lines if '"result"' in line))
    found: Answer = message["result"]["structuredContent"]
    return found


def test_what_an_answer_tells_that_nobody_got_is_told_again(sandbox: Sandbox) -> None:
    with served(sandbox) as web:
        call = over_http(web)
        other = answered(web, call("execute", command="exec sleep 300"))["job_id"]
        job_id = answered(web, call("execute", command="read x; echo over; exit 3", wait=50))["job_id"]
        connection = web.connect()
        connection.request("POST", "/mcp", *call("wait", job_ids=[job_id], timeout=50))
        connection.getresponse()  # its head comes at once
        connection.close()
        cli(sandbox, "send", job_id, "x")
        told: list[Answer] = wait_until(lambda: answered(web, call("status", job_id=other)).get("news", []))
        assert [(item["job_id"], item["event"]) for item in told] == [(job_id, "ended")]
        assert "over" in answered(web, call("wait", job_ids=[job_id]))["stdout"]


def test_clients_that_have_gone_leave_one_record(sandbox: Sandbox) -> None:
    with served(sandbox) as web:
        for _ in range(5):
            body, headers = over_http(web)("execute", command="true", wait=50)
            assert answered(web, (body, headers))["exit_code"] == 0
            assert web.ask("DELETE", "/mcp", None, headers).status == 200
        records = [path for path in (sandbox.state / ".clients").rglob("*") if path.name.isdigit()]
        assert len(records) == 1


def test_what_dead_servers_left_goes(sandbox: Sandbox) -> None:
    server = sandbox.server(MCP_BG_CLEANUP_INTERVAL="10")
    other = sleeper(server)
    server.kill9()
    again = sandbox.server(MCP_BG_CLEANUP_INTERVAL="10")
    again.call("status", job_id=other)
    cli(sandbox, "clean")
    assert len(list((sandbox.state / ".clients" / SESSION).iterdir())) == 1
