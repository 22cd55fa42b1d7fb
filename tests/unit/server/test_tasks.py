"""A task in each state that the files of a job tell, without tmux."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest
from mcp import MCPError
from mcp_types import ClientCapabilities

from mcp_background_job.config import BackgroundJobConfig
from mcp_background_job.errors import InvalidInput
from mcp_background_job.jobs.manager import JobManager
from mcp_background_job.server.questions import Question, read_answer
from mcp_background_job.server.tasks import TASKS, AnyRequest, TaskParams, Tasks, UpdateParams
from mcp_background_job.server.tools import Tools
from mcp_background_job.store.models import Hold
from mcp_background_job.store.tasks import write_result
from support.jobs import write_ended_job

TASK = "abcdef-1"


@pytest.fixture
def tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tasks:
    """The tasks of a server that has one ended job, and no tmux."""
    monkeypatch.setenv("PATH", "/nowhere")
    config = BackgroundJobConfig.model_validate({"MCP_BG_STATE_DIR": str(tmp_path / "state"), "MCP_BG_RETENTION": 3600})
    manager = JobManager(config)
    write_ended_job(manager.store, "abcdef")
    return Tools(manager).tasks


def request(declared: bool = True) -> AnyRequest:
    capabilities = ClientCapabilities(extensions={TASKS: {}} if declared else None)
    session = SimpleNamespace(client_capabilities=capabilities, client_params=None)
    return cast(AnyRequest, SimpleNamespace(session=session, request=None))


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
