"""A signal reaches exactly the process that was looked at."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from mcp_background_job.supervisor import process_tree
from mcp_background_job.supervisor.process_tree import Process, descendants, ignores, read_process, send
from support.sandbox import alive
from support.waiting import wait_until

on_linux = pytest.mark.linux("the start of a process is compared by /proc")
# As FreeBSD's: the heading is all that comes behind the first `=`.
FREEBSD = """#!/bin/sh
shift
for option; do
    case $option in *=?*) echo 7; exit;; esac
done
echo "7 1 S 7 0"
"""
# What a process that isn't a subreaper, and leads a session, finds below it: its stray has a dead parent.
STRAY = """
import os, signal, subprocess, sys, time
os.setsid()
from mcp_background_job.supervisor import process_tree
process_tree.become_subreaper()
subprocess.run(["sh", "-c", "sleep 61 & echo $! > stray; (sleep 62 & echo $! > child; wait) & sleep 0.1"])
pids = [int(open(name).read()) for name in ("stray", "child")]
found = {process.pid: process for process in process_tree.descendants(os.getpid())}
print(sorted(pid in found for pid in pids), os.getpid() in found, any(p.parent == os.getpid() for p in found.values()))
for process in process_tree.descendants(os.getpid()):
    process_tree.send(process, signal.SIGKILL)
"""


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
    [found] = [process for process in descendants() if process.pid == child.pid]
    assert (found.parent, found.group, found.has_ended) == (os.getpid(), os.getpgrp(), False)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert child.pid not in {process.pid for process in descendants()}, "a zombie"


@pytest.mark.parametrize("source", ["proc", "ps"])
def test_what_tells_of_processes_is_not_one_of_them(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if source == "ps":
        monkeypatch.setattr(process_tree, "PROC", False)
    before = {process.pid for process in psutil.Process().children(recursive=True)}  # what other tests have left
    assert {process.pid for process in descendants()} <= before
    assert os.getpid() in {process.pid for process in process_tree.processes()}


def test_each_column_of_ps_is_an_option_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FreeBSD takes `pid=,ppid=` for one column with the heading `,ppid=`."""
    ps = tmp_path / "ps"
    ps.write_text(FREEBSD)
    ps.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert [(process.pid, process.parent) for process in process_tree.processes_by_ps()] == [(7, 1)]


def test_without_ps_there_are_no_processes_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert process_tree.processes_by_ps() == []


@pytest.mark.parametrize("portable", ["", "1"])
@pytest.mark.promise("kill-tree")
def test_what_has_lost_its_parent_is_below_us(portable: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STRAY],
        env=os.environ | {"MCP_BG_PORTABLE": portable},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    of_ours = portable == ""  # elsewhere orphans stay with process 1
    assert done.stdout == f"[True, True] False {of_ours}\n"
    pids = [int((tmp_path / name).read_text()) for name in ("stray", "child")]
    wait_until(lambda: not any(map(alive, pids)))


@pytest.mark.parametrize("source", ["proc", "ps"])
def test_who_ignores_a_signal_is_told(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen(["sh", "-c", "trap '' TERM; echo set; exec sleep 60"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"set\n"
        if source == "ps":
            monkeypatch.setattr(process_tree, "PROC", False)
        [found] = [one for one in process_tree.descendants() if one.pid == process.pid]
        assert (ignores(found, signal.SIGTERM), ignores(found, signal.SIGHUP)) == (True, False)
        process.kill()


@on_linux
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
