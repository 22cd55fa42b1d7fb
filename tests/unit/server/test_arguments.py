"""What arguments mean: forms of one meaning are taken, values that mean nothing are left out, the rest is refused."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given as holds_for
from hypothesis import strategies as st
from mcp_types import ToolAnnotations
from pydantic import ValidationError

from mcp_background_job.config import BackgroundJobConfig
from mcp_background_job.errors import InvalidInput
from mcp_background_job.jobs.manager import JobManager
from mcp_background_job.responses.fields import Fields
from mcp_background_job.server.arguments import (
    Command,
    JobIds,
    Keys,
    Text,
    Variables,
    When,
    explain,
    given,
    ids_in,
    with_ids,
)
from mcp_background_job.server.clients import Clients
from mcp_background_job.server.schema import make_tool
from mcp_background_job.server.tools import Tools, all_tools
from support.jobs import write_ended_job


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JobManager:
    monkeypatch.setenv("TMUX_TMPDIR", str(tmp_path))
    monkeypatch.setenv("PATH", "/nowhere")
    return JobManager(BackgroundJobConfig.model_validate({"MCP_BG_STATE_DIR": str(tmp_path / "state")}))


async def takes(
    job_ids: JobIds,
    command: Command = "",
    env: Variables = {},  # noqa: B006
    keys: Keys = [],  # noqa: B006
    until: When = "exit",
    signal: Text = "TERM",
    wait: float = 0,
) -> Fields:
    """Each kind of argument."""
    return {}


async def unchanged(context: object, arguments: dict[str, Any], fields: Fields) -> Fields:
    return fields


TOOL = make_tool(takes, ToolAnnotations(), resolve=dict, during=lambda *_: nullcontext(), complete=unchanged)


def meant(**arguments: Any) -> dict[str, Any]:
    """What the tool is called with, but for defaults."""
    checked = TOOL.fn_metadata.validate_arguments({"job_ids": ["a"], **arguments})
    return {name: checked[name] for name in arguments}


@pytest.mark.parametrize(
    ("sent", "taken"),
    [
        ({"job_ids": "a"}, {"job_ids": ["a"]}),
        ({"job_ids": '["a", "b"]'}, {"job_ids": ["a", "b"]}),
        ({"keys": "Up Down"}, {"keys": ["Up", "Down"]}),
        ({"keys": "Up Down C-c"}, {"keys": ["Up", "Down", "C-c"]}),
        ({"keys": '["Up", "Down"]'}, {"keys": ["Up", "Down"]}),
        ({"env": ["A=1", "B=x=y z"]}, {"env": {"A": "1", "B": "x=y z"}}),
        ({"env": []}, {"env": {}}),
        ({"env": "A=1"}, {"env": {"A": "1"}}),
        ({"env": '{"A": "1"}'}, {"env": {"A": "1"}}),
        ({"env": {"A": None, "B": 3000, "C": True}}, {"env": {"B": "3000", "C": "true"}}),
        ({"command": ["ls", "-l", "a b; c"]}, {"command": "ls -l 'a b; c'"}),
        ({"command": ["ls -l | wc"]}, {"command": "ls -l | wc"}),
        ({"until": " EXIT "}, {"until": "exit"}),
        ({"signal": 9}, {"signal": "9"}),
        ({"wait": "5"}, {"wait": 5.0}),
    ],
)
@pytest.mark.promise("kind-arguments")
def test_a_form_of_one_meaning_is_taken(sent: dict[str, Any], taken: dict[str, Any]) -> None:
    assert meant(**sent) == taken


@pytest.mark.parametrize(
    ("tool", "sent", "taken"),
    [
        ("wait", {"job_id": "a"}, {"job_ids": "a"}),
        ("wait", {"job_id": "", "job_ids": ["a", "b"]}, None),
        (
            "wait",
            {"job_ids": ["a", "b"], "since": 0, "until": "", "pattern": ""},
            {"job_ids": ["a", "b"], "pattern": ""},
        ),
        ("wait", {"job_ids": ["a"], "since": 0}, {"job_ids": ["a"], "since": 0}),
        ("execute", {"command": "x", "description": "d", "run_in_background": True}, {"command": "x", "name": "d"}),
        ("execute", {"command": "x", "description": "d", "name": "n"}, {"command": "x", "name": "n"}),
        ("execute", {"command": "x", "timeout": 0, "env": "", "wait": None}, {"command": "x"}),
        ("output", {"job_id": "a", "since": 0, "since_seconds": 0, "max_chars": 0}, {"job_id": "a", "since": 0}),
        ("output", {"job_id": "a", "since": 0, "since_seconds": 5}, {"job_id": "a", "since_seconds": 5}),
        ("kill", {"job_id": "a", "signal": ""}, {"job_id": "a"}),
        ("tail", {"job_id": "a", "lines": 0}, {"job_id": "a"}),
        (
            "interact",
            {"job_id": "a", "input": "", "timeout": 0, "enter": None},
            {"job_id": "a", "input": "", "timeout": 0},
        ),
    ],
)
@pytest.mark.promise("kind-arguments")
def test_what_can_mean_nothing_is_left_out(
    manager: JobManager, tool: str, sent: dict[str, Any], taken: dict[str, Any] | None
) -> None:
    properties = published(manager)[tool]["properties"]
    if taken is None:
        with pytest.raises(InvalidInput, match="Unknown parameter 'job_id'"):
            given(tool, sent, properties)
    else:
        assert given(tool, sent, properties) == taken


def published(manager: JobManager) -> dict[str, dict[str, Any]]:
    tools = all_tools(Tools(manager, Clients(manager.view, manager.events, None)))
    return {tool.name: tool.parameters for tool in tools}


@pytest.mark.promise("kind-arguments")
def test_who_fills_in_every_parameter_can_call_every_tool(manager: JobManager) -> None:
    """Strict modes have the model fill in all, and no null; then a default, "" or 0 is what it takes for none."""
    fills: dict[str, Any] = {"string": "", "number": 0, "integer": 0, "boolean": False, "object": {}}
    for name, schema in published(manager).items():
        filled = {
            parameter: facts.get("default", fills.get(facts.get("type", ""), []))
            for parameter, facts in schema["properties"].items()
        }
        filled |= {"job_ids": ["a", "b"]} if name == "wait" else {}
        left = given(name, filled, schema["properties"])
        assert not {"since_seconds", "signal", "until"} & {key for key, value in left.items() if value in ("", 0)}
        assert not {"since", "since_seconds"} <= left.keys()
        assert name != "wait" or "since" not in left


@pytest.mark.promise("kind-arguments")
def test_no_client_has_to_know_that_there_are_no_other_parameters(manager: JobManager) -> None:
    """google-genai can't read additionalProperties, and others refuse a `description` themselves because of it."""
    assert "additionalProperties" not in str(published(manager))
    for names in (
        published(manager)["wait"]["properties"]["job_ids"],
        published(manager)["interact"]["properties"]["keys"],
    ):
        assert [one["type"] for one in names["anyOf"]] == ["array", "string"]


