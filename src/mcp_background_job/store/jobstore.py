"""Job folders: the only memory that the program has.

    <state>/<session>/lock                 held while jobs are counted and one is added
    <state>/<session>/<job_id>/job.json    what was asked for
                               command     the command, byte for byte
                               environment gone as soon as the runner has read it
                               launch      what the runner and the log writer need to know
                               window.json the window, and the process that it was opened with
                               runner.lock held by the runner for as long as it lives
                               control     a FIFO that wakes the runner
                               kill        a request to end the job: a signal number
                               run.json    processes and terminal
                               log/        what it printed
                               timing/     when it printed what
                               holder      a person has the keys
                               declined    the last one whom an agent asked said no
                               exit.json   how it ended

Promises: a folder appears whole or not at all; a record, once an end is in it, never changes; a job whose runner is
gone without a record is given one by whoever looks first.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from pydantic import ValidationError

from mcp_background_job.errors import JobNotFound, StoreError, TooManyJobs
from mcp_background_job.supervisor.jobdir import RECORD_SIZE, uptime
from mcp_background_job.supervisor.process_tree import read_process

from .log import Log
from .models import (
    ADAPTERS,
    Cause,
    End,
    EndedJob,
    Hold,
    Job,
    RecordT,
    Run,
    RunningJob,
    Spec,
    Window,
    summary_of,
    to_record,
)

JOB_ID = re.compile(r"[a-z][a-z0-9]{5}")
ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # none that is misread
START_GRACE = 15.0  # seconds a loaded machine may take from the folder to the runner's lock
LOCK_PATIENCE = 10.0  # seconds; the lock is held for milliseconds, unless its holder is stopped
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
OURS = {"lock", "sweep.lock", "tmux.conf", "keys.conf"}  # files beside the job folders
HALF_MADE = ".new-"
HALF_MADE_AGE = 60.0  # seconds after which a folder in the making has lost its maker


class JobStore:
    """The jobs of one session."""

    def __init__(self, state_dir: Path, session: str, on_loss: Callable[[str], object] = lambda job_id: None) -> None:
        self.folder = state_dir / session
        self.on_loss = on_loss  # called with the id of a job whose runner was found gone, once its record says so
        self._specs: dict[str, Spec] = {}
        self._runs: dict[str, Run] = {}
        self._ended: dict[str, EndedJob] = {}
        self._over: set[str] = set()  # jobs that were seen to have an exit record

    # -- the folder -----------------------------------------------------------------------------------------

    def open(self) -> None:
        """Make the session's folder, for this user alone.

        Raises StoreError where it can't be made, or as `check`.
        """
        try:
            make_private(self.folder)
            self.check()
            if self.folder.stat().st_mode & 0o077:
                self.folder.chmod(0o700)
        except OSError as error:
            raise StoreError(f"The state folder {str(self.folder)!r} can't be made: {error.strerror}") from error

    def check(self) -> None:
        """Look at nothing that somebody else may have put there.

        Raises StoreError where a folder is a link, or another user owns it or may write to it.
        """
        for folder in (self.folder.parent, self.folder):
            try:
                facts = folder.lstat()
            except FileNotFoundError:
                return
            if not stat.S_ISDIR(facts.st_mode):
                raise StoreError(f"{str(folder)!r} is a link or no folder, so someone else may decide what it holds")
            if facts.st_uid != os.getuid():
                raise StoreError(f"{str(folder)!r} belongs to another user")
            if facts.st_mode & stat.S_IWOTH:
                raise StoreError(f"{str(folder)!r} can be written to by every user")

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep every other server of this session from adding a job.

        Raises StoreError after LOCK_PATIENCE.
        """
        fd = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            deadline = time.monotonic() + LOCK_PATIENCE
            while not try_lock(fd):
                if time.monotonic() > deadline:
                    raise StoreError("Another server has held the session's lock for too long")
                time.sleep(0.002)
            yield
        finally:
            os.close(fd)

    @contextmanager
    def sweeping(self) -> Iterator[bool]:
        """Whether this process is the one that tidies up now.

        Raises StoreError as `check`.
        """
        self.check()
        fd = os.open(self.folder / "sweep.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            yield try_lock(fd)
        finally:
            os.close(fd)

    def ids(self) -> list[str]:
        """Every job id there is; nothing else in the folder counts.

        Raises StoreError as `check`.
        """
        self.check()
        try:
            return [name for name in os.listdir(self.folder) if JOB_ID.fullmatch(name)]  # noqa: PTH208 - 5x faster
        except FileNotFoundError:
            return []

    def foreign(self) -> list[str]:
        """Names in the folder that are no job's, nor ours; those that begin with a dot are let be."""
        try:
            with os.scandir(self.folder) as entries:
                return [
                    entry.name
                    for entry in entries
                    if not (JOB_ID.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False))
                    and entry.name not in OURS
                    and not entry.name.startswith(".")
                ]
        except FileNotFoundError:
            return []

    def path(self, job_id: str) -> Path:
        """The folder of an existing job.

        Raises JobNotFound, also for anything that is no job id, or StoreError as `check`.
        """
        if not JOB_ID.fullmatch(job_id):
            raise JobNotFound(job_id)
        self.check()
        path = self.folder / job_id
        if not path.is_dir():
            raise JobNotFound(job_id)
        return path

    def log(self, job_id: str) -> Log:
        """What the job printed."""
        return Log(self.folder / job_id / "log")

    # -- making and removing --------------------------------------------------------------------------------

    def new_id(self) -> str:
        """An id that no job has."""
        while True:
            job_id = secrets.choice(ALPHABET[:22]) + "".join(secrets.choice(ALPHABET) for _ in range(5))
            if not (self.folder / job_id).exists():
                return job_id

    def create(
        self, spec: Spec, command: bytes, environment: Mapping[str, str], launch: Mapping[str, str], limit: int
    ) -> Path:
        """Make the job's folder, unless `limit` jobs are running already.

        Raises TooManyJobs or StoreError; then nothing is left behind.
        """
        self.open()
        half_made = self.folder / (HALF_MADE + spec.job_id)
        final = self.folder / spec.job_id
        try:
            half_made.mkdir(mode=0o700)
            (half_made / "log").mkdir(mode=0o700)
            write_private(half_made / "job.json", to_record(spec))
            write_private(half_made / "command", command)
            write_private(half_made / "environment", join_pairs(environment))
            write_private(half_made / "launch", join_pairs(launch))
            for name in ("run.tmp", "exit.tmp"):  # room for what the runner writes, should the disk be full by then
                write_private(half_made / name, b" " * RECORD_SIZE)
            os.mkfifo(half_made / "control", 0o600)
            with self.lock():
                running = self.count_running()
                if running >= limit:
                    raise TooManyJobs(running, limit)
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

    def remove_half_made(self) -> None:
        """Remove folders whose maker died while making or removing them."""
        for path in self.folder.glob(HALF_MADE + "*"):
            with suppress(OSError):
                # Also one from the future: the clock was set back since.
                if abs(time.time() - path.stat().st_mtime) > HALF_MADE_AGE:
                    shutil.rmtree(path, ignore_errors=True)

    def count_running(self) -> int:
        """How many jobs run now, whichever server started them."""
        ids = set(self.ids())
        self._over &= ids
        count = 0
        # A thousand ended jobs that are still kept must not cost every start a look at their records.
        for job_id in ids - self._over:
            if (self.folder / job_id / "exit.json").exists():
                self._over.add(job_id)
                continue
            with suppress(JobNotFound, StoreError):
                count += isinstance(self.load(job_id), RunningJob)
        return count

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
            if lock_is_held(f"{path}/runner.lock"):
                return RunningJob(spec, self._run(path))
            if self._starting(path, spec):
                return RunningJob(spec, None)
            # It may have ended between the two looks.
            end = self._end(path) or self._record_loss(path, spec)
        if end is None:
            return RunningJob(spec, self._run(path))
        job = EndedJob(spec, self._run(path), end)
        self._ended[path.name] = job
        for cache in (self._specs, self._runs):
            cache.pop(path.name, None)
        return job

    def is_supervised(self, job_id: str) -> bool:
        """Whether the job's runner lives: what can be told of a job without reading its record."""
        return lock_is_held(f"{self.folder}/{job_id}/runner.lock")

    def _spec(self, path: Path) -> Spec:
        spec = self._specs.get(path.name)
        if spec is None:
            try:
                spec = read_record(f"{path}/job.json", Spec)
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
        run = self._runs.get(path.name)
        if run is None:
            try:
                run = self._runs[path.name] = read_record(f"{path}/run.json", Run)
            except (FileNotFoundError, StoreError):
                return None
        return run

    def _end(self, path: Path) -> End | None:
        try:
            return read_record(f"{path}/exit.json", End)
        except FileNotFoundError:
            return None

    def _starting(self, path: Path, spec: Spec) -> bool:
        """Whether the runner may still be on its way: its lock appears held, so there is none yet."""
        # In this order: a runner that is gone by the second look had its lock by then, if it ever came so far.
        if not 0 <= spec.age < START_GRACE or self._runner_is_gone(path):
            return False
        return not (path / "runner.lock").exists()

    def note_window(self, job_id: str, pane: str, runner: int) -> None:
        """Write down which process is to become the job's runner, so that readers need not ask tmux."""
        visible = read_process(runner) is not None
        window = Window(pane=pane, runner=runner if visible else 0, namespace=pid_namespace())
        with suppress(OSError):  # a full disk: the start's grace has to do, or the job has been removed already
            write_private(self.folder / job_id / "window.json", to_record(window))

    def window(self, job_id: str) -> Window | None:
        """The window that was opened for a job, as far as that was written down."""
        try:
            return read_record(f"{self.folder}/{job_id}/window.json", Window)
        except (FileNotFoundError, StoreError):
            return None

    def _runner_is_gone(self, path: Path) -> bool:
        """Whether the process that was to become the runner has ended; a pid that was given away again counts as it."""
        window = self.window(path.name)
        if window is None or not window.runner or not window.namespace or window.namespace != pid_namespace():
            return False
        process = read_process(window.runner)
        return process is None or process[2] in "ZX"

    def age(self, job: EndedJob) -> float:
        """Seconds since the job ended: by the machine's uptime, or by its clock where it was started anew since.

        Nobody can set the one; where the other was ahead at the end, the time counts from when a sweep noticed.
        """
        if job.end.uptime is not None and job.spec.boot and job.spec.boot == boot_id():
            return uptime() - job.end.uptime
        now = time.time()
        if job.end.ended <= now:
            return now - job.end.ended
        with suppress(OSError):
            return max(0.0, now - (self.folder / job.spec.job_id / "exit.json").stat().st_mtime)
        return 0.0

    def notice_clock(self, job: EndedJob) -> None:
        """Have the age of a record from the future begin now."""
        with suppress(OSError):
            record = self.folder / job.spec.job_id / "exit.json"
            if min(job.end.ended, record.stat().st_mtime) > time.time():
                os.utime(record)

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
                    put(path / "exit.json", to_record(end))
                self.on_loss(path.name)
            return end
        finally:
            os.close(fd)

    def command(self, job_id: str) -> str:
        """The command, verbatim."""
        return (self.path(job_id) / "command").read_bytes().decode(errors="surrogateescape")

    # -- who has the keys -----------------------------------------------------------------------------------

    def hold(self, job_id: str) -> Hold | None:
        """The person's hold of a running job."""
        try:
            return read_record(f"{self.folder}/{job_id}/holder", Hold)
        except (FileNotFoundError, StoreError):
            return None

    def set_hold(self, job_id: str, hold: Hold | None, declined: bool = False) -> None:
        """Give the keys to a person, or back; `declined` where they don't do what they were asked for."""
        path = self.path(job_id)
        if declined:
            put(path / "declined", b"")
        else:
            (path / "declined").unlink(missing_ok=True)
        if hold is None:
            (path / "holder").unlink(missing_ok=True)
            return
        put(path / "holder", to_record(hold))

    def declined(self, job_id: str) -> bool:
        """Whether the person who was asked for last said no."""
        return (self.folder / job_id / "declined").exists()

    # -- asking the runner ----------------------------------------------------------------------------------

    def request_kill(self, job_id: str, signum: int) -> bool:
        """Write the request down, then wake the runner. No process id is involved, so none can be a wrong one.

        Whether it could be written down.
        """
        path = self.path(job_id)
        try:
            put(path / "kill", str(signum).encode())
        except OSError:
            # A disk that is full or can't be written to must not keep anybody from ending what fills it.
            self.wake(job_id, f"{signum}\n".encode())
            return False
        self.wake(job_id)
        return True

    def wake(self, job_id: str, words: bytes = b"\n") -> None:
        """Make the runner look at its requests; a runner that isn't there yet looks by itself."""
        with suppress(OSError):
            fd = os.open(self.folder / job_id / "control", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                os.write(fd, words)
            finally:
                os.close(fd)


def read_record(path: str, kind: type[RecordT]) -> RecordT:
    """One JSON record. (A list looks for two of each running job, and making a Path takes longer than finding none.)

    Raises FileNotFoundError, or StoreError that names the file where it holds something else.
    """
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC), "rb") as file:
            record: RecordT = ADAPTERS[kind].validate_json(file.read())
    except FileNotFoundError:
        raise
    except (ValidationError, OSError) as error:
        raise StoreError(f"{path!r} can't be read as a job's record") from error
    return record


