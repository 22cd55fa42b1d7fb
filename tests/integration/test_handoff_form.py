"""A hand-off in the client's own form: beside the answer, never in its way, and over when the hold is."""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.to_thread
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.session import ClientRequestContext
from mcp_types import ElicitRequestFormParams, ElicitRequestParams, ElicitResult, ErrorData

from mcp_background_job.server.elicitation import READING
from support.person import Person
from support.rpc import HANDSHAKE_ERA, MODERN_ERA, Answer, Server
from support.sandbox import Sandbox, ended, shows
from support.terminal import cli, start
from support.waiting import stays_true, wait_until

ASKS = "please type the deploy password"


@pytest.fixture(scope="module")
def asking(shared: Sandbox) -> Server:
    """A server whose client can show forms, on raw lines."""
    return open_server(shared, HANDSHAKE_ERA)


def open_server(sandbox: Sandbox, protocol: str) -> Server:
    server = sandbox.silent_server(protocol=protocol, MCP_BG_MAX_JOBS="300")
    server.capabilities = {"elicitation": {}}
    return server.open()


@pytest.fixture
def talk(server: Server) -> str:
    job_id: str = server.call("execute", command="echo up; exec cat", name="deploy")["job_id"]
    shows(server, job_id, "up")
    return job_id


def sent(server: Server, method: str, job_id: str) -> list[Answer]:
    """What the server has sent of its own accord about a job, or about the form for it."""
    forms = [m for m in server.notifications if m.get("method") == "elicitation/create"]
    mine = [form for form in forms if job_id in form["params"]["message"]]
    if method == "elicitation/create":
        return mine
    numbers = [form["id"] for form in mine]
    return [m for m in server.notifications if m.get("method") == method and m["params"].get("requestId") in numbers]


def form_of(server: Server, job_id: str) -> Answer:
    return wait_until(lambda: sent(server, "elicitation/create", job_id), what="the form")[-1]


def reply(server: Server, form: Answer, after: float = 1.5 * READING, **result: Any) -> None:
    time.sleep(after)  # what a person takes to read, which has no other sign
    server.send({"jsonrpc": "2.0", "id": form["id"], "result": result})


def holder(server: Server, job_id: str) -> str:
    return str(server.call("status", job_id=job_id)["holder"])


@pytest.mark.promise("handoff-at-once")
def test_the_answer_does_not_wait_for_the_form(asking: Server, server: Server, talk: str) -> None:
    answer = asking.call("handoff", job_id=talk, message=ASKS)  # nobody has answered the form, and nobody will
    assert (answer["holder"], answer["watching"]) == ("human", 0)
    text = form_of(asking, talk)["params"]["message"]
    assert ASKS in text and "tests asks" in text and answer["attach"] in text
    assert holder(server, talk) == "human"
    # The connection goes on as ever.
    assert asking.call("tail", job_id=talk)["stdout"] == "up\n"


def test_the_form_asks_for_nothing_but_whether_it_is_done(asking: Server, talk: str) -> None:
    asking.call("handoff", job_id=talk, message=ASKS)
    asked = form_of(asking, talk)["params"]
    assert {name: field["type"] for name, field in asked["requestedSchema"]["properties"].items()} == {
        "done": "boolean"
    }
    assert "nothing secret here" in asked["message"]


def test_done_hands_back_and_ends_the_wait(asking: Server, server: Server, talk: str) -> None:
    asking.call("handoff", job_id=talk, message=ASKS)
    waiting = server.start("wait", job_ids=[talk], until="handback", timeout=50)
    reply(asking, form_of(asking, talk), action="accept", content={"done": True})
    answer = waiting.answer()
    assert answer["reason"] == "handback" and "declined" not in answer
    assert holder(server, talk) == "agent"


def test_declining_hands_back_and_says_so(asking: Server, server: Server, talk: str) -> None:
    asking.call("handoff", job_id=talk, message=ASKS)
    reply(asking, form_of(asking, talk), action="decline")
    answer = server.call("wait", job_ids=[talk], until="handback", timeout=50)
    assert (answer["reason"], answer["declined"]) == ("handback", True)
    # The next one who is asked has not said no.
    asking.call("handoff", job_id=talk, message=ASKS)
    wait_until(lambda: len(sent(asking, "elicitation/create", talk)) == 2)
    reply(asking, form_of(asking, talk), action="accept", content={"done": True})
    assert "declined" not in server.call("wait", job_ids=[talk], until="handback", timeout=50)


