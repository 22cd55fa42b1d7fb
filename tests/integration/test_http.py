"""MCP over HTTP: who is let in, what a hostile client can't do, and that its jobs are the same as everybody's."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.session import MessageHandlerFnT
from mcp.client.streamable_http import streamable_http_client
from mcp_types import ResourceListChangedNotification, ResourceUpdatedNotification

from mcp_background_job.errors import InvalidInput
from mcp_background_job.server.http import listen
from support.rpc import MODERN_ERA, Answer, Server
from support.sandbox import Sandbox, ended
from support.scale import FULL, slowness
from support.waiting import DEADLINE, wait_until

TOKEN = "a-token-of-enough-characters"
PROGRAM = [sys.executable, "-m", "mcp_background_job"]
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "tests", "version": "1"}},
}
ENVELOPE = {
    "protocolVersion": MODERN_ERA,
    "clientInfo": {"name": "tests", "version": "1"},
    "clientCapabilities": {},
}
HEADERS = {
    "Authorization": f"Bearer {TOKEN}",
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
}


class HttpServer:
    """One server on a free port of 127.0.0.1."""

    def __init__(self, sandbox: Sandbox, *arguments: str, limits: str = "", **environment: str) -> None:
        self.errors = sandbox.root / f"http-{time.monotonic_ns()}.err"
        program = PROGRAM
        if limits:
            # The real program with other limits: the real ones would make the tests wait for minutes.
            code = (
                "from mcp_background_job import cli\n"
                "from mcp_background_job.server import access, connection, sessions\n"
                f"{limits}; cli.main()"
            )
            program = [sys.executable, "-c", code]
        with self.errors.open("wb") as stderr:
            self.process = subprocess.Popen(
                [*program, "--transport", "http", "--port", "0", *arguments],
                env={**sandbox.environment, "MCP_BG_HTTP_TOKEN": TOKEN, **environment},
                cwd=sandbox.work,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )
        found = wait_until(lambda: re.search(r"listening on (http://\S+:(\d+)/mcp)\n", self.stderr))
        assert found is not None
        self.url, self.port = found[1], int(found[2])

    @property
    def stderr(self) -> str:
        return self.errors.read_text(errors="replace")

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)

    def ask(
        self, method: str, path: str, body: bytes | Iterator[bytes] | None = None, headers: Mapping[str, str] = HEADERS
    ) -> http.client.HTTPResponse:
        """One request on a connection of its own; the answer is read whole."""
        connection = self.connect()
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            response.body = response.read()  # type: ignore[attr-defined]
            return response
        finally:
            connection.close()

    def initialize(self, **headers: str) -> int:
        """The status that the client's first word gets."""
        return self.ask("POST", "/mcp", json.dumps(INITIALIZE).encode(), {**HEADERS, **headers}).status

    def seconds_of_a_call(self) -> float:
        begun = time.monotonic()
        assert self.initialize() == 200
        return time.monotonic() - begun

    def processor_seconds(self) -> float:
        """Of the server itself, until now (proc(5), stat: utime and stime)."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def raw(self, data: bytes = b"") -> socket.socket:
        """A connection that sends no more than this."""
        connection = socket.create_connection(("127.0.0.1", self.port), 20)
        connection.sendall(data)
        return connection

    def established(self) -> int:
        """How many connections there are from its side that it has not closed (proc(5), net/tcp: state 01)."""
        lines = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
        return sum(line[1].endswith(f":{self.port:04X}") and line[3] == "01" for line in lines)

    def watches(self) -> int:
        """How many folders inotify watches for it (proc(5), fdinfo)."""
        found = 0
        for info in Path(f"/proc/{self.process.pid}/fdinfo").iterdir():
            with contextlib.suppress(OSError):
                found += info.read_text(encoding="ascii").count("inotify wd:")
        return found

    def files(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))  # noqa: PTH208

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(60)


@pytest.fixture(scope="module")
def web(shared: Sandbox) -> Iterator[HttpServer]:
    """An HTTP server in the world that the tests of this file share."""
    server = HttpServer(shared, limits="access.FREE = 1_000_000")
    yield server
    server.close()
    assert "Traceback" not in server.stderr


@contextlib.contextmanager
def served(sandbox: Sandbox, *arguments: str, limits: str = "") -> Iterator[HttpServer]:
    server = HttpServer(sandbox, *arguments, limits=limits)
    try:
        yield server
    finally:
        server.close()


def refused(sandbox: Sandbox, *arguments: str, **environment: str) -> tuple[int, str]:
    """Exit status and stderr of a server that doesn't start."""
    done = subprocess.run(
        [*PROGRAM, "--transport", "http", "--port", "0", *arguments],
        env={**sandbox.environment, **environment},
        cwd=sandbox.work,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


# -- the token ----------------------------------------------------------------------------------------------


@pytest.mark.promise("safe-http")
def test_without_a_token_the_server_does_not_start(shared: Sandbox) -> None:
    for given in ({}, {"MCP_BG_HTTP_TOKEN": "fifteen-letters"}):
        status, errors = refused(shared, **given)
        assert status == 2
        assert errors.count("\n") == 1 and "MCP_BG_HTTP_TOKEN" in errors
        assert "fifteen" not in errors


def test_a_bad_token_file_is_one_line_on_stderr(shared: Sandbox) -> None:
    file = shared.root / "open-token"
    file.write_text(TOKEN)
    file.chmod(0o644)
    for path in (file, shared.root / "nowhere"):
        status, errors = refused(shared, "--token-file", str(path))
        assert status != 0 and errors.count("\n") == 1
        assert path.name in errors and TOKEN not in errors


def test_a_token_file_takes_the_place_of_the_variable(sandbox: Sandbox) -> None:
    file = sandbox.root / "token"
    file.write_text("another-token-from-a-file\n")
    file.chmod(0o600)
    with served(sandbox, "--token-file", str(file)) as server:
        assert server.initialize() == 401
        assert server.initialize(Authorization="Bearer another-token-from-a-file") == 200


NOT_THE_TOKEN: list[dict[str, str]] = [
    {},
    {"Authorization": ""},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer "},
    {"Authorization": f"Bearer {TOKEN}x"},
    {"Authorization": f"Bearer {TOKEN[:-1]}"},
    {"Authorization": f"Bearer {TOKEN.upper()}"},
    {"Authorization": f"Basic {TOKEN}"},
    {"Authorization": TOKEN},
    {"Authorization": "Bearer \xff\xfe"},
    {"X-Authorization": f"Bearer {TOKEN}"},
    {"Cookie": f"Authorization=Bearer {TOKEN}"},
]


@pytest.mark.parametrize("given", NOT_THE_TOKEN)
@pytest.mark.promise("safe-http")
def test_without_the_right_token_every_path_answers_401(web: HttpServer, given: dict[str, str]) -> None:
    headers = {name: value for name, value in HEADERS.items() if name != "Authorization"} | given
    for path in ("/mcp", "/mcp?token=" + TOKEN, "/", "/nowhere", "/health/../mcp", "/health/", "//health", "*"):
        for method in ("POST", "GET", "DELETE", "OPTIONS"):
            answer = web.ask(method, path, b"{}", headers)
            assert answer.status == 401, (method, path)
            challenge = answer.getheader("WWW-Authenticate") or ""
            assert challenge.startswith("Bearer realm=")
            assert ("invalid_token" in challenge) == ("Authorization" in given)


def test_two_authorization_headers_are_refused_though_one_is_right(web: HttpServer) -> None:
    body = json.dumps(INITIALIZE).encode()
    with web.raw(
        b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer wrong-wrong-wrong-wrong\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s"
        % (TOKEN.encode(), len(body), body)
    ) as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 401 ")


def test_the_scheme_is_not_case_sensitive_but_the_token_is(web: HttpServer) -> None:
    assert web.initialize(Authorization=f"bearer {TOKEN}") == 200


def test_the_token_is_asked_for_before_the_body_is_read(web: HttpServer) -> None:
    with web.raw(b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\n") as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 401 ")


# -- Host and Origin ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example:{port}", "10.0.0.1"])
@pytest.mark.promise("safe-http")
def test_a_foreign_host_is_refused(web: HttpServer, host: str) -> None:
    assert web.initialize(Host=host.format(port=web.port)) == 421
    assert web.ask("GET", "/health", headers={"Host": host.format(port=web.port)}).status == 421


@pytest.mark.parametrize("origin", ["http://evil.example", "https://127.0.0.1.evil.example:80", "null", "file://"])
@pytest.mark.promise("safe-http")
def test_a_foreign_origin_is_refused(web: HttpServer, origin: str) -> None:
    assert web.initialize(Origin=origin) == 403
    assert web.ask("GET", "/health", headers={"Origin": origin}).status == 403


def test_loopback_by_its_names_is_welcome(web: HttpServer) -> None:
    for host in ("127.0.0.1", "localhost", f"localhost:{web.port}", "[::1]:80"):
        assert web.initialize(Host=host) == 200
    assert web.initialize(Origin=f"http://localhost:{web.port}") == 200


@pytest.mark.promise("safe-http")
def test_bound_elsewhere_a_foreign_host_is_refused_all_the_same(sandbox: Sandbox) -> None:
    """127.0.0.2 stands for another interface: nothing of these tests leaves the machine."""
    arguments = ("--host", "127.0.0.2", "--allowed-host", "box.example", "--allowed-host", "tls.example:8443")
    server = HttpServer(sandbox, *arguments)
    try:
        for host, status in {
            "evil.example": 421,
            f"127.0.0.2:{server.port}": 200,
            "box.example": 200,
            f"box.example:{server.port}": 200,
            "tls.example:8443": 200,
            "tls.example:8444": 421,
            "tls.example": 421,
            "box.example.evil.example": 421,
        }.items():
            connection = http.client.HTTPConnection("127.0.0.2", server.port, timeout=120)
            connection.request("POST", "/mcp", json.dumps(INITIALIZE), {**HEADERS, "Host": host})
            assert connection.getresponse().status == status, host
            connection.close()
    finally:
        server.close()


def test_bound_beyond_loopback_says_so_loudly(sandbox: Sandbox) -> None:
    """All interfaces for the blink of an eye, with a token that nobody knows."""
    server = HttpServer(sandbox, "--host", "0.0.0.0", MCP_BG_HTTP_TOKEN=os.urandom(16).hex())
    server.close()
    [loud] = [line for line in server.stderr.splitlines() if "WARNING" in line]
    assert "other machines" in loud and "encrypted" in loud


def test_bound_to_loopback_nothing_is_said_loudly(web: HttpServer) -> None:
    assert "WARNING" not in web.stderr.split("\n", 1)[0]
    assert "reachable from other machines" not in web.stderr


def test_an_address_that_is_taken_or_not_ours_is_one_line(shared: Sandbox, web: HttpServer) -> None:
    status, errors = refused(shared, "--port", str(web.port), MCP_BG_HTTP_TOKEN=TOKEN)
    assert status == 1 and errors.count("\n") == 1 and "Can't listen on" in errors
    for host, port in (("127.0.0.1", 70000), ("203.0.113.1", 0), ("no host", 0), ("a" * 70, 0)):
        with pytest.raises(InvalidInput, match="Can't listen on"):
            listen(host, port)


# -- health -------------------------------------------------------------------------------------------------


def test_health_needs_no_token_and_says_nothing_else(web: HttpServer) -> None:
    answer = web.ask("GET", "/health", headers={})
    assert (answer.status, json.loads(answer.body)) == (200, {"status": "ok"})  # type: ignore[attr-defined]
    assert {name.lower() for name, _ in answer.getheaders()} <= {"date", "content-length", "content-type"}
    assert web.ask("POST", "/health", b"{}", {}).status == 405


# -- load ---------------------------------------------------------------------------------------------------


@pytest.mark.promise("safe-http-load")
def test_a_body_of_10_mb_is_refused_and_others_are_served(web: HttpServer) -> None:
    body = json.dumps({**INITIALIZE, "padding": "x" * 10_000_000}).encode()
    assert web.ask("POST", "/mcp", body).status == 413
    chunks = (body[start : start + 65536] for start in range(0, len(body), 65536))
    assert web.ask("POST", "/mcp", chunks).status == 413
    unknown = {**HEADERS, "Authorization": "Bearer who-knows-who-knows"}
    # Refused and closed unread, so that a client may see no more than the end of the connection.
    with contextlib.suppress(ConnectionError):
        assert web.ask("POST", "/mcp", body, unknown).status == 401
    assert web.initialize() == 200


@pytest.mark.promise("job-verbatim")
def test_a_command_as_long_as_one_may_be_fits(web: HttpServer, shared: Sandbox) -> None:
    """A million bytes that JSON writes as six million."""
    command = "true #" + "\x01" * 999_000
    found = with_client(web, lambda client: client.call_tool("execute", {"command": command, "wait": 50}))
    assert found.structured_content["exit_code"] == 0


SLOW = [
    b"",
    b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nX-",
    b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\n{",
    b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"
    b"Content-Length: 100000\r\n\r\n{" % TOKEN.encode(),
]


@pytest.mark.promise("safe-http-load")
def test_200_slow_connections_keep_nobody_out_and_are_closed(sandbox: Sandbox) -> None:
    with served(sandbox, limits="connection.PATIENCE = 600.0") as server, contextlib.ExitStack() as stack:
        alone = min(server.seconds_of_a_call() for _ in range(5))
        slow = [stack.enter_context(server.raw(SLOW[number % len(SLOW)])) for number in range(200)]
        wait_until(lambda: server.files() >= 150, what="all but those that are refused, and closed")
        # Generous, for a loaded machine: what must not happen is that a call waits for the slow ones.
        assert min(server.seconds_of_a_call() for _ in range(5)) < alone + 0.5
        assert server.files() >= 150 and len(slow) == 200
    with served(sandbox, limits="connection.PATIENCE = 1.0") as server, contextlib.ExitStack() as stack:
        slow = [stack.enter_context(server.raw(SLOW[number % len(SLOW)])) for number in range(200)]
        for connection in slow:
            closed(connection)
        wait_until(lambda: server.files() < 50, what="the files of slow connections given back")
        assert server.initialize() == 200
        assert "Traceback" not in server.stderr


def closed(connection: socket.socket) -> None:
    """Read until the other side has closed."""
    connection.settimeout(DEADLINE)
    with contextlib.suppress(ConnectionResetError):
        while connection.recv(4096):
            pass


@pytest.mark.promise("safe-http-load")
def test_a_client_that_drips_is_closed_too(sandbox: Sandbox) -> None:
    with (
        served(sandbox, limits="connection.PATIENCE = 1.0") as server,
        server.raw(b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ") as slow,
    ):

        def dropped() -> bool:
            try:
                slow.sendall(b"x")
            except OSError:
                return True
            return False

        wait_until(dropped, every=0.1)


@pytest.mark.promise("safe-http-load")
def test_more_connections_than_there_is_room_for_keep_nobody_out(sandbox: Sandbox) -> None:
    with served(sandbox) as server, contextlib.ExitStack() as stack:
        slow = [stack.enter_context(server.raw(b"POST /mcp HTTP/1.1\r\n")) for _ in range(600)]
        wait_until(lambda: 200 <= server.files() < 300, what="250 strangers of one address")
        assert server.initialize() == 200
        assert server.files() < 300
        closed(slow[0])  # the oldest has made room


@pytest.mark.promise("safe-http-load")
def test_a_flood_without_the_token_keeps_nobody_out(sandbox: Sandbox) -> None:
    """2,000 connections at a time: silent ones, wrong tokens, pipelined requests whose answers nobody reads."""
    silent = b"POST /mcp HTTP/1.1\r\n"
    wrong = (
        b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer wrong-wrong-wrong\r\nContent-Length: 0\r\n\r\n"
    )
    none = b"GET /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: keep-alive\r\n\r\n" * 50
    health = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 200
    kinds = [silent, wrong, none, health]
    until = time.monotonic() + (60 if FULL else 8)
    opened: deque[socket.socket] = deque()
    with served(sandbox) as server:
        took: list[float] = []
        while time.monotonic() < until:
            for number in range(100):
                with contextlib.suppress(OSError):
                    opened.append(server.raw(kinds[number % len(kinds)]))
            while len(opened) > 2000:
                opened.popleft().close()
            before = server.processor_seconds()  # not the clock's: other tests have the processors too
            assert server.initialize() == 200
            took.append(server.processor_seconds() - before)
        for one in opened:
            one.close()
        took.sort()
        assert took[len(took) * 9 // 10] < 1.0 * slowness(), "a call waits for work of the server, and not much of it"
        assert took[-1] < 4.0 * slowness()
        assert server.files() < 600


@pytest.mark.promise("safe-http-load")
def test_answers_that_nobody_reads_close_the_connection(sandbox: Sandbox) -> None:
    with served(sandbox, limits="connection.PATIENCE = 2.0") as server:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}).encode()
        opened = server.ask("POST", "/mcp", json.dumps(INITIALIZE).encode(), HEADERS)
        session = HEADERS | {"Mcp-Session-Id": opened.getheader("Mcp-Session-Id") or ""}
        head = "".join(f"{name}: {value}\r\n" for name, value in session.items())
        request = f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        wait_until(lambda: not server.established())
        with server.raw() as connection:
            connection.settimeout(1.0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            with contextlib.suppress(OSError):  # it takes no more, or has closed already
                for _ in range(2_000):  # of 7 KB each, and the kernel keeps 4 MB
                    connection.sendall(request)
            wait_until(lambda: not server.established(), what="the end of the connection")
        assert server.initialize() == 200


@pytest.mark.parametrize(
    ("method", "path", "given", "status"),
    [
        ("POST", "/mcp", {"Authorization": "Bearer wrong-wrong-wrong-wrong"}, 401),
        ("POST", "/mcp", {"Host": "evil.example"}, 421),
        ("POST", "/mcp", {"Origin": "http://evil.example"}, 403),
        ("PUT", "/mcp", {}, 405),
        ("POST", "/health", {}, 405),
    ],
)
@pytest.mark.promise("safe-http-load")
def test_a_refusal_closes_the_connection(
    web: HttpServer, method: str, path: str, given: dict[str, str], status: int
) -> None:
    connection = web.connect()
    connection.request(method, path, b"{}", {**HEADERS, "Connection": "keep-alive", **given})
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("Connection")) == (status, "close")
    answer.read()
    connection.close()


@pytest.mark.promise("safe-http")
def test_each_wrong_token_takes_longer_and_the_right_one_does_not(sandbox: Sandbox) -> None:
    with served(sandbox, limits="access.FREE = 2") as server:
        took = []
        for _ in range(6):
            begun = time.monotonic()
            assert server.initialize(Authorization="Bearer wrong-wrong-wrong-wrong") == 401
            took.append(time.monotonic() - begun)
        assert took[-1] > 0.7 > min(took[:2]), "0.05 s, doubled with each"
        # Time is the promise: one that is kept waiting would take longer than the last wrong one each time.
        assert min(server.seconds_of_a_call() for _ in range(3)) < 0.7


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("Origin", "http://localhost:80@evil.example", 403),
        ("Origin", "http://127.0.0.1:evil.example", 403),
        ("Origin", "http://localhost:8000/evil", 403),
        ("Host", "localhost:80@evil.example", 421),
        ("Host", "127.0.0.1:evil.example", 421),
    ],
)
@pytest.mark.promise("safe-http")
def test_a_header_that_only_begins_like_a_right_one_is_refused(
    web: HttpServer, name: str, value: str, status: int
) -> None:
    assert web.initialize(**{name: value}) == status


