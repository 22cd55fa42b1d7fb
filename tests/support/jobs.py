"""Jobs for tests of what is shown of them."""

from __future__ import annotations

import time

from mcp_background_job.store.models import EndedJob, JobId, Launch, Run, RunningJob, Spec, StartingJob
from mcp_background_job.store.records import END

__all__ = ["LAUNCH", "ended", "running", "starting"]

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
