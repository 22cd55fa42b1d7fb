"""Subscribed resources of real jobs, by a real server on raw lines, in both eras."""

from __future__ import annotations

import time

import pytest

from support.rpc import HANDSHAKE_ERA, MODERN_ERA, Pending, Server
from support.sandbox import SESSION, Sandbox
from support.terminal import cli
from support.waiting import wait_until

pytestmark = pytest.mark.promise("resources-told")
ERAS = pytest.mark.parametrize("protocol", [HANDSHAKE_ERA, MODERN_ERA])

UPDATED = "notifications/resources/updated"
CHANGED = "notifications/resources/list_changed"


def listen(server: Server, *uris: str) -> Pending | None:
    """Subscribe in the way of the server's era; the stream, where that is one."""
    if server.protocol == HANDSHAKE_ERA:
        for uri in uris:
            server.request("resources/subscribe", {"uri": uri})
        return None
    acknowledged = len(told(server, "notifications/subscriptions/acknowledged"))
    stream = server.begin(
        "subscriptions/listen", {"notifications": {"resourceSubscriptions": list(uris), "resourcesListChanged": True}}
    )
    wait_until(lambda: len(told(server, "notifications/subscriptions/acknowledged")) > acknowledged)
    return stream


def told(server: Server, method: str) -> list[str]:
    """The URIs of the notifications of one kind."""
    return [note.get("params", {}).get("uri", "") for note in server.notifications if note.get("method") == method]


def updates(server: Server, uri: str, count: int) -> None:
    wait_until(lambda: told(server, UPDATED).count(uri) >= count, what=f"{count} updates of {uri}")


@ERAS
def test_a_job_is_told_of_its_question_its_hand_off_its_hand_back_and_its_end(sandbox: Sandbox, protocol: str) -> None:
    server = sandbox.server(protocol=protocol)
    job_id = server.call("execute", command="sleep 1; read -p 'Who? ' x; exit 5", name="ask")["job_id"]
    uri = f"job://{job_id}"
    listen(server, uri, "job://ask/output")
    updates(server, uri, 1)  # the question
    server.call("handoff", job_id=job_id, message="look")
    updates(server, uri, 2)
    cli(sandbox, "give", job_id)
    updates(server, uri, 3)
    server.call("interact", job_id=job_id, input="me", timeout=0)
    wait_until((sandbox.state / SESSION / job_id / "exit.json").exists)
    ended = time.monotonic()
    wait_until(lambda: "exit_code" in server.request("resources/read", {"uri": uri})["contents"][0]["text"])
    updates(server, uri, 4)
    assert time.monotonic() - ended < 1.0, "an end is told within a second"
    updates(server, "job://ask/output", 2)
    wait_until(lambda: told(server, CHANGED))
    assert "Traceback" not in server.stderr


@ERAS
def test_each_client_of_a_job_is_told_and_again_when_its_server_was_killed(sandbox: Sandbox, protocol: str) -> None:
    first, second = sandbox.server(protocol=protocol), sandbox.server(protocol=protocol)
    job_id = first.call("execute", command="read x; exit 5", wait=20)["job_id"]
    uri = f"job://{job_id}"
    listen(first, uri)
    listen(second, uri)
    for server in (first, second):
        updates(server, uri, 1)
    first.kill9()
    cli(sandbox, "send", job_id, "x")
    updates(second, uri, 2)
    again = sandbox.server(protocol=protocol)
    listen(again, uri)
    updates(again, uri, 1)
    assert '"exit_code":5' in again.request("resources/read", {"uri": uri})["contents"][0]["text"]


def test_a_stream_that_is_cancelled_is_told_no_more(sandbox: Sandbox) -> None:
    server = sandbox.server(protocol=MODERN_ERA)
    jobs = [server.call("execute", command="read x", wait=20)["job_id"] for _ in range(2)]
    streams = [listen(server, f"job://{job_id}") for job_id in jobs]
    for job_id in jobs:
        updates(server, f"job://{job_id}", 1)
    assert streams[0] is not None
    server.cancel(streams[0])
    server.call("list")
    for job_id in jobs:
        cli(sandbox, "send", job_id, "x")
        wait_until((sandbox.state / SESSION / job_id / "exit.json").exists)
    updates(server, f"job://{jobs[1]}", 2)
    assert told(server, UPDATED).count(f"job://{jobs[0]}") == 1


@ERAS
def test_a_client_that_leaves_a_subscription_open_leaves_nothing(sandbox: Sandbox, protocol: str) -> None:
    server = sandbox.server(protocol=protocol)
    job_id = server.call("execute", command="while :; do echo x; sleep 0.01; done")["job_id"]
    listen(server, f"job://{job_id}", f"job://{job_id}/output", f"job://{job_id}/screen")
    updates(server, f"job://{job_id}/output", 1)
    assert server.hang_up() == 0
    assert "Traceback" not in server.stderr