@pytest.mark.promise("safe-http-load")
def test_more_sessions_than_there_is_room_for_keep_nobody_out(sandbox: Sandbox) -> None:
    with served(sandbox, limits="sessions.MAX_SESSIONS = 20") as server:

        def session() -> str:
            answer = server.ask("POST", "/mcp", json.dumps(INITIALIZE).encode(), HEADERS)
            assert answer.status == 200
            return answer.getheader("Mcp-Session-Id") or ""

        def lives(one: str) -> bool:
            body = json.dumps({"jsonrpc": "2.0", "id": 2, "method": "ping"}).encode()
            return server.ask("POST", "/mcp", body, {**HEADERS, "Mcp-Session-Id": one}).status == 200

        mine = session()
        others = [session() for _ in range(19)]
        for _ in range(60):
            assert lives(mine), "the one that is in use stays"
            session()
        assert not any(lives(other) for other in others)


def test_a_stream_that_is_resumed_begins_anew(web: HttpServer) -> None:
    answer = web.ask("POST", "/mcp", json.dumps(INITIALIZE).encode(), HEADERS)
    session = {**HEADERS, "Mcp-Session-Id": answer.getheader("Mcp-Session-Id") or "", "Last-Event-ID": "1"}
    connection = web.connect()
    connection.request("GET", "/mcp", headers=session)
    assert connection.getresponse().status == 200
    connection.close()


