"""`setup` for each client: what is written, where, and that what a person has in their files stays."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mcp_background_job.cli.main import main
from mcp_background_job.cli.parser import SETUP_CLIENTS
from mcp_background_job.cli.setup import entry
from mcp_background_job.cli.setup.clients import CLIENTS
from mcp_background_job.cli.setup.formats import format_of
from mcp_background_job.cli.setup.shapes import NAME, Start, starts

FILES = {
    "claude": ".claude.json",
    "claude-desktop": ".config/Claude/claude_desktop_config.json",
    "codex": ".codex/config.toml",
    "vscode": ".config/Code/User/mcp.json",
    "cursor": ".cursor/mcp.json",
    "gemini": ".gemini/settings.json",
    "copilot": ".copilot/mcp-config.json",
    "opencode": ".config/opencode/opencode.jsonc",
    "qwen": ".qwen/settings.json",
    "cline": ".cline/data/settings/cline_mcp_settings.json",
    "windsurf": ".codeium/windsurf/mcp_config.json",
    "zed": ".config/zed/settings.json",
    "goose": ".config/goose/config.yaml",
    "amp": ".config/amp/settings.json",
}
MACS = {  # those with another place on a Mac
    "claude-desktop": "Library/Application Support/Claude/claude_desktop_config.json",
    "vscode": "Library/Application Support/Code/User/mcp.json",
}
# An entry as the client's own `mcp add` wrote it, or as its documents show it, of another command.
THEIRS = {
    "claude": '{"mcpServers": {"jobs": {"type": "stdio", "command": "/bin/srv", "args": ["x"], "env": {"A": "b"}}}}',
    "claude-desktop": '{"mcpServers": {"jobs": {"command": "/bin/srv", "args": ["x"], "env": {"A": "b"}}}}',
    "codex": '[mcp_servers.jobs]\ncommand = "/bin/srv"\nargs = ["x"]\n\n[mcp_servers.jobs.env]\nA = "b"\n',
    "vscode": '{"servers": {"jobs": {"type": "stdio", "command": "/bin/srv", "args": ["x"], "env": {"A": "b"}}}}',
    "cursor": '{"mcpServers": {"jobs": {"command": "/bin/srv", "args": ["x"], "env": {"A": "b"}}}}',
    "gemini": '{"mcpServers": {"jobs": {"command": "/bin/srv", "args": ["x"], "env": {"A": "b"}}}}',
    "copilot": '{"mcpServers": {"jobs": {"tools": ["*"], "type": "local", "command": "/bin/srv", "args": ["x"],'
    ' "env": {"A": "b"}}}}',
    "opencode": '{"mcp": {"jobs": {"type": "local", "command": ["/bin/srv", "x"], "environment": {"A": "b"}}}}',
    "qwen": '{"mcpServers": {"jobs": {"command": "/bin/srv", "args": ["x"], "env": {"A": "b"}}}}',
    "cline": '{"mcpServers": {"jobs": {"transport": {"type": "stdio", "command": "/bin/srv", "args": ["x"],'
    ' "env": {"A": "b"}}}}}',
    "windsurf": '{"mcpServers": {"jobs": {"command": "/bin/srv", "args": ["x"], "env": {"A": "b"}}}}',
    "zed": '{"context_servers": {"jobs": {"command": "/bin/srv", "args": ["x"], "env": {"A": "b"}}}}',
    "goose": "extensions:\n  jobs:\n    type: stdio\n    name: jobs\n    enabled: true\n    cmd: /bin/srv\n"
    "    args:\n    - x\n    envs:\n      A: b\n",
    "amp": '{"amp.mcpServers": {"jobs": {"command": "/bin/srv", "args": ["x"], "env": {"A": "b"}}}}',
}
COMMENTED = """\
{
\t// what I use, see https://example.org/a//b
\t"servers": {
\t\t"other": {"command": "x", "args": ["a, b", "}"],}, /* keep */
\t},
\t"inputs": [],
}
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (*(client.place.variable for client in CLIENTS.values()), *entry.PASSED_ON):
        monkeypatch.delenv(name or "NONE", raising=False)
    for name in ("MCP_BG_STATE_DIR", "MCP_BG_SESSION", "MCP_BG_HTTP_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    return tmp_path


def run(*arguments: str, status: int = 0) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["setup", *arguments])
    assert stopped.value.code == status


def entry_of(client: str, text: str, file: str = "") -> dict[str, Any]:
    path = Path(file or FILES[client])
    found = format_of(path).entry(path, text, (CLIENTS[client].key, NAME))
    assert isinstance(found, dict)
    return found


def start_of(client: str, text: str) -> Start:
    found = starts(entry_of(client, text))
    assert found is not None
    return found


def test_each_client_has_its_row_its_word_on_the_command_line_and_what_to_do_next() -> None:
    assert list(CLIENTS) == list(SETUP_CLIENTS) == list(FILES) == list(THEIRS)
    assert all(client.then for client in CLIENTS.values())


