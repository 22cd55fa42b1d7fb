"""A crash between any two file operations of a job's record: it is sensible or absent, and hides no other job."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from mcp_background_job.config import JOB_VARIABLE
from mcp_background_job.jobs.launch import ENTRYPOINT
from mcp_background_job.process.orphans import end_orphans
from mcp_background_job.store import folder as folder_module
from mcp_background_job.store import jobstore as store_module
from mcp_background_job.store.files import write_whole
from mcp_background_job.store.jobstore import JobStore
from mcp_background_job.store.models import EndedJob, Job, JobId, Spec, StartingJob
from support import crashing
from support.jobs import LAUNCH
from support.sandbox import alive
from support.waiting import wait_until

NONCE = "1234567890"
CRASH = [sys.executable, str(Path(crashing.__file__))]


def crashed(action: str, base: Path) -> int:
    """Do an action with a crash before each of its operations; how many there are."""
    done = subprocess.run([*CRASH, action, str(base)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    count = int(done.stdout)
    print(f"{action}: {count} operations")
    return count


def check_other(store: JobStore) -> None:
    """The other job is there as it was, and nothing is unreadable."""
    jobs, unreadable = store.load_all()
    assert unreadable == []
    assert [job.end.exitcode for job in jobs if isinstance(job, EndedJob) and job.spec.job_id == "other2"] == [5]


def victim(store: JobStore) -> Job | None:
    found = [job for job in store.load_all()[0] if job.spec.job_id == "victim"]
    return found[0] if found else None


def spec(job_id: str) -> Spec:
    return Spec(job_id=JobId(job_id), started=time.time(), started_monotonic=time.monotonic(), nonce=NONCE)


@pytest.mark.promise("record-crash")
def test_a_crash_while_a_job_is_created(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = crashed("create", tmp_path)
    assert count > 10
    seen = set()
    for number in range(1, count + 2):
        store = JobStore(tmp_path / str(number), crashing.SESSION)
        check_other(store)
        job = victim(store)
        seen.add(type(job))
        assert job is None or job == StartingJob(job.spec, None), "whole, and about to start"
        # The lock went with the one that held it, and its half of a job is tidied up by the next.
        store.create(spec("third3"), b"true", {}, LAUNCH, 10)
        monkeypatch.setattr(folder_module, "HALF_MADE_AGE", -1.0)
        store.remove_half_made()
        expected = {"other2", "third3", "lock"} | ({"victim"} if job else set())
        assert {path.name for path in store.folder.iterdir()} == expected
        # Nobody comes to run it: after the grace it is lost, and its environment is gone.
        monkeypatch.setattr(store_module, "START_GRACE", 0.0)
        if job is not None:
            found = victim(store)
            assert isinstance(found, EndedJob) and found.end.reason == "lost"
            assert not (store.folder / "victim" / "environment").exists()
        monkeypatch.undo()
    assert seen == {type(None), StartingJob}


@pytest.mark.promise("record-crash")
def test_a_crash_of_the_one_who_finds_a_job_lost(tmp_path: Path) -> None:
    count = crashed("look", tmp_path)
    assert count > 3
    for number in range(1, count + 2):
        ends = []
        for _ in range(2):
            store = JobStore(tmp_path / str(number), crashing.SESSION)
            check_other(store)
            job = victim(store)
            assert isinstance(job, EndedJob) and job.end.reason == "lost"
            ends.append(job.end)
        assert ends[0] == ends[1]


@pytest.mark.promise("record-crash", "cleanup-by-the-next")
def test_a_crash_while_a_job_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = crashed("discard", tmp_path)
    assert count > 5
    monkeypatch.setattr(folder_module, "HALF_MADE_AGE", -1.0)
    there = []
    for number in range(1, count + 2):
        store = JobStore(tmp_path / str(number), crashing.SESSION)
        check_other(store)
        there.append(victim(store) is not None)
        store.remove_half_made()
        assert {path.name for path in store.folder.iterdir()} == {"other2", "lock"} | (
            {"victim"} if there[-1] else set()
        )
    assert there == sorted(there, reverse=True), "once gone, it stays gone"
    assert True in there and False in there


@pytest.mark.promise("record-crash")
def test_a_crash_while_a_kill_is_asked_for(tmp_path: Path) -> None:
    for number in range(1, crashed("kill", tmp_path) + 2):
        store = JobStore(tmp_path / str(number), crashing.SESSION)
        check_other(store)
        assert isinstance(victim(store), StartingJob)
        request = store.folder / "victim" / "kill"
        assert not request.exists() or request.read_text() == "15", "whole or not there"


def run_and_crash(folder: Path, number: int) -> bool:
    """The real runner on a terminal with the real log writer behind it; whether it was killed."""
    master, slave = os.openpty()
    # Between a terminal and the log writer, as tmux is: the end of a terminal is an error, that of a pipe is none.
    copier = subprocess.Popen(["cat"], stdin=master, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    writer = subprocess.Popen([*ENTRYPOINT, "logwriter", str(folder)], stdin=copier.stdout)
    runner = subprocess.Popen(
        [*CRASH, "runner", str(folder), str(number)],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        env={**os.environ, "TMUX": "/nowhere,1,0", "TMUX_PANE": "%1", "TERM": "xterm"},
    )
    os.close(slave)
    os.close(master)
    try:
        return runner.wait(60) == -signal.SIGKILL
    finally:
        end_orphans(folder.name)
        for process in (copier, writer):
            process.kill()
            process.wait(60)
        assert copier.stdout is not None
        copier.stdout.close()


def processes_of(job_id: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(JOB_VARIABLE) == job_id:
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.slow
@pytest.mark.promise("record-crash", "end-not-false")
def test_a_crash_of_the_runner_before_any_of_its_operations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "START_GRACE", 0.0)
    ends = []
    number = 0
    killed = True
    while killed:
        number += 1
        job_id = f"run{number // 100 % 10}{number // 10 % 10}{number % 10}"
        state = tmp_path / str(number)
        maker = JobStore(state, crashing.SESSION)
        other = maker.create(spec("other2"), b"exit 5", {}, LAUNCH, 10)
        write_whole(other / "exit.json", b'{"cause": "exit", "code": 5, "ended": 1}')
        launch = replace(LAUNCH, cwd=str(tmp_path), shell="/bin/sh", grace=1.0, nonce=NONCE, tmux="/bin/true")
        environment = {**os.environ, JOB_VARIABLE: job_id}
        folder = maker.create(spec(job_id), b"echo printed; exit 7", environment, launch, 10)
        killed = run_and_crash(folder, number)
        looks = []
        for _ in range(2):
            store = JobStore(state, crashing.SESSION, end_orphans)
            check_other(store)
            [job] = [one for one in store.load_all()[0] if one.spec.job_id == job_id]
            assert isinstance(job, EndedJob), "nobody is there to run it any more"
            looks.append(job.end)
        assert looks[0] == looks[1]
        end = looks[0]
        assert (end.reason, end.exitcode) in {("lost", None), ("exit", 7)}, "as it ended, or lost; never a success"
        if end.reason == "exit":
            assert store.log(job_id).read(0, 1000) == b"printed\r\n", "whose end is seen has its output"
        assert not (folder / "environment").exists()
        wait_until(lambda job_id=job_id: not processes_of(job_id))  # type: ignore[misc]
        ends.append(end.reason)
    print(f"runner: {number - 1} operations; {ends.count('lost')} lost, {ends.count('exit')} recorded")
    assert number > 15
    assert set(ends) == {"lost", "exit"}


@pytest.mark.promise("record-crash")
def test_the_crash_is_real(tmp_path: Path) -> None:
    """A lock that a killed process held is free, or all of the above tried nothing."""
    script = "import fcntl, os, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, 2); print(flush=True); sys.stdin.read()"
    path = tmp_path / "lock"
    holder = subprocess.Popen([sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None and holder.stdin is not None
    holder.stdout.readline()
    with path.open("r+b") as lock:
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        holder.kill()
        holder.wait(60)
        assert not alive(holder.pid)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    holder.stdin.close()
    holder.stdout.close()