@pytest.mark.parametrize(
    "junk",
    [
        b"\x00\xff\x16\x03\x01 TLS or what\r\n\r\n",
        b"GET /mcp HTTP/1.1\r\n\r\n",
        b"POST /mcp HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST /mcp HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /" + b"a" * 200_000,
        b"GET /mcp HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 50_000,
    ],
)
@pytest.mark.promise("safe-http-load")
def test_what_is_no_http_gets_an_error_and_no_trace(web: HttpServer, junk: bytes) -> None:
    connection = web.raw()
    with connection, contextlib.suppress(ConnectionResetError, BrokenPipeError):
        connection.sendall(junk)
        assert connection.recv(100).startswith(b"HTTP/1.1 4")
    assert web.initialize() == 200
    assert "Traceback" not in web.stderr


def test_bad_json_with_the_token_is_an_error_of_the_protocol(web: HttpServer) -> None:
    for body in (b"", b"{", b"[]", b"null", b"[" * 100_000, b'{"jsonrpc":"2.0","id":1,"method":"nosuch"}', b"\xff"):
        assert 400 <= web.ask("POST", "/mcp", body).status < 500
        modern = {**HEADERS, "MCP-Protocol-Version": MODERN_ERA}
        assert 400 <= web.ask("POST", "/mcp", body, modern).status < 500
    assert "Traceback" not in web.stderr


