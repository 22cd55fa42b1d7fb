"""Jobs for tests of what is shown of them."""

from __future__ import annotations

import json
import time

from mcp_background_job.store.jobstore import JobStore
from mcp_background_job.store.models import EndedJob, JobId, Launch, Run, RunningJob, Spec, StartingJob
from mcp_background_job.store.records import END

__all__ = ["LAUNCH", "ended", "running", "starting", "write_ended_job"]

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


def write_ended_job(
    store: JobStore, job_id: str, printed: bytes = b"one\ntwo\n", code: int = 3, name: str = "build"
) -> None:
    """A job's folder as the supervisor leaves it."""
    spec = Spec(
        job_id=JobId(job_id),
        name=name,
        summary="make",
        cwd="/",
        started=1e9,
        nonce="1",
        client="tests",
        socket="/none",
    )
    folder = store.create(spec, b"make", {}, LAUNCH, 1000)
    (folder / "log" / f"{0:020d}.log").write_bytes(printed)
    end = {"cause": "exit", "code": code, "ended": time.time(), "duration": 2.5, "cpu": 0.25, "peak_memory": 4096}
    (folder / "exit.json").write_text(json.dumps(end), encoding="ascii")
