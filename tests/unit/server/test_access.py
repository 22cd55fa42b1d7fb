"""Who is let in over HTTP, with no server: tokens, hosts, and the guard as an ASGI application."""

from __future__ import annotations

import json
import os
from pathlib import Path

import anyio
import pytest
from starlette.types import Message, Receive, Scope, Send

from mcp_background_job.config import ConfigError
from mcp_background_job.errors import InvalidInput
from mcp_background_job.server.access import Guard, check_token, names, read_token, security

TOKEN = "a-token-of-enough-characters"
BEARER = (b"authorization", f"Bearer {TOKEN}".encode())


@pytest.mark.parametrize(
    "token", ["", "fifteen-letters", "a token with blanks", "schlüssel-mit-umlaut", "x" * 16 + "\n"]
)
def test_a_token_that_is_short_or_fits_no_header_is_refused(token: str) -> None:
    with pytest.raises(ConfigError) as stopped:
        check_token(token)
    assert "token" in str(stopped.value) and "\n" not in str(stopped.value)
    assert not token or token not in str(stopped.value)


@pytest.mark.parametrize(
    ("mode", "content", "said"),
    [(0o600, "short\n", "16"), (0o644, TOKEN, "chmod 600"), (0o620, TOKEN, "chmod 600"), (0o600, "", "token")],
)
def test_a_token_file_that_is_short_or_open_to_others_is_refused(
    tmp_path: Path, mode: int, content: str, said: str
) -> None:
    file = tmp_path / "token"
    file.write_text(content)
    file.chmod(mode)
    with pytest.raises(ConfigError, match=said) as stopped:
        read_token(file)
    assert TOKEN not in str(stopped.value)


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to give a file away")
def test_a_token_file_of_another_user_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(0o600)
    os.chown(file, 65534, 65534)
    with pytest.raises(ConfigError, match="another user"):
        read_token(file)


@pytest.mark.parametrize("host", ["http://box", "box/mcp", "*", "box:port", "", "box\n"])
def test_an_allowed_host_that_is_none_is_refused(host: str) -> None:
    with pytest.raises(InvalidInput, match="--allowed-host"):
        names("127.0.0.1", "127.0.0.1", [host])


def test_loopback_and_what_is_bound_are_answered_to_and_a_wildcard_names_nobody() -> None:
    loopback = ["127.0.0.1", "localhost", "[::1]"]
    assert names("localhost", "127.0.0.1", []) == loopback
    assert names("0.0.0.0", "0.0.0.0", ["Box.Lan:8080"]) == [*loopback, "box.lan:8080"]
    assert names("fd00::7", "fd00::7", []) == [*loopback, "[fd00::7]"]
    allowed = security(["box", "box.lan:8080"])
    assert allowed.allowed_hosts == ["box", "box.lan:8080", "box:*"]
    assert "https://box:*" in allowed.allowed_origins and "http://box.lan:8080" in allowed.allowed_origins


def ask_guard(path: str, *headers: tuple[bytes, bytes], method: str = "POST") -> list[Message]:
    """What the guard sends; an application behind it that is reached answers 299."""

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 299, "headers": []})

    async def receive() -> Message:
        raise AssertionError("the body is read before the token is compared")

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": list(headers), "query_string": b""}
    anyio.run(Guard(inner, TOKEN, security(["box"])), scope, receive, send)
    return sent


@pytest.mark.promise("safe-http")
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([BEARER], 299),
        ([(b"authorization", f"bearer  {TOKEN} ".encode())], 299),
        ([], 401),
        ([BEARER, BEARER], 401),
        ([(b"authorization", TOKEN.encode())], 401),
        ([(b"authorization", f"Basic {TOKEN}".encode())], 401),
        ([(b"authorization", f"Bearer {TOKEN}x".encode())], 401),
        ([(b"authorization", f"Bearer {TOKEN[:-1]}".encode())], 401),
        ([(b"authorization", b"Bearer \xff")], 401),
        ([(b"x-authorization", f"Bearer {TOKEN}".encode())], 401),
    ],
)
def test_only_the_token_in_one_header_passes_and_no_body_is_read(
    headers: list[tuple[bytes, bytes]], status: int
) -> None:
    start = ask_guard("/mcp", *headers)[0]
    assert start["status"] == status
    if status == 401:
        challenge = dict(start["headers"])[b"www-authenticate"].decode()
        assert challenge.startswith('Bearer realm="mcp-background-job"')
        assert ("invalid_token" in challenge) == any(name == b"authorization" for name, _ in headers)


def test_health_is_told_to_our_hosts_alone() -> None:
    start, body = ask_guard("/health", (b"host", b"box:80"), method="GET")
    assert start["status"] == 200 and json.loads(body["body"]) == {"status": "ok"}
    assert ask_guard("/health", (b"host", b"evil.example"), method="GET")[0]["status"] == 421
    assert ask_guard("/health", (b"host", b"box"))[0]["status"] == 405