# -- the SDK's client, and the jobs -------------------------------------------------------------------------


def with_client(
    server: HttpServer,
    act: Callable[[Client], Any],
    mode: str = "legacy",
    token: str = TOKEN,
    note: MessageHandlerFnT | None = None,
) -> Any:
    """Open the SDK's client in an era, await what `act` makes of it, and leave."""

    async def main() -> Any:
        async with (
            httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=30) as headers,
            Client(streamable_http_client(server.url, http_client=headers), mode=mode, message_handler=note) as client,
        ):
            return await act(client)

    return anyio.run(main)


ERAS = pytest.mark.parametrize("mode", ["legacy", MODERN_ERA])


@ERAS
def test_the_sdks_client_runs_a_job_in_both_eras(web: HttpServer, mode: str) -> None:
    found = with_client(
        web, lambda client: client.call_tool("execute", {"command": "echo over http; exit 3", "wait": 50}), mode
    )
    answer: Answer = found.structured_content
    assert (answer["status"], answer["exit_code"], answer["stdout"]) == ("failed", 3, "over http\n")


def test_progress_arrives_while_a_call_waits(web: HttpServer, shared: Sandbox) -> None:
    """Two calls side by side, in either era; each job ends once both have heard something."""
    go = shared.path("go")
    heard: set[str] = set()

    def call(mode: str) -> Callable[[Client], Any]:
        async def note(progress: float, total: float | None, message: str | None) -> None:
            heard.add(mode)
            if len(heard) == 2:
                go.touch()

        command = f"until [ -e {go} ]; do sleep 0.05; done"

        async def act(client: Client) -> Any:
            return await client.call_tool("execute", {"command": command, "wait": 50}, progress_callback=note)

        return act

    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(with_client, web, call(mode), mode) for mode in ("legacy", MODERN_ERA)]
        assert [one.result(30).structured_content["exit_code"] for one in calls] == [0, 0]


