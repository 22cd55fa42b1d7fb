"""What a model says and hears in four vendors' words: Anthropic's Messages, OpenAI's Responses and chat completions,
Google's generateContent.

Each speaks a turn as the events of a stream, and reads from a request which tools there are and what they answered.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

Events: TypeAlias = list[dict[str, Any]]
Request: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """A turn that calls a tool, by the name that the client gives it."""

    tool: str
    arguments: dict[str, Any]
    namespace: str | None = None


@dataclass(frozen=True)
class Result:
    """What a tool answered, as the model gets it; `error` where the protocol tells an error by more than its text."""

    text: str
    error: bool | None = None


class Spoken(Protocol):
    """A vendor's protocol; a turn is a call or a text."""

    def turn(self, said: Call | str) -> Events: ...
    def tools(self, request: Request) -> Iterator[tuple[str, str | None]]: ...
    def results(self, request: Request) -> Iterator[Result]: ...


def flat(content: Any) -> str:
    """The text of a content that may be a text or a list of parts."""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content or ())


class Anthropic:
    """Messages."""

    def message(self, said: Call | str) -> dict[str, Any]:
        """The turn in one piece."""
        block: dict[str, Any] = {"type": "text", "text": said}
        if isinstance(said, Call):
            block = {"type": "tool_use", "id": new_id(), "name": said.tool, "input": said.arguments}
        return {
            "id": "m1",
            "type": "message",
            "role": "assistant",
            "model": "model",
            "content": [block],
            "stop_reason": "tool_use" if isinstance(said, Call) else "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 1, "output_tokens": 1},
        }

    def turn(self, said: Call | str) -> Events:
        whole = self.message(said)
        [block] = whole["content"]
        delta = {"type": "text_delta", "text": said}
        if isinstance(said, Call):
            delta = {"type": "input_json_delta", "partial_json": json.dumps(said.arguments)}
        begun: dict[str, Any] = {**block, "input": {}} if isinstance(said, Call) else {**block, "text": ""}
        return [
            {"type": "message_start", "message": {**whole, "content": [], "stop_reason": None}},
            {"type": "content_block_start", "index": 0, "content_block": begun},
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
            {
                "type": "message_delta",
                "delta": {"stop_reason": whole["stop_reason"], "stop_sequence": None},
                "usage": whole["usage"],
            },
            {"type": "message_stop"},
        ]

    def tools(self, request: Request) -> Iterator[tuple[str, str | None]]:
        return ((tool["name"], None) for tool in request.get("tools", ()))

    def results(self, request: Request) -> Iterator[Result]:
        for message in request.get("messages", ()):
            for part in message["content"] if isinstance(message["content"], list) else ():
                # Claude Code's search for tools answers with references to them.
                if part.get("type") == "tool_result" and "tool_reference" not in str(part.get("content")):
                    yield Result(flat(part.get("content")), part.get("is_error", False))


class Responses:
    """OpenAI's Responses; a server's tools come in a namespace."""

    def turn(self, said: Call | str) -> Events:
        item: dict[str, Any] = {
            "type": "message",
            "id": "i1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": said, "annotations": []}],
        }
        if isinstance(said, Call):
            item = {
                "type": "function_call",
                "id": "i1",
                "call_id": new_id(),
                "name": said.tool,
                "arguments": json.dumps(said.arguments),
                "status": "completed",
            } | ({"namespace": said.namespace} if said.namespace else {})
        begun: dict[str, Any] = {**item, "arguments": ""} if isinstance(said, Call) else {**item, "content": []}
        usage = {
            "input_tokens": 1,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 1,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 2,
        }
        text = [] if isinstance(said, Call) else [said]
        return [
            {"type": "response.created", "response": {"id": "r1"}},
            {"type": "response.output_item.added", "output_index": 0, "item": begun},
            *({"type": "response.output_text.delta", "item_id": "i1", "delta": delta} for delta in text),
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": {"id": "r1", "output": [item], "usage": usage}},
        ]

    def tools(self, request: Request) -> Iterator[tuple[str, str | None]]:
        for tool in request.get("tools", ()):
            if tool.get("type") == "namespace":
                yield from ((inner["name"], tool["name"]) for inner in tool["tools"])
            elif "name" in tool:
                yield tool["name"], None

    def results(self, request: Request) -> Iterator[Result]:
        for item in request.get("input", ()) if isinstance(request.get("input"), list) else ():
            if item.get("type") == "function_call_output":
                yield Result(flat(item["output"]))


class Completions:
    """OpenAI's chat completions."""

    def turn(self, said: Call | str) -> Events:
        delta: dict[str, Any] = {"role": "assistant", "content": said}
        if isinstance(said, Call):
            function = {"name": said.tool, "arguments": json.dumps(said.arguments)}
            call = {"index": 0, "id": new_id(), "type": "function", "function": function}
            delta = {"role": "assistant", "content": None, "tool_calls": [call]}
        reason = "tool_calls" if isinstance(said, Call) else "stop"
        head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "model"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        return [
            {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
            {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}], "usage": usage},
        ]

    def tools(self, request: Request) -> Iterator[tuple[str, str | None]]:
        return ((tool["function"]["name"], None) for tool in request.get("tools") or () if "function" in tool)

    def results(self, request: Request) -> Iterator[Result]:
        for message in request.get("messages", ()):
            if message["role"] == "tool":
                yield Result(flat(message["content"]))


class Google:
    """generateContent."""

    def turn(self, said: Call | str) -> Events:
        part: dict[str, Any] = {"text": said}
        if isinstance(said, Call):
            part = {"functionCall": {"name": said.tool, "args": said.arguments}}
        content = {"role": "model", "parts": [part]}
        usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
        return [{"candidates": [{"content": content, "finishReason": "STOP", "index": 0}], "usageMetadata": usage}]

    def tools(self, request: Request) -> Iterator[tuple[str, str | None]]:
        for group in request.get("tools", ()):
            yield from ((tool["name"], None) for tool in group.get("functionDeclarations", ()))

    def results(self, request: Request) -> Iterator[Result]:
        for content in request.get("contents", ()):
            for part in content.get("parts", ()):
                if "functionResponse" in part:
                    response = part["functionResponse"]["response"]
                    yield Result(response.get("error") or flat(response.get("output", "")), "error" in response)


_ids = iter(range(1, 10**9))


def new_id() -> str:
    """An id that no call had before."""
    return f"call_{next(_ids)}"
