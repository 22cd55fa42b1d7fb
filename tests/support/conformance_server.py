"""Our server over HTTP under the tool names that the conformance suite's scenarios for tasks call, without the token.

Only words are exchanged: each of its tools is an `execute`, and its forms are filled in with a `confirm`.
Prints the port that it listens on.
"""

from __future__ import annotations

import shlex
import socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import uvicorn
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

from mcp_background_job.config import load_config
from mcp_background_job.jobs.manager import JobManager
from mcp_background_job.server.app import make_server
from mcp_background_job.server.tasks import Tasks

COMMANDS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "greet": lambda given: f"printf 'Hello, %s!' {shlex.quote(given['name'])}",
    "slow_compute": lambda given: f"sleep {given['seconds']}; echo done",
    "failing_job": lambda given: "sleep 1; exit 1",
    "confirm_delete": lambda given: f"sleep 0.6; read -p 'Delete {given['filename']}? ' x; echo $x",
}


async def translate(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Their words for ours."""
    params = dict(ctx.params or {})
    name = params.get("name")
    if ctx.method == "tools/call" and name in COMMANDS:
        command = COMMANDS[name](params.get("arguments") or {})
        params |= {"name": "execute", "arguments": {"command": command, "wait": 50}}
    elif ctx.method == "tasks/update":
        params["inputResponses"] = {
            key: {"action": response["action"], "content": {"answer": "yes"}} if "action" in response else response
            for key, response in params["inputResponses"].items()
        }
    result = await call_next(replace(ctx, params=params))
    if name == "greet" and isinstance(result, dict):
        result["content"] = [{"type": "text", "text": result["structuredContent"]["stdout"]}]
    return result


def main() -> None:
    Tasks.soon = 0.3
    server = make_server(JobManager(load_config()))
    server.middleware.append(translate)
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    app = server.streamable_http_app(streamable_http_path="/mcp")
    uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none")).run(sockets=[listener])


if __name__ == "__main__":
    main()
