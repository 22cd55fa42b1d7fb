"""A task in each state that the files of a job tell, without tmux."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from mcp import MCPError
from mcp.server.context import CallNext, ServerRequestContext
from mcp.server.session import ServerSession
from mcp_types import (
    ClientCapabilities,
    SubscriptionFilter,
    SubscriptionsAcknowledgedNotification,
    SubscriptionsAcknowledgedNotificationParams,
)
from pydantic import BaseModel

from mcp_background_job.config import BackgroundJobConfig
from mcp_background_job.errors import InvalidInput
from mcp_background_job.jobs.manager import JobManager
from mcp_background_job.server.clients import Clients
from mcp_background_job.server.questions import Question, read_answer
from mcp_background_job.server.task_streams import TaskStreams
from mcp_background_job.server.tasks import TASKS, AnyRequest, TaskParams, Tasks, UpdateParams
from mcp_background_job.server.tools import Tools
from mcp_background_job.store.models import Hold
from mcp_background_job.store.tasks import write_result
from support.jobs import write_ended_job
from support.rpc import MODERN_ERA

TASK = "abcdef-1"


@pytest.fixture
def tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tasks:
    """The tasks of a server that has one ended job, and no tmux."""
    monkeypatch.setenv("PATH", "/nowhere")
    config = BackgroundJobConfig.model_validate({"MCP_BG_STATE_DIR": str(tmp_path / "state"), "MCP_BG_RETENTION": 3600})
    manager = JobManager(config)
    write_ended_job(manager.store, "abcdef")
    return Tools(manager, Clients(manager.view, manager.events)).tasks


class Session:
    """What is sent to a client."""

    client_params = None

    def __init__(self, declared: bool) -> None:
        self.client_capabilities = ClientCapabilities(extensions={TASKS: {}} if declared else None)
        self.sent: list[dict[str, Any]] = []

    async def send_notification(self, notification: BaseModel, related_request_id: int) -> None:
        assert related_request_id == 7
        self.sent.append(notification.model_dump(by_alias=True, mode="json", exclude_none=True))


def request(declared: bool = True, method: str = "tasks/get", **params: object) -> AnyRequest:
    session = cast(ServerSession, Session(declared))
    return ServerRequestContext(
        session=session,
        lifespan_context=None,
        protocol_version=MODERN_ERA,
        method=method,
        params=params,
        request_id=7,
    )


def get(tasks: Tasks, task: str = TASK, declared: bool = True) -> dict[str, Any]:
    return anyio.run(tasks.get, request(declared), TaskParams(task_id=task))


def change_end(tasks: Tasks, **changed: object) -> None:
    record = tasks.view.folder("abcdef") / "exit.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), **changed}), encoding="ascii")


def test_the_result_is_what_execute_would_have_answered(tasks: Tasks) -> None:
    found = get(tasks)
    answer = found["result"]["structuredContent"]
    assert answer == {
        "job_id": "abcdef", "status": "failed", "stdout": "one\ntwo\n", "cursor": 8, "reason": "exit", "exit_code": 3,
    }  # fmt: skip
    assert json.loads(found["result"]["content"][0]["text"]) == answer
    assert set(found) == {"taskId", "status", "createdAt", "lastUpdatedAt", "ttlMs", "pollIntervalMs", "result"}


def test_it_is_kept_as_long_as_the_jobs_record(tasks: Tasks) -> None:
    change_end(tasks, ended=1e9 + 60)
    found = get(tasks)
    assert (found["createdAt"], found["lastUpdatedAt"]) == ("2001-09-09T01:46:40.000Z", "2001-09-09T01:47:40.000Z")
    assert found["ttlMs"] == (60 + 3600) * 1000
    shutil.rmtree(tasks.view.folder("abcdef"))
    with pytest.raises(MCPError, match="not found") as refused:
        get(tasks)
    assert refused.value.error.code == -32602


@pytest.mark.parametrize(
    ("cause", "by", "status"),
    [
        ("kill", "cli (task cancelled)", "cancelled"),
        ("kill", "cli", "completed"),
        ("kill", "a person", "completed"),
        ("exit", "", "completed"),
        ("timeout", "", "completed"),
        ("lost", "", "completed"),
    ],
)
def test_cancelled_is_only_what_a_cancel_has_killed(tasks: Tasks, cause: str, by: str, status: str) -> None:
    change_end(tasks, cause=cause, by=by)
    found = get(tasks)
    assert found["status"] == status and ("result" in found) == (status == "completed")


@pytest.mark.promise("tasks-end")
def test_a_result_once_told_stays_though_the_job_went_on(tasks: Tasks) -> None:
    write_result(
        tasks.view.folder("abcdef"), b'{"job_id": "abcdef", "status": "running", "awaiting_input": "password"}'
    )
    change_end(tasks, cause="kill", by="cli (task cancelled)")
    found = get(tasks)
    assert (found["status"], found["result"]["structuredContent"]["awaiting_input"]) == ("completed", "password")


def test_a_task_that_is_over_takes_answers_and_cancels_without_effect(tasks: Tasks) -> None:
    before = get(tasks)
    assert anyio.run(tasks.cancel, request(), TaskParams(task_id=TASK)) == {}
    assert anyio.run(tasks.update, request(), UpdateParams(task_id=TASK, input_responses={"x": {}})) == {}
    assert get(tasks) == before


@pytest.mark.parametrize("task", ["", "abcdef", "abcdef-", "abcdef-2", "abcdef-11", "abcdeg-1", "../abcdef-1", "é-1"])
def test_an_id_is_known_as_a_whole_or_not_at_all(tasks: Tasks, task: str) -> None:
    with pytest.raises(MCPError) as refused:
        get(tasks, task)
    assert refused.value.error.code == -32602


def test_who_does_not_declare_the_extension_is_told_which_is_missing(tasks: Tasks) -> None:
    with pytest.raises(MCPError) as refused:
        get(tasks, declared=False)
    assert refused.value.error.code == -32021
    assert refused.value.error.data == {"requiredCapabilities": {"extensions": {TASKS: {}}}}


# -- streams --------------------------------------------------------------------------------------------------


def listen(tasks: Tasks, call_next: CallNext, *task_ids: object, declared: bool = True) -> list[dict[str, Any]]:
    """What a stream has told by the time that its client or an error ended it; nothing of it may be left."""
    wanted = request(declared, "subscriptions/listen", notifications={"taskIds": list(task_ids)})

    async def run() -> None:
        try:
            await TaskStreams(tasks)(wanted, call_next)
        finally:
            await asyncio.sleep(0)
            assert tasks.events.listeners == before
            assert asyncio.all_tasks() == {asyncio.current_task()}

    before = list(tasks.events.listeners)
    asyncio.run(run())
    return cast(Session, wanted.session).sent


async def acknowledge(ctx: AnyRequest) -> None:
    """The SDK's part: it acknowledges the kinds that it knows, then waits for the client to go."""
    params = SubscriptionsAcknowledgedNotificationParams(notifications=SubscriptionFilter())
    await ctx.session.send_notification(SubscriptionsAcknowledgedNotification(params=params), ctx.request_id)
    for _ in range(20):
        await asyncio.sleep(0)


