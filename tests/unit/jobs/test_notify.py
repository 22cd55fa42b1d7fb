"""The person's command: how it is run, and what becomes of one that does not end."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mcp_background_job.jobs.notify import command_environment
from mcp_background_job.store.jobstore import JobStore
from mcp_background_job.store.notices import NotifierLock, claim, end_is_due, expect, is_told_by, last_failure
from support.jobs import LivingJob
from support.sandbox import alive
from support.waiting import stays_true, wait_until


def test_the_environment_of_an_event_has_an_exit_code_only_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_BG_NOTIFY", "secret")
    monkeypatch.setenv("MCP_BG_EXIT_CODE", "7")
    given = command_environment("input", "ab12cd", "a b", "running", None)
    assert "MCP_BG_EXIT_CODE" not in given and "MCP_BG_NOTIFY" not in given
    ours = ("MCP_BG_EVENT", "MCP_BG_JOB_ID", "MCP_BG_JOB_NAME", "MCP_BG_STATUS")
    assert [given[name] for name in ours] == ["input", "ab12cd", "a b", "running"]
    assert command_environment("ended", "ab12cd", "a", "failed", 3)["MCP_BG_EXIT_CODE"] == "3"


@pytest.mark.promise("notify-bounded")
def test_a_command_that_does_not_end_is_killed_with_its_children(tmp_path: Path) -> None:
    # In a process of its own, which becomes a child subreaper.
    program = textwrap.dedent(
        """
        import os, sys
        from mcp_background_job.jobs.notify import run_command
        from mcp_background_job.supervisor.process_tree import become_subreaper
        become_subreaper()
        print(run_command("exit 4", os.environ, 20))
        print(run_command("no-such-program-here", os.environ, 20))
        print(run_command("exit 0", os.environ, 20) == "")
        os.environ["HOME"] = sys.argv[1]
        endless = "setsid sleep 98 & echo $! > child; echo $$ > shell; trap '' TERM; sleep 97; sleep 96"
        print(run_command(endless, os.environ, 1))
        """
    )
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines() == [
        "it ended with exit code 4",
        "it ended with exit code 127",
        "True",
        "it was killed after 1 seconds",
    ]
    assert time.monotonic() - began < 50
    pids = [int((tmp_path / name).read_text()) for name in ("child", "shell")]
    wait_until(lambda: not any(map(alive, pids)))


@pytest.mark.promise("notify")
def test_an_event_is_claimed_once(tmp_path: Path) -> None:
    assert not end_is_due(tmp_path)
    assert not claim(tmp_path, "ended"), "nobody expects to be told"
    expect(tmp_path)
    expect(tmp_path)
    assert end_is_due(tmp_path)
    assert [claim(tmp_path, "ended"), claim(tmp_path, "ended"), claim(tmp_path, "input-5")] == [True, False, True]
    assert not end_is_due(tmp_path)


def test_one_process_runs_a_command_and_another_command_takes_its_place(tmp_path: Path) -> None:
    first, again, other = (NotifierLock(tmp_path, command) for command in ("a", "a", "b"))
    assert not is_told_by(tmp_path, "a")
    assert first.take() and is_told_by(tmp_path, "a") and not is_told_by(tmp_path, "b")
    assert not again.take() and first.is_wanted()
    again.release()
    os.pwrite(other_fd := os.open(tmp_path / ".notifier", os.O_RDWR), other.mark, 0)
    os.close(other_fd)
    assert not first.is_wanted()
    first.release()
    assert other.take() and is_told_by(tmp_path, "b")
    other.release()
    assert not is_told_by(tmp_path, "b")


@contextmanager
def ending(process: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        process.terminate()


@pytest.mark.promise("notify")
def test_of_all_jobs_that_may_run_none_is_left_out_when_they_end_at_once(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "state", "mcp-jobs")
    jobs = [LivingJob(store, f"job{n:03d}") for n in range(300)]
    told = tmp_path / "told"
    command = f"echo $MCP_BG_JOB_ID >> {told}; until test -e {tmp_path}/go; do sleep 0.05; done"
    settings = {"MCP_BG_STATE_DIR": str(tmp_path / "state"), "MCP_BG_NOTIFY": command}
    program = [sys.executable, "-m", "mcp_background_job.jobs.notifier"]
    with subprocess.Popen(program, env={**os.environ, **settings}) as notifier, ending(notifier):
        wait_until(lambda: all(end_is_due(job.folder) for job in jobs))
        for job in jobs:
            job.ends()
        wait_until(told.exists)
        stays_true(lambda: not last_failure(store.folder), 2, what="room for all of them")
        (tmp_path / "go").touch()
        wait_until(lambda: len(told.read_text().split()) == len(jobs), what="the last of them")
    assert sorted(told.read_text().split()) == [job.job_id for job in jobs]