@pytest.mark.promise("resources-told")
@pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")
@ERAS
def test_the_sdks_client_is_told_of_a_job_and_of_the_list(web: HttpServer, mode: str) -> None:
    told: set[str] = set()

    async def note(message: object) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            told.add(message.params.uri)
        elif isinstance(message, ResourceListChangedNotification):
            told.add("the list")

    async def act(client: Client) -> None:
        started = await client.call_tool("execute", {"command": "read x; echo $x; exit 3", "wait": 20})
        assert started.structured_content is not None
        job_id = started.structured_content["job_id"]
        uris = [f"job://{job_id}", f"job://{job_id}/output"]
        async with AsyncExitStack() as stack:
            if mode == "legacy":
                for uri in uris:
                    await client.subscribe_resource(uri)
            else:
                await stack.enter_async_context(client.listen(resource_subscriptions=uris, resources_list_changed=True))
            await client.call_tool("interact", {"job_id": job_id, "input": "x"})
            with anyio.fail_after(20):
                while told != {*uris, "the list"}:  # noqa: ASYNC110  # the client's callback knows no event
                    await anyio.sleep(0.02)

    with_client(web, act, mode, note=note)


@pytest.mark.promise("resources-told")
@pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")
@pytest.mark.skipif(sys.platform != "linux", reason="counts inotify's watches (proc(5), fdinfo)")
@pytest.mark.parametrize("mode", ["legacy", MODERN_ERA, "cut off"])
def test_nothing_is_followed_for_a_client_that_has_gone(web: HttpServer, server: Server, mode: str) -> None:
    job_id = server.call("execute", command="exec sleep 300")["job_id"]
    before = web.watches()
    uris = [f"job://{job_id}", f"job://{job_id}/output"]

    async def act(client: Client) -> None:
        if mode == "legacy":
            for uri in uris:
                await client.subscribe_resource(uri)
            await anyio.to_thread.run_sync(wait_until, lambda: web.watches() > before)
        else:
            async with client.listen(resource_subscriptions=uris, resources_list_changed=True):
                await anyio.to_thread.run_sync(wait_until, lambda: web.watches() > before)

    if mode == "cut off":
        wanted = {"resourceSubscriptions": uris, "resourcesListChanged": True}
        envelope = {f"io.modelcontextprotocol/{key}": value for key, value in ENVELOPE.items()}
        params = {"notifications": wanted, "_meta": envelope}
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": params}).encode()
        headers = HEADERS | {"Host": "127.0.0.1", "Content-Length": str(len(body)), "MCP-Protocol-Version": MODERN_ERA}
        headers["Mcp-Method"] = "subscriptions/listen"
        head = "".join(f"{key}: {value}\r\n" for key, value in headers.items())
        connection = web.raw(f"POST /mcp HTTP/1.1\r\n{head}\r\n".encode() + body)
        assert b" 200 " in connection.recv(1000)
        wait_until(lambda: web.watches() > before)
        connection.close()
    else:
        with_client(web, act, mode)
    wait_until(lambda: web.watches() == before, what="the end of what was followed")
    server.call("kill", job_id=job_id)


