"""One HTTP connection, and how many there may be.

Promise: a client that is slow to send or to read, or many of them, can't keep out those who carry the token.
"""

from __future__ import annotations

import time
from asyncio import TimerHandle, Transport
from collections import Counter

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 500  # of the 1024 files that most systems let a process have; a wait needs some too
MAX_STRANGERS = 250  # of one address, that have not shown the token
PATIENCE = 30.0  # seconds in which a request must have come in, head and body, or an answer must go on leaving
AUTHORIZED = "mcp_background_job.authorized"  # in the scope of a request that carries the token


class Connection(H11Protocol):
    """A connection that can't be held open by doing nothing; uvicorn itself waits for a request forever."""

    began: float
    known: bool = False  # it has shown the token
    request_deadline: TimerHandle | None = None
    answer_deadline: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self.began = time.monotonic()
        self.expect()
        self.make_room()

    def make_room(self) -> None:
        """Where there are too many, close the one that is least missed: a stranger's before one that has the token.

        Of strangers' the oldest of the address that has most; of others the one without a request for longest.
        """
        if len(self.connections) <= MAX_STRANGERS:
            return
        others = [one for one in self.connections if isinstance(one, Connection) and not one.transport.is_closing()]
        strangers = [one for one in others if not one.is_known()]
        addresses = Counter(one.address for one in strangers)
        crowded, most = addresses.most_common(1)[0]
        if len(others) > MAX_CONNECTIONS or most > MAX_STRANGERS:
            min((one for one in strangers if one.address == crowded), key=lambda one: one.began).transport.abort()

    @property
    def address(self) -> str:
        return self.client[0] if self.client else ""

    def is_known(self) -> bool:
        """Whether a request on this connection has carried the token."""
        self.known = self.known or bool(self.scope and AUTHORIZED in self.scope)
        return self.known

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state in (h11.IDLE, h11.SEND_BODY):
            self.expect()
        else:
            self.relax()

    def on_response_complete(self) -> None:
        self.began = time.monotonic()
        self.is_known()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self.relax()
        self.resume_writing()
        super().connection_lost(exc)

    def expect(self) -> None:
        """Give the client PATIENCE for the rest of its request, counted from its beginning."""
        if self.request_deadline is None:
            self.request_deadline = self.loop.call_later(PATIENCE, self.transport.abort)

    def relax(self) -> None:
        if self.request_deadline is not None:
            self.request_deadline.cancel()
            self.request_deadline = None

    def pause_writing(self) -> None:
        """Give the client PATIENCE to read on, now that answers pile up."""
        super().pause_writing()
        if self.answer_deadline is None:
            self.answer_deadline = self.loop.call_later(PATIENCE, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.answer_deadline is not None:
            self.answer_deadline.cancel()
            self.answer_deadline = None
