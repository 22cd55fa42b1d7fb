"""The protocol's lines: what is no message is answered, a client that doesn't read bounds the work, an end is quiet."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCRequest, JSONRPCResponse

from mcp_background_job.server.stdio import AHEAD, Refusal, Wire, parsed
from support.waiting import wait_until

PARSE_ERROR, INVALID_REQUEST = -32700, -32600


@pytest.mark.parametrize(
    ("line", "code", "request_id"),
    [
        (b"hello", PARSE_ERROR, None),
        (b'{"jsonrpc": "2.0", "id": 5, "method":', PARSE_ERROR, None),
        (b"\xff\xfe", PARSE_ERROR, None),
        (b"[" * 100_000, PARSE_ERROR, None),
        (b"[]", INVALID_REQUEST, None),
        (b'[{"jsonrpc": "2.0", "id": 5, "method": "ping"}]', INVALID_REQUEST, None),
        (b"5", INVALID_REQUEST, None),
        (b"null", INVALID_REQUEST, None),
        (b'{"jsonrpc": "2.0", "id": null, "method": "ping"}', INVALID_REQUEST, None),
        (b'{"jsonrpc": "2.0", "id": 1.5, "method": "ping"}', INVALID_REQUEST, None),
        (b'{"jsonrpc": "2.0", "id": true, "method": "ping"}', INVALID_REQUEST, None),
        (b'{"jsonrpc": "2.0", "id": 7}', INVALID_REQUEST, 7),
        (b'{"id": "a", "method": "ping"}', INVALID_REQUEST, "a"),
        (b'{"jsonrpc": "2.0", "id": 7, "method": "ping", "params": [1]}', INVALID_REQUEST, 7),
    ],
)
@pytest.mark.promise("server-protocol")
def test_what_is_not_a_message_is_answered_as_json_rpc_says(
    line: bytes, code: int, request_id: str | int | None
) -> None:
    found = parsed(line + b"\n")
    assert isinstance(found, Refusal), found
    assert (found.error.error.code, found.error.id) == (code, request_id)
    assert json.loads(found.error.model_dump_json(by_alias=True, exclude_unset=True))["id"] == request_id


@pytest.mark.parametrize(
    "line", [b"\n", b" \r\n", b'{"id": 5, "result": {}}', b'{"jsonrpc": "2.0", "id": 5, "error": 1}']
)
def test_nothing_is_said_to_an_empty_line_and_to_an_answer(line: bytes) -> None:
    assert parsed(line) is None


class Side:
    """A client's side: what it writes, what it has read, and whether it reads."""

    def __init__(self) -> None:
        read, write = os.pipe()
        self.input, self.server_in = os.fdopen(write, "wb", buffering=0), os.fdopen(read, "rb")
        self.lines: list[dict[str, Any]] = []
        self.reads = threading.Event()
        self.gone = False
        self.ended = threading.Event()
        self.taken: list[JSONRPCRequest] = []  # what the server was given
        self.cancelled: list[object] = []
        self.wire: Wire

    def take(self, line: bytes) -> None:
        self.reads.wait()
        if self.gone:
            raise BrokenPipeError
        self.lines.append(json.loads(line))

    def say(self, method: str, request_id: int | None = None, **params: Any) -> None:
        message: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params}
        if request_id is not None:
            message["id"] = request_id
        self.input.write(json.dumps(message).encode() + b"\n")

    async def serve(self) -> None:
        self.wire = Wire(self.server_in, self.take, self.ended.set)
        await self.wire.serve(self.server)

    async def server(self, incoming: Any, outgoing: Any) -> None:
        """Answers `now` at once, and never what is called `later`."""
        async with anyio.create_task_group() as group:
            async for item in incoming:
                message = item.message
                if not isinstance(message, JSONRPCRequest):
                    self.cancelled.append((message.params or {}).get("requestId"))
                    continue
                self.taken.append(message)
                if message.method == "now":
                    answer = JSONRPCResponse(jsonrpc="2.0", id=message.id, result={})
                    group.start_soon(outgoing.send, SessionMessage(answer))
            group.cancel_scope.cancel()


@pytest.fixture
def side() -> Iterator[Side]:
    made = Side()
    yield made
    made.reads.set()
    made.input.close()
    made.server_in.close()


def during(side: Side, acts: Callable[[], None]) -> None:
    """Serve while `acts`, in a thread, does what a client does; to its end."""

    async def both() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(side.serve)
            try:
                await anyio.to_thread.run_sync(acts)
            finally:
                side.reads.set()
                side.input.close()

    anyio.run(both)


@pytest.mark.promise("limit-unread")
def test_no_more_is_done_than_a_client_reads(side: Side) -> None:
    def acts() -> None:
        for number in range(10 * AHEAD):
            side.say("now", number)
        wait_until(lambda: len(side.taken) + len(side.wire.backlog) == 10 * AHEAD)
        assert 0 < len(side.taken) <= AHEAD
        side.reads.set()
        wait_until(lambda: len(side.lines) == 10 * AHEAD)

    during(side, acts)
    assert [line["id"] for line in side.lines] == list(range(10 * AHEAD))


@pytest.mark.promise("limit-unread")
def test_calls_that_wait_for_something_hold_up_no_others(side: Side) -> None:
    side.reads.set()

    def acts() -> None:
        for number in range(3 * AHEAD):
            side.say("later", number)
        side.say("now", 1000)
        wait_until(lambda: side.lines)

    during(side, acts)
    assert [line["id"] for line in side.lines] == [1000]


@pytest.mark.promise("limit-unread")
def test_a_call_that_is_cancelled_before_its_turn_is_not_made(side: Side) -> None:
    def acts() -> None:
        side.say("now", 0)
        wait_until(lambda: side.taken)
        for number in range(1, 2 * AHEAD):
            side.say("now", number)
        side.say("notifications/cancelled", requestId=2 * AHEAD - 1)
        wait_until(lambda: side.cancelled == [2 * AHEAD - 1])
        side.reads.set()
        wait_until(lambda: len(side.lines) == 2 * AHEAD - 1)

    during(side, acts)
    assert {line["id"] for line in side.lines} == set(range(2 * AHEAD - 1))


@pytest.mark.promise("server-protocol")
def test_the_end_of_stdin_is_seen_though_nothing_can_be_answered(side: Side) -> None:
    def acts() -> None:
        for number in range(10 * AHEAD):
            side.say("now", number)
        side.input.write(b"garbage\n")
        side.input.close()
        assert side.ended.wait(20)

    during(side, acts)
    assert len(side.taken) <= AHEAD


@pytest.mark.promise("server-protocol")
def test_a_client_that_has_closed_its_end_is_left_in_peace(side: Side) -> None:
    side.gone = True
    side.reads.set()

    def acts() -> None:
        side.say("now", 1)
        assert side.ended.wait(20)

    during(side, acts)
    assert side.lines == []
