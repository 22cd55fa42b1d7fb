"""The protocol's lines on stdin and stdout.

Promises: a line that is not a message is answered as JSON-RPC says; what is done ahead of a client that doesn't read is
bounded; the end of either stream ends the server, quietly and within two seconds. Nothing else reaches the two streams.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

import anyio
import anyio.to_thread
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp_types import (
    INVALID_REQUEST,
    PARSE_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    jsonrpc_message_adapter,
)

AHEAD = 16  # requests that are taken on while no answer to them has come and none of them is older than YOUNG
YOUNG = 0.25  # seconds; what takes longer waits for something, and makes no answer meanwhile
BACKLOG = 16 << 20  # bytes of lines that are read ahead, so that the end of stdin is seen behind them
LAST_WORDS = 1.5  # seconds from the end of stdin until the process ends, whatever hangs

Incoming = SessionMessage | Exception
Write = Callable[[bytes], None]
Serve = Callable[[MemoryObjectReceiveStream[Incoming], MemoryObjectSendStream[SessionMessage]], Awaitable[None]]


@dataclass(frozen=True)
class Refusal:
    """What a line is answered with that is not a message."""

    error: JSONRPCError


class Wire:
    """One client: its lines, and how fast they are taken on."""

    def __init__(self, stdin: BinaryIO, write: Write, on_end: Callable[[], None]) -> None:
        self.stdin, self.write_line, self.on_end = stdin, write, on_end
        self.to_server, self.incoming = anyio.create_memory_object_stream[Incoming](0)
        self.outgoing, self.from_server = anyio.create_memory_object_stream[SessionMessage](0)
        self.backlog: deque[tuple[JSONRPCMessage | Refusal, int]] = deque()
        self.bytes_behind = 0
        self.taken: dict[str | int, float] = {}  # requests without an answer yet, with when they were taken on
        self.one_at_a_time = anyio.Lock()
        self.changed = anyio.Event()
        self.ended = False

    async def serve(self, server: Serve) -> None:
        """Have the server answer until a stream ends."""
        async with self.incoming, self.outgoing, anyio.create_task_group() as group:
            group.start_soon(self.read)
            group.start_soon(self.pass_on, group.cancel_scope)
            group.start_soon(self.answer, group.cancel_scope)
            await server(self.incoming, self.outgoing)
            group.cancel_scope.cancel()

    # -- in ---------------------------------------------------------------------------------------------------

    async def read(self) -> None:
        """Take in lines until there are none."""
        while line := await anyio.to_thread.run_sync(self.stdin.readline, abandon_on_cancel=True):
            message = parsed(line)
            if isinstance(message, JSONRPCNotification) and message.method == "notifications/cancelled":
                self.forget((message.params or {}).get("requestId"))
                await self.to_server.send(SessionMessage(message))  # what it ends may hold up the others
            elif message is not None:
                self.backlog.append((message, len(line)))
                self.bytes_behind += len(line)
                self.note_change()
            while self.bytes_behind > BACKLOG:
                await self.until_changed()
        self.end()

    def forget(self, request_id: object) -> None:
        """Leave out a request that was cancelled before it was taken on."""
        for entry in [one for one in self.backlog if isinstance(one[0], JSONRPCRequest) and one[0].id == request_id]:
            self.backlog.remove(entry)
            self.bytes_behind -= entry[1]

    async def pass_on(self, scope: anyio.CancelScope) -> None:
        """Hand the messages to the server in their order, requests as fast as their answers are read."""
        async with self.to_server:
            while self.backlog or not self.ended:
                if not self.backlog or (self.is_full() and isinstance(self.backlog[0][0], (JSONRPCRequest, Refusal))):
                    if self.ended:
                        break
                    await self.until_changed()
                    continue
                message, size = self.backlog.popleft()
                self.bytes_behind -= size
                if isinstance(message, Refusal):
                    await self.send(message.error, scope)
                    continue
                if isinstance(message, JSONRPCRequest):
                    self.taken[message.id] = time.monotonic()
                await self.to_server.send(SessionMessage(message))

    def is_full(self) -> bool:
        """Whether an answer can't leave now, or as many as there may be are being made."""
        since = time.monotonic() - YOUNG
        self.taken = {key: began for key, began in self.taken.items() if began > since}
        return self.one_at_a_time.locked() or len(self.taken) >= AHEAD

    # -- out --------------------------------------------------------------------------------------------------

    async def answer(self, scope: anyio.CancelScope) -> None:
        async with self.from_server:
            async for one in self.from_server:
                await self.send(one.message, scope)

    async def send(self, message: JSONRPCMessage, scope: anyio.CancelScope) -> None:
        line = message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"
        async with self.one_at_a_time:
            try:
                await anyio.to_thread.run_sync(self.write_line, line, abandon_on_cancel=True)
            except OSError:  # nobody reads any more
                self.end()
                scope.cancel()
        if isinstance(message, (JSONRPCResponse, JSONRPCError)) and message.id is not None:
            self.taken.pop(message.id, None)
        self.note_change()

    # -- the end ----------------------------------------------------------------------------------------------

    def end(self) -> None:
        self.ended = True
        self.note_change()
        self.on_end()

    def note_change(self) -> None:
        self.changed.set()
        self.changed = anyio.Event()

    async def until_changed(self) -> None:
        with anyio.move_on_after(YOUNG):
            await self.changed.wait()


