"""The contract's fields: what the answer of each tool may have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypedDict

from mcp_background_job.jobs.manager import KillStatus
from mcp_background_job.jobs.watched import WaitReason
from mcp_background_job.store.models import Reason, Status

Fields = Mapping[str, object]
Holder = Literal["agent", "human"]


class Ending(TypedDict, total=False):
    """How a job ended: an exit code, or the signal that ended the main process."""

    exit_code: int
    signal: str


class Absence(TypedDict, total=False):
    """How long the person who holds a job has been away or silent."""

    watching: int  # people attached now
    idle: int  # seconds since a key


class ListedJob(Ending, total=False):
    """One job of a list."""

    job_id: str
    name: str
    status: Status
    command: str
    started: str
    duration: float  # seconds
    awaiting_input: str
    holder: Holder
    client: str
    restart_of: str  # the job whose command this one runs once more


class JobList(TypedDict, total=False):
    """The answer of `list`."""

    jobs: list[ListedJob]
    unreadable: list[str]


class FullStatus(Ending, Absence, total=False):
    """The answer of `status`."""

    job_id: str
    name: str
    status: Status
    command: str
    cwd: str
    started: str
    restart_of: str
    awaiting_input: str
    holder: Holder
    attach: str
    log: str
    pid: int
    reason: Reason
    ended: str
    duration: float  # seconds
    cpu_seconds: float
    peak_memory_bytes: int
    survivors: list[int]
    stopped: bool
    killed_by: str
    left_running: list[LeftRunning]


class LeftRunning(TypedDict):
    """A process that an ended job has left running."""

    pid: int
    command: str


class PageAnswer(TypedDict, total=False):
    """The answer of `output` and `tail`."""

    stdout: str
    stderr: str
    cursor: int
    status: Status
    truncated: bool
    dropped_bytes: int


class OutcomeAnswer(PageAnswer, Ending, Absence, total=False):
    """The answer of `interact` and `wait`, and of `execute` with `wait`."""

    job_id: str
    attach: str
    jobs: list[ListedJob]
    reason: WaitReason
    match: str
    unsearched_bytes: int
    screen: str
    awaiting_input: str
    declined: bool
    effective_timeout: float


class ScreenCursor(TypedDict):
    """Counted from 0."""

    row: int
    column: int


class ScreenAnswer(TypedDict):
    """The answer of `screen`."""

    screen: str
    cursor: ScreenCursor
    rows: int
    columns: int
    alternate: bool


class KillAnswer(TypedDict, total=False):
    """The answer of `kill`."""

    status: KillStatus
    ended_processes: int


class HandoffAnswer(TypedDict):
    """The answer of `handoff`."""

    holder: Holder
    attach: str
    watching: int
