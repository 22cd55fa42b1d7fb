"""One HTTP connection, and how many there may be.

Promise: a client that is slow, or many of them, can't keep others out.
"""

from __future__ import annotations

import time
from asyncio import TimerHandle, Transport

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 500  # of the 1024 files that most systems let a process have; a wait needs some too
PATIENCE = 30.0  # seconds in which a request must have come in, head and body


class Connection(H11Protocol):
    """A connection that can't be held open by doing nothing; uvicorn itself waits for a request forever."""

    began: float
    deadline: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self.began = time.monotonic()
        self.expect()
        if len(self.connections) > MAX_CONNECTIONS:
            self.make_room()

    def make_room(self) -> None:
        """Close the connection that has been without a request for longest: this one, where all others have one."""
        waiting = [one for one in self.connections if isinstance(one, Connection) and one.is_waiting()]
        min(waiting, key=lambda one: one.began).transport.abort()

    def is_waiting(self) -> bool:
        """Whether no request is being answered; one whose client was refused counts as answered."""
        return not self.transport.is_closing() and (self.cycle is None or self.cycle.response_complete)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state in (h11.IDLE, h11.SEND_BODY):
            self.expect()
        else:
            self.relax()

    def on_response_complete(self) -> None:
        self.began = time.monotonic()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self.relax()
        super().connection_lost(exc)

    def expect(self) -> None:
        """Give the client PATIENCE for the rest of its request, counted from its beginning."""
        if self.deadline is None:
            self.deadline = self.loop.call_later(PATIENCE, self.transport.abort)

    def relax(self) -> None:
        if self.deadline is not None:
            self.deadline.cancel()
            self.deadline = None
