"""The facts of a job, as they lie on disk: its specification, its window, its run, its end.

A job is starting, running or ended, and each has what belongs to it, so that none can be written wrongly: a running
one has its processes, and no end; an ended one has a cause, and an exit code or a signal or neither.
"""

from __future__ import annotations

import secrets
import signal
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal, NewType

RECORD_VERSION = 1
LISTED_COMMAND = 200  # characters of a command that a list shows

JobId = NewType("JobId", str)  # six characters of a job that there is, or was: no path can hide in it
Status = Literal["running", "completed", "failed", "killed"]
Cause = Literal["exit", "kill", "window_closed", "timeout", "lost"]
Reason = Literal["exit", "signal", "kill", "window_closed", "timeout", "lost"]


# Records are dataclasses with slots: a server remembers thousands, and models of pydantic's take six times the memory.
# Unknown fields of a newer version are left alone, and what an older one may not have written has a default.


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What was asked for; written once, before the window exists."""

    version: int = RECORD_VERSION
    job_id: JobId
    name: str = ""
    summary: str = ""  # the command's first LISTED_COMMAND characters, with … where there are more
    cwd: str = ""
    started: float  # seconds since the epoch
    started_monotonic: float | None = None  # seconds on this boot's monotonic clock
    boot: str = ""  # which start of the machine that was, where it can be told
    timeout: float | None = None  # seconds
    separate_stderr: bool = False
    nonce: str = ""
    socket: str = ""  # the tmux socket's path, empty for the default one
    client: str = ""  # the MCP client that asked for it
    env: tuple[str, ...] = ()  # names of what it was given beside the server's environment; values are never written
    restart_of: str = ""  # the job whose command this one runs once more

    @property
    def age(self) -> float:
        """Seconds since it was asked for; the clock that people set is the last resort."""
        if self.started_monotonic is None:
            return max(0.0, time.time() - self.started)
        return time.monotonic() - self.started_monotonic


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The window that was opened for a job; written by the server that opened it."""

    pane: str
    runner: int  # the pane's first process, 0 where this server can't see it
    namespace: int = 0  # the pid namespace in which that number counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Which processes and which terminal the job has; written by the runner."""

    runner: int
    pid: int
    tty: str
    pane: str
    socket: str
    server: int = 0  # the tmux server's pid


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What the runner and the log writer need to know; written as `name=value` items (supervisor/launch.py)."""

    cwd: str
    shell: str
    timeout: float | None  # seconds
    grace: float  # seconds between the signal and KILL
    umask: int
    rows: int
    columns: int
    separate_stderr: bool
    nonce: str
    log_limit: int  # bytes
    tmux: str  # the program's path
    pipe: str  # the shell command that starts the log writer
    lifeline: str = ""  # of the server with which the job ends; none for one that outlives it
    instead: str = ""  # what is run for the command, where that is not the command itself

    def pairs(self) -> dict[str, str]:
        fields = {name: str(getattr(self, name)) for name in self.__slots__}
        return fields | {
            "timeout": "" if self.timeout is None else str(self.timeout),
            "umask": f"{self.umask:o}",
            "separate_stderr": "1" if self.separate_stderr else "0",
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """The exit record; written by the runner, or by whoever finds that it can't do so any more."""

    cause: Cause = "exit"
    ended: float  # seconds since the epoch
    uptime: float | None = None  # seconds from the machine's start to the end
    duration: float | None = None  # seconds
    cpu: float | None = None  # seconds of all the job's processes that were waited for
    peak_memory: int | None = None  # bytes of the largest process
    survivors: list[int] = field(default_factory=list)
    left: bool = False  # processes outlived the command, and may still run
    by: str = ""  # who asked for the kill

    @property
    def exitcode(self) -> int | None:
        """The exit code, or the signal as a negative number; None where nobody saw it."""
        return None

    @property
    def status(self) -> Status:
        if self.cause != "exit":
            return "killed"
        return "completed" if self.exitcode == 0 else "failed"

    @property
    def reason(self) -> Reason:
        return self.cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Exited(_End):
    """The command came to an exit code, by itself or because something ended it."""

    code: int

    @property
    def exitcode(self) -> int:
        return self.code


@dataclass(frozen=True, slots=True, kw_only=True)
class Signaled(_End):
    """A signal has ended the command."""

    signal: int

    @property
    def exitcode(self) -> int:
        return -self.signal

    @property
    def reason(self) -> Reason:
        return "signal" if self.cause == "exit" else self.cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Unseen(_End):
    """Nobody saw the command end: its runner was killed, or has given up a process that can't be."""

    cause: Literal["kill", "window_closed", "timeout", "lost"]


End = Exited | Signaled | Unseen


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A person has the keys of the job; there until they hand it back, or the job ends."""

    since: float  # seconds since the epoch
    message: str = ""  # what an agent asked for, where it was one who gave the keys


@dataclass(frozen=True, slots=True)
class StartingJob:
    """A job whose runner has not said what it started; on a full disk it never does, though the command runs."""

    spec: Spec
    window: Window | None  # None until the server has said which it opened


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job whose command runs."""

    spec: Spec
    run: Run


@dataclass(frozen=True, slots=True)
class EndedJob:
    """A job that will not change any more."""

    spec: Spec
    run: Run | None  # None where its command was never started, or on a full disk
    end: End


LiveJob = StartingJob | RunningJob
Job = LiveJob | EndedJob


def run_of(job: Job) -> Run | None:
    """The processes and the terminal of a job whose command was started."""
    return None if isinstance(job, StartingJob) else job.run


def status_of(job: Job) -> Status:
    return job.end.status if isinstance(job, EndedJob) else "running"


@lru_cache(4096)  # half of the time of a long list
def timestamp(seconds: float) -> str:
    """UTC, ISO-8601, with Z, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def summary_of(command: str) -> str:
    """What a list shows of a command."""
    return command if len(command) <= LISTED_COMMAND else command[:LISTED_COMMAND] + "…"


def new_nonce() -> str:
    """A number that tells our marks from anything that a job prints; terminals take it as a parameter."""
    return str(10**9 + secrets.randbelow(10**9))


def signal_name(number: int) -> str:
    """`TERM` for 15; the number itself where it has no name."""
    try:
        return signal.Signals(number).name.removeprefix("SIG")
    except ValueError:
        return f"RT{number}" if number > 31 else str(number)
