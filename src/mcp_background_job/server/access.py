"""Who is let in over HTTP: those who carry the token, by a host and an origin that are ours.

Promises: no token that is easy to guess or that others can read is taken; the token is compared, in constant time,
before anything else of a request is looked at, its body included; a foreign Host or Origin is refused wherever the
server is bound.
"""

from __future__ import annotations

import hmac
import ipaddress
import os
import re
import stat
import time
from collections.abc import Sequence
from pathlib import Path

import anyio
from mcp.server.transport_security import (
    TransportSecurityMiddleware,
    TransportSecuritySettings,
)
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_background_job.config import MIN_TOKEN, ConfigError
from mcp_background_job.errors import InvalidInput

from .connection import AUTHORIZED

PROGRAM = "mcp-background-job"
HEALTH_PATH = "/health"
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
CLOSING = {401, 403, 405, 421}
FREE = 20  # wrong tokens of an address that are answered at once: a client with an old one tries again, too
FIRST_DELAY, LONGEST_DELAY = 0.05, 2.0  # seconds until the next one is answered, twice as many for each, and at most
FORGET = 60.0  # seconds without a wrong token after which an address begins anew
MAX_ADDRESSES = 1000  # whose wrong tokens are counted
HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")


def read_token(path: Path) -> str:
    """The token in a file that nobody else can read.

    Raises ConfigError, or OSError where it can't be read at all.
    """
    with path.open(encoding="utf-8", errors="replace") as file:
        facts = os.fstat(file.fileno())
        if facts.st_uid not in (os.getuid(), 0):
            raise ConfigError(f"The token file {str(path)!r} belongs to another user. Make one of your own.")
        if facts.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigError(f"The token file {str(path)!r} is open to other users. Run: chmod 600 {path}")
        return check_token(file.read(4096).strip())


def check_token(token: str) -> str:
    """The token, if it is one.

    Raises ConfigError; the token itself is never shown.
    """
    if not token:
        raise ConfigError("HTTP needs a token. Set MCP_BG_HTTP_TOKEN or give --token-file.")
    if len(token) < MIN_TOKEN:
        raise ConfigError(f"The token has {len(token)} characters, at least {MIN_TOKEN} are needed.")
    if not re.fullmatch(r"[!-~]+", token):
        raise ConfigError("The token has blanks or characters that no header can carry. Use letters and digits.")
    return token


class Guesses:
    """Wrong tokens of each address, so that each costs more time than the one before."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[int, float]] = {}  # how many, and when the last one came

    def delay(self, address: str) -> float:
        """Seconds until one more wrong token of this address is answered."""
        now = time.monotonic()
        count, last = self._last.pop(address, (0, now))
        count = 1 if now - last > FORGET else count + 1
        if len(self._last) >= MAX_ADDRESSES:
            del self._last[next(iter(self._last))]
        self._last[address] = count, now
        return min(LONGEST_DELAY, FIRST_DELAY * float(1 << min(count - FREE, 20))) if count > FREE else 0.0


class Guard:
    """Lets the requests with the token through to `app` and answers all others without reading them."""

    def __init__(self, app: ASGIApp, token: str, security: TransportSecuritySettings) -> None:
        self.app = app
        self.token = token.encode()
        self.security = TransportSecurityMiddleware(security)
        self.guesses = Guesses()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            answer = await self.answer(scope)
            await (answer or self.app)(scope, receive, closing(send))

    async def answer(self, scope: Scope) -> Response | None:
        """The answer to a request that goes no further."""
        if scope["path"] != HEALTH_PATH:
            refused = self.refusal(scope)
            if refused is None:
                scope[AUTHORIZED] = True
                return odd_header(scope)
            if any(name == b"authorization" for name, _ in scope["headers"]):
                await anyio.sleep(self.guesses.delay((scope.get("client") or ("",))[0]))
            return refused
        if odd := odd_header(scope):
            return odd
        request = Request(scope)
        if request.method not in ("GET", "HEAD"):
            return PlainTextResponse("Use GET.", 405, {"Allow": "GET, HEAD"})
        return await self.security.validate_request(request) or JSONResponse({"status": "ok"})

    def refusal(self, scope: Scope) -> Response | None:
        """401 for a request that doesn't carry the token in its one Authorization header (RFC 6750)."""
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        scheme, _, credentials = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
        right = hmac.compare_digest(credentials.strip(), self.token)
        if right and scheme.lower() == b"bearer":
            return None
        challenge = f'Bearer realm="{PROGRAM}"' + (', error="invalid_token"' if given else "")
        text = "Not authorized. Send the header `Authorization: Bearer TOKEN` with the token of this server."
        return PlainTextResponse(text, 401, {"WWW-Authenticate": challenge})


def closing(send: Send) -> Send:
    """`send`, where a refusal also closes the connection: whoever is refused can wait for a new one."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] in CLOSING:
            kept = [(name, value) for name, value in message.get("headers", ()) if name.lower() != b"connection"]
            message = {**message, "headers": [*kept, (b"connection", b"close")]}
        await send(message)

    return sending


def odd_header(scope: Scope) -> Response | None:
    """The refusal of a Host or Origin that is none, which the SDK compares by its beginning alone.

    Last-Event-ID is taken out: streams that were broken off are not kept, and the SDK answers 500.
    """
    scope["headers"] = [(name, value) for name, value in scope["headers"] if name != b"last-event-id"]
    for name, value in scope["headers"]:
        text = value.decode("latin-1")
        if name == b"host" and not HOST.fullmatch(text):
            return PlainTextResponse("Invalid Host header", 421)
        if name == b"origin" and not HOST.fullmatch(re.sub(r"^https?://", "", text, count=1)):
            return PlainTextResponse("Invalid Origin header", 403)
    return None


def names(host: str, bound: str, allowed: Sequence[str]) -> list[str]:
    """The hosts that a request may name: this machine's loopback, what the server is bound to, what the owner allows.

    Raises InvalidInput for what is no host.
    """
    for one in allowed:
        if not HOST.fullmatch(one):
            raise InvalidInput(
                f"--allowed-host {one[:60]!r} is not a host", "Give a name or an address, or one with :PORT"
            )
    # A wildcard address is nobody's name.
    own = [] if ipaddress.ip_address(bound).is_unspecified else [in_url(host), in_url(bound)]
    return list(dict.fromkeys(name.lower() for name in (*LOOPBACK, *own, *allowed)))


def security(hosts: Sequence[str]) -> TransportSecuritySettings:
    """The SDK's settings for these hosts, at any port unless one is given: a proxy or an ssh tunnel has its own."""
    at_ports = [*hosts, *(f"{host}:*" for host in hosts if not re.search(r":[0-9]+$", host))]
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=at_ports,
        allowed_origins=[f"{scheme}://{host}" for scheme in ("http", "https") for host in at_ports],
    )


def in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
