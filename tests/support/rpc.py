"""The MCP server as a real subprocess, spoken to in raw JSON-RPC lines.

Nothing of an MCP client library stands between a test and the wire, so that a test can send what no library
would and sees every byte that the server prints.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeAlias

from support.waiting import DEADLINE

Answer: TypeAlias = dict[str, Any]

HANDSHAKE_ERA = "2025-06-18"
MODERN_ERA = "2026-07-28"

PATIENCE = DEADLINE  # seconds for an answer that has nothing to wait for
_META = "io.modelcontextprotocol/"
_CLIENT = {"name": "tests", "version": "1"}


class Refused(Exception):
    """The server said no; the text is what the agent reads."""


class ToolError(Refused):
    """A tool answered with isError."""


class RpcError(Refused):
    """The protocol layer answered with a JSON-RPC error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class ServerGone(Exception):
    """The server's standard output ended before the answer came."""


class Pending:
    """A request on its way; `progress` collects its notifications, `news` what the answer tells of other jobs."""

    def __init__(self, number: int, patience: float) -> None:
        self.number = number
        self.patience = patience
        self.progress: list[Answer] = []
        self.news: list[Answer] = []
        self._reply: Future[Answer] = Future()

    @property
    def done(self) -> bool:
        return self._reply.done()

    def resolve(self, message: Answer) -> None:
        if not self._reply.done():
            self._reply.set_result(message)

    def abandon(self, last_words: str) -> None:
        if not self._reply.done():
            self._reply.set_exception(ServerGone(f"the server ended before it answered: {last_words}"))

    def result(self, patience: float | None = None) -> Answer:
        """The JSON-RPC result. Raises RpcError, ServerGone, or TimeoutError after `patience` seconds."""
        message = self._reply.result(patience or self.patience)
        if "error" in message:
            raise RpcError(message["error"]["code"], message["error"]["message"])
        result: Answer = message["result"]
        return result

    def answer(self, patience: float | None = None) -> Answer:
        """A tool's structured content, after a check that the text content says the same."""
        result = self.result(patience)
        texts = [part["text"] for part in result["content"] if part["type"] == "text"]
        if result.get("isError"):
            raise ToolError("\n".join(texts))
        structured: Answer = result["structuredContent"]
        assert len(texts) == 1, f"one text that says what the structured content says, not {len(texts)}"
        assert json.loads(texts[0]) == structured, "text content and structured content differ"
        self.news = structured.pop("news", [])  # of other jobs: not what the call was about
        return structured


