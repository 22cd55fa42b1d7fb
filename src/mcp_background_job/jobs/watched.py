"""What a wait looks at of each job, and what it ended with."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from mcp_background_job.output.pages import Page
from mcp_background_job.store.models import Job

from .matching import OutputSearch

if TYPE_CHECKING:
    from mcp_background_job.process.input_state import Resting

WaitReason = Literal["exit", "match", "input", "quiet", "handback", "human", "timeout"]


@dataclass(frozen=True)
class Outcome:
    """What a wait ended with; `page` is what the job printed since the wait's cursor."""

    job: Job
    reason: WaitReason
    awaiting: str | None
    page: Page
    match: str = ""  # the line that the pattern matched
    screen: str = ""  # what a full-screen program shows now, trimmed
    command_exit_code: int | None = None  # of the last command since the input, where a shell has told it
    last_words: str = ""  # the last line of a full-screen program that has given the screen back
    unsearched: int = 0  # bytes in which the pattern could not be looked for


@dataclass
class Watched:
    """One job of a wait."""

    job_id: str
    start: int  # output from here on is new
    end: int = 0
    search: OutputSearch | None = None  # for the pattern
    job: Job | None = None  # as last read from its files
    changed: float = field(default_factory=time.monotonic)  # when output last came
    resting: tuple[Resting, float] | None = None  # what it waits for, and since when
    shown: list[str] = field(default_factory=list)  # lines that a full-screen program showed before the input