@pytest.mark.parametrize("result", [{"action": "decline"}, {"action": "accept", "content": {"done": True}}])
def test_an_answer_that_comes_faster_than_a_person_reads_changes_nothing(
    asking: Server, server: Server, talk: str, result: dict[str, Any]
) -> None:
    """Codex without approval prompts declines every form by itself."""
    asking.call("handoff", job_id=talk, message=ASKS)
    reply(asking, form_of(asking, talk), after=0.0, **result)
    stays_true(lambda: holder(server, talk) == "human", 0.4)
    answer = asking.call("wait", job_ids=[talk], until="handback", timeout=0.1)
    assert answer["reason"] == "timeout" and "declined" not in answer


@pytest.mark.parametrize(
    "result",
    [
        {"action": "cancel"},
        {"action": "accept", "content": {"done": False}},
        {"action": "accept"},
        {"action": "accept", "content": {"done": "true"}},
        {"action": "nonsense"},
        {},
    ],
)
def test_anything_else_leaves_the_keys_with_the_person(
    asking: Server, server: Server, talk: str, result: dict[str, Any]
) -> None:
    asking.call("handoff", job_id=talk, message=ASKS)
    reply(asking, form_of(asking, talk), **result)
    stays_true(lambda: holder(server, talk) == "human", 0.4)
    assert asking.call("wait", job_ids=[talk], until="handback", timeout=0.1)["reason"] == "timeout"


def test_a_refusal_by_the_client_changes_nothing(asking: Server, server: Server, talk: str) -> None:
    asking.call("handoff", job_id=talk, message=ASKS)
    form = form_of(asking, talk)
    asking.send({"jsonrpc": "2.0", "id": form["id"], "error": {"code": -32600, "message": "no forms here"}})
    stays_true(lambda: holder(server, talk) == "human", 0.4)


def test_handing_back_in_tmux_takes_the_form_away(asking: Server, server: Server, shared: Sandbox, talk: str) -> None:
    asking.call("handoff", job_id=talk, message=ASKS)
    form = form_of(asking, talk)
    person = Person(shared, server.call("status", job_id=talk)["attach"])
    person.sees("F12 t hands them back")
    person.press("F12")
    person.sees("Hand the keys back")
    person.press("t")
    wait_until(lambda: sent(asking, "notifications/cancelled", talk))
    # A late answer to a form that is gone acts on nobody's keys.
    person.press("F12")
    person.sees("Take over")
    person.press("t")
    wait_until(lambda: holder(server, talk) == "human")
    reply(asking, form, action="accept", content={"done": True})
    stays_true(lambda: holder(server, talk) == "human", 0.4)
    person.close()


def test_the_jobs_end_takes_the_form_away(asking: Server, server: Server, shared: Sandbox) -> None:
    job_id = server.call("execute", command="read x", name="deploy")["job_id"]
    asking.call("handoff", job_id=job_id, message=ASKS)
    form_of(asking, job_id)
    shared.tmux("send-keys", "-t", shared.window(job_id), "Enter")
    ended(server, job_id)
    wait_until(lambda: sent(asking, "notifications/cancelled", job_id))


def test_a_second_request_takes_the_first_form_away(asking: Server, talk: str) -> None:
    asking.call("handoff", job_id=talk, message=ASKS)
    form_of(asking, talk)
    asking.call("handoff", job_id=talk, message="and the second one")
    wait_until(lambda: sent(asking, "notifications/cancelled", talk))
    wait_until(lambda: "second one" in form_of(asking, talk)["params"]["message"])


def test_a_client_that_leaves_with_the_form_open_leaves_the_hold(shared: Sandbox, server: Server, talk: str) -> None:
    for leave in (Server.hang_up, Server.kill9):
        leaving = open_server(shared, HANDSHAKE_ERA)
        leaving.call("handoff", job_id=talk, message=ASKS)
        form_of(leaving, talk)
        leave(leaving)
        assert holder(server, talk) == "human"
        assert "Traceback" not in leaving.stderr


def test_a_client_without_forms_is_not_asked(server: Server, talk: str) -> None:
    assert server.call("handoff", job_id=talk, message=ASKS)["holder"] == "human"
    server.call("tail", job_id=talk)
    assert not sent(server, "elicitation/create", talk)


