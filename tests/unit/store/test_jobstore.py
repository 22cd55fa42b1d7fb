"""A job is starting, running or ended, by its files alone."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from mcp_background_job.errors import TooManyJobs
from mcp_background_job.store.clock import boot_id, seconds_since_end
from mcp_background_job.store.holds import read_hold, set_hold, was_declined
from mcp_background_job.store.jobstore import JobStore
from mcp_background_job.store.models import (
    EndedJob,
    Exited,
    Hold,
    JobId,
    Run,
    RunningJob,
    Spec,
    StartingJob,
    Unseen,
    Window,
)
from mcp_background_job.store.requests import request_kill
from mcp_background_job.supervisor.jobdir import write_record
from mcp_background_job.supervisor.locks import hold_new
from support.jobs import LAUNCH

RUN = Run(runner=1, pid=2, tty="/dev/pts/9", pane="%1", socket="/s")


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path, "mcp-jobs")


def create(store: JobStore, job_id: str = "abcdef", ago: float = 0.0, limit: int = 10) -> Path:
    wall, monotonic = time.time() - ago, time.monotonic() - ago
    spec = Spec(job_id=JobId(job_id), summary="true", started=wall, started_monotonic=monotonic, boot=boot_id())
    return store.create(spec, b"true", {"A": "b"}, LAUNCH, limit)


def test_a_job_goes_from_starting_to_running_to_ended(store: JobStore) -> None:
    folder = create(store)
    assert store.load("abcdef") == StartingJob(store.load("abcdef").spec, None)
    store.note_window("abcdef", "%1", os.getpid())
    starting = store.load("abcdef")
    assert isinstance(starting, StartingJob)
    assert isinstance(starting.window, Window)
    lock = hold_new(str(folder / "runner.lock"))
    assert isinstance(store.load("abcdef"), StartingJob), "its runner has not said what it started"
    (folder / "run.json").write_text('{"runner": 1, "pid": 2, "tty": "/dev/pts/9", "pane": "%1", "socket": "/s"}')
    running = store.load("abcdef")
    assert isinstance(running, RunningJob)
    assert running.run == RUN
    write_record(str(folder), '{"cause": "exit", "code": 3, "ended": 1}')
    os.close(lock)
    ended = store.load("abcdef")
    assert isinstance(ended, EndedJob)
    assert (ended.run, ended.end) == (RUN, Exited(code=3, ended=1.0))


@pytest.mark.promise("end-not-false")
@pytest.mark.parametrize("cause", ["lost", "kill"])
def test_a_job_whose_runner_is_gone_was_not_seen_to_end(tmp_path: Path, cause: str) -> None:
    told: list[str] = []
    store = JobStore(tmp_path, "mcp-jobs", told.append)
    folder = create(store, ago=60)
    os.close(hold_new(str(folder / "runner.lock")))
    if cause == "kill":
        request_kill(folder, 15)
    job = store.load("abcdef")
    assert isinstance(job, EndedJob)
    assert isinstance(job.end, Unseen)
    assert (job.end.cause, told) == (cause, ["abcdef"])
    assert not (folder / "environment").exists()
    assert JobStore(tmp_path, "mcp-jobs").load("abcdef") == job, "an end once told never changes"
    assert 0 <= seconds_since_end(job, folder) < 60


@pytest.mark.promise("limit-jobs-all-servers")
def test_a_starting_job_counts_as_running(store: JobStore, tmp_path: Path) -> None:
    create(store)
    with pytest.raises(TooManyJobs):
        create(JobStore(tmp_path, "mcp-jobs"), "ghijkl", limit=1)
    assert store.load_all() == ([store.load("abcdef")], [])
    assert store.foreign() == [], "nothing half made is left"


@pytest.mark.promise("kill-outlives-server")
def test_a_kill_request_is_on_disk_and_wakes_the_runner(store: JobStore) -> None:
    folder = create(store)
    control = os.open(folder / "control", os.O_RDONLY | os.O_NONBLOCK)
    assert request_kill(folder, 9)
    assert (folder / "kill").read_text() == "9"
    assert os.read(control, 100) == b"\n"
    (folder / "kill").unlink()
    (folder / "kill").mkdir()  # what can't be written down is told by the FIFO
    (folder / "kill" / "x").touch()
    assert not request_kill(folder, 15)
    assert os.read(control, 100) == b"15\n"
    os.close(control)


@pytest.mark.promise("pair-handback")
def test_a_hold_is_there_until_it_is_handed_back(store: JobStore) -> None:
    folder = create(store)
    assert read_hold(folder) is None
    set_hold(folder, Hold(since=1.0, message="log in"))
    assert read_hold(folder) == Hold(since=1.0, message="log in")
    set_hold(folder, None, declined=True)
    assert (read_hold(folder), was_declined(folder)) == (None, True)
    set_hold(folder, Hold(since=2.0))
    assert not was_declined(folder)


def test_what_is_swept_may_go_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = JobStore(tmp_path, "mcp-jobs")
    store.open()
    for job_id in ("aaaaaa", "bbbbbb"):
        (store.folder / job_id).mkdir()
        (store.folder / job_id / "typed-0a1b").write_text("secret")
    (store.folder / ".new-cccccc").mkdir()
    gone = store.folder / "aaaaaa"
    ids = store.ids()
    monkeypatch.setattr(store, "ids", lambda: [*ids, JobId("dddddd")])
    shutil.rmtree(gone)
    store.remove_typed()
    assert not list(store.folder.glob("*/typed-*"))
