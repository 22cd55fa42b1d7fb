"""A lock file tells whether its holder lives."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from mcp_background_job.supervisor.locks import hold_new, is_held, try_lock


def test_a_lock_appears_held_and_ends_with_its_holder(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    fd = hold_new(path)
    assert is_held(path)
    assert hold_new(path) == -1, "there is one already"
    os.close(fd)
    assert not is_held(path)
    assert [file.name for file in tmp_path.iterdir()] == ["lock"], "nothing half made is left"


def test_a_lock_that_is_not_there_is_an_error_and_no_guess(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        is_held(str(tmp_path / "missing"))


def test_a_held_lock_is_given_up_after_the_time_allowed(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    holder = hold_new(path)
    other = os.open(path, os.O_RDWR)
    began = time.monotonic()
    assert not try_lock(other)
    assert not try_lock(other, 0.05)
    assert time.monotonic() - began >= 0.05  # the time allowed is the promise
    os.close(holder)
    assert try_lock(other, 5.0)
    os.close(other)