def test_the_newer_protocol_answers_at_once_and_shows_the_request_in_the_waits_progress(
    shared: Sandbox, talk: str
) -> None:
    modern = open_server(shared, MODERN_ERA)
    answer = modern.call("handoff", job_id=talk, message=ASKS)
    assert (answer["holder"], answer["watching"]) == ("human", 0)
    waiting = modern.start("wait", job_ids=[talk], until="handback", timeout=0.5, progress=True)
    assert waiting.answer()["reason"] == "timeout"
    assert ASKS in waiting.progress[0]["message"] and answer["attach"] in waiting.progress[0]["message"]
    # That protocol knows no request from the server.
    assert not [message for message in modern.notifications if "id" in message]


# -- with the SDK's own client ------------------------------------------------------------------------------

Act = Callable[[Client], Awaitable[Any]]


def with_client(sandbox: Sandbox, act: Act, seen: list[str], decide: ElicitResult | None, mode: str) -> Any:
    """Run `act` with a real client whose person sees the forms in `seen` and answers `decide`, or never."""

    async def show(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult | ErrorData:
        assert isinstance(params, ElicitRequestFormParams)
        seen.append(params.message)
        if decide is None:
            await anyio.sleep_forever()
        assert decide is not None
        await anyio.sleep(1.5 * READING)
        return decide

    async def main() -> Any:
        process = StdioServerParameters(
            command=sys.executable, args=["-m", "mcp_background_job"], env=sandbox.environment, cwd=sandbox.work
        )
        async with Client(process, mode=mode, elicitation_callback=show) as client:
            return await act(client)

    return anyio.run(main)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_a_real_client_gets_the_answer_and_the_wait_whichever_protocol_it_speaks(
    shared: Sandbox, server: Server, talk: str, mode: str
) -> None:
    seen: list[str] = []
    done = ElicitResult(action="accept", content={"done": True})

    async def act(client: Client) -> tuple[Any, Any]:
        with anyio.fail_after(100):
            handed = await client.call_tool("handoff", {"job_id": talk, "message": ASKS})
            waited = await client.call_tool(
                "wait", {"job_ids": [talk], "until": "handback", "timeout": 50 if mode == "legacy" else 0.5}
            )
        return handed.structured_content, waited.structured_content

    handed, waited = with_client(shared, act, seen, done, mode)
    assert handed["holder"] == "human"
    if mode == "legacy":
        assert len(seen) == 1 and ASKS in seen[0]
        assert waited["reason"] == "handback"
    else:
        assert not seen and waited["reason"] == "timeout"


def test_a_real_client_whose_person_never_answers_can_go_on_and_leave(
    shared: Sandbox, server: Server, talk: str
) -> None:
    seen: list[str] = []

    async def act(client: Client) -> Any:
        with anyio.fail_after(100):
            await client.call_tool("handoff", {"job_id": talk, "message": ASKS})
            await anyio.to_thread.run_sync(wait_until, lambda: seen)
            return (await client.call_tool("tail", {"job_id": talk})).structured_content

    assert with_client(shared, act, seen, None, "legacy")["stdout"] == "up\n"
    assert holder(server, talk) == "human"


@pytest.mark.promise("human-holds")
def test_a_form_that_answers_itself_leaves_a_person_who_has_taken_the_job_their_keys(
    asking: Server, server: Server, shared: Sandbox, talk: str
) -> None:
    for _ in range(4):
        asking.call("handoff", job_id=talk, message=ASKS)
        form = form_of(asking, talk)
        taking = start(shared, "take", talk)
        reply(asking, form, action="accept", content={"done": True})
        assert taking.wait(60) == 0
        taking.communicate()
        stays_true(lambda: server.call("status", job_id=talk).get("holder") == "human", 0.2)
        cli(shared, "give", talk)


@pytest.mark.promise("pair-handoff")
def test_a_hundred_hand_offs_ring_a_few_times(server: Server, shared: Sandbox, talk: str) -> None:
    log = shared.state / "mcp-jobs" / talk / "log"
    begun = time.monotonic()
    for _ in range(30):
        server.call("handoff", job_id=talk, message=ASKS)
    threes = (time.monotonic() - begun) / 3  # seconds between two bells
    rung = b"".join(path.read_bytes() for path in log.glob("*.log")).count(b"\a")
    assert 1 <= rung <= 4 + threes
    cli(shared, "give", talk)
