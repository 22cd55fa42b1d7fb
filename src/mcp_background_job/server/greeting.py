"""What passes between server and client before the first call: what the server can do, and who is there.

Promise: what is announced is done: the SDK knows nothing of a list of resources that changes in the protocols with a
handshake, nor of channels, and says in the newer one that every list changes.
"""

from __future__ import annotations

from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import Context
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from .channel import CAPABILITY
from .clients import Clients
from .subscriptions import Subscriptions


class Greeting:
    """Sees each message of a client on its way in, and its answer."""

    def __init__(self, clients: Clients, subscriptions: Subscriptions) -> None:
        self.clients = clients
        self.subscriptions = subscriptions

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        result = await call_next(ctx)
        if ctx.method in ("initialize", "server/discover") and isinstance(result, dict):
            capabilities = result["capabilities"]
            capabilities["resources"]["listChanged"] = True
            for what in ("tools", "prompts"):  # which never change
                capabilities[what]["listChanged"] = False
            if self.clients.channel is not None:
                capabilities["experimental"] = {CAPABILITY: {}}
        elif ctx.method == "notifications/initialized" and ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS:
            self.subscriptions.greet(ctx.session)
            self.clients.greet(Context(request_context=ctx))
        return result
