"""`setup` with the real programs: what their own `mcp add` writes is replaced, and their own list has the server.

`./.ci/everywhere agents` installs the programs and runs this.
"""

from __future__ import annotations

import re
import subprocess

import pytest

from mcp_background_job.cli.setup.clients import CLIENTS
from mcp_background_job.cli.setup.formats import format_of
from mcp_background_job.cli.setup.shapes import NAME, Start, starts
from support.agents import at_hand
from support.sandbox import Sandbox
from support.terminal import cli

# What adds an entry, what lists them, and what the list then says of ours; it starts the server where it can.
COMMANDS = {
    "claude": ("mcp add --scope user jobs -e A=b -- /bin/srv x", "mcp list", "jobs: .*✔ Connected"),
    "codex": ("mcp add jobs --env A=b -- /bin/srv x", "mcp list", r"jobs +\S+mcp-background-job .* enabled"),
    "gemini": ("mcp add --scope user jobs /bin/srv x -e A=b", "mcp list", "✓ jobs: .*Connected"),
    "copilot": ("mcp add jobs --env A=b -- /bin/srv x", "mcp get jobs", r"Enabled[^/]*\S+mcp-background-job"),
    "opencode": ("mcp add jobs --env A=b -- /bin/srv x", "mcp list", "✓ jobs .*connected"),
    "qwen": ("mcp add --scope user jobs /bin/srv x -e A=b", "mcp list", "✓.* jobs: .*Connected"),
    "cline": ("mcp add --yes jobs -- /bin/srv x", "config mcp", r"jobs \[stdio\]"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.promise("cli-setup", "cli-setup-check")
def test_a_client_finds_the_server_in_the_place_of_what_it_added_itself(sandbox: Sandbox, name: str) -> None:
    client = CLIENTS[name]
    program = at_hand(sandbox, name)
    environment = {**sandbox.environment, "GEMINI_CLI_TRUST_WORKSPACE": "true", "CI": "1"}

    def ask(words: str) -> str:
        done = subprocess.run(
            [program, *words.split()],
            env=environment,
            cwd=sandbox.work,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    adds, lists, ours = COMMANDS[name]
    ask(adds)
    [file] = [path for path in sandbox.home.rglob(client.place.names[0]) if "backups" not in path.parts]
    theirs = starts(format_of(file).entry(file, file.read_text(), (client.key, NAME)))
    assert theirs == Start("/bin/srv", ["x"], {} if name == "cline" else {"A": "b"})
    cli(sandbox, "setup", name, "--write")
    assert "/bin/srv" not in file.read_text()
    listed = ask(lists)
    assert re.search(ours, listed), listed
    assert f"✓ {client.title}: starts" in cli(sandbox, "setup", "--check", name).stdout
    for left in sandbox.processes():  # opencode and Codex leave daemons
        if any(word in left.name() for word in ("codex", "opencode")):
            left.kill()
