"""Without tmux, or with one too old, the server starts all the same and each execute says what to install."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from support.rpc import Server, ToolError
from support.sandbox import Sandbox, run_job

PROGRAMS = ("bash", "sh", "cat", "env", "ps", "uname", "sleep", "tail", "true")


def _bin(sandbox: Sandbox) -> Path:
    """A PATH of one folder in which there is everything but tmux."""
    folder = sandbox.root / "bin"
    folder.mkdir()
    for program in PROGRAMS:
        found = shutil.which(program)
        if found is not None:
            (folder / program).symlink_to(found)
    return folder


def _refusal(server: Server) -> str:
    with pytest.raises(ToolError) as caught:
        server.call("execute", command="true")
    text = str(caught.value)
    assert "tmux" in text
    hint = "brew install tmux" if sys.platform == "darwin" else "install"
    assert hint in text
    return text


@pytest.mark.promise("server-tmux")
def test_without_tmux_the_server_starts_and_execute_says_what_to_install(sandbox: Sandbox) -> None:
    server = sandbox.server(PATH=str(_bin(sandbox)))
    assert server.request("tools/list")["tools"]
    first = _refusal(server)
    if Path("/etc/debian_version").exists():
        assert "apt" in first and "install" in first
    assert _refusal(server) == first, "each execute says it"
    assert server.call("list", all=True) == {"jobs": []}
    assert server.call("kill", job_id="nosuch") == {"status": "not_found"}
    with pytest.raises(ToolError, match="not found"):
        server.call("status", job_id="nosuch")
    assert sandbox.records() == set()
    assert "Traceback" not in server.stderr


@pytest.mark.promise("server-tmux")
def test_a_tmux_that_is_too_old_is_named_with_its_version(sandbox: Sandbox) -> None:
    folder = _bin(sandbox)
    fake = folder / "tmux"
    fake.write_text('#!/bin/sh\n[ "$1" = -V ] && { echo "tmux 3.0"; exit 0; }\necho "called with $*" >&2\nexit 1\n')
    fake.chmod(0o755)
    server = sandbox.server(PATH=str(folder))
    text = _refusal(server)
    assert "3.0" in text and "3.2" in text
    assert sandbox.records() == set()


@pytest.mark.parametrize("version", ["tmux 3.2a", "tmux next-3.10", "tmux master"])
def test_versions_that_are_new_enough_are_not_taken_for_old(sandbox: Sandbox, version: str) -> None:
    real = shutil.which("tmux")
    assert real is not None
    folder = _bin(sandbox)
    fake = folder / "tmux"
    fake.write_text(f'#!/bin/sh\n[ "$1" = -V ] && {{ echo "{version}"; exit 0; }}\nexec {real} "$@"\n')
    fake.chmod(0o755)
    assert run_job(sandbox.server(PATH=str(folder)), "exit 3")["exit_code"] == 3


@pytest.mark.promise("server-tmux")
def test_a_tmux_that_is_installed_later_is_found_without_a_restart(sandbox: Sandbox) -> None:
    real = shutil.which("tmux")
    assert real is not None
    folder = _bin(sandbox)
    server = sandbox.server(PATH=str(folder))
    _refusal(server)
    (folder / "tmux").symlink_to(real)
    assert run_job(server, "exit 3")["exit_code"] == 3
