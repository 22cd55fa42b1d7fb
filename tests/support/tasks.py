"""A client that declares the extension for tasks, on raw JSON-RPC."""

from __future__ import annotations

import sys
from typing import Any

from support.rpc import MODERN_ERA, Answer, Pending, Server
from support.sandbox import Sandbox
from support.waiting import wait_until

TASKS = "io.modelcontextprotocol/tasks"
CAPABILITIES: Answer = {"extensions": {TASKS: {}}}
FORMS: Answer = {**CAPABILITIES, "elicitation": {"form": {}}}
LONGEST = 50  # seconds, the wait of calls that become tasks


# The real program, but for the two seconds, which each test would wait for.
SOONER = "from mcp_background_job import cli; from mcp_background_job.server.tasks import Tasks; Tasks.soon = 0.3; "
PROGRAM = (sys.executable, "-c", SOONER + "cli.main()")


def open_server(sandbox: Sandbox, capabilities: Answer = CAPABILITIES) -> Server:
    server = sandbox.silent_server(protocol=MODERN_ERA, program=PROGRAM, MCP_BG_MAX_JOBS="300")
    server.capabilities = capabilities
    return server.open()


def execute(server: Server, command: str, **arguments: Any) -> Answer:
    """The result of a call, as it came."""
    return server.start("execute", command=command, **{"wait": LONGEST, **arguments}).result()


def begin(server: Server, command: str, **arguments: Any) -> str:
    """The id of the task that a call becomes."""
    found = execute(server, command, **arguments)
    assert found["resultType"] == "task", found
    task: str = found["taskId"]
    return task


def get(server: Server, task: str) -> Answer:
    return server.request("tasks/get", {"taskId": task})


def reaches(server: Server, task: str, status: str) -> Answer:
    """The task once it has come to that status."""

    def there() -> Answer:
        found = get(server, task)
        return found if found["status"] == status else {}

    return wait_until(there, every=0.1, what=f"the task to be {status}")


def question(server: Server, task: str) -> tuple[str, Answer]:
    """The key and the form of what the task asks."""
    [(key, request)] = reaches(server, task, "input_required")["inputRequests"].items()
    assert request["method"] == "elicitation/create"
    return key, request["params"]


def answer(server: Server, task: str, key: str, action: str, **content: Any) -> Answer:
    response = {"action": action, **({"content": content} if content else {})}
    return server.request("tasks/update", {"taskId": task, "inputResponses": {key: response}})


def listen(server: Server, *tasks: str) -> Pending:
    """A stream that tells the states of these tasks."""
    return server.begin("subscriptions/listen", {"notifications": {"taskIds": list(tasks)}})


def told(server: Server, task: str) -> list[Answer]:
    """The states of a task that streams have told."""
    states = [m["params"] for m in server.notifications if m.get("method") == "notifications/tasks"]
    return [state for state in states if state["taskId"] == task]


def job_of(task: str) -> str:
    return task.partition("-")[0]


def structured(task: Answer) -> Answer:
    """What the tool of a completed task has answered."""
    result: Answer = task["result"]["structuredContent"]
    return result