@ERAS
def test_the_sdks_client_without_the_token_gets_nowhere(web: HttpServer, mode: str) -> None:
    with pytest.raises((Exception, BaseExceptionGroup)) as stopped:
        with_client(web, lambda client: client.list_tools(), mode, "not-the-token-at-all")
    assert "Assertion" not in repr(stopped.value)


@pytest.mark.promise("server-contract")
def test_the_tools_are_those_of_stdio(web: HttpServer, shared: Sandbox) -> None:
    listed = with_client(web, lambda client: client.list_tools())
    names = {tool.name for tool in listed.tools}
    assert names == {tool["name"] for tool in shared.server().request("tools/list")["tools"]}


@pytest.mark.promise("servers-same-jobs")
def test_stdio_and_http_share_the_same_jobs(web: HttpServer, shared: Sandbox) -> None:
    stdio = shared.server()
    job_id = stdio.call("execute", command="read line; echo got $line")["job_id"]

    async def act(client: Client) -> Any:
        return await client.call_tool("interact", {"job_id": job_id, "input": "it", "timeout": 20})

    assert "got it" in with_client(web, act).structured_content["stdout"]
    assert ended(stdio, job_id)["exit_code"] == 0
    found = with_client(web, lambda client: client.call_tool("execute", {"command": "exec cat"}))
    theirs = found.structured_content["job_id"]
    assert stdio.call("kill", job_id=theirs)["status"] == "killed"


