"""Job folders: the only memory that the program has.

    <state>/<session>/lock                 held while jobs are counted and one is added
    <state>/<session>/.server-…            a FIFO that a server holds open with which its jobs end
    <state>/<session>/<job_id>/job.json    what was asked for
                               command     the command, byte for byte
                               environment gone as soon as the runner has read it
                               launch      what the runner and the log writer need to know
                               window.json the window, and the process that it was opened with
                               runner.lock held by the runner for as long as it lives
                               control     a FIFO that wakes the runner
                               kill        a request to end the job: a signal number
                               killer      who made it
                               run.json    processes and terminal
                               log/        what it printed
                               timing/     when it printed what
                               sizes       how large its terminal was when, if not 50 rows of 200 columns
                               holder      a person has the keys
                               declined    the last one whom an agent asked said no
                               notified/   events that the person's command was run for (notices.py)
                               answer-*    to a question of its task: not what it is, but that there is one
                               result.json what its task was told to have ended with while it ran
                               exit.json   how it ended

Promises: a folder appears whole or not at all; a record, once an end is in it, never changes; a job whose runner is
gone without a record is given one by whoever looks first.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from mcp_background_job.errors import JobNotFound, StoreError, TooManyJobs
from mcp_background_job.supervisor.jobdir import RECORD_SIZE
from mcp_background_job.supervisor.locks import is_held, try_lock
from mcp_background_job.supervisor.process_tree import read_process

from .clock import loss, notice_clock, pid_namespace, seconds_since_end
from .files import join_pairs, open_lock, write_new, write_whole
from .folder import HALF_MADE, SessionFolder, locked_folder
from .log import Log
from .models import (
    End,
    EndedJob,
    Job,
    Launch,
    LiveJob,
    Run,
    RunningJob,
    Spec,
    StartingJob,
    Window,
    summary_of,
)
from .records import END, RUN, SPEC, WINDOW, find_record, read_record, to_record

START_GRACE = 15.0  # seconds a loaded machine may take from the folder to the runner's lock


class JobStore(SessionFolder):
    """The jobs of one session."""

    def __init__(self, state_dir: Path, session: str, on_loss: Callable[[str], object] = lambda job_id: None) -> None:
        super().__init__(state_dir, session)
        self.on_loss = on_loss  # called with the id of a job whose runner was found gone, once its record says so
        self._specs: dict[str, Spec] = {}
        self._runs: dict[str, Run] = {}
        self._ended: dict[str, EndedJob] = {}
        self._over: set[str] = set()  # jobs that were seen to have an exit record

    def log(self, job_id: str) -> Log:
        """What the job printed."""
        return Log(self.folder / job_id / "log")

    # -- making and removing --------------------------------------------------------------------------------

    def create(self, spec: Spec, command: bytes, environment: Mapping[str, str], launch: Launch, limit: int) -> Path:
        """Make the job's folder, unless `limit` jobs are running already.

        Raises TooManyJobs or StoreError; then nothing is left behind.
        """
        self.open()
        half_made = self.folder / (HALF_MADE + spec.job_id)
        final = self.folder / spec.job_id
        try:
            half_made.mkdir(mode=0o700)
            with locked_folder(half_made):
                (half_made / "log").mkdir(mode=0o700)
                write_new(half_made / "job.json", to_record(SPEC, spec))
                write_new(half_made / "command", command)
                write_new(half_made / "environment", join_pairs(environment))
                write_new(half_made / "launch", join_pairs(launch.pairs()))
                for name in ("run.tmp", "exit.tmp"):  # room for what the runner writes, should the disk be full by then
                    write_new(half_made / name, b" " * RECORD_SIZE)
                os.mkfifo(half_made / "control", 0o600)
                with self.lock():
                    running = self.running()
                    if len(running) >= limit:
                        raise TooManyJobs([f"{job.spec.job_id} {job.spec.name}" for job in running], limit)
                    half_made.rename(final)
        except OSError as error:
            shutil.rmtree(half_made, ignore_errors=True)
            raise StoreError(f"The job can't be recorded: {error.strerror}") from error
        except BaseException:
            shutil.rmtree(half_made, ignore_errors=True)
            raise
        self._specs[spec.job_id] = spec
        return final

    def discard(self, job_id: str) -> None:
        """Remove a job's folder and all that was known of it."""
        for cache in (self._specs, self._runs, self._ended):
            cache.pop(job_id, None)
        doomed = self.folder / f"{HALF_MADE}{job_id}-gone"
        with suppress(OSError):
            (self.folder / job_id).rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)

    def running(self) -> list[LiveJob]:
        """The jobs that run now, whichever server started them."""
        ids = set(self.ids())
        self._over &= ids
        found: list[LiveJob] = []
        # A thousand ended jobs that are still kept must not cost every start a look at their records.
        for job_id in ids - self._over:
            if (self.folder / job_id / "exit.json").exists():
                self._over.add(job_id)
                continue
            with suppress(JobNotFound, StoreError):
                job = self.load(job_id)
                if isinstance(job, LiveJob):
                    found.append(job)
        return found

    # -- reading --------------------------------------------------------------------------------------------

    def load(self, job_id: str) -> Job:
        """The job's present state, from its files alone.

        Raises JobNotFound, or StoreError where its record can't be read.
        """
        path = self.path(job_id)
        return self._ended.get(job_id) or self._look(path)

    def load_all(self) -> tuple[list[Job], list[str]]:
        """Every job, and the ids of those whose record can't be read.

        One look at the folder tells which are there: a look for each took 16 ms of a list of 1,000.

        Raises StoreError as `check`.
        """
        ids = self.ids()
        for cache in (self._specs, self._runs, self._ended):
            for gone in cache.keys() - set(ids):  # another server has removed it
                cache.pop(gone, None)
        jobs: list[Job] = []
        unreadable: list[str] = []
        for job_id in ids:
            ended = self._ended.get(job_id)
            try:
                jobs.append(ended or self._look(self.folder / job_id))
            except JobNotFound:
                continue
            except StoreError:
                unreadable.append(job_id)
        return jobs, unreadable

    def _look(self, path: Path) -> Job:
        """The job in `path`, which has not been seen ended yet."""
        spec = self._spec(path)
        end = self._end(path)
        if end is None:
            if runner_lives(path):
                return self._live(path, spec)
            window = self.window(path.name)
            if is_starting(path, spec, window):
                return StartingJob(spec, window)
            # It may have ended between the two looks.
            end = self._end(path) or self._record_loss(path, spec)
        if end is None:
            return self._live(path, spec)
        job = EndedJob(spec, self._run(path), end)
        self._ended[path.name] = job
        for cache in (self._specs, self._runs):
            cache.pop(path.name, None)
        return job

    def is_supervised(self, job_id: str) -> bool:
        """Whether the job's runner lives: what can be told of a job without reading its record."""
        return runner_lives(self.folder / job_id)

    def _live(self, path: Path, spec: Spec) -> LiveJob:
        """A job whose runner lives."""
        run = self._run(path)
        return StartingJob(spec, self.window(path.name)) if run is None else RunningJob(spec, run)

    def _spec(self, path: Path) -> Spec:
        spec = self._specs.get(path.name)
        if spec is None:
            try:
                spec = read_record(f"{path}/job.json", SPEC)
            except FileNotFoundError:
                if path.exists():
                    raise StoreError(f"{str(path)!r} is no job's folder: it has no job.json") from None
                raise JobNotFound(path.name) from None
            if spec.job_id != path.name:
                raise StoreError(f"{str(path)!r} is a copy of job {spec.job_id!r}")
            if not spec.summary:
                with suppress(OSError):
                    spec = replace(spec, summary=summary_of(self.command(path.name)))
            self._specs[path.name] = spec
        return spec

    def _run(self, path: Path) -> Run | None:
        run = self._runs.get(path.name) or find_record(f"{path}/run.json", RUN)
        if run is not None:
            self._runs[path.name] = run
        return run

    def _end(self, path: Path) -> End | None:
        try:
            return read_record(f"{path}/exit.json", END)
        except FileNotFoundError:
            return None

    def note_window(self, job_id: str, pane: str, runner: int) -> None:
        """Write down which process is to become the job's runner, so that readers need not ask tmux."""
        visible = read_process(runner) is not None
        window = Window(pane=pane, runner=runner if visible else 0, namespace=pid_namespace())
        with suppress(OSError):  # a full disk: the start's grace has to do, or the job has been removed already
            write_new(self.folder / job_id / "window.json", to_record(WINDOW, window))

    def window(self, job_id: str) -> Window | None:
        """The window that was opened for a job, as far as that was written down."""
        return find_record(f"{self.folder}/{job_id}/window.json", WINDOW)

    def age(self, job: EndedJob) -> float:
        """Seconds since the job ended."""
        return seconds_since_end(job, self.folder / job.spec.job_id)

    def notice_clock(self, job: EndedJob) -> None:
        """Have the age of a record from the future begin now."""
        notice_clock(job, self.folder / job.spec.job_id)

    def _record_loss(self, path: Path, spec: Spec) -> End | None:
        """Give a job without a runner its exit record, unless somebody else just does; None where it lives.

        Raises JobNotFound where it is gone altogether.
        """
        try:
            fd = open_lock(path / "runner.lock")
        except FileNotFoundError:
            raise JobNotFound(path.name) from None  # another server has just removed it
        try:
            if not try_lock(fd):
                return None
            end = self._end(path)
            if end is None:
                end = loss(path, spec)
                with suppress(OSError):
                    (path / "environment").unlink(missing_ok=True)
                    write_whole(path / "exit.json", to_record(END, end))
                self.on_loss(path.name)
            return end
        finally:
            os.close(fd)

    def command(self, job_id: str) -> str:
        """The command, verbatim."""
        return (self.path(job_id) / "command").read_bytes().decode(errors="surrogateescape")


def runner_lives(folder: Path) -> bool:
    """Whether a job's runner holds its lock.

    Raises StoreError where that can't be told.
    """
    path = f"{folder}/runner.lock"
    try:
        return is_held(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StoreError(f"{path!r} can't be read: {error.strerror}") from error


def is_starting(folder: Path, spec: Spec, window: Window | None) -> bool:
    """Whether the runner may still be on its way: its lock appears held, so there is none yet."""
    # In this order: a runner that has ended by the second look had its lock by then, if it ever came so far.
    if not 0 <= spec.age < START_GRACE or (window is not None and process_has_ended(window)):
        return False
    return not (folder / "runner.lock").exists()


def process_has_ended(window: Window) -> bool:
    """Whether the process that was to become the runner has; a pid that was given away again counts as it."""
    if not window.runner or not window.namespace or window.namespace != pid_namespace():
        return False
    process = read_process(window.runner)
    return process is None or process.has_ended
