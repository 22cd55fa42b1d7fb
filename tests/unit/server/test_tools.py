"""The tools through the official client, on a server object in this process: no tmux, no pipes.

Job folders are laid out as the supervisor leaves them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError
from mcp_types import CallToolResult, ResourceTemplateReference, TextContent

from mcp_background_job.config import BackgroundJobConfig
from mcp_background_job.jobs.manager import JobManager
from mcp_background_job.server.app import make_server
from support.jobs import write_ended_job

TOOLS = {"execute", "list", "status", "output", "tail", "interact", "kill", "wait", "screen", "handoff"}

Ask = Callable[..., CallToolResult]


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JobManager:
    monkeypatch.setenv("TMUX_TMPDIR", str(tmp_path))
    monkeypatch.setenv("PATH", "/nowhere")  # whatever needs tmux is refused
    return JobManager(BackgroundJobConfig.model_validate({"MCP_BG_STATE_DIR": str(tmp_path / "state")}))


@pytest.fixture
def ask(manager: JobManager) -> Ask:
    """Call one tool; its result."""

    def asked(tool: str, /, **arguments: object) -> CallToolResult:
        async def call(client: Client) -> CallToolResult:
            return await client.call_tool(tool, arguments)

        result: CallToolResult = with_client(manager, call)
        return result

    return asked


def with_client(manager: JobManager, use: Callable[[Client], Coroutine[Any, Any, Any]]) -> Any:
    async def run() -> Any:
        async with Client(make_server(manager)) as client:
            return await use(client)

    return anyio.run(run)


def text_of(result: CallToolResult) -> str:
    [part] = result.content
    assert isinstance(part, TextContent)
    return part.text


def refused(result: CallToolResult) -> str:
    assert result.is_error
    return text_of(result)


def answer(result: CallToolResult) -> dict[str, Any]:
    assert not result.is_error, text_of(result)
    fields: dict[str, Any] = json.loads(text_of(result))
    assert result.structured_content == fields, "text and structure say the same"
    return fields


def ended_job(manager: JobManager, job_id: str = "abcdef", printed: bytes = b"one\ntwo\n", code: int = 3) -> None:
    write_ended_job(manager.store, job_id, printed, code)


def test_the_ten_tools_are_listed_within_their_bytes(manager: JobManager) -> None:
    async def listed(client: Client) -> Any:
        return await client.list_tools()

    found = with_client(manager, listed)
    assert {tool.name for tool in found.tools} == TOOLS
    assert len(found.model_dump_json(by_alias=True, exclude_none=True)) <= 10_000
    assert all(tool.output_schema is None for tool in found.tools), "an output schema costs bytes and says nothing"


@pytest.mark.promise("server-arguments")
@pytest.mark.parametrize(
    ("tool", "arguments", "why"),
    [
        ("status", {}, "Parameter 'job_id' is missing. Give it a value."),
        ("status", {"job_id": "x", "verbose": True}, "Unknown parameter 'verbose'. Use only: job_id."),
        ("tail", {"job_id": "abcdef", "lines": 1001}, "Parameter 'lines' can't be 1001."),
        ("output", {"job_id": "abcdef", "since": -1}, "Parameter 'since' can't be -1."),
        ("wait", {"job_ids": []}, "Parameter 'job_ids' can't be []."),
        ("wait", {"job_ids": ["abcdef"], "until": "lunch"}, "Parameter 'until' can't be 'lunch'."),
        ("execute", {"command": ""}, "The command is empty. Give the shell command to run."),
        ("execute", {"command": "true", "pattern": "x"}, "A pattern is given, but no wait"),
        ("status", {"job_id": "nobody"}, "Job 'nobody' not found. Call list to see the jobs."),
        ("kill", {"job_id": "abcdef", "signal": "NONE"}, "Use TERM, INT, HUP, QUIT, KILL, STOP or CONT."),
        ("interact", {"job_id": "abcdef", "input": "x"}, "Job 'abcdef' is not running (failed)."),
        ("handoff", {"job_id": "abcdef", "message": " "}, "The message is empty."),
    ],
)
def test_a_refusal_says_what_is_wrong_and_what_to_do(
    manager: JobManager, ask: Ask, tool: str, arguments: dict[str, object], why: str
) -> None:
    ended_job(manager)
    text = refused(ask(tool, **arguments))
    assert why in text
    assert text.count(". ") >= 1 and text.endswith("."), "a sentence of what is wrong and one of what to do"


def test_without_tmux_a_start_is_refused_whole_and_reads_go_on(manager: JobManager, ask: Ask) -> None:
    ended_job(manager)
    assert refused(ask("execute", command="true")).startswith("tmux is not installed. Install it: ")
    assert [job["job_id"] for job in answer(ask("list", all=True))["jobs"]] == ["abcdef"]
    assert set(manager.store.ids()) == {"abcdef"}


def test_an_ended_job_is_told_in_full(manager: JobManager, ask: Ask) -> None:
    ended_job(manager)
    listed = answer(ask("list"))["jobs"]
    assert listed == [
        {
            "job_id": "abcdef",
            "name": "build",
            "status": "failed",
            "command": "make",
            "started": "2001-09-09T01:46:40.000Z",
            "duration": 2.5,
            "exit_code": 3,
            "client": "tests",
        }
    ]
    status = answer(ask("status", job_id="abcdef"))
    assert {key: status[key] for key in ("status", "reason", "exit_code", "duration", "cpu_seconds")} == {
        "status": "failed",
        "reason": "exit",
        "exit_code": 3,
        "duration": 2.5,
        "cpu_seconds": 0.25,
    }
    assert "holder" not in status and "awaiting_input" not in status and "signal" not in status
    waited = answer(ask("wait", job_ids=["abcdef"], since=0))
    assert (waited["reason"], waited["exit_code"], waited["stdout"]) == ("exit", 3, "one\ntwo\n")
    assert answer(ask("kill", job_id="abcdef")) == {"status": "already_terminated"}
    assert answer(ask("kill", job_id="nobody")) == {"status": "not_found"}


def test_output_comes_whole_by_cursor_by_lines_and_by_search(manager: JobManager, ask: Ask) -> None:
    ended_job(manager, printed=b"one\ntwo\n\x1b[31mthree\x1b[0m\n")
    whole = answer(ask("output", job_id="abcdef"))
    assert whole == {"stdout": "one\ntwo\nthree\n", "stderr": "", "cursor": 23, "status": "failed"}
    first = answer(ask("output", job_id="abcdef", since=0, max_chars=4))
    assert (first["stdout"], first["cursor"], first["truncated"]) == ("one\n", 4, True)
    assert answer(ask("output", job_id="abcdef", since=first["cursor"]))["stdout"] == "two\nthree\n"
    assert answer(ask("output", job_id="abcdef", grep="^t", context=0))["stdout"] == "2:two\n3:three\n"
    assert answer(ask("tail", job_id="abcdef", lines=1))["stdout"] == "three\n"


def test_what_a_job_printed_comes_behind_what_is_said_about_it(manager: JobManager, ask: Ask) -> None:
    ended_job(manager)
    for tool in ("output", "tail"):
        fields = list(json.loads(text_of(ask(tool, job_id="abcdef"))))
        assert fields[-2:] == ["stdout", "stderr"] and "cursor" in fields[:-2]


def test_a_wait_that_exceeds_the_clients_patience_says_so(manager: JobManager, ask: Ask) -> None:
    ended_job(manager)
    assert answer(ask("wait", job_ids="abcdef", timeout=500))["effective_timeout"] == 50
    assert "effective_timeout" not in answer(ask("wait", job_ids="abcdef", timeout=50))


def test_resources_read_as_the_tools_do(manager: JobManager) -> None:
    ended_job(manager)

    async def read(client: Client) -> tuple[Any, Any]:
        return await client.read_resource("job://abcdef/output"), await client.list_resource_templates()

    output, templates = with_client(manager, read)
    assert output.contents[0].text == "one\ntwo\n"
    assert {template.uri_template for template in templates.resource_templates} == {
        "job://{job_id}",
        "job://{job_id}/output",
        "job://{job_id}/screen",
    }


@pytest.mark.parametrize(
    ("uri", "why"),
    [("job://nobody/output", "Job 'nobody' not found"), ("job://abcdef/screen", "Job 'abcdef' has no window")],
)
def test_a_resource_is_refused_in_the_words_of_the_tools(manager: JobManager, uri: str, why: str) -> None:
    ended_job(manager)

    async def read(client: Client) -> None:
        with pytest.raises(MCPError, match=why):
            await client.read_resource(uri)

    with_client(manager, read)


def test_ids_are_completed_from_their_beginning(manager: JobManager) -> None:
    for job_id in ("abcdef", "abzzzz", "zzzzzz"):
        ended_job(manager, job_id)
    template = ResourceTemplateReference(uri="job://{job_id}/output")

    async def complete(client: Client) -> list[list[str]]:
        found = [await client.complete(template, {"name": "job_id", "value": begun}) for begun in ("ab", "zz", "q")]
        return [sorted(one.completion.values) for one in found]

    assert with_client(manager, complete) == [["abcdef", "abzzzz"], ["zzzzzz"], []]
