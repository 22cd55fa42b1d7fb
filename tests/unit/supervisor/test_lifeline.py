"""A lifeline breaks with the process that holds it, and wakes whoever polls it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mcp_background_job.supervisor.lifeline import Lifeline

HOLDER = "import os, sys; os.open(sys.argv[1], os.O_RDWR); print(flush=True); sys.stdin.read()"


@pytest.fixture
def path(tmp_path: Path) -> str:
    os.mkfifo(tmp_path / "lifeline")
    return str(tmp_path / "lifeline")


def poll(lifeline: Lifeline, seconds: float) -> bool:
    waiting = select.poll()
    waiting.register(lifeline.fd, select.POLLIN)
    return bool(waiting.poll(seconds * 1000))


@pytest.mark.promise("server-ends-kill")
def test_the_end_of_its_holder_wakes_and_is_told_once(path: str) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with holder:
        assert holder.stdout is not None and holder.stdout.readline()
        lifeline = Lifeline(path)
        assert not lifeline.broken and not poll(lifeline, 0)
        lifeline.look()
        assert not lifeline.broken
        os.kill(holder.pid, signal.SIGKILL)
        assert poll(lifeline, 20)
        lifeline.look()
        assert (lifeline.broken, lifeline.fd) == (True, -1), "no poll is to find it again"


def test_what_the_holder_starts_does_not_keep_it(path: str) -> None:
    fd = os.open(path, os.O_RDWR)
    lifeline = Lifeline(path)
    child = subprocess.Popen(["sleep", "300"])
    try:
        os.close(fd)
        assert poll(lifeline, 20)
    finally:
        child.kill()
        child.wait()
        lifeline.close()


@pytest.mark.promise("server-ends-kill")
def test_one_that_was_over_before_is_known_from_the_start(path: str) -> None:
    os.close(os.open(path, os.O_RDWR))
    assert (Lifeline(path).broken, Lifeline(path).fd) == (True, -1)
    Path(path).unlink()
    assert Lifeline(path).broken, "tidied away behind its server"


def test_none_never_breaks() -> None:
    lifeline = Lifeline(b"")
    assert (lifeline.broken, lifeline.fd) == (False, -1)
