"""Tasks over HTTP: whoever has the token may ask for them, at every server, which an intermediary finds by a header."""

from __future__ import annotations

import json
from collections.abc import Generator

import pytest

from integration.test_http import HEADERS, HttpServer, served
from support.rpc import MODERN_ERA, Answer
from support.sandbox import Sandbox
from support.tasks import CAPABILITIES, begin, open_server
from support.waiting import wait_until

pytestmark = pytest.mark.promise("tasks")
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN_ERA,
    "io.modelcontextprotocol/clientInfo": {"name": "tests", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": CAPABILITIES,
}


def request(method: str, header: str, params: Answer) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a request of 2026-07-28; `header` is Mcp-Name."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": META}}).encode()
    return body, {**HEADERS, "MCP-Protocol-Version": MODERN_ERA, "Mcp-Method": method, "Mcp-Name": header}


def ask(web: HttpServer, method: str, header: str, /, **params: object) -> tuple[int, Answer]:
    """The status and the message that answers a request."""
    response = web.ask("POST", "/mcp", *request(method, header, params))
    text: str = response.body.decode()  # type: ignore[attr-defined]
    if "text/event-stream" in (response.getheader("content-type") or ""):
        text = next(line.removeprefix("data: ") for line in text.splitlines() if '"result"' in line)
    message: Answer = json.loads(text)
    return response.status, message


def test_a_task_outlives_its_server_and_the_connection(sandbox: Sandbox) -> None:
    go = sandbox.path("go")
    command = f"until test -e {go}; do sleep 0.05; done; echo over"
    with served(sandbox) as web:
        _, found = ask(web, "tools/call", "execute", name="execute", arguments={"command": command, "wait": 50})
        task = found["result"]["taskId"]
        web.process.kill()
    go.touch()
    with served(sandbox) as web:

        def over() -> Answer:
            status, message = ask(web, "tasks/get", task, taskId=task)
            assert status == 200
            return message["result"] if message["result"]["status"] == "completed" else {}

        assert wait_until(over)["result"]["structuredContent"]["stdout"] == "over\n"
        # An intermediary that goes by the header must not send a request to where another task is.
        status, message = ask(web, "tasks/get", "another", taskId=task)
        assert (status, message["error"]["code"]) == (400, -32020)


def states(web: HttpServer, task: str) -> Generator[str, None, None]:
    """What a listening stream tells of a task, as it comes."""
    connection = web.connect()
    try:
        connection.request("POST", "/mcp", *request("subscriptions/listen", "", {"notifications": {"taskIds": [task]}}))
        response = connection.getresponse()
        assert response.status == 200
        for line in response:
            if line.startswith(b"data: ") and b"notifications/tasks" in line:
                yield json.loads(line.removeprefix(b"data: "))["params"]["status"]
    finally:
        connection.close()


@pytest.mark.promise("tasks-streams")
def test_a_stream_tells_of_a_task_that_another_server_has_begun(sandbox: Sandbox) -> None:
    go = sandbox.path("go")
    task = begin(open_server(sandbox), f"until test -e {go}; do sleep 0.05; done")
    with served(sandbox) as web:
        told = states(web, task)
        assert next(told) == "working"
        go.touch()
        assert next(told) == "completed"
        told.close()