def make_private(folder: Path) -> None:
    """Make a folder and those above it that are missing, each for this user alone; `parents=True` leaves that to the
    umask.
    """
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only this user can read."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)


def put(path: Path, data: bytes) -> None:
    """Write a file so that nobody ever sees a part of it, however many do so at once."""
    half_made = path.with_name(f"{path.name}.{os.urandom(4).hex()}")
    try:
        write_private(half_made, data)
        half_made.rename(path)
    except OSError:
        half_made.unlink(missing_ok=True)
        raise


def join_pairs(pairs: Mapping[str, str]) -> bytes:
    """NUL-separated `name=value` items, which the runner reads without a JSON parser."""
    return b"\0".join(os.fsencode(f"{name}={value}") for name, value in pairs.items())


def try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def open_lock(path: Path) -> int:
    """A descriptor of a lock file, for reading where the disk takes no writing."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def lock_is_held(path: str) -> bool:
    """Whether a living process holds the lock; a shared look at it disturbs nobody.

    Raises StoreError where that can't be told.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StoreError(f"{path!r} can't be read: {error.strerror}") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(fd)


@lru_cache(1)
def pid_namespace() -> int:
    """Which pid namespace this process lives in; 0 where that can't be told."""
    try:
        return Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return 0


@lru_cache(1)
def boot_id() -> str:
    """Which start of the machine this is; empty where that can't be told."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def loss(path: Path, spec: Spec) -> End:
    """The exit record of a job whose runner is gone: it ended when its files were last written to."""
    cause: Cause = "kill" if (path / "kill").exists() else "lost"
    ended = last_sign_of_life(path)
    duration, since = max(0.0, ended - spec.started), max(0.0, time.time() - ended)
    if not spec.boot or spec.boot != boot_id():
        return End(cause=cause, ended=ended, duration=duration)
    # The clock may have been set meanwhile; neither can have lasted longer than the job's whole time.
    whole = spec.age
    return End(cause=cause, ended=ended, uptime=uptime() - min(since, whole), duration=min(duration, whole))


def last_sign_of_life(path: Path) -> float:
    """When the job's files were last written to, in seconds since the epoch."""
    newest = 0.0
    for file in (path / "run.json", path / "job.json", *(path / "log").glob("*.log")):
        with suppress(OSError):
            newest = max(newest, file.stat().st_mtime)
    return newest
