"""What may be started, where, and with which environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from mcp_background_job.config import BackgroundJobConfig
from mcp_background_job.errors import InvalidInput, NotAllowed
from mcp_background_job.jobs import launch
from mcp_background_job.jobs.environment import BaseEnvironment
from mcp_background_job.jobs.launch import (
    MAX_COMMAND,
    Request,
    checked_command,
    current_umask,
    prepare,
    working_folder,
)
from mcp_background_job.store.models import JobId


def config(folder: Path, **settings: object) -> BackgroundJobConfig:
    return BackgroundJobConfig.model_validate({"MCP_BG_STATE_DIR": str(folder), **settings})


OWN = BaseEnvironment("inherit")


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("", "is empty"),
        (" \n\t", "is empty"),
        ("a\0b", "NUL"),
        ("\ud800", "not valid Unicode"),
        ("x" * (MAX_COMMAND + 1), "the limit is 1000000"),
    ],
)
def test_a_command_that_no_shell_can_run_is_refused(tmp_path: Path, command: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        checked_command(command, None, config(tmp_path))


def test_a_command_is_taken_byte_for_byte(tmp_path: Path) -> None:
    command = "printf 'ü\t%s' \"$X\"\n# 日本"
    assert checked_command(command, {"X": "1"}, config(tmp_path)) == command.encode()


@pytest.mark.parametrize("env", [{"": "x"}, {"A=B": "x"}, {"A\0": "x"}, {"A": "x\0"}])
def test_a_name_or_a_value_that_no_environment_takes_is_refused(tmp_path: Path, env: Mapping[str, str]) -> None:
    with pytest.raises(InvalidInput, match="env has the name"):
        checked_command("true", env, config(tmp_path))


def test_with_an_allowlist_env_is_refused(tmp_path: Path) -> None:
    allowed = config(tmp_path, MCP_BG_ALLOWED_COMMANDS="^echo ")
    assert checked_command("echo x", {}, allowed) == b"echo x"
    with pytest.raises(NotAllowed, match="env can't be set"):
        checked_command("echo x", {"PATH": "/tmp"}, allowed)
    with pytest.raises(NotAllowed):
        checked_command("ls", None, allowed)


def test_a_folder_is_relative_to_the_setting_and_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "file").touch()
    assert working_folder("", tmp_path) == str(tmp_path)
    assert working_folder("sub", tmp_path) == str(tmp_path / "sub")
    assert working_folder("/", tmp_path) == "/"
    assert working_folder("", None) == str(Path.cwd())
    for bad in ("none", "file", "a\0b"):
        with pytest.raises(InvalidInput, match="cwd"):
            working_folder(bad, tmp_path)


def test_reading_the_umask_leaves_it_as_it_was() -> None:
    before = os.umask(0o027)
    try:
        assert current_umask() == 0o027
        assert current_umask() == 0o027
    finally:
        os.umask(before)


def test_a_name_is_one_line_and_by_default_the_beginning_of_the_command(tmp_path: Path) -> None:
    def name(command: str, given: str = "") -> str:
        return prepare(config(tmp_path), Request(command, given), JobId("abc123"), tmp_path, "", OWN).spec.name

    assert name("make\n  -j2\tall") == "make -j2 all"
    assert len(name("x" * 100)) == 40
    assert name("make", " my\x1b[31m\nbuild ") == "my[31m build"
    assert len(name("make", "x" * 100)) == 80


def test_the_timeout_is_the_callers_or_the_setting(tmp_path: Path) -> None:
    def timeout(given: float | None, **settings: object) -> float | None:
        request = Request("x", timeout=given)
        return prepare(config(tmp_path, **settings), request, JobId("abc123"), tmp_path, "", OWN).spec.timeout

    assert timeout(None) is None
    assert timeout(None, MCP_BG_JOB_TIMEOUT="7") == 7
    assert timeout(3, MCP_BG_JOB_TIMEOUT="7") == 3


@pytest.mark.promise("system-works")
def test_a_bash_that_can_not_be_run_is_passed_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = tmp_path / "bash", tmp_path / "bin" / "bash"
    second.parent.mkdir()
    for path in (first, second):
        path.touch(0o644)
    monkeypatch.setattr(launch, "BASH", str(first))
    monkeypatch.setenv("PATH", str(second.parent))
    assert launch.job_shell() == "/bin/sh"
    second.chmod(0o755)
    assert launch.job_shell() == str(second)
    first.chmod(0o755)
    assert launch.job_shell() == str(first)