# -- its life -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
@pytest.mark.promise("servers-stop")
def test_a_signal_stops_it_at_once_and_the_jobs_go_on(
    shared: Sandbox, server: Server, number: signal.Signals, status: int
) -> None:
    with served(shared) as web:
        found = with_client(web, lambda client: client.call_tool("execute", {"command": "exec cat"}))
        job_id = found.structured_content["job_id"]
        opening = json.dumps(INITIALIZE).encode()
        session = web.ask("POST", "/mcp", opening).getheader("mcp-session-id") or ""
        waiting = web.connect()
        call = {
            "jsonrpc": "2.0", "id": 2, "method": "tools/call",
            "params": {"name": "wait", "arguments": {"job_ids": [job_id], "timeout": 40}},
        }  # fmt: skip
        waiting.request("POST", "/mcp", json.dumps(call), {**HEADERS, "mcp-session-id": session})
        assert waiting.getresponse().status == 200  # a stream, whose answer is to come in 40 seconds
        begun = time.monotonic()
        web.process.send_signal(number)
        assert web.process.wait(60) == status
        assert time.monotonic() - begun < 20  # the promise is that it is prompt; the call waits for 40 s
        waiting.close()
        assert "Traceback" not in web.stderr
    assert server.call("status", job_id=job_id)["status"] == "running"
    assert server.call("kill", job_id=job_id)["status"] == "killed"


