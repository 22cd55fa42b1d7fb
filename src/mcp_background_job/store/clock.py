"""When a job ended, and how long ago: by clocks that nobody can set, as far as they reach."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Literal

from mcp_background_job.supervisor.jobdir import uptime
from mcp_background_job.system import PROC

from .models import End, EndedJob, Spec, Unseen

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@lru_cache(1)
def pid_namespace() -> int:
    """Which pid namespace this process lives in; 0 where that can't be told."""
    if not PROC:
        return 0
    try:
        return Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return 0


@lru_cache(1)
def boot_id() -> str:
    """Which start of the machine this is; empty where that can't be told."""
    if not PROC:
        return ""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def seconds_since_end(job: EndedJob, folder: Path) -> float:
    """By the machine's uptime, or by its clock where it was started anew since.

    Nobody can set the one; where the other was ahead at the end, the time counts from when a sweep noticed.
    """
    if job.end.uptime is not None and job.spec.boot and job.spec.boot == boot_id():
        return uptime() - job.end.uptime
    now = time.time()
    if job.end.ended <= now:
        return now - job.end.ended
    with suppress(OSError):
        return max(0.0, now - (folder / "exit.json").stat().st_mtime)
    return 0.0


def notice_clock(job: EndedJob, folder: Path) -> None:
    """Have the age of a record from the future begin now."""
    with suppress(OSError):
        record = folder / "exit.json"
        if min(job.end.ended, record.stat().st_mtime) > time.time():
            os.utime(record)


def loss(folder: Path, spec: Spec) -> End:
    """The exit record of a job whose runner is gone: it ended when its files were last written to."""
    ended = last_sign_of_life(folder)
    duration, since = max(0.0, ended - spec.started), max(0.0, time.time() - ended)
    up: float | None = None
    if spec.boot and spec.boot == boot_id():
        # The clock may have been set meanwhile; neither can have lasted longer than the job's whole time.
        whole = spec.age
        up, duration = uptime() - min(since, whole), min(duration, whole)
    cause: Literal["kill", "lost"] = "kill" if (folder / "kill").exists() else "lost"
    return Unseen(cause=cause, ended=ended, uptime=up, duration=duration)


def last_sign_of_life(folder: Path) -> float:
    """When the job's files were last written to, in seconds since the epoch."""
    newest = 0.0
    for file in (folder / "run.json", folder / "job.json", *(folder / "log").glob("*.log")):
        with suppress(OSError):
            newest = max(newest, file.stat().st_mtime)
    return newest
