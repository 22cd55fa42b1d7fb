"""A client of any MCP server on stdio: the least of one, so that what is timed is the server.

It counts what an agent writes (the arguments) and reads (the smaller of the text and the structured content, as
clients show a model one of the two), and the calls.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE = 90.0  # seconds for one answer; the slowest sensible call is a wait of 50 s


class ServerFault(Exception):
    """The server said no, went away or did not answer in time."""


@dataclass(frozen=True)
class Reply:
    """A tool's answer as an agent gets it."""

    text: str
    fields: dict[str, Any]

    @property
    def words(self) -> str:
        """The text, and the text that stands in fields, as it reads without JSON's escapes."""
        strings = [value for value in self.fields.values() if isinstance(value, str)]
        return "\n".join([self.text, *strings])

    def __contains__(self, words: str) -> bool:
        return words in self.words


def compact(data: object) -> int:
    """Bytes of something as JSON without spaces."""
    return len(json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode())


class Client:
    """A server process and its client; `started` and `listed` are seconds from spawn to the two first answers."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str], cwd: Path | None = None) -> None:
        begun = time.perf_counter()
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, cwd=cwd
        )
        self.number = self.calls = self.read = self.written = 0
        self.counting = False
        self.pause = 0.0  # seconds of thought before each call
        self.took = 0.0  # milliseconds of the last request, until the whole answer was read but not yet parsed
        self.heard = ""  # everything that the agent has read since count()
        self.said = ""  # and written
        self._rest = b""
        self._begun = begun
        assert self.process.stdin is not None and self.process.stdout is not None
        self._in, self._out = self.process.stdin.fileno(), self.process.stdout.fileno()
        try:
            hello = {"name": "benchmark", "version": "1"}
            self.request(
                "initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": hello}, patience=40
            )
            self.started = time.perf_counter() - begun
            self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
            listing = self.request("tools/list", {}, patience=40)
            self.listed = time.perf_counter() - begun
        except BaseException:
            self.close()
            raise
        self.listing_size = compact(listing)

    def send(self, message: dict[str, Any]) -> None:
        data = json.dumps(message).encode() + b"\n"
        try:
            while data:
                data = data[os.write(self._in, data) :]
        except OSError as error:
            raise ServerFault("the server has ended") from error

    def line(self, deadline: float) -> bytes:
        """The next line of the server."""
        parts = [self._rest]
        while b"\n" not in parts[-1]:
            if not select.select([self._out], [], [], max(0.0, deadline - time.monotonic()))[0]:
                self._rest = b"".join(parts)
                raise ServerFault("no answer in time")
            chunk = os.read(self._out, 1 << 20)
            if not chunk:
                raise ServerFault("the server has ended")
            parts.append(chunk)
        line, _, self._rest = b"".join(parts).partition(b"\n")
        return line

    def begin(self, method: str, params: dict[str, Any]) -> int:
        """Send a request without waiting for its answer."""
        self.number += 1
        self._begun = time.perf_counter()
        self.send({"jsonrpc": "2.0", "id": self.number, "method": method, "params": params})
        return self.number

    def answer(self, number: int, patience: float = PATIENCE) -> dict[str, Any]:
        """The result of a request; answers to others that come before it are passed over."""
        deadline = time.monotonic() + patience
        while True:
            line = self.line(deadline)
            self.took = (time.perf_counter() - self._begun) * 1000
            try:
                message = json.loads(line)
            except ValueError:
                continue  # some servers print words on their standard output
            if message.get("id") == number and "method" not in message:
                if "error" in message:
                    raise ServerFault(message["error"].get("message", "error"))
                result: dict[str, Any] = message["result"]
                return result

    def request(self, method: str, params: dict[str, Any], patience: float = PATIENCE) -> dict[str, Any]:
        return self.answer(self.begin(method, params), patience)

    def call(self, tool: str, **arguments: Any) -> Reply:
        """Call a tool. Raises ServerFault when it refuses."""
        time.sleep(self.pause)
        result = self.request("tools/call", {"name": tool, "arguments": arguments})
        text = "".join(part.get("text", "") for part in result.get("content", ()))
        structured = result.get("structuredContent")
        fields = structured
        if fields is None:
            with contextlib.suppress(ValueError):
                fields = json.loads(text)
        reply = Reply(text, fields if isinstance(fields, dict) else {})
        if self.counting:
            self.calls += 1
            self.written += len(tool) + compact(arguments)
            self.said += f"{tool} {json.dumps(arguments, ensure_ascii=False)}\n"
            self.read += min(len(text.encode()), compact(structured) if structured is not None else sys.maxsize)
            self.heard += f"{reply.words}\n"
        if result.get("isError"):
            raise ServerFault(text)
        return reply

    def count(self) -> None:
        """Begin a task: from now on calls, bytes and what is read are added up."""
        self.counting = True
        self.calls = self.read = self.written = 0
        self.heard = self.said = ""

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """Hang up as a client does; whoever stays is killed."""
        assert self.process.stdin is not None and self.process.stdout is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.kill()
        self.process.stdout.close()
