"""MCP over HTTP, at /mcp, for those who carry the token.

Promises: it doesn't start without a token that is worth the name; the token is compared, in constant time, before
anything else of a request is looked at, its body included; a foreign Host or Origin is refused wherever the server is
bound; a client that is slow, or many of them, can't keep others out; a signal ends the server at once, as nothing is
to be saved: jobs go on.
"""

from __future__ import annotations

import hmac
import ipaddress
import logging
import os
import re
import signal
import socket
import stat
import sys
import time
from asyncio import TimerHandle, Transport
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

import anyio
import h11
import uvicorn
from mcp.server.transport_security import (
    TransportSecurityMiddleware,
    TransportSecuritySettings,
)
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from mcp_background_job.config import MIN_TOKEN, BackgroundJobConfig, ConfigError
from mcp_background_job.errors import InvalidInput
from mcp_background_job.jobs.manager import JobManager

from .app import keep_tidy, make_server

MCP_PATH, HEALTH_PATH = "/mcp", "/health"
MAX_BODY = 8 << 20  # bytes; a command of 1 MB takes up to six in JSON, where every character is escaped
MAX_CONNECTIONS = 500  # of the 1024 files that most systems let a process have; a wait needs some too
PATIENCE = 30.0  # seconds in which a request must have come in, head and body
IDLE = 75  # seconds that a connection is kept for the client's next request
MAX_SESSIONS = 1000  # clients of the older protocol; one that is silent for half an hour loses its session
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
PROGRAM = "mcp-background-job"


# -- the token ----------------------------------------------------------------------------------------------


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


# -- requests -----------------------------------------------------------------------------------------------


class Guard:
    """Lets the requests with the token through to `app` and answers all others without reading them."""

    def __init__(self, app: ASGIApp, token: str, security: TransportSecuritySettings) -> None:
        self.app = app
        self.token = token.encode()
        self.security = TransportSecurityMiddleware(security)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            answer = await self.answer(scope)
            await (answer or self.app)(scope, receive, send)

    async def answer(self, scope: Scope) -> Response | None:
        """The answer to a request that goes no further."""
        if scope["path"] != HEALTH_PATH:
            return self.refusal(scope)
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


# -- the server ---------------------------------------------------------------------------------------------


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises InvalidInput where the address is no one's or taken.
    """
    try:
        if not 0 <= port <= 65535:
            raise OSError(0, "no such port")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=1024)
    except (OSError, UnicodeError) as error:
        # create_server's own text repeats the address.
        why = (os.strerror(error.errno) if error.errno else error.strerror) if isinstance(error, OSError) else error
        problem = f"Can't listen on {host} port {port}: {why}"
        raise InvalidInput(problem, "Choose others with --host and --port") from None


def in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


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


def announce(address: str, port: int, hosts: Sequence[str]) -> None:
    """Say on stderr where the server listens, and loudly where that is beyond this machine."""
    url = f"http://{in_url(address)}:{port}{MCP_PATH}"
    print(f"{PROGRAM}: listening on {url}", file=sys.stderr, flush=True)
    if not ipaddress.ip_address(address).is_loopback:
        print(
            f"{PROGRAM}: WARNING: reachable from other machines: the token lets its holder run any command as this "
            "user, and nothing is encrypted. Prefer --host 127.0.0.1 with ssh, or a TLS proxy before it. "
            f"Hosts answered to: {', '.join(hosts)} (--allowed-host adds one).",
            file=sys.stderr,
            flush=True,
        )


class Server(uvicorn.Server):
    """uvicorn's server, which leaves signals alone."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def stop(signum: int, frame: FrameType | None) -> NoReturn:
    """End at once: a call that waits may wait for a minute, and there is nothing to save."""
    os._exit(0 if signum == signal.SIGTERM else 128 + signum)


async def serve(manager: JobManager, listener: socket.socket, token: str, hosts: Sequence[str]) -> None:
    """Answer until a signal comes, tidying up now and then."""
    rules = security(hosts)
    app = make_server(manager).streamable_http_app(
        streamable_http_path=MCP_PATH,
        max_request_body_size=MAX_BODY,
        max_sessions=MAX_SESSIONS,
        transport_security=rules,
    )
    server = Server(
        uvicorn.Config(
            Guard(app, token, rules),
            http=Connection,
            ws="none",
            loop="asyncio",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=IDLE,
        )
    )
    async with anyio.create_task_group() as group:
        group.start_soon(keep_tidy, manager)
        await server.serve(sockets=[listener])
        group.cancel_scope.cancel()


def run_http(config: BackgroundJobConfig, host: str, port: int, token: str, allowed_hosts: Sequence[str]) -> None:
    """Serve until a signal ends the process.

    Raises ConfigError for a bad token, InvalidInput for an address or a host that can't be used.
    """
    check_token(token)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    # Their warnings quote single requests, in words that the sender chooses.
    for name in ("uvicorn.error", "mcp.server.transport_security"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, stop)
    listener = listen(host, port)
    address, bound_port = listener.getsockname()[:2]
    hosts = names(host, address, allowed_hosts)
    announce(address, bound_port, hosts)
    anyio.run(serve, JobManager(config), listener, token, hosts)
