"""How tmux is run, with a program in its place that does what a tmux server in trouble makes a client do."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mcp_background_job.errors import TmuxError, TmuxMissing
from mcp_background_job.tmux import client as module
from mcp_background_job.tmux.client import TmuxServer, find_binary, tmux_binary
from mcp_background_job.tmux.place import default_folder
from support.waiting import DEADLINE


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The program that stands in for tmux; by default it prints its arguments."""
    program = tmp_path / "tmux"
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    write(program, 'echo "$@"')
    return program


def write(program: Path, text: str, version: str = "3.3a") -> None:
    told = f'if [ "$1" = -V ]; then echo "tmux {version}"; exit; fi'
    program.write_text(f"#!/bin/sh\n{told}\n{text}\n", encoding="utf-8")
    program.chmod(0o700)


def test_a_call_names_its_server_and_reads_nothing_of_the_callers_stdin(fake: Path) -> None:
    write(fake, 'echo "$@"; cat')
    code = (
        "import sys; from mcp_background_job.tmux.client import TmuxServer\n"
        "print(TmuxServer('own').run('list-sessions').stdout, TmuxServer(socket='/s').run('x').stdout)\n"
        "print(sys.stdin.read())"
    )
    done = subprocess.run([sys.executable, "-c", code], input="mine", capture_output=True, text=True, timeout=30)
    assert done.stdout == "['-u -L own list-sessions'] ['-u -S /s x']\nmine\n", done.stderr


def test_a_call_without_an_answer_ends_at_its_limit_and_leaves_no_process(
    fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmux_binary()
    write(fake, f"echo $$ > {tmp_path}/pid; exec sleep 1000")
    monkeypatch.setattr(module, "PATIENCE", 2.0)
    begun = time.monotonic()
    with pytest.raises(TmuxError, match="no answer"):
        TmuxServer(socket=str(tmp_path / "none")).run("x")
    assert 1.9 < time.monotonic() - begun < DEADLINE  # the limit is the promise; the program sleeps for longer
    pid = int((tmp_path / "pid").read_text(encoding="ascii"))
    assert not Path(f"/proc/{pid}").exists()


def test_a_refusal_is_an_error_that_says_what_tmux_said(fake: Path) -> None:
    write(fake, "echo no such thing >&2; exit 1")
    assert TmuxServer().run("x").stderr == ["no such thing"]
    with pytest.raises(TmuxError, match="tmux refused: no such thing"):
        TmuxServer().ask("x")


def test_a_tmux_that_is_too_old_or_missing_is_named_with_what_to_install(fake: Path, tmp_path: Path) -> None:
    write(fake, "", version="3.1c")
    with pytest.raises(TmuxMissing, match=r"tmux 3.1c is too old, 3.2 or newer is needed. Install a newer one: "):
        find_binary(f"{tmp_path}:/nowhere")
    with pytest.raises(TmuxMissing, match=r"tmux is not installed. Install it: "):
        find_binary("/nowhere")


def test_the_socket_folder_is_tmuxs_own_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = f"tmux-{os.getuid()}"
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.setenv("TMUX_TMPDIR", str(tmp_path / "link"))
    assert default_folder() == tmp_path / "real" / own
    monkeypatch.setenv("TMUX_TMPDIR", str(tmp_path / "none"))
    assert default_folder() == Path("/tmp").resolve() / own
    monkeypatch.delenv("TMUX_TMPDIR")
    assert default_folder() == Path("/tmp").resolve() / own
