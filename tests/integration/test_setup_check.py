"""`setup --check` starts what stands in the clients' files; what `setup` writes works with a desktop's short PATH."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import anyio
import pytest

from mcp_background_job import __version__
from mcp_background_job.cli.setup import check
from mcp_background_job.cli.setup.formats import format_of
from mcp_background_job.cli.setup.shapes import Start, starts
from support.sandbox import Sandbox, run_job
from support.terminal import cli

# A server of another name and version: as much of the protocol as a check asks for.
OTHER = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    info = {"name": NAME, "version": "0.1.2"}
    answers = {
        "initialize": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": info},
        "tools/list": {"tools": []},
    }
    if "id" in asked:
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": answers[asked["method"]]}), flush=True)
"""


def entry(sandbox: Sandbox, file: str, command: str, *arguments: str) -> None:
    path = sandbox.home / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"mcpServers": {"jobs": {"command": command, "args": arguments}}}))


def said(sandbox: Sandbox, *arguments: str, status: int, **environment: str) -> str:
    done = cli(sandbox, "setup", "--check", *arguments, status=status, COLUMNS="1000", **environment)
    return " ".join(done.stdout.split())


@pytest.mark.promise("cli-setup-check")
def test_each_client_that_is_found_is_said_to_start_the_server_or_not(sandbox: Sandbox) -> None:
    tools = sandbox.root / "bin"
    tools.mkdir()
    (tools / "amp").symlink_to("/bin/true")
    (tools / "own-uvx").symlink_to(Path(sys.executable).with_name("mcp-background-job"))
    for client in ("claude", "codex", "goose"):
        cli(sandbox, "setup", client, "--write")
    entry(sandbox, ".qwen/settings.json", sys.executable, "-c", OTHER.replace("NAME", "'mcp-background-job'"))
    entry(sandbox, ".gemini/settings.json", sys.executable, "-c", OTHER.replace("NAME", "'weather'"))
    entry(sandbox, ".copilot/mcp-config.json", sys.executable, "-c", "import sys; sys.exit('no such module')")
    entry(sandbox, ".cursor/mcp.json", "own-uvx")
    (sandbox.home / ".codeium/windsurf").mkdir(parents=True)
    (sandbox.home / ".codeium/windsurf/mcp_config.json").write_text("{")
    text = said(sandbox, status=1, PATH=f"{tools}:{sandbox.environment['PATH']}")
    for title in ("Claude Code", "Codex", "Goose"):
        assert f"✓ {title}: starts mcp-background-job {__version__}, 10 tools" in text
    assert f"! qwen-code: starts mcp-background-job 0.1.2, 0 tools; this is {__version__}" in text
    assert "✗ Gemini CLI: what" in text and "starts is weather 0.1.2, 0 tools" in text
    assert "✗ Copilot CLI: the server in" in text and "does not start: no such module" in text
    assert "✗ Cursor:" in text and "own-uvx is not found with PATH=/usr/bin:/bin" in text
    assert "→ mcp-background-job setup cursor --write" in text
    assert "✗ Windsurf:" in text and "can't be read" in text
    assert "! Amp:" in text and "has no server called jobs" in text
    assert "Zed" not in text and "cline" not in text


@pytest.mark.promise("cli-setup-check")
def test_one_client_can_be_asked_for_and_nothing_wrong_is_success(sandbox: Sandbox) -> None:
    assert "None of claude," in said(sandbox, status=0)
    cli(sandbox, "setup", "zed", "--write")
    assert "✓ Zed: starts" in said(sandbox, "zed", status=0)
    assert "! cline:" in said(sandbox, "cline", status=0)
    cli(sandbox, "setup", "--check", "zed", "--write", status=2)


@pytest.mark.promise("cli-setup-check")
def test_a_server_that_says_nothing_is_given_up(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "PATIENCE", 0.3)
    answer = anyio.run(check.ask, Start("/bin/sh", ["-c", "cat >/dev/null"]), {"PATH": "/usr/bin:/bin"})
    assert answer.problem == "no answer within 0 s"


@pytest.mark.promise("cli-setup")
@pytest.mark.parametrize("client", ["claude-desktop", "zed", "goose"])
def test_what_is_written_finds_tmux_and_tools_though_a_desktop_has_a_short_path(sandbox: Sandbox, client: str) -> None:
    cli(sandbox, "setup", client, "--write")
    [file] = [path for path in sandbox.home.rglob("*") if path.suffix in (".json", ".yaml")]
    key = {"claude-desktop": "mcpServers", "zed": "context_servers", "goose": "extensions"}[client]
    written = starts(format_of(file).entry(file, file.read_text(), (key, "jobs")))
    assert written is not None
    short, tools = sandbox.root / "short", sandbox.home / "tools"
    short.mkdir()
    tools.mkdir()
    for name in ("env", "bash", "sh", "cat", "ps", "uname", "sleep"):
        (short / name).symlink_to(shutil.which(name) or "")
    (tools / "tmux").symlink_to(shutil.which("tmux") or "")
    (tools / "mytool").write_text("#!/bin/sh\necho mine\n")
    (tools / "mytool").chmod(0o755)
    (sandbox.home / ".bash_profile").write_text(f'PATH="{tools}:$PATH"\n')
    program = ["env", "-i", f"PATH={short}", f"HOME={sandbox.home}", "SHELL=/bin/bash"]
    program += [f"{name}={value}" for name, value in written.env.items()]
    server = sandbox.silent_server(program=[*program, written.command, *written.args]).open()
    done = run_job(server, "mytool; exit 3")
    assert done["exit_code"] == 3
    assert server.call("output", job_id=done["job_id"])["stdout"] == "mine\n"