@pytest.mark.promise("kind-arguments")
def test_jobs_are_found_by_ids_as_people_write_them_and_by_names(manager: JobManager) -> None:
    for job_id, name in (("abc123", "build"), ("def456", "my, own job")):
        write_ended_job(manager.store, job_id, name=name)
    view = manager.view
    assert with_ids(view, {"job_id": " ABC123\n", "lines": 3}) == {"job_id": "abc123", "lines": 3}
    assert with_ids(view, {"job_ids": ["build", "my, own job"]}) == {"job_ids": ["abc123", "def456"]}
    for text in ("abc123,def456", "abc123, def456", "abc123 def456", "[abc123 def456"):
        assert ids_in(view, text)[-1] == "def456"
    assert ids_in(view, "abc123, nobody") == ["abc123", "nobody"]


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"env": 5}, """Parameter 'env' can't be 5. Give a map, such as {"PORT": "3000"}."""),
        ({"env": {"A": [1]}}, "Parameter 'env.A' can't be [1]. Give a text."),
        ({"env": "A=1 B=2"}, "Parameter 'env' can't be 'A=1 B=2'. Give a map"),
        ({"keys": 5}, "Parameter 'keys' can't be 5. Give a list"),
        ({"wait": "60s"}, "Parameter 'wait' can't be '60s'. Give a number, without a unit."),
        ({"until": "lunch"}, "Parameter 'until' can't be 'lunch'. Give 'exit', 'input', 'quiet' or 'handback'."),
        ({"job_ids": []}, "Parameter 'job_ids' can't be []. Give at least 1."),
        ({"command": [1, 2]}, "Parameter 'command' can't be [1, 2]. Give a text."),
    ],
)
@pytest.mark.promise("server-arguments")
def test_what_is_refused_is_told_with_what_to_give(sent: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        meant(**sent)
    assert said in explain(refused.value)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@holds_for(st.sampled_from(["job_ids", "command", "env", "keys", "until", "signal", "wait"]), anything)
@pytest.mark.promise("server-arguments")
def test_whatever_is_sent_is_taken_or_refused_in_two_sentences(name: str, value: Any) -> None:
    try:
        meant(**{name: value})
    except ValidationError as error:
        said = explain(error)
        assert name in said and ". Give" in said, said