class Server:
    """One server on pipes: `python -m mcp_background_job`, or the program that a configuration names.

    The first request opens the era: the initialize handshake, or with MODERN_ERA an envelope in each request.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        errors: Path,
        *,
        program: Sequence[str] = (sys.executable, "-m", "mcp_background_job"),
        arguments: Sequence[str] = (),
        protocol: str = HANDSHAKE_ERA,
        cwd: Path | None = None,
        umask: int = -1,
    ) -> None:
        self.protocol = protocol
        self.errors = errors
        self.noise: list[bytes] = []
        self.notifications: list[Answer] = []
        self.news: list[Answer] = []  # all that answers of `call` have told besides
        self.hello: Answer = {}
        self.capabilities: Answer = {}  # what the client says it can do, from `open` on
        self._pending: dict[int, Pending] = {}
        self._count = 0
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._largest: dict[str, int] = {}
        with errors.open("wb") as stderr:
            self.process = subprocess.Popen(
                [*program, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=dict(environment),
                cwd=cwd,
                umask=umask,
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    # the wire

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            try:
                message = json.loads(line)
                assert message["jsonrpc"] == "2.0"
            except (ValueError, AssertionError, KeyError, TypeError):
                self.noise.append(line)
                continue
            self._dispatch(message, len(line))
        with self._lock:
            waiting = list(self._pending.values())
        for pending in waiting:
            pending.abandon(self.stderr[-1000:])

    def _dispatch(self, message: Answer, size: int) -> None:
        if "method" in message:
            self.notifications.append(message)
            token = message.get("params", {}).get("progressToken")
            with self._lock:
                pending = self._pending.get(token) if isinstance(token, int) else None
            if pending is not None:
                pending.progress.append(message["params"])
            return
        with self._lock:
            pending = self._pending.get(message.get("id", -1))
        if pending is None:
            self.notifications.append(message)
        else:
            self._largest[str(pending.number)] = size
            pending.resolve(message)

    def write(self, line: bytes) -> None:
        """Put raw bytes on the server's standard input."""
        assert self.process.stdin is not None
        with self._writing:
            self.process.stdin.write(line)
            self.process.stdin.flush()

    def send(self, message: Answer) -> None:
        self.write(json.dumps(message).encode() + b"\n")

    def size_of(self, pending: Pending) -> int:
        """Bytes of the line that answered the request."""
        return self._largest[str(pending.number)]

    # JSON-RPC

    def begin(
        self, method: str, params: Answer | None = None, *, progress: bool = False, patience: float = PATIENCE
    ) -> Pending:
        """Send a request and come back without its answer."""
        with self._lock:
            self._count += 1
            pending = Pending(self._count, patience)
            self._pending[pending.number] = pending
        params = dict(params or {})
        meta: Answer = {}
        if self.protocol == MODERN_ERA:
            meta |= {
                _META + "protocolVersion": MODERN_ERA,
                _META + "clientInfo": _CLIENT,
                _META + "clientCapabilities": self.capabilities,
            }
        if progress:
            meta["progressToken"] = pending.number
        if meta:
            params["_meta"] = meta
        try:
            self.send({"jsonrpc": "2.0", "id": pending.number, "method": method, "params": params})
        except OSError:
            pending.abandon(self.stderr[-1000:])
        if not self._reader.is_alive():
            pending.abandon(self.stderr[-1000:])
        return pending

    def request(self, method: str, params: Answer | None = None, *, patience: float = PATIENCE) -> Answer:
        return self.begin(method, params, patience=patience).result()

    def notify(self, method: str, params: Answer | None = None) -> None:
        self.send({"jsonrpc": "2.0", "method": method, "params": params or {}})

    def cancel(self, pending: Pending) -> None:
        self.notify("notifications/cancelled", {"requestId": pending.number, "reason": "the test says so"})

    def open(self) -> Server:
        """Say hello in the connection's era; `hello` is what the server said of itself."""
        if self.protocol == MODERN_ERA:
            self.hello = self.request("server/discover")
        else:
            self.hello = self.request(
                "initialize",
                {"protocolVersion": self.protocol, "capabilities": self.capabilities, "clientInfo": _CLIENT},
            )
            self.notify("notifications/initialized")
        return self

    # tools

    def start(self, tool: str, /, *, progress: bool = False, **arguments: Any) -> Pending:
        """Begin a tool call; the patience follows the time that the call itself asks for."""
        asked = max(
            (float(arguments[key]) for key in ("timeout", "wait") if _is_number(arguments.get(key))),
            default=0.0,
        )
        patience = PATIENCE + min(asked, 50.0)
        return self.begin("tools/call", {"name": tool, "arguments": arguments}, progress=progress, patience=patience)

    def call(self, tool: str, /, **arguments: Any) -> Answer:
        """Call a tool and return its structured content, less the news. Raises ToolError or RpcError when refused."""
        pending = self.start(tool, **arguments)
        answer = pending.answer()
        self.news += pending.news
        return answer

    # life and death

    @property
    def stderr(self) -> str:
        return self.errors.read_text(errors="replace")

    def kill9(self) -> None:
        self._end(signal.SIGKILL)

    def terminate(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, number)
        self.process.wait(DEADLINE)

    def hang_up(self, timeout: float = DEADLINE) -> int:
        """Close the server's standard input, as a client that leaves does; returns the exit code."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        return self.process.wait(timeout)

    def close(self) -> None:
        """End the server whatever state it is in, and give its pipes back."""
        try:
            self.hang_up(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(DEADLINE)
        self._reader.join(5)
        assert self.process.stdout is not None
        self.process.stdout.close()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
