"""Which client a call comes from, and by which connection."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from mcp.server.connection import Connection
from mcp.server.mcpserver import Context
from mcp.server.session import ServerSession
from starlette.requests import Request

from mcp_background_job.supervisor.process_tree import read_process
from mcp_background_job.text import one_line

AnyContext = Context[Any, Any]


def client_key(ctx: AnyContext) -> str:
    """Which client this is: over HTTP its session, or where the protocol has none, what it calls itself."""
    return http_session(ctx) or declared_name(ctx)


def identity(ctx: AnyContext) -> str:
    """What tells a client from others beyond the life of a server: on stdio, which process started it."""
    place = "http" if ctx.headers is not None else parent()
    return f"{declared_name(ctx)} {place}"


@cache
def parent() -> str:
    """The process that started this one, by its id and its start."""
    found = read_process(os.getppid())
    return f"{os.getppid()} {found.started if found else 0}"


async def has_hung_up(ctx: AnyContext) -> bool:
    """Whether the connection is closed that the answer would go by: one of HTTP, where a call goes on without it."""
    request = ctx.request_context.request
    return isinstance(request, Request) and await request.is_disconnected()


def http_session(ctx: AnyContext) -> str:
    return (ctx.headers or {}).get("mcp-session-id", "")


def declared_name(ctx: AnyContext) -> str:
    params = ctx.session.client_params
    return "" if params is None else params.client_info.name


def client_name(ctx: AnyContext) -> str:
    """What the client calls itself, for people to see who started what."""
    return one_line(declared_name(ctx))[:40]


def connection_of(session: ServerSession) -> Connection:
    """What lasts for as long as a client with a handshake is there; the SDK gives handlers no other way to it."""
    return session._connection
