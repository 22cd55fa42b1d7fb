"""What an agent is told of us changes only on purpose, and stays short.

`SNAPSHOTS=write uv run pytest tests/integration/test_snapshots.py` remakes the files; their diff is the change.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from support.rpc import Server
from support.sandbox import Sandbox

FOLDER = Path(__file__).parents[1] / "snapshots"


def told(server: Server, shared: Sandbox, name: str) -> Any:
    """What the server says of itself under that name."""
    if name == "instructions":
        return server.hello["instructions"].replace(str(shared.work), "FOLDER").splitlines()
    method = {"tools": "tools/list", "resourceTemplates": "resources/templates/list"}[name]
    return sorted(server.request(method)[name], key=lambda one: str(one["name"]))


@pytest.mark.promise("snapshots")
@pytest.mark.parametrize("name", ["tools", "instructions", "resourceTemplates"])
def test_what_an_agent_is_told_is_what_it_was(server: Server, shared: Sandbox, name: str) -> None:
    file = FOLDER / f"{name}.json"
    now = json.dumps(told(server, shared, name), indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("SNAPSHOTS") == "write":
        file.parent.mkdir(exist_ok=True)
        file.write_text(now, encoding="utf-8")
    assert json.loads(now) == json.loads(file.read_text(encoding="utf-8")), "on purpose? See this file's first lines"


def test_every_tool_and_parameter_that_needs_words_has_them(server: Server) -> None:
    plain = {"job_id", "job_ids", "separate_stderr", "lines", "max_chars"}  # say it themselves, or by their tool
    for tool in server.request("tools/list")["tools"]:
        assert tool["description"].endswith(".") and len(tool["description"]) <= 500, tool["name"]
        for name, schema in tool["inputSchema"]["properties"].items():
            assert "description" in schema or name in plain, (tool["name"], name)
