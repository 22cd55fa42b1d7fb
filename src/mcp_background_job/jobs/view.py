"""The read side: what there is to tell of jobs.

Promise: files only. No read asks tmux or waits for anything, so that none is held up by a tmux server that is stopped.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mcp_background_job.config import BackgroundJobConfig
from mcp_background_job.errors import InvalidInput, JobNotRunning, StoreError
from mcp_background_job.output.modes import Modes
from mcp_background_job.output.pages import DEFAULT_CHARS, Page, Reader
from mcp_background_job.process.orphans import end_orphans, processes_of
from mcp_background_job.store.clock import boot_id
from mcp_background_job.store.holds import read_hold
from mcp_background_job.store.jobstore import JobStore
from mcp_background_job.store.log import Log, SegmentGone, looking_again
from mcp_background_job.store.models import EndedJob, Hold, Job, LiveJob, Reason, RunningJob, status_of
from mcp_background_job.store.sizes import read_sizes
from mcp_background_job.store.timing import Timing
from mcp_background_job.supervisor.markers import sync_mark

from .inputs import Inputs
from .shells import LOOKBACK, last_exit_code

if TYPE_CHECKING:
    from mcp_background_job.output.dress import Dress
    from mcp_background_job.process.input_state import Resting

SYNC_MARKS = re.compile(rb"(?:%b)+\Z" % re.escape(sync_mark("N")).replace(b"N", rb"\d+"))
BEHIND = 4096  # bytes of them at most, of 170 waits
MODES_OF = 100  # jobs whose terminal's modes are remembered
CLOSED: set[Reason] = {"window_closed", "lost"}  # ends that leave no window
MARKS = 256  # bytes of output that may be nothing but marks and bells
LONGEST_ID = 40  # characters; ours have six
CANDIDATES = 8  # that a refusal lists
LONGEST = 1e9  # seconds, which no job lasts; more would be no number of milliseconds


@dataclass(frozen=True)
class Listing:
    """Jobs, newest first, and the folders whose record can't be read."""

    jobs: list[Job]
    unreadable: list[str]