def test_a_stream_names_its_tasks_and_tells_what_they_are(tasks: Tasks) -> None:
    acknowledged, state = listen(tasks, acknowledge, TASK, TASK, "abcdef-2", 3)
    assert acknowledged["params"]["notifications"] == {"taskIds": [TASK]}
    assert state["method"] == "notifications/tasks"
    assert state["params"] == {**get(tasks), "_meta": {"io.modelcontextprotocol/subscriptionId": 7}}


@pytest.mark.promise("tasks-streams")
def test_a_stream_that_breaks_leaves_nothing_behind(tasks: Tasks) -> None:
    async def fail(ctx: AnyRequest) -> None:
        await acknowledge(ctx)
        raise MCPError(code=-32603, message="Subscription limit reached")

    with pytest.raises(MCPError, match="limit"):
        listen(tasks, fail, TASK)


def test_a_stream_without_tasks_is_none_of_ours(tasks: Tasks) -> None:
    [acknowledged] = listen(tasks, acknowledge, declared=False)
    assert acknowledged["params"]["notifications"] == {}
    with pytest.raises(MCPError) as refused:
        listen(tasks, acknowledge, TASK, declared=False)
    assert refused.value.error.code == -32021


PROMPT, HANDOFF = Question("prompt-3"), Question("handoff-3", Hold(since=3.0, message="look"))


@pytest.mark.parametrize(
    ("question", "given"),
    [
        (PROMPT, {}),
        (PROMPT, {"action": "yes"}),
        (PROMPT, {"action": "accept"}),
        (PROMPT, {"action": "accept", "content": {"answer": 3}}),
        (PROMPT, {"action": "accept", "content": {"answer": "y\nrm -rf ~"}}),
        (PROMPT, {"action": "accept", "content": {"answer": "y\rrm -rf ~"}}),
        (PROMPT, {"action": "accept", "content": {"answer": "\x03"}}),
        (HANDOFF, {"action": "done"}),
    ],
)
def test_what_is_no_answer_is_refused(question: Question, given: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        read_answer(question, given)


@pytest.mark.parametrize(
    ("question", "given"),
    [
        (PROMPT, {"action": "accept", "content": {"answer": ""}}),
        (PROMPT, {"action": "accept", "content": {"answer": "ja, gern 是\t"}}),
        (PROMPT, {"action": "decline"}),
        (PROMPT, {"action": "cancel"}),
        (HANDOFF, {"action": "accept", "content": {"done": True}}),
        (HANDOFF, {"action": "decline"}),
    ],
)
def test_an_answer_is_read_as_it_was_given(question: Question, given: dict[str, Any]) -> None:
    assert read_answer(question, given).model_dump(exclude_none=True) == given
