"""A signal reaches exactly the process that was looked at."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from mcp_background_job.supervisor.process_tree import Process, descendants, read_process, send

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait(10)


def look(pid: int) -> Process:
    found = read_process(pid)
    assert found is not None
    return found


def test_a_child_is_below_us_until_it_has_ended(child: subprocess.Popen[bytes]) -> None:
    assert child.pid in {process.pid for process in descendants()}
    found = look(child.pid)
    assert (found.parent, found.group, found.has_ended) == (os.getpid(), os.getpgrp(), False)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert look(child.pid).has_ended, "a zombie"
    assert child.pid not in {process.pid for process in descendants()}


@pytest.mark.promise("kill-only-that")
def test_a_pid_that_was_given_away_again_gets_no_signal(child: subprocess.Popen[bytes]) -> None:
    seen = look(child.pid)
    before = Process(seen.pid, seen.parent, seen.state, seen.group, seen.started - 1)
    assert not send(before, signal.SIGKILL)
    assert child.poll() is None
    assert send(seen, signal.SIGTERM)
    assert child.wait(10) == -signal.SIGTERM
    assert send(seen, signal.SIGTERM), "what has ended needs no signal"
    assert read_process(seen.pid) is None
