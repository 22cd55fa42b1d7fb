"""MCP over HTTP, at /mcp, for those who carry the token.

Promises: it doesn't start without a token that is worth the name (access.py); a client that is slow can't keep others
out (connection.py); a signal ends the server at once, as nothing is to be saved: jobs go on.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import anyio
import uvicorn

from mcp_background_job.config import BackgroundJobConfig
from mcp_background_job.errors import InvalidInput
from mcp_background_job.jobs.manager import JobManager

from .access import PROGRAM, Guard, check_token, in_url, names, security
from .app import keep_tidy, make_server
from .connection import Connection
from .sessions import MAX_SESSIONS, Sessions

MCP_PATH = "/mcp"
MAX_BODY = 8 << 20  # bytes; a command of 1 MB takes up to six in JSON, where every character is escaped
IDLE = 75  # seconds that a connection is kept for the client's next request


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
        max_sessions=2 * MAX_SESSIONS,
        transport_security=rules,
    )
    server = Server(
        uvicorn.Config(
            Guard(Sessions(app), token, rules),
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