def parsed(line: bytes) -> JSONRPCMessage | Refusal | None:
    """The message of a line, or what to answer; None where there is nothing to say."""
    text = line.decode(errors="replace")
    if not text.strip():
        return None
    try:
        message = jsonrpc_message_adapter.validate_json(text, by_name=False)
    except ValueError:
        return refusal(text)
    # A request whose id is null is a notification to the model.
    if isinstance(message, JSONRPCNotification) and '"id"' in text and "id" in json.loads(text):
        return refusal(text)
    return message


def refusal(text: str) -> Refusal | None:
    """What JSON-RPC says to a line that is not a message; nothing to what was meant as an answer."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return refused(PARSE_ERROR, "Parse error: the line is not JSON")
    if isinstance(found, list):
        return refused(INVALID_REQUEST, "Invalid request: there are no batches. Send one message a line")
    if not isinstance(found, dict):
        return refused(INVALID_REQUEST, "Invalid request: a message is an object")
    if "method" not in found and ("result" in found or "error" in found):
        return None
    given = found.get("id")
    named = given if isinstance(given, (str, int)) and not isinstance(given, bool) else None
    return refused(INVALID_REQUEST, 'Invalid request: it needs "jsonrpc": "2.0", a "method" and an id', named)


def refused(code: int, message: str, request_id: str | int | None = None) -> Refusal:
    return Refusal(JSONRPCError(jsonrpc="2.0", id=request_id, error=ErrorData(code=code, message=message)))


async def serve_stdio(server: Serve) -> None:
    """Serve whoever is on stdin and stdout of this process, which ends soon after they have gone."""
    stdin, stdout = claim()
    await Wire(stdin, lambda line: write_all(stdout, line), exit_soon).serve(server)


def claim() -> tuple[BinaryIO, int]:
    """stdin and stdout for the protocol alone: what else reads finds nothing, what else prints goes to stderr."""
    stdin, stdout = (fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3) for fd in (0, 1))
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    with suppress(OSError):  # there is no stderr
        os.dup2(2, 1)
    os.close(nothing)
    return os.fdopen(stdin, "rb"), stdout


def write_all(fd: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]


def exit_soon() -> None:
    """End the process though a write to a client that doesn't read holds up a thread; there is nothing to save."""
    timer = threading.Timer(LAST_WORDS, os._exit, (0,))
    timer.daemon = True
    timer.start()
