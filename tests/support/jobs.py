"""Jobs for tests of what is shown of them."""

from __future__ import annotations

import time

from mcp_background_job.store.models import ADAPTERS, End, EndedJob, Run, RunningJob, Spec

__all__ = ["ended", "running"]


def spec(name: str, summary: str) -> Spec:
    return Spec(job_id="abcdef", name=name, summary=summary, cwd="/", started=time.time() - 30, nonce="0")


def running(name: str = "name", summary: str = "sleep 9", *, started: bool = True) -> RunningJob:
    run = Run(pid=1, runner=1, tty="", socket="", pane="") if started else None
    return RunningJob(spec(name, summary), run)


def ended(**end: object) -> EndedJob:
    return EndedJob(spec("name", "sleep 9"), None, ADAPTERS[End].validate_python({"ended": time.time(), **end}))