@pytest.mark.promise("server-ends-kill")
def test_its_jobs_end_with_it_and_not_with_a_client(sandbox: Sandbox) -> None:
    sandbox.environment["MCP_BG_ON_DISCONNECT"] = "kill"
    with served(sandbox) as web:
        found = with_client(web, lambda client: client.call_tool("execute", {"command": "exec cat"}))
        job_id = found.structured_content["job_id"]
        reader = sandbox.server()
        assert reader.call("wait", job_ids=[job_id], timeout=1)["reason"] == "timeout"
        web.process.kill()
        assert reader.call("wait", job_ids=[job_id], timeout=20)["reason"] == "exit"
    assert reader.call("status", job_id=job_id)["killed_by"] == "the end of its server"


def test_it_tidies_up_as_the_stdio_server_does(sandbox: Sandbox) -> None:
    """What a maker who died has left half made is removed by the tidying alone."""
    folder = sandbox.state / "mcp-jobs"
    left = folder / ".new-abcdef"
    left.mkdir(mode=0o700, parents=True)
    sandbox.state.chmod(0o700)
    os.utime(left, (0, 0))
    with served(sandbox):
        wait_until(lambda: not left.exists())


@pytest.mark.promise("private-token")
def test_the_token_is_on_no_command_line_and_in_no_log(web: HttpServer) -> None:
    assert TOKEN.encode() not in Path(f"/proc/{web.process.pid}/cmdline").read_bytes()
    assert TOKEN not in web.stderr
