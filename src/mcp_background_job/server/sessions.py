"""The sessions of clients of the older protocol.

Promise: however many sessions are opened, a new one is to be had: the one that has been idle for longest goes.
"""

from __future__ import annotations

from collections import Counter, OrderedDict

from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_SESSIONS = 1000  # each costs 20 KB
HEADER = b"mcp-session-id"


class Sessions:
    """Passes requests on, and ends the sessions that there is no room for, as their client would: by DELETE."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.last_used: OrderedDict[bytes, None] = OrderedDict()
        self.busy: Counter[bytes] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == HEADER), b"")
        opened: list[bytes] = []

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start" and not given:
                opened.extend(value for name, value in message.get("headers", ()) if name.lower() == HEADER)
            await send(message)

        if given in self.last_used:
            self.last_used.move_to_end(given)
        self.busy[given] += 1
        try:
            await self.app(scope, receive, noting)
        finally:
            self.busy[given] -= 1
            if not self.busy[given]:
                del self.busy[given]
            if scope["method"] == "DELETE":
                self.last_used.pop(given, None)
        for session in opened:
            self.last_used[session] = None
            await self.make_room(scope)

    async def make_room(self, like: Scope) -> None:
        if len(self.last_used) <= MAX_SESSIONS:
            return
        idle = next((session for session in self.last_used if session not in self.busy), None)
        if idle is None:
            return
        del self.last_used[idle]
        kept = [(name, value) for name, value in like["headers"] if name in (b"host", b"authorization", b"accept")]
        scope = {**like, "method": "DELETE", "headers": [*kept, (HEADER, idle)], "state": {}}

        async def no_body() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def nobody(message: Message) -> None:
            """The answer is for no client."""

        await self.app(scope, no_body, nobody)
