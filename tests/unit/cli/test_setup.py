"""`setup` and the editing of JSON with comments: what a person has in their files stays."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_background_job.cli import jsonc
from mcp_background_job.cli import setup as setup_clients
from mcp_background_job.cli.main import main
from mcp_background_job.cli.setup import CLIENTS, ServerCommand

FILES = {
    "claude": ".claude.json",
    "codex": ".codex/config.toml",
    "vscode": ".config/Code/User/mcp.json",
    "cursor": ".cursor/mcp.json",
}
KEYS = {"claude": "mcpServers", "vscode": "servers", "cursor": "mcpServers"}
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
    for name in ("CLAUDE_CONFIG_DIR", "CODEX_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "TMUX_TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    for name in ("MCP_BG_STATE_DIR", "MCP_BG_SESSION", "MCP_BG_HTTP_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    return tmp_path


def run(*arguments: str, status: int = 0) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["setup", *arguments])
    assert stopped.value.code == status


def entry_of(client: str, text: str) -> dict[str, Any]:
    if client == "codex":
        found: dict[str, Any] = tomllib.loads(text)["mcp_servers"]["jobs"]
        return found
    whole = jsonc.loads(text)
    assert isinstance(whole, dict)
    there: dict[str, Any] = whole[KEYS[client]]["jobs"]
    return there


@pytest.mark.parametrize("client", FILES)
def test_a_missing_file_is_made_with_our_entry_whose_command_runs(client: str, home: Path) -> None:
    run(client, "--write")
    entry = entry_of(client, (home / FILES[client]).read_text())
    done = subprocess.run([entry["command"], *entry["args"], "--version"], capture_output=True, text=True, timeout=30)
    assert done.stdout.startswith("mcp-background-job ")
    assert list((home / FILES[client]).parent.glob("*.bak")) == []


@pytest.mark.parametrize("client", FILES)
def test_without_write_nothing_is_written_and_what_is_shown_is_what_would_be(
    client: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(client)
    out, err = capsys.readouterr()
    assert not (home / FILES[client]).exists()
    assert FILES[client] in err
    if client == "claude":
        words = shlex.split(out)
        assert words[:6] == ["claude", "mcp", "add", "--scope", "user", "jobs"]
        shown = words[words.index("--") + 1 :]
    else:
        entry = entry_of(client, out)
        shown = [entry["command"], *entry["args"]]
    run(client, "--write")
    written = entry_of(client, (home / FILES[client]).read_text())
    assert shown == [written["command"], *written["args"]]


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


def test_an_entry_of_ours_that_is_out_of_date_is_replaced(home: Path) -> None:
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
        ("codex", "[mcp_servers.jobs]\ncommand = 'other'\n"),
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


@pytest.mark.promise("cli-setup")
def test_codex_keeps_its_other_tables_and_comments(home: Path) -> None:
    file = home / FILES["codex"]
    file.parent.mkdir()
    before = 'model = "x"  # mine\n\n[mcp_servers.other]\ncommand = "y"'
    file.write_text(before)
    run("codex", "--write")
    text = file.read_text()
    assert text.startswith(before + "\n\n[mcp_servers.jobs]\n")
    assert tomllib.loads(text)["mcp_servers"]["other"] == {"command": "y"}


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
        assert entry_of(client, text)["env"] == {"MCP_BG_SESSION": "mine", "TMUX_TMPDIR": "/run/x"}
        assert "secret" not in text


def test_a_program_that_uvx_runs_is_started_by_uvx_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", "/home/x/.cache/uv/archive-v0/abc")
    monkeypatch.setattr(setup_clients, "source", lambda: "/home/x/clone")
    server = setup_clients.this_server()
    assert Path(server.command).name == "uvx"
    assert server.args == ["--from", "/home/x/clone", "mcp-background-job"]


def test_toml_strings_are_what_they_were() -> None:
    odd = 'a "b" \\ \t \x7f ü 😀 \x1b'
    text = setup_clients.toml_table(ServerCommand(odd, [odd, ""], {"A": odd}))
    assert tomllib.loads(text)["mcp_servers"]["jobs"] == {"command": odd, "args": [odd, ""], "env": {"A": odd}}


texts = st.text(alphabet='a{}[]",:/*\\\né', max_size=6)  # what a scanner of JSON could trip over
values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.sampled_from(["servers", "mcpServers", "a", "", "//", '"']), values, max_size=4)


@given(objects, st.sampled_from([None, 1, "\t"]), st.booleans())
@pytest.mark.promise("cli-setup")
def test_any_object_keeps_all_else_when_an_entry_is_put_into_it(
    whole: dict[str, object], indent: int | str | None, commented: bool
) -> None:
    text = json.dumps(whole, indent=indent)
    if commented and text.endswith("}"):
        text = "// first\n" + text[:-1] + " /* , } */ }\n// last"
    there = whole.get("servers", {})
    if not isinstance(there, dict):
        with pytest.raises(jsonc.NotJson):
            jsonc.put(text, ("servers", "jobs"), {"command": "x"})
        return
    result = jsonc.put(text, ("servers", "jobs"), {"command": "x"})
    assert jsonc.loads(result) == {**whole, "servers": {**there, "jobs": {"command": "x"}}}
    if commented:
        assert "// first" in result and "/* , } */" in result and result.endswith("// last")


def test_every_client_says_what_to_do_next() -> None:
    assert all(client.then for client in CLIENTS.values())


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
