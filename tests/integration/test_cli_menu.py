"""Each entry of the menu in a job's window is a command of the command line, too."""

from __future__ import annotations

import json

import pytest

from support.rpc import Server
from support.sandbox import Sandbox
from support.terminal import cli


@pytest.mark.promise("pair-menu")
def test_what_the_menu_does_the_command_line_does_too(server: Server, cleared: Sandbox) -> None:
    job_id = server.call("execute", command="pwd; cat", name="talk")["job_id"]
    assert "No agent has typed" in cli(cleared, "history", job_id).stderr
    server.call("interact", job_id=job_id, input="hello")
    assert "  hello" in cli(cleared, "history", job_id).stdout.splitlines()
    [entry] = json.loads(cli(cleared, "history", "--json", job_id).stdout)["inputs"]
    assert entry["text"] == "hello"
    second = cli(cleared, "again", job_id).stdout.strip()
    facts = server.call("status", job_id=second)
    assert (facts["command"], facts["name"]) == ("pwd; cat", "talk")
