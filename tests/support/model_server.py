"""A model that other agents' command lines talk to: one fixed answer, in the words of three vendors' protocols.

Anthropic's Messages, OpenAI's Responses and Google's generateContent, each as a stream of server-sent events.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ANSWER = "PELICAN says hello"
Events = list[dict[str, Any]]


def anthropic() -> Events:
    usage = {"input_tokens": 1, "output_tokens": 1}
    message: dict[str, Any] = {
        "id": "m1",
        "type": "message",
        "role": "assistant",
        "model": "model",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    return [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": ANSWER}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": usage},
        {"type": "message_stop"},
    ]


def openai() -> Events:
    item = {
        "type": "message",
        "id": "i1",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": ANSWER, "annotations": []}],
    }
    usage = {
        "input_tokens": 1,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 1,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 2,
    }
    return [
        {"type": "response.created", "response": {"id": "r1"}},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": []}},
        {"type": "response.output_text.delta", "item_id": "i1", "delta": ANSWER},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": {"id": "r1", "output": [item], "usage": usage}},
    ]


def google() -> Events:
    content = {"role": "model", "parts": [{"text": ANSWER}]}
    usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
    return [{"candidates": [{"content": content, "finishReason": "STOP", "index": 0}], "usageMetadata": usage}]


class Handler(BaseHTTPRequestHandler):
    """Answers every question alike, and lists no models."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.say("application/json", json.dumps({"data": [], "models": []}))

    def do_HEAD(self) -> None:
        self.say("application/json", "")

    def do_POST(self) -> None:
        given = self.rfile.read(int(self.headers.get("content-length", 0)))
        path = self.path.partition("?")[0]
        if isinstance(self.server, ModelServer):
            self.server.questions.append(given.decode(errors="replace"))
        if path.endswith("/messages"):
            events = anthropic()
            if not json.loads(given).get("stream"):
                message = {**events[0]["message"], "content": [{"type": "text", "text": ANSWER}]}
                self.say("application/json", json.dumps({**message, "stop_reason": "end_turn"}))
                return
        elif path.endswith("/responses"):
            events = openai()
        elif "streamGenerateContent" in path:
            events = google()
        elif "generateContent" in path:
            self.say("application/json", json.dumps(google()[0]))
            return
        else:
            self.say("application/json", json.dumps({"input_tokens": 1, "totalTokens": 1}))
            return
        named = (f"event: {event['type']}\n" if "type" in event else "" for event in events)
        text = "".join(f"{name}data: {json.dumps(event)}\n\n" for name, event in zip(named, events, strict=True))
        self.say("text/event-stream", text)

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
    """The model, and what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.questions: list[str] = []


@contextmanager
def model_server() -> Iterator[ModelServer]:
    """The server, on a port of its own."""
    server = ModelServer()
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
