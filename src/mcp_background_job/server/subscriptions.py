"""Who is told that a job's resource has changed: by `resources/subscribe`, or since 2026-07-28 by a listening stream.

Promises: a job's resource is told of its end, need of input, hand-off and hand-back, its output and screen of what it
printed, once a second at most and once more when it ends; nothing is left of a client that has gone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import anyio.to_thread
from mcp import MCPError
from mcp.server import MCPServer
from mcp.server.connection import Connection
from mcp.server.context import ServerRequestContext
from mcp.server.session import ServerSession
from mcp.server.subscriptions import ListenHandler, ResourcesListChanged, ResourceUpdated, ServerEvent
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    EmptyResult,
    SubscribeRequestParams,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
    UnsubscribeRequestParams,
)

from mcp_background_job.errors import JobError
from mcp_background_job.jobs.events import Event, JobEvents, Kind
from mcp_background_job.jobs.view import JobView

from .callers import connection_of
from .resources import Address, address, protocol_errors

GAP = 1.0  # seconds between two notifications of output, at least
MAX_RESOURCES = 1000  # that one client or one stream is subscribed to
MAX_STREAMS = 1000
LIST = ""  # in place of a URI: that the list has changed
OF_JOB: set[Kind] = {"ended", "input", "held", "handback"}

AnyRequest = ServerRequestContext[None, Any]
Tell = Callable[[str], None]

logger = logging.getLogger(__name__)


class Subscription:
    """One client's interest in one resource, in the URI's own spelling."""

    def __init__(self, uri: str, address: Address, tell: Tell) -> None:
        self.uri = uri
        self.job_id, self.part = address
        self.over = False  # the job has ended
        self._tell = tell
        self._last = float("-inf")
        self._timer: asyncio.TimerHandle | None = None

    def hear(self, event: Event) -> None:
        if self.over:
            return
        if self.part and event.kind == "output":
            self._tell_in_time()
        elif event.kind == "ended" or (not self.part and event.kind in OF_JOB):
            self.over = event.kind == "ended"
            self.close()
            self._tell(self.uri)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tell_in_time(self) -> None:
        loop = asyncio.get_running_loop()
        if self._timer is None:
            self._timer = loop.call_at(max(loop.time(), self._last + GAP), self._tell_now)

    def _tell_now(self) -> None:
        self._timer = None
        self._last = asyncio.get_running_loop().time()
        self._tell(self.uri)


class Peer:
    """A client of a protocol with a handshake: what it has subscribed to, and what is to be sent to it."""

    def __init__(self, session: ServerSession) -> None:
        self.session = session
        self.subscriptions: dict[str, Subscription] = {}
        self.due: dict[str, None] = {}  # in their order, each once, however slowly the client reads
        self._something = asyncio.Event()
        self.task = asyncio.get_running_loop().create_task(self._send())

    def tell(self, uri: str) -> None:
        self.due.setdefault(uri)
        self._something.set()

    def tell_list(self) -> None:
        self.tell(LIST)

    async def _send(self) -> None:
        while True:
            await self._something.wait()
            self._something.clear()
            while self.due:
                uri = next(iter(self.due))
                del self.due[uri]
                try:
                    if uri == LIST:
                        await self.session.send_resource_list_changed()
                    else:
                        await self.session.send_resource_updated(uri)
                except Exception:  # whatever the transport says of a client that has gone
                    logger.info("a client could not be told", exc_info=True)


class Stream:
    """The bus of one listening stream: two streams of one client are told each at its own pace."""

    def __init__(self) -> None:
        self._listener: Callable[[ServerEvent], None] | None = None

    def subscribe(self, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        self._listener = listener
        return lambda: None

    async def publish(self, event: ServerEvent) -> None:
        self._tell(event)

    def tell(self, uri: str) -> None:
        self._tell(ResourceUpdated(uri))

    def tell_list(self) -> None:
        self._tell(ResourcesListChanged())

    def _tell(self, event: ServerEvent) -> None:
        if self._listener is not None:
            self._listener(event)


class Subscriptions:
    """The subscriptions of one server's clients."""

    def __init__(self, view: JobView, events: JobEvents) -> None:
        self.view = view
        self.events = events
        self.peers: dict[Connection, Peer] = {}
        self.streams = 0
        self._of_job: dict[str, set[Subscription]] = {}
        events.listeners.append(self._hear)

    def serve(self, server: MCPServer[None]) -> None:
        """Answer the protocol's requests. MCPServer itself has no way to register some of them."""
        low = server._lowlevel_server
        low.add_request_handler("resources/subscribe", SubscribeRequestParams, self.subscribe)
        low.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, self.unsubscribe)
        low.add_request_handler("subscriptions/listen", SubscriptionsListenRequestParams, self.listen)

    # -- with a handshake -----------------------------------------------------------------------------------

    def greet(self, session: ServerSession) -> None:
        """A client that has just said hello is told from now on when the list changes."""
        self._peer(session)

    async def subscribe(self, ctx: AnyRequest, params: SubscribeRequestParams) -> EmptyResult:
        uri = str(params.uri)
        with protocol_errors(uri, ctx.protocol_version):
            found = await anyio.to_thread.run_sync(address, self.view, uri)
        peer = self._peer(ctx.session)
        if uri not in peer.subscriptions:
            for over in [one for one in peer.subscriptions.values() if one.over]:
                self._remove(peer.subscriptions.pop(over.uri))
            if len(peer.subscriptions) >= MAX_RESOURCES:
                raise MCPError(code=INVALID_PARAMS, message=f"Of {MAX_RESOURCES} subscriptions some must end first.")
            peer.subscriptions[uri] = self._add(Subscription(uri, found, peer.tell))
        return EmptyResult()

    async def unsubscribe(self, ctx: AnyRequest, params: UnsubscribeRequestParams) -> EmptyResult:
        peer = self._peer(ctx.session)
        subscription = peer.subscriptions.pop(str(params.uri), None)
        if subscription is not None:
            self._remove(subscription)
            peer.due.pop(subscription.uri, None)
        return EmptyResult()

    def _peer(self, session: ServerSession) -> Peer:
        connection = connection_of(session)
        peer = self.peers.get(connection)
        if peer is None:
            peer = self.peers[connection] = Peer(session)
            self.events.follow_list(peer.tell_list)
            connection.exit_stack.callback(self._drop, connection)
        return peer

    def _drop(self, connection: Connection) -> None:
        peer = self.peers.pop(connection)
        peer.task.cancel()
        self.events.unfollow_list(peer.tell_list)
        for subscription in peer.subscriptions.values():
            self._remove(subscription)

    # -- since 2026-07-28 -----------------------------------------------------------------------------------

    async def listen(self, ctx: AnyRequest, params: SubscriptionsListenRequestParams) -> SubscriptionsListenResult:
        """Tell on the answer's stream until the client ends it; what names no job is left out of what is promised."""
        if self.streams >= MAX_STREAMS:
            raise MCPError(code=INTERNAL_ERROR, message=f"Of {MAX_STREAMS} listening streams some must end first.")
        wanted = params.notifications
        uris = list(dict.fromkeys(wanted.resource_subscriptions or ()))[:MAX_RESOURCES]
        found = await anyio.to_thread.run_sync(self._addresses, uris)
        stream = Stream()
        with ExitStack() as stack:
            self.streams += 1
            stack.callback(self._stream_ended)
            for uri, where in found.items():
                stack.callback(self._remove, self._add(Subscription(uri, where, stream.tell)))
            if wanted.resources_list_changed:
                self.events.follow_list(stream.tell_list)
                stack.callback(self.events.unfollow_list, stream.tell_list)
            # Nothing is awaited up to where it listens to the stream, so nothing is missed.
            promised = wanted.model_copy(update={"resource_subscriptions": list(found)})
            return await ListenHandler(stream)(ctx, params.model_copy(update={"notifications": promised}))

    def _addresses(self, uris: list[str]) -> dict[str, Address]:
        found: dict[str, Address] = {}
        for uri in uris:
            try:
                found[uri] = address(self.view, uri)
            except JobError as error:
                logger.info("%r is not listened to: %s", uri, error)
        return found

    def _stream_ended(self) -> None:
        self.streams -= 1

    # -- both -----------------------------------------------------------------------------------------------

    def _add(self, subscription: Subscription) -> Subscription:
        self._of_job.setdefault(subscription.job_id, set()).add(subscription)
        self.events.follow(subscription.job_id)
        return subscription

    def _remove(self, subscription: Subscription) -> None:
        subscription.close()
        others = self._of_job[subscription.job_id]
        others.discard(subscription)
        if not others:
            del self._of_job[subscription.job_id]
        if not subscription.over:
            self.events.unfollow(subscription.job_id)

    def _hear(self, event: Event) -> None:
        for subscription in self._of_job.get(event.job_id, set()).copy():
            subscription.hear(event)