@pytest.mark.parametrize("client", FILES)
def test_a_missing_file_is_made_with_our_entry_whose_command_runs(client: str, home: Path) -> None:
    run(client, "--write")
    start = start_of(client, (home / FILES[client]).read_text())
    assert Path(start.command).is_absolute()
    assert list((home / FILES[client]).parent.glob("*.bak")) == []


def test_the_command_that_is_written_runs(home: Path) -> None:
    start = entry.this_server(desktop=False)
    done = subprocess.run([start.command, *start.args, "--version"], capture_output=True, text=True, timeout=30)
    assert done.stdout.startswith("mcp-background-job ")


@pytest.mark.parametrize("client", FILES)
def test_without_write_nothing_is_written_and_what_is_shown_is_what_would_be(
    client: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(client)
    out, err = capsys.readouterr()
    assert not (home / FILES[client]).exists()
    assert FILES[client] in err
    run(client, "--write")
    written = (home / FILES[client]).read_text()
    if client == "claude":
        words = shlex.split(out)
        assert words[:6] == ["claude", "mcp", "add", "--scope", "user", "jobs"]
        start = start_of(client, written)
        assert words[words.index("--") + 1 :] == [start.command, *start.args]
    else:
        assert out == written


@pytest.mark.parametrize("client", FILES)
@pytest.mark.promise("cli-setup")
def test_an_entry_of_another_command_is_replaced_and_the_file_kept_beside(client: str, home: Path) -> None:
    file = home / FILES[client]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(THEIRS[client])
    assert start_of(client, THEIRS[client]) == Start("/bin/srv", ["x"], {"A": "b"})
    run(client, "--write")
    assert entry_of(client, file.read_text()) == CLIENTS[client].shape(entry.this_server(CLIENTS[client].desktop))
    [backup] = file.parent.glob("*.bak")
    assert backup.read_text() == THEIRS[client]


def test_what_a_person_has_added_to_our_entry_stays(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("gemini", "--write")
    file = home / FILES["gemini"]
    file.write_text(file.read_text().replace('"jobs": {', '"jobs": {"trust": true,'))
    before = file.read_text()
    run("gemini", "--write")
    assert file.read_text() == before
    assert "already" in capsys.readouterr().out


@pytest.mark.parametrize("client", MACS)
def test_an_application_has_its_folder_elsewhere_on_a_mac(
    client: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    run(client, "--write")
    assert (home / MACS[client]).exists()


@pytest.mark.parametrize(
    ("client", "variable", "file"),
    [
        ("claude", "CLAUDE_CONFIG_DIR", ".claude.json"),
        ("codex", "CODEX_HOME", "config.toml"),
        ("gemini", "GEMINI_CLI_HOME", ".gemini/settings.json"),
        ("copilot", "COPILOT_HOME", "mcp-config.json"),
        ("qwen", "QWEN_HOME", "settings.json"),
        ("cline", "CLINE_DIR", "data/settings/cline_mcp_settings.json"),
        ("opencode", "XDG_CONFIG_HOME", "opencode/opencode.jsonc"),
        ("goose", "XDG_CONFIG_HOME", "goose/config.yaml"),
    ],
)
def test_a_folder_that_is_moved_by_a_variable_is_found(
    client: str, variable: str, file: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, str(home / "moved"))
    run(client, "--write")
    assert (home / "moved" / file).exists()


def test_of_two_names_the_one_that_is_there_is_written(home: Path) -> None:
    file = home / ".config/opencode/opencode.json"
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    run("opencode", "--write")
    assert "jobs" in json.loads(file.read_text())["mcp"]
    assert not file.with_suffix(".jsonc").exists()


def test_clients_that_a_desktop_starts_have_jobs_look_where_the_login_shell_does(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for client, facts in CLIENTS.items():
        run(client, "--write")
        env = start_of(client, (home / FILES[client]).read_text()).env
        assert env == ({"MCP_BG_ENVIRONMENT": "login"} if facts.desktop else {})
    monkeypatch.setenv("MCP_BG_ENVIRONMENT", "inherit")
    run("zed", "--write")
    assert start_of("zed", (home / FILES["zed"]).read_text()).env == {"MCP_BG_ENVIRONMENT": "inherit"}


def test_codex_is_told_to_wait_for_the_server(home: Path) -> None:
    run("codex", "--write")
    assert entry_of("codex", (home / FILES["codex"]).read_text())["required"] is True


def test_setup_alone_says_what_it_can_be_asked(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(status=2)
    assert "claude-desktop" in capsys.readouterr().err


@pytest.mark.parametrize("client", FILES)
@pytest.mark.promise("cli-setup")
def test_a_second_write_changes_nothing_and_makes_no_copy(
    client: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(client, "--write")
    before = (home / FILES[client]).read_bytes()
    run(client, "--write")
    assert (home / FILES[client]).read_bytes() == before
    assert "already" in capsys.readouterr().out
    assert list((home / FILES[client]).parent.glob("*.bak")) == []


@pytest.mark.promise("cli-setup")
def test_comments_order_and_tabs_stay_and_the_old_file_is_kept_beside(home: Path) -> None:
    file = home / FILES["vscode"]
    file.parent.mkdir(parents=True)
    file.write_text(COMMENTED)
    file.chmod(0o640)
    run("vscode", "--write")
    text = file.read_text()
    ours = entry_of("vscode", text)
    assert ours["type"] == "stdio"
    for line in COMMENTED.splitlines():
        assert line in text
    assert '\n\t\t"jobs": {\n\t\t\t"type"' in text
    assert file.stat().st_mode & 0o777 == 0o640
    [backup] = file.parent.glob("*.bak")
    assert backup.read_text() == COMMENTED


def test_what_stands_around_an_entry_that_is_replaced_stays(home: Path) -> None:
    file = home / FILES["cursor"]
    file.parent.mkdir()
    file.write_text('{"mcpServers": {"a": 1, "jobs": {"command": "old", "args": ["}"]}, "z": 2}}')
    run("cursor", "--write")
    whole = json.loads(file.read_text())
    assert list(whole["mcpServers"]) == ["a", "jobs", "z"]
    assert whole["mcpServers"]["jobs"]["command"] != "old"


def test_a_link_into_a_folder_of_dotfiles_stays_a_link(home: Path) -> None:
    (home / "dotfiles").mkdir()
    (home / "dotfiles/claude.json").write_text('{"theme": "dark"}\n')
    (home / ".claude.json").symlink_to(home / "dotfiles/claude.json")
    run("claude", "--write")
    assert (home / ".claude.json").is_symlink()
    assert json.loads((home / "dotfiles/claude.json").read_text())["theme"] == "dark"
    assert "jobs" in json.loads((home / "dotfiles/claude.json").read_text())["mcpServers"]


@pytest.mark.parametrize(
    ("client", "text"),
    [
        ("claude", '{"mcpServers": '),
        ("claude", "[1, 2]"),
        ("cursor", '{"mcpServers": []}'),
        ("cursor", '{"a": 1 "b": 2}'),
        ("vscode", "servers: {}"),
        ("codex", "[mcp_servers"),
        ("codex", "mcp_servers = {other = {command = 'x'}}\n"),
        ("codex", "[mcp_servers]\njobs = {command = 'other'}\n"),
        ("codex", "mcp_servers = 1\n"),
        ("goose", "extensions: [a]\n"),
        ("goose", "a: b: c\n"),
        ("goose", "[1, 2]\n"),
    ],
)
@pytest.mark.promise("cli-setup")
def test_a_file_that_is_not_what_it_should_be_is_left_alone(
    client: str, text: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = home / FILES[client]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    run(client, "--write", status=1)
    assert file.read_text() == text
    assert "nothing was changed" in capsys.readouterr().err
    assert [path.name for path in file.parent.iterdir() if path.is_file()] == [file.name]


def test_another_file_can_be_named(home: Path) -> None:
    run("vscode", "--write", "--file", str(home / "project/.vscode/mcp.json"))
    assert "jobs" in json.loads((home / "project/.vscode/mcp.json").read_text())["servers"]


def test_settings_in_force_are_passed_on_and_the_token_is_not(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_BG_SESSION", "mine")
    monkeypatch.setenv("TMUX_TMPDIR", "/run/x")
    monkeypatch.setenv("MCP_BG_HTTP_TOKEN", "a secret of some length")
    for client in FILES:
        run(client, "--write")
        text = (home / FILES[client]).read_text()
        assert start_of(client, text).env.items() >= {"MCP_BG_SESSION": "mine", "TMUX_TMPDIR": "/run/x"}.items()
        assert "secret" not in text


def test_a_program_that_uvx_runs_is_started_by_uvx_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", "/home/x/.cache/uv/archive-v0/abc")
    monkeypatch.setattr(entry, "source", lambda: "/home/x/clone")
    server = entry.this_server(desktop=False)
    assert Path(server.command).name == "uvx"
    assert server.args == ["--from", "/home/x/clone", "mcp-background-job"]


def test_lines_that_end_as_on_windows_go_on_doing_so(home: Path) -> None:
    file = home / FILES["vscode"]
    file.parent.mkdir(parents=True)
    file.write_bytes(COMMENTED.replace("\n", "\r\n").encode())
    run("vscode", "--write")
    after = file.read_bytes()
    assert after.count(b"\n") == after.count(b"\r\n") > COMMENTED.count("\n")


def test_no_copy_is_written_over_and_each_has_the_owner_of_the_file(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.strftime", lambda form: "20260101-000000")
    file = home / FILES["cursor"]
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    owner = (1234, 5678) if os.getuid() == 0 else (os.getuid(), os.getgid())
    os.chown(file, *owner)
    for text in ("{}", '{"a": 1}', '{"b": 2}'):
        file.write_text(text)
        run("cursor", "--write")
    copies = sorted(file.parent.glob("*.bak*"))
    assert [copy.read_text() for copy in copies] == ["{}", '{"a": 1}', '{"b": 2}']
    assert {(path.stat().st_uid, path.stat().st_gid) for path in (file, *copies)} == {owner}
