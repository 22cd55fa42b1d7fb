"""A list while another server makes and removes jobs: each is there whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mcp_background_job.store import jobstore as store_module
from mcp_background_job.store.jobstore import JobStore
from mcp_background_job.store.models import EndedJob, JobId, Spec
from support.jobs import LAUNCH
from support.scale import scaled
from support.waiting import DEADLINE, wait_until

CHURN = """
import sys, time
from pathlib import Path
from mcp_background_job.store.models import Spec
from mcp_background_job.supervisor.jobdir import write_record
from mcp_background_job.store.jobstore import JobStore
from support.jobs import LAUNCH
store = JobStore(Path(sys.argv[1]), "mcp-jobs")
while True:
    made = []
    for _ in range(10):
        job_id = store.new_id()
        # Old enough for nobody to wait for its runner.
        spec = Spec(job_id=job_id, started=time.time() - 60, started_monotonic=time.monotonic() - 60)
        folder = store.create(spec, b"exit 3", {}, LAUNCH, 1000)
        (folder / "runner.lock").touch()
        write_record(str(folder), '{"cause": "exit", "code": 3, "ended": 1}')
        made.append(job_id)
    for job_id in made:
        store.discard(job_id)
"""


@pytest.mark.promise("cleanup-together", "record-foreign")
def test_a_list_is_whole_while_another_server_makes_and_removes_jobs(tmp_path: Path) -> None:
    churn = subprocess.Popen(
        [sys.executable, "-c", CHURN, str(tmp_path)], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    lists = seen = 0
    try:
        wait_until((tmp_path / "mcp-jobs").is_dir)
        begun, lasts = time.monotonic(), scaled(2, 30)
        store = JobStore(tmp_path, "mcp-jobs")
        # On a busy machine it takes longer until so many were seen.
        while (passed := time.monotonic() - begun) < lasts or (min(lists, seen) <= 20 and passed < lasts + DEADLINE):
            jobs, unreadable = store.load_all()
            assert unreadable == []
            assert all(isinstance(job, EndedJob) and job.end.exitcode in (3, None) for job in jobs)
            lists, seen = lists + 1, seen + len(jobs)
    finally:
        churn.kill()
        churn.wait(10)
    print(f"{lists} lists, {seen} jobs seen")
    assert lists > 20 and seen > 20


@pytest.mark.promise("cleanup-together")
def test_a_job_that_is_removed_between_two_looks_at_it_is_not_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = JobStore(tmp_path, "mcp-jobs"), JobStore(tmp_path, "mcp-jobs")
    wall, monotonic = time.time() - 60, time.monotonic() - 60  # old enough for nobody to wait for their runners
    for job_id in ("stays2", "leaves"):
        folder = other.create(
            Spec(job_id=JobId(job_id), started=wall, started_monotonic=monotonic), b"x", {}, LAUNCH, 9
        )
        (folder / "runner.lock").touch()
    looks = store_module.runner_lives

    def remove_it_first(folder: Path) -> bool:
        if folder.name == "leaves":
            other.discard("leaves")
        return looks(folder)

    monkeypatch.setattr(store_module, "runner_lives", remove_it_first)
    jobs, unreadable = store.load_all()
    assert ([job.spec.job_id for job in jobs], unreadable) == (["stays2"], [])
