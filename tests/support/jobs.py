"""Jobs for tests of what is shown of them."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from mcp_background_job.store.holds import set_hold
from mcp_background_job.store.jobstore import JobStore
from mcp_background_job.store.models import EndedJob, Hold, JobId, Launch, Run, RunningJob, Spec, StartingJob
from mcp_background_job.store.records import END
from mcp_background_job.supervisor.locks import hold_new

__all__ = ["LAUNCH", "LivingJob", "ended", "running", "starting", "write_ended_job"]

LAUNCH = Launch(
    cwd="/",
    shell="/bin/bash",
    timeout=None,
    grace=5.0,
    umask=0o022,
    rows=50,
    columns=200,
    separate_stderr=False,
    nonce="1",
    log_limit=10 << 20,
    tmux="tmux",
    pipe="exec false",
)


def spec(name: str, summary: str) -> Spec:
    return Spec(job_id=JobId("abcdef"), name=name, summary=summary, cwd="/", started=time.time() - 30, nonce="0")


def running(name: str = "name", summary: str = "sleep 9") -> RunningJob:
    return RunningJob(spec(name, summary), Run(pid=1, runner=1, tty="", socket="", pane=""))


def starting() -> StartingJob:
    return StartingJob(spec("name", "sleep 9"), None)


def ended(**end: object) -> EndedJob:
    return EndedJob(spec("name", "sleep 9"), None, END.adapter.validate_python({"ended": time.time(), **end}))


def create(store: JobStore, job_id: str, name: str, started: float) -> Path:
    """A job's folder before its runner has begun."""
    spec = Spec(
        job_id=JobId(job_id),
        name=name,
        summary="make",
        cwd="/",
        started=started,
        nonce="1",
        client="tests",
        socket="/none",
    )
    return store.create(spec, b"make", {}, LAUNCH, 1000)


def end(folder: Path, code: int) -> None:
    """The runner's last word."""
    record = {"cause": "exit", "code": code, "ended": time.time(), "duration": 2.5, "cpu": 0.25, "peak_memory": 4096}
    new = folder / "exit.new"
    new.write_text(json.dumps(record), encoding="ascii")
    new.rename(folder / "exit.json")


def write_ended_job(
    store: JobStore, job_id: str, printed: bytes = b"one\ntwo\n", code: int = 3, name: str = "build"
) -> None:
    """A job's folder as the supervisor leaves it."""
    folder = create(store, job_id, name, 1e9)
    (folder / "log" / f"{0:020d}.log").write_bytes(printed)
    end(folder, code)


class LivingJob:
    """A job whose supervisor is the test."""

    def __init__(self, store: JobStore, job_id: str, name: str = "build") -> None:
        self.job_id = job_id
        self.folder = create(store, job_id, name, time.time())
        self.lock = hold_new(str(self.folder / "runner.lock"))
        self.log = self.folder / "log" / f"{0:020d}.log"

    def prints(self, text: str) -> None:
        with self.log.open("ab") as log:
            log.write(text.encode())

    def is_held(self, by_person: bool) -> None:
        set_hold(self.folder, Hold(since=time.time(), message="") if by_person else None)

    def ends(self, code: int = 0) -> None:
        end(self.folder, code)
        os.close(self.lock)
