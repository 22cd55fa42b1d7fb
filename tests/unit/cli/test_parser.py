"""The command line's parts that need neither tmux nor jobs."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from mcp_background_job import __version__
from mcp_background_job.cli.main import main
from mcp_background_job.cli.parser import HANDLERS, parser
from mcp_background_job.cli.run import exit_status
from mcp_background_job.config import BackgroundJobConfig
from support.jobs import ended

TOP = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ({"cause": "exit", "code": 0}, 0),
        ({"cause": "exit", "code": 255}, 255),
        ({"cause": "exit", "signal": 9}, 137),
        ({"cause": "kill", "signal": 15}, 143),
        ({"cause": "kill", "code": 0}, 1),
        ({"cause": "timeout", "code": 3}, 3),
        ({"cause": "lost"}, 125),
    ],
)
@pytest.mark.promise("cli-exit-status")
def test_the_exit_status_is_the_jobs_own_and_never_0_for_a_killed_one(end: dict[str, object], status: int) -> None:
    assert exit_status(ended(**end)) == status


def test_every_command_has_a_handler_that_can_be_imported() -> None:
    [commands] = [action for action in parser()._actions if action.dest == "command"]
    assert commands.choices is not None
    assert set(commands.choices) == set(HANDLERS)
    for handler in HANDLERS.values():
        module, function = handler.split(":")
        assert callable(getattr(importlib.import_module(f"mcp_background_job.cli.{module}"), function))


@pytest.mark.parametrize(
    "arguments",
    [
        ["nosuch"],
        ["tail", "-n", "0", "x"],
        ["tail", "-n", "many", "x"],
        ["wait", "-t", "0", "x"],
        ["wait", "-t", "nan", "x"],
        ["wait", "--until", "never", "x"],
        ["setup", "emacs"],
        ["list", "--port", "1"],
        ["--transport", "http", "list"],
        ["--transport", "http", "--channel"],
        ["--channel", "list"],
        ["--port", "1"],
        ["--allowed-host", "x"],
    ],
)
def test_wrong_usage_exits_with_2_and_says_why(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    out, err = capsys.readouterr()
    assert out == "" and "error: " in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["lst"], "there is no command 'lst'; did you mean list?"),
        (["zzz"], "there is no command 'zzz'; see mcp-background-job --help"),
        (["list", "--bad"], "mcp-background-job list: error: unrecognized arguments: --bad"),
    ],
)
def test_what_was_mistyped_is_named_with_what_was_meant(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    assert said in capsys.readouterr().err


def test_http_without_a_token_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.delenv("MCP_BG_HTTP_TOKEN", raising=False)
    empty = tmp_path / "token"
    empty.write_text("\n")
    empty.chmod(0o600)
    for extra in ([], ["--token-file", str(empty)]):
        with pytest.raises(SystemExit) as stopped:
            main(["--transport", "http", *extra])
        assert stopped.value.code == 2
        assert "MCP_BG_HTTP_TOKEN" in capsys.readouterr().err


def test_the_help_lists_every_command_and_the_exit_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert all(f"    {name} " in text or f"({name})" in text for name in HANDLERS)
    assert all(status in text for status in ("124", "125", "130", "128+n"))


def test_help_and_version_import_nothing_heavy() -> None:
    code = (
        "import sys; from mcp_background_job.cli.main import main, parser; parser();"
        "heavy = {'mcp', 'rich', 'pydantic', 'libtmux', 'anyio', 'asyncio', 'argcomplete', 'regex'} & set(sys.modules);"
        "print(*sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.stderr) == ("\n", "")


def test_server_json_agrees_with_the_package() -> None:
    """The registry's rules of 2025-12-11, as far as they concern us."""
    entry = json.loads((TOP / "server.json").read_text(encoding="utf-8"))
    project = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    [package] = entry["packages"]
    assert entry["version"] == package["version"] == __version__
    assert package["identifier"] == project["name"]
    assert package["transport"] == {"type": "stdio"}
    assert len(entry["description"]) <= 100
    assert entry["name"].count("/") == 1
    known = {field.validation_alias for field in BackgroundJobConfig.model_fields.values()}
    assert {variable["name"] for variable in package["environmentVariables"]} <= known
