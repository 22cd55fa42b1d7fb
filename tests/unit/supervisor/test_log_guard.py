"""What has become of a log writer is told by its lock alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mcp_background_job.store.files import join_pairs, write_new
from mcp_background_job.supervisor import log_guard
from mcp_background_job.supervisor.launch import LaunchFile
from mcp_background_job.supervisor.locks import hold_new
from mcp_background_job.supervisor.log_guard import ABSENT, DEAD, DONE, RUNNING, LogGuard, writer_state
from mcp_background_job.supervisor.markers import INTERRUPTED
from mcp_background_job.supervisor.pane import Pane
from support.jobs import LAUNCH


class SilentPane(Pane):
    """Notes what tmux is asked for."""

    def __init__(self) -> None:
        super().__init__("abcdef")
        self.asked: list[str] = []

    def ask(self, tmux: str, *commands: tuple[str, ...], patience: float = 0.0) -> None:
        self.asked += [command[0] for command in commands]


@pytest.fixture
def pane() -> SilentPane:
    return SilentPane()


@pytest.fixture
def guard(tmp_path: Path, pane: SilentPane) -> LogGuard:
    write_new(tmp_path / "launch", join_pairs(LAUNCH.pairs()))
    (tmp_path / "log").mkdir()
    return LogGuard(str(tmp_path), LaunchFile(str(tmp_path)), pane)


def test_the_lock_tells_the_four_states_of_a_log_writer(tmp_path: Path) -> None:
    assert writer_state(str(tmp_path)) == ABSENT
    lock = hold_new(str(tmp_path / "logwriter.lock"))
    assert writer_state(str(tmp_path)) == RUNNING
    os.close(lock)
    assert writer_state(str(tmp_path)) == DEAD
    os.truncate(tmp_path / "logwriter.lock", 1)
    assert writer_state(str(tmp_path)) == DONE


def test_a_dead_writer_is_replaced_once_and_then_given_time(tmp_path: Path, guard: LogGuard, pane: SilentPane) -> None:
    (tmp_path / "logwriter.lock").touch()
    (tmp_path / "logwriter.pid").write_text("1")
    guard.looked = 0.0
    guard.look()
    guard.look()
    assert pane.asked == ["pipe-pane"]
    assert not (tmp_path / "logwriter.pid").exists(), "the pid of the dead one is not to be watched"


def test_a_writer_that_has_not_come_is_waited_for(
    tmp_path: Path, guard: LogGuard, pane: SilentPane, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not guard.writer_is_dead()
    monkeypatch.setattr(log_guard, "LOG_START", -1.0)
    assert guard.writer_is_dead()
    (tmp_path / "launch").unlink()
    assert not guard.writer_is_dead(), "without its folder there is nothing to log to"


@pytest.mark.parametrize(("size", "added"), [(0, INTERRUPTED), (1, b"")])
def test_only_a_log_without_its_end_is_said_to_be_interrupted(
    tmp_path: Path, guard: LogGuard, size: int, added: bytes
) -> None:
    (tmp_path / "logwriter.lock").write_bytes(b"x" * size)
    guard.note_interruption()
    assert b"".join(file.read_bytes() for file in (tmp_path / "log").iterdir()) == added