class JobView:
    """The jobs of one session, as their files tell them."""

    def __init__(self, config: BackgroundJobConfig) -> None:
        self.config = config
        self.store = JobStore(config.state_dir, config.session_name, end_orphans)
        self.inputs = Inputs()
        self._modes: OrderedDict[str, Modes] = OrderedDict()
        self._left_nothing: set[str] = set()  # ended jobs of which nothing runs any more

    def job(self, job_id: str) -> Job:
        """Raises JobNotFound or StoreError."""
        return self.store.load(job_id)

    def running(self, job_id: str) -> LiveJob:
        """Raises JobNotFound or JobNotRunning."""
        job = self.job(job_id)
        if isinstance(job, EndedJob):
            raise JobNotRunning(job_id, status_of(job))
        return job

    def jobs(self, include_all: bool) -> Listing:
        """Running jobs and those whose window is still open, or all that are recorded; the newest running one first."""
        found, unreadable = self.store.load_all()
        longest = self.config.cleanup_interval_seconds
        jobs = [job for job in found if include_all or not isinstance(job, EndedJob) or self.store.age(job) < longest]
        jobs.sort(key=lambda job: (not isinstance(job, EndedJob), start_order(job)), reverse=True)
        return Listing(jobs, sorted({*unreadable, *self.store.foreign()}))

    def id_of(self, given: str) -> str:
        """The id of the job that `given` names: by its id, or by a name that only one has, or only one that runs.

        Itself where there is none. Raises InvalidInput for a name that could be several jobs'.
        """
        plain = given.strip().lower()
        if plain.isalnum() and len(plain) < LONGEST_ID and self.folder(plain).is_dir():
            return plain
        named = [job for job in self.jobs(include_all=True).jobs if job.spec.name == given]
        found = only_one(given, named)
        return found.spec.job_id if found else given

    def command(self, job_id: str) -> str:
        """The command, verbatim."""
        return self.store.command(job_id)

    def folder(self, job_id: str) -> Path:
        """Where the job's files lie."""
        return self.store.folder / job_id

    def may_have_window(self, job: Job) -> bool:
        """Whether the job's window is open, as far as files tell: an ended one's is, until it is tidied away."""
        if not isinstance(job, EndedJob):
            return True
        return job.end.reason not in CLOSED and self.store.age(job) < self.config.cleanup_interval_seconds

    def hold(self, job: Job) -> Hold | None:
        """The hold of a person on a running job."""
        return None if isinstance(job, EndedJob) else read_hold(self.folder(job.spec.job_id))

    def resting(self, job: Job) -> Resting | None:
        """What a running job waits for now, and how it rests."""
        if not isinstance(job, RunningJob):
            return None
        from mcp_background_job.process.input_state import resting, terminal_of

        found = resting(job.run.tty, job.run.pid)
        if found is not None and found.rest == "poll":
            terminal = terminal_of(job.run.tty)
            if terminal is not None and self.modes(job).edits_line(terminal.signals):
                return found._replace(rest="read")
        return found

    def awaiting(self, job: Job) -> str | None:
        """What kind of input the job waits for right now."""
        found = self.resting(job)
        return found.awaiting if found else None

    def stopped(self, job: Job) -> bool:
        """Whether a running job is stopped, as by C-z."""
        if not isinstance(job, RunningJob):
            return False
        from mcp_background_job.process.input_state import stopped

        return stopped(job.run.pid)

    def left_running(self, job: EndedJob) -> list[tuple[int, str]]:
        """The processes that an ended job has left, and that still run: pid and command line."""
        job_id = job.spec.job_id
        if not job.end.left or job_id in self._left_nothing:
            return []
        found = processes_of(job_id)
        if not found:
            self._left_nothing.add(job_id)
        return found

    # -- output ---------------------------------------------------------------------------------------------

    def log(self, job_id: str) -> Log:
        """A look at the job's log as it is now."""
        return self.store.log(job_id)

    def reader(self, job: Job, dress: Dress | None = None, log: Log | None = None) -> Reader:
        """The job's log as text, with what `dress` keeps of its colours and times; `log`: a look at it there is."""
        log, ended = log or self.log(job.spec.job_id), isinstance(job, EndedJob)
        modes = self.modes(job, log) if ended else None
        last_screen = modes.screen_since if modes else None
        sizes = read_sizes(self.folder(job.spec.job_id))
        reader = Reader(log, job.spec.nonce, job.spec.separate_stderr, ended, last_screen, sizes, dress)
        reader.flat = modes is not None and modes.never_full_screen(log)
        return reader

    @looking_again
    def output(
        self,
        job: Job,
        since: int | None = None,
        grep: str = "",
        context: int = 0,
        max_chars: int = DEFAULT_CHARS,
        since_seconds: float | None = None,
    ) -> Page:
        """What the job printed: all of it in bounds, a page of it, the last seconds' in bounds, or lines that match.

        Raises InvalidInput for a bad pattern, a cursor beyond the end, or a log without timing.
        """
        reader = self.kept_output(job)
        if since_seconds is not None:
            if since is not None:
                raise InvalidInput("since and since_seconds are both given", "Leave one of them out")
            start = self.printed_since(job, reader, since_seconds)
            return reader.grep(grep, context, max_chars, start) if grep else reader.between(start, max_chars)
        if since is not None and since > reader.log.end:
            raise InvalidInput(
                f"since={since} is beyond the output's end at {reader.log.end}",
                f"Use the cursor of an earlier answer, {reader.log.end} at most",
            )
        if grep:
            return reader.grep(grep, context, max_chars, since or 0)
        return reader.whole(max_chars) if since is None else reader.page(since, max_chars)

    @looking_again
    def tail(self, job: Job, lines: int, dress: Dress | None = None) -> Page:
        """The last `lines` lines.

        Raises StoreError where the log has been removed.
        """
        return self.kept_output(job, dress).tail(lines)

    @looking_again
    def tail_is_quick(self, job: Job, lines: int) -> bool:
        """Whether `tail` takes less time than a thread takes to begin."""
        return self.reader(job).tail_is_quick(lines)

    def kept_output(self, job: Job, dress: Dress | None = None) -> Reader:
        """The reader of a job's log.

        Raises StoreError where something else has removed it.
        """
        reader = self.reader(job, dress)
        if not reader.log.folder.is_dir():
            raise StoreError(
                f"The log of job {job.spec.job_id!r} has been removed from the disk; what it prints from now on is kept"
            )
        return reader

    def modes(self, job: Job, log: Log | None = None) -> Modes:
        """Which modes of its terminal the job has switched on; `log` is a look at its log, if there is one already."""
        job_id = job.spec.job_id
        known = self._modes.setdefault(job_id, Modes())
        self._modes.move_to_end(job_id)
        if len(self._modes) > MODES_OF:
            self._modes.popitem(last=False)
        with suppress(SegmentGone):  # then it is known as far as it was looked at
            known.follow(log or self.log(job_id))
        return known

    def rested_at(self, job: Job) -> int:
        """Where the output of a job that waits for input ends: the marks that waits leave behind it don't count."""
        log = self.log(job.spec.job_id)
        try:
            last = log.read(max(log.start, log.end - BEHIND), log.end)
        except SegmentGone:
            return log.end
        found = SYNC_MARKS.search(last)
        return log.end - (len(found[0]) if found else 0)

    def told_exit_code(self, job: Job, start: int) -> int | None:
        """The exit code of the last command that a shell has told since offset `start`."""
        log = self.log(job.spec.job_id)
        try:
            begin = max(log.start, min(start, log.end) - LOOKBACK, log.end - 2 * LOOKBACK)
            return last_exit_code(log.read(begin, log.end), max(0, start - begin))
        except SegmentGone:
            return None

    def printed_from(self, job: Job, offset: int, size: int) -> str:
        """What the job printed from an offset on, in the next `size` bytes; empty where that is gone already."""
        reader = self.reader(job)
        try:
            return reader.text(offset, reader.log.read(offset, offset + size))[0]
        except SegmentGone:
            return ""

    def last_words(self, job: Job, since: int) -> str:
        """The last line that a full-screen program showed which has given the screen back since offset `since`."""
        span = self.modes(job).gave_back
        if span is None or span[1] < since:
            return ""
        try:
            return self.reader(job).full_screen(*span).rpartition("\n")[2]
        except SegmentGone:
            return ""

    def shows_more(self, job: Job, start: int, end: int) -> bool:
        """Whether the output from offset `start` to `end` shows anything: marks and bells do not."""
        return end - start > MARKS or (end > start and self.printed_from(job, start, end - start) != "")

    def printed_since(self, job: Job, reader: Reader, seconds: float) -> int:
        """The cursor of what the job printed in the last `seconds`.

        Raises InvalidInput where the log has no timing.
        """
        timing = self.timing(job)
        if timing.first is None and reader.log.end:
            raise InvalidInput(
                f"When job {job.spec.job_id!r} printed what is not known: its log has no timing",
                "Call tail, or output without since_seconds",
            )
        found = timing.since(int((self.job_clock(job) - min(seconds, LONGEST)) * 1000))
        return reader.log.end if found is None else reader.safe_start(min(found, reader.log.end))

    def timing(self, job: Job) -> Timing:
        """When the job printed what; look at the log before its timing, or it has bytes without a time."""
        return Timing(self.folder(job.spec.job_id) / "timing")

    def job_clock(self, job: Job) -> float:
        """Now, in seconds of the monotonic clock of the boot in which the job was started."""
        if not isinstance(job, EndedJob):
            return time.monotonic()
        ran = job.end.duration if job.end.duration is not None else job.end.ended - job.spec.started
        return (job.spec.started_monotonic or 0.0) + max(0.0, ran) + self.store.age(job)


def only_one(given: str, candidates: Sequence[Job]) -> Job | None:
    """The job that `given` means: the only candidate, or the only one that runs; None where there is none.

    Raises InvalidInput that lists the jobs it could mean.
    """
    running = [job for job in candidates if not isinstance(job, EndedJob)]
    if len(candidates) > 1 and len(running) == 1:
        return running[0]
    if len(candidates) <= 1:
        return candidates[0] if candidates else None
    shown = [f"{job.spec.job_id} {job.spec.name} ({status_of(job)})" for job in candidates[:CANDIDATES]]
    more = f" and {len(candidates) - CANDIDATES} more" if len(candidates) > CANDIDATES else ""
    raise InvalidInput(f"{given!r} could be any of {len(candidates)} jobs: {', '.join(shown)}{more}", "Give the job_id")


def start_order(job: Job) -> tuple[bool, float]:
    """Sorts jobs by their start: within one run of the machine by a clock that nobody can set."""
    spec = job.spec
    if spec.boot and spec.boot == boot_id() and spec.started_monotonic is not None:
        return True, spec.started_monotonic
    return False, spec.started
