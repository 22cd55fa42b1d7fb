"""A model that other agents' command lines talk to: it makes the calls that a test gives it, then one fixed answer.

Where it stands in its script is told by each request itself: by how many results of tools are in it. So what an agent
asks aside (a title, a summary) gets the answer, and a request that is sent twice gets the same call.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

from support.model_protocols import Anthropic, Call, Completions, Google, Request, Responses, Result, Spoken

# Tools of clients that keep those of servers out of the first request: Claude Code's gives them to the model by their
# names, qwen-code's calls one.
SEARCH, BRIDGE = "ToolSearch", "tool_call"
ANSWER = "PELICAN says hello"
# One of our tools and its arguments, which may come from the results before it.
Step: TypeAlias = tuple[str, Callable[[Sequence[Result]], dict[str, Any]]]


class Handler(BaseHTTPRequestHandler):
    """Answers questions, and lists no models."""

    protocol_version = "HTTP/1.1"
    server: ModelServer

    def do_GET(self) -> None:
        self.say("application/json", json.dumps({"data": [], "models": []}))

    def do_HEAD(self) -> None:
        self.say("application/json", "")

    def do_POST(self) -> None:
        given = self.rfile.read(int(self.headers.get("content-length", 0)))
        path = self.path.partition("?")[0]
        self.server.questions.append(given.decode(errors="replace"))
        if path.endswith("/messages"):
            anthropic = Anthropic()
            said = self.server.next_turn(anthropic, request := json.loads(given))
            if not request.get("stream"):
                self.say("application/json", json.dumps(anthropic.message(said)))
                return
            self.stream(anthropic, said)
        elif path.endswith("/responses"):
            self.stream(Responses(), self.server.next_turn(Responses(), json.loads(given)))
        elif path.endswith("/chat/completions"):
            self.stream(Completions(), self.server.next_turn(Completions(), json.loads(given)))
        elif "streamGenerateContent" in path:
            self.stream(Google(), self.server.next_turn(Google(), json.loads(given)))
        elif "generateContent" in path:
            self.say("application/json", json.dumps(Google().turn(ANSWER)[0]))
        else:
            self.say("application/json", json.dumps({"input_tokens": 1, "totalTokens": 1}))

    def stream(self, protocol: Spoken, said: Call | str) -> None:
        events = protocol.turn(said)
        named = (f"event: {event['type']}\n" if "type" in event else "" for event in events)
        text = "".join(f"{name}data: {json.dumps(event)}\n\n" for name, event in zip(named, events, strict=True))
        self.say("text/event-stream", text + ("data: [DONE]\n\n" if isinstance(protocol, Completions) else ""))

    def say(self, kind: str, text: str) -> None:
        data = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


class ModelServer(ThreadingHTTPServer):
    """The model, what it was asked, and what its calls were answered."""

    def __init__(self, script: Sequence[Step] = ()) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script = script
        self.questions: list[str] = []
        self.results: list[Result] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def next_turn(self, protocol: Spoken, request: Request) -> Call | str:
        """The next call of the script, where the request has our tools; else the answer."""
        found = list(protocol.results(request))
        if len(found) > len(self.results):
            self.results = found
        if len(found) >= len(self.script):
            return ANSWER
        tool, arguments = self.script[len(found)]
        there = dict(protocol.tools(request))
        for name, namespace in there.items():
            if re.search(rf"jobs[\W_]*{tool}$", f"{namespace or ''} {name}"):
                return Call(name, arguments(found), namespace)
        if SEARCH in there:
            return Call(SEARCH, {"query": f"select:mcp__jobs__{tool}"})
        if BRIDGE in there:
            return Call(BRIDGE, {"name": f"mcp__jobs__{tool}", "arguments": arguments(found)})
        return ANSWER


@contextmanager
def model_server(*script: Step) -> Iterator[ModelServer]:
    """The server, on a port of its own."""
    server = ModelServer(script)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
