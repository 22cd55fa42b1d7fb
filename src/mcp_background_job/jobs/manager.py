"""JobManager: the verbs. What it knows lies in job folders and in tmux, so any number of them see the same jobs.

Reads touch files only. Every wait is bounded, and a cancelled caller leaves nothing behind.
"""

from __future__ import annotations

import math
import os
import shutil
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from mcp_background_job.config import JOB_VARIABLE, BackgroundJobConfig
from mcp_background_job.errors import HumanHolds, InvalidInput, JobError, JobNotFound, JobNotRunning, NotAllowed
from mcp_background_job.output.grep import compile_pattern
from mcp_background_job.output.pages import DEFAULT_CHARS, WAIT_CHARS, WAIT_ENDS, Page, Reader
from mcp_background_job.process.orphans import end_orphans, resume
from mcp_background_job.store.jobstore import JobStore, boot_id
from mcp_background_job.store.log import looking_again
from mcp_background_job.store.models import (
    EndedJob,
    Hold,
    Job,
    RunningJob,
    Spec,
    new_nonce,
    signal_name,
    status_of,
    summary_of,
)
from mcp_background_job.tmux.client import COLUMNS, ROWS, Screen, Tmux, pipe_command

from .presence import Absence, absence
from .typing import type_into
from .waiting import Outcome, Watch, wait_for, write_mark

if TYPE_CHECKING:
    from mcp_background_job.store.timing import Timing

# -I and -S: nothing of the person's Python set-up, and a start of 15 ms.
INSIDE = (sys.executable, "-I", "-S", str(Path(__file__).parents[1] / "supervisor" / "entrypoint.py"))
GRACE = 5.0  # seconds between the signal and KILL
KILL_LIMIT = GRACE + 15.0  # seconds until an unanswered kill is an error
ALONE = 1.0  # seconds for which nobody has to be asked again whether somebody has attached
START_PATIENCE = 1.0  # seconds that a status waits for a job which is just being started
STOPPED = 0.5  # seconds without an answer to a kill after which the runner may have been stopped
MAX_COMMAND = 1_000_000  # bytes
MAX_WAIT = 50.0  # seconds: clients built on the TypeScript SDK give up a call after 60
TYPING_PAUSE = 3.0  # seconds without a key of a person after which an agent may type
OURS = ("@mcp_job_id", "@mcp_state", "@mcp_status", "@mcp_holder", "@mcp_message")  # what makes a pane a job's
NOT_ENDING = {"STOP", "TSTP", "TTIN", "TTOU", "CONT", "CHLD", "URG", "WINCH"}
NOT_INHERITED = {"MCP_BG_HTTP_TOKEN", "COLUMNS", "LINES", "TERM", "TERMCAP", "STY"}
PLAIN = {"PAGER": "cat", "GIT_PAGER": "cat"}  # a pager would wait for a person


Progress = Callable[[float], Awaitable[None]]


@dataclass(frozen=True)
class Started:
    """A job that was started, and where to look at it."""

    job_id: str
    attach: str


@dataclass(frozen=True)
class Handoff:
    """A person who was asked for: their hold, how they get to the job, and how many are attached."""

    job: RunningJob
    hold: Hold
    attach: str
    watching: int


@dataclass(frozen=True)
class Listing:
    """Jobs, newest first, and the folders whose record can't be read."""

    jobs: list[Job]
    unreadable: list[str]


class JobManager:
    """All that agents and people can ask for."""

    def __init__(self, config: BackgroundJobConfig) -> None:
        self.config = config
        self.store = JobStore(config.state_dir, config.session_name, end_orphans)
        self.tmux = Tmux(config, self.store.folder)
        self._alone = -math.inf  # when last nobody was attached

    # -- starting -------------------------------------------------------------------------------------------

    def start(
        self,
        command: str,
        name: str = "",
        cwd: str = "",
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        separate_stderr: bool = False,
        client: str = "",
    ) -> Started:
        """Start `command` in a window of its own.

        Raises InvalidInput, NotAllowed, TooManyJobs, StoreError or TmuxError; then no trace of it is left.
        """
        data = self.check(command, env)
        folder = self.working_folder(cwd)
        tmux = self.tmux.binary()
        self.store.open()
        job_id = self.store.new_id()
        spec = Spec(
            job_id=job_id,
            name=clean_name(name) or clean_name(command)[:40],
            summary=summary_of(command),
            cwd=folder,
            started=time.time(),
            started_monotonic=time.monotonic(),
            boot=boot_id(),
            timeout=timeout if timeout is not None else self.config.default_job_timeout,
            separate_stderr=separate_stderr,
            nonce=new_nonce(),
            socket=str(self.tmux.socket_path()),
            client=client,
        )
        job_folder = self.store.folder / job_id
        pipe = pipe_command([*INSIDE, "logwriter", str(job_folder)])
        launch = {
            "cwd": folder,
            "shell": job_shell(),
            "timeout": "" if spec.timeout is None else str(spec.timeout),
            "grace": str(GRACE),
            "umask": f"{current_umask():o}",
            "rows": str(ROWS),
            "columns": str(COLUMNS),
            "separate_stderr": "1" if separate_stderr else "0",
            "nonce": spec.nonce,
            "log_limit": str(self.config.max_output_size_bytes),
            "tmux": tmux,
            "pipe": pipe,
        }
        environment = job_environment(env or {}, job_id)
        self.store.create(spec, data, environment, launch, self.config.max_concurrent_jobs)
        try:
            argv = [*INSIDE, "runner", str(job_folder)]
            window = self.tmux.open_window(job_id, spec.name, argv, pipe)
        except BaseException:
            self.store.discard(job_id)
            raise
        self.store.note_window(job_id, window.pane, window.pid)
        return Started(job_id, self.tmux.attach_command(window.pane))

    def check(self, command: str, env: Mapping[str, str] | None) -> bytes:
        """The command's bytes, if it may run.

        Raises InvalidInput or NotAllowed.
        """
        try:
            data = command.encode()
        except UnicodeEncodeError:
            raise InvalidInput("The command is not valid Unicode", "Send it as plain text") from None
        if not command.strip():
            raise InvalidInput("The command is empty", "Give the shell command to run")
        if "\0" in command:
            raise InvalidInput("The command has a NUL character", "Remove it: no shell can read one")
        if len(data) > MAX_COMMAND:
            raise InvalidInput(
                f"The command has {len(data)} bytes, at most {MAX_COMMAND} are taken",
                "Write it to a file and run that",
            )
        patterns = self.config.allowed_command_patterns
        if patterns:
            from .allowlist import check_command

            check_command(command, patterns)
            if env:
                # PATH, LD_PRELOAD or BASH_ENV would let an allowed name run anything.
                raise NotAllowed("env can't be set", [pattern.pattern for pattern in patterns])
        for key, value in (env or {}).items():
            if not key or "=" in key or "\0" in key + value:
                raise InvalidInput(f"env has the name {key[:40]!r}", "Use names without = and text without NUL")
        return data

    def check_pattern(self, pattern: str, wait: float) -> None:
        """Raises InvalidInput for a pattern that can't be waited for, before anything is started."""
        if pattern and wait <= 0:
            raise InvalidInput("A pattern is given, but no wait to look for it in", "Give wait its seconds too")
        if pattern:
            compile_pattern(pattern)

    def working_folder(self, cwd: str) -> str:
        """The absolute folder to run in.

        Raises InvalidInput where it can't be entered.
        """
        base = self.config.working_directory or Path.cwd()
        if "\0" in cwd:
            raise InvalidInput("cwd has a NUL character", "Give an existing folder")
        folder = base / Path(cwd).expanduser()
        if not folder.is_dir() or not os.access(folder, os.X_OK):
            raise InvalidInput(f"cwd {cwd[:200]!r} is no folder that can be entered", "Give an existing folder")
        return str(folder)

    # -- reading --------------------------------------------------------------------------------------------

    def job(self, job_id: str) -> Job:
        """Raises JobNotFound or StoreError."""
        return self.store.load(job_id)

    async def started(self, job_id: str) -> Job:
        """The job once its command has been started, which takes some milliseconds after `start`."""
        job = self.job(job_id)
        if isinstance(job, RunningJob) and job.run is None:
            await Watch(self, [job_id]).until_started(START_PATIENCE)
            job = self.job(job_id)
        return job

    def command(self, job_id: str) -> str:
        return self.store.command(job_id)

    def attach_command(self, job: Job) -> str:
        """What a person types to see this job's window."""
        if job.run is not None:
            return self.tmux.attach_command(job.run.pane)
        window = self.store.window(job.spec.job_id)
        return self.tmux.attach_command(window.pane if window else "")

    def jobs(self, include_all: bool) -> Listing:
        """Running jobs and those whose window is still open, or all that are recorded."""
        found, unreadable = self.store.load_all()
        longest = self.config.cleanup_interval_seconds
        jobs = [job for job in found if include_all or isinstance(job, RunningJob) or self.store.age(job) < longest]
        jobs.sort(key=order_of, reverse=True)
        return Listing(jobs, sorted({*unreadable, *self.store.foreign()}))

    def reader(self, job: Job) -> Reader:
        return Reader(self.store.log(job.spec.job_id), job.spec.nonce, job.spec.separate_stderr)

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
        reader = self.reader(job)
        if since_seconds is not None:
            if since is not None:
                raise InvalidInput("since and since_seconds are both given", "Leave one of them out")
            start = self.printed_since(job, reader, since_seconds)
            return reader.grep(grep, context, max_chars, start) if grep else reader.between(start, max_chars)
        if since is not None and since > reader.log.end:
            raise InvalidInput(
                f"since={since} is beyond the output's end at {reader.log.end}", "Use the cursor of an earlier answer"
            )
        if grep:
            return reader.grep(grep, context, max_chars, since or 0)
        return reader.whole(max_chars) if since is None else reader.page(since, max_chars)

    def printed_since(self, job: Job, reader: Reader, seconds: float) -> int:
        """The cursor of what the job printed in the last `seconds`.

        Raises InvalidInput where nobody knows when it was printed.
        """
        timing = self.timing(job)
        if timing.first is None and reader.log.end:
            raise InvalidInput(
                f"When job {job.spec.job_id!r} printed what is not known: its log has no timing",
                "Call tail, or output without since_seconds",
            )
        found = timing.since(int((self.job_clock(job) - seconds) * 1000))
        return reader.log.end if found is None else reader.safe_start(min(found, reader.log.end))

    def timing(self, job: Job) -> Timing:
        """When the job printed what; a log is to be looked at before its timing is, or it has bytes that have none."""
        from mcp_background_job.store.timing import Timing

        return Timing(self.store.folder / job.spec.job_id / "timing")

    def job_clock(self, job: Job) -> float:
        """Now, on the monotonic clock that the job's times are of; the machine may have been started again since."""
        if not isinstance(job, EndedJob):
            return time.monotonic()
        ran = job.end.duration if job.end.duration is not None else job.end.ended - job.spec.started
        return (job.spec.started_monotonic or 0.0) + max(0.0, ran) + self.store.age(job)

    @looking_again
    def tail(self, job: Job, lines: int) -> Page:
        return self.reader(job).tail(lines)

    def log_folder(self, job: Job) -> Path:
        return self.store.folder / job.spec.job_id / "log"

    def awaiting(self, job: Job) -> str | None:
        """What kind of input the job waits for right now."""
        if isinstance(job, EndedJob) or job.run is None:
            return None
        from mcp_background_job.process.input_state import awaiting_input

        return awaiting_input(job.run.tty, job.run.pid)

    # -- acting ---------------------------------------------------------------------------------------------

    async def kill(self, job_id: str, signal_text: str = "TERM") -> str:
        """End the job and everything it started; returns once nothing is left.

        `killed`, `already_terminated` or `not_found`. Raises InvalidInput for a signal that ends nothing, HumanHolds.
        """
        signum = signal_number(signal_text)
        try:
            job = self.job(job_id)
        except JobNotFound:
            return "not_found"
        if isinstance(job, EndedJob):
            return "already_terminated"
        await self.check_keys(job)
        noted = self.store.request_kill(job_id, signum)
        begun = time.monotonic()
        deadline = begun + KILL_LIMIT
        pause = 0.002
        while time.monotonic() < deadline:
            job = self.job(job_id)
            if isinstance(job, EndedJob):
                # Where the disk takes no record, nobody will know why it ended.
                by_us = job.end.cause == "kill" or (job.end.cause == "lost" and not noted)
                return "killed" if by_us else "already_terminated"
            if job.run is not None and time.monotonic() - begun > STOPPED:
                resume(
                    self.store.folder / job_id, job.run.runner, job.run.tty
                )  # someone has stopped it; it ends the job as soon as it can
            await anyio.sleep(pause)
            pause = min(pause * 1.5, 0.05)
        raise JobError(
            f"Job {job_id!r} has not ended {KILL_LIMIT:.0f} seconds after the signal. "
            "Call status to see it, or kill it again with signal=KILL."
        )

    async def interact(
        self,
        job_id: str,
        text: str,
        keys: Sequence[str] = (),
        enter: bool = True,
        timeout: float = 10.0,
        pattern: str = "",
        who: str = "",
        progress: Progress | None = None,
        person: bool = False,
    ) -> Outcome:
        """Type into the job and wait for its answer; a `person` may do so whoever has the keys.

        Raises JobNotFound, JobNotRunning, HumanHolds, InvalidInput or TmuxError; then nothing was sent.
        """
        self.running(job_id)
        watch = Watch(self, [job_id], pattern=pattern, person=person)
        await watch.until_started(min(timeout, 5.0))
        job = self.running(job_id)
        if not person:
            await self.check_keys(job)
        begun = time.monotonic()
        if (text or keys) and not person and not await self.pause_of_person(job_id, timeout):
            return watch.outcome(watch.jobs[0], "human")
        watch.before_typing(text)
        folder = self.store.folder / job_id
        await anyio.to_thread.run_sync(type_into, self.tmux, folder, job, text, list(keys), enter, who)
        watch.after_typing()
        left = max(0.0, min(timeout, MAX_WAIT) - (time.monotonic() - begun))
        return await wait_for(watch, "answer", left, progress)

    async def wait(
        self,
        job_ids: Sequence[str],
        until: str = "exit",
        timeout: float = 30.0,
        pattern: str = "",
        since: int | None = None,
        progress: Progress | None = None,
    ) -> Outcome:
        """Until one of the jobs has ended, or `until` or `pattern` holds for one of them.

        Raises JobNotFound or InvalidInput.
        """
        watch = Watch(self, job_ids, pattern, since, WAIT_CHARS, WAIT_ENDS)
        return await wait_for(watch, until, min(timeout, MAX_WAIT), progress)

    # -- people ---------------------------------------------------------------------------------------------

    def hold(self, job: Job) -> Hold | None:
        """The hold of a person on a running job."""
        return self.store.hold(job.spec.job_id) if isinstance(job, RunningJob) else None

    def absence(self, job: Job) -> Absence | None:
        """What there is to tell of the person who holds the job: nobody is attached, or silent for long."""
        hold = self.hold(job)
        return None if hold is None or job.run is None else absence(self.tmux, hold, job.run.socket)

    def take(self, job_id: str, message: str = "") -> Hold:
        """Give the keys of a running job to a person.

        Raises JobNotFound or JobNotRunning.
        """
        job = self.running(job_id)
        hold = Hold(since=time.time(), message=message)
        self.store.set_hold(job_id, hold)
        if job.run is not None:
            self.tmux.mark(job.run.pane, {"@mcp_holder": "human", "@mcp_message": message}, job.run.socket)
        return hold

    def give(self, job_id: str, declined: bool = False) -> None:
        """Hand the keys back to the agents; `declined` where the person doesn't do what they were asked for.

        Raises JobNotFound.
        """
        job = self.job(job_id)
        self.store.set_hold(job_id, None, declined)
        if job.run is not None:
            self.tmux.mark(job.run.pane, {"@mcp_holder": "", "@mcp_message": ""}, job.run.socket)

    def handoff(self, job_id: str, message: str) -> Handoff:
        """Ask a person to go on with a job: they get the keys, a bell and the message.

        Raises JobNotFound, JobNotRunning or InvalidInput.
        """
        if not message.strip():
            raise InvalidInput("The message is empty", "Say in one sentence what the person should do")
        text = clean_name(message, 500)
        hold = self.take(job_id, text)
        job = self.running(job_id)
        watching = 0
        if job.run is not None:
            write_mark(job.run.tty, b"\a")
            self.tmux.tell(f"{job.spec.name}: {text}", job.run.socket)
            watching = self.watching(job)
        return Handoff(job, hold, self.attach_command(job), watching)

    def watching(self, job: Job) -> int:
        """How many people are attached to the session of jobs."""
        if job.run is None:
            return 0
        session = self.config.session_name
        return sum(session in (person.session, person.group) for person in self.tmux.people(job.run.socket))

    def typed_ago(self, job: RunningJob) -> float:
        """Seconds since a person who looks at the job's window pressed a key."""
        if job.run is None:
            return math.inf
        if time.monotonic() - self._alone < ALONE:
            return math.inf
        people = self.tmux.people(job.run.socket)
        if not people:
            self._alone = time.monotonic()
        active = (p.active for p in people if p.may_type and p.pane == job.run.pane)
        ago = time.time() - max(active, default=-math.inf)
        # A key from the future: the clock was set back since, and nobody knows when that key was.
        return math.inf if ago < -1 else max(0.0, ago)

    async def check_keys(self, job: Job) -> None:
        """Raises HumanHolds while a person has the keys."""
        if self.hold(job) is not None:
            away = await anyio.to_thread.run_sync(self.absence, job)
            raise HumanHolds(job.spec.job_id, str(away or ""))

    async def pause_of_person(self, job_id: str, seconds: float) -> bool:
        """Wait for a pause of somebody who types into the job's window; False where there is none in time."""
        deadline = time.monotonic() + seconds
        while True:
            ago = await anyio.to_thread.run_sync(self.typed_ago, self.running(job_id))
            if ago >= TYPING_PAUSE:
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            await anyio.sleep(min(TYPING_PAUSE - ago + 0.05, left))

    # -- the window -----------------------------------------------------------------------------------------

    def screen(self, job_id: str) -> Screen:
        """What a person sees in the job's window; an ended one's while it is open.

        Raises JobNotFound, InvalidInput or TmuxError.
        """
        job = self.job(job_id)
        if job.run is None or not self.pane_is_open(job):
            raise InvalidInput(f"Job {job_id!r} has no window", "Call output to read what it printed")
        return self.tmux.screen(job.run.pane, job.run.socket)

    def pane_is_open(self, job: Job) -> bool:
        if job.run is None:
            return False
        panes = self.tmux.panes(job.run.socket)
        return any(
            pane.pane == job.run.pane and pane.job_id == job.spec.job_id and pane.pid in (0, job.run.runner)
            for pane in panes
        )

    def running(self, job_id: str) -> RunningJob:
        """Raises JobNotFound or JobNotRunning."""
        job = self.job(job_id)
        if isinstance(job, EndedJob):
            raise JobNotRunning(job_id, status_of(job))
        return job

    # -- tidying --------------------------------------------------------------------------------------------

    def sweep(self) -> None:
        """Close the windows and remove the records whose time has come, unless another server is at it."""
        if not self.store.folder.is_dir():
            return
        with self.store.sweeping() as alone:
            if alone:
                self.sweep_now()

    def sweep_now(self) -> None:
        self.store.remove_half_made()
        # Ours also where no record is left that names it.
        sockets = {str(self.tmux.socket_path())}
        ended: dict[str, EndedJob] = {}
        for job in self.store.load_all()[0]:
            if isinstance(job, EndedJob):
                ended[job.spec.job_id] = job
            # A runner that was killed at once has not said where it is.
            sockets.add(job.run.socket if job.run is not None else job.spec.socket)
        ages = {job_id: self.store.age(job) for job_id, job in ended.items()}
        close_after = self.config.cleanup_interval_seconds
        due = {job_id: ended[job_id] for job_id, age in ages.items() if age > close_after}
        for socket in sockets:
            self.close_windows(socket, due)
        for job_id, age in ages.items():
            self.store.notice_clock(ended[job_id])
            if age > max(self.config.retention_seconds, close_after):
                self.store.discard(job_id)

    def close_windows(self, socket: str, due: Mapping[str, EndedJob]) -> None:
        """Close our panes on one tmux server: those of jobs that are due, and those whose record is gone."""
        if not Path(socket).exists() or shutil.which("tmux") is None:
            return
        doomed: list[str] = []
        for pane in self.tmux.panes(socket):
            if pane.state != str(self.store.folder):
                continue
            job = due.get(pane.job_id)
            if job is None:
                if not (self.store.folder / pane.job_id).is_dir():
                    doomed.append(pane.pane)
            elif pane.dead or job.run is None or pane.pid == job.run.runner:
                doomed.append(pane.pane)
            else:
                # What a person has respawned in it is theirs, also when no record tells so any more.
                self.tmux.mark(pane.pane, dict.fromkeys(OURS, ""), socket)
        self.tmux.close(doomed, socket)


def order_of(job: Job) -> tuple[bool, float]:
    """Sorts jobs by their start: within one run of the machine by a clock that nobody can set."""
    spec = job.spec
    if spec.boot and spec.boot == boot_id() and spec.started_monotonic is not None:
        return True, spec.started_monotonic
    return False, spec.started


def clean_name(text: str, longest: int = 80) -> str:
    """One line without control characters, of at most `longest` characters."""
    return "".join(char for char in " ".join(text.split()) if char.isprintable())[:longest]


def signal_number(text: str) -> int:
    """`TERM`, `SIGTERM` or `15` → 15.

    Raises InvalidInput for no signal, or one that ends nothing.
    """
    name = text.strip().upper().removeprefix("SIG")
    try:
        number = int(name) if name.isdigit() else int(signal.Signals[f"SIG{name}"])
        known = signal_name(signal.Signals(number))
    except (KeyError, ValueError):
        raise InvalidInput(f"{text[:40]!r} is no signal", "Use TERM, INT, HUP, QUIT or KILL") from None
    if known in NOT_ENDING:
        raise InvalidInput(
            f"Signal {known} does not end a job",
            "Use TERM, INT, HUP, QUIT or KILL; C-z and the like go by interact keys",
        )
    return number


def job_shell() -> str:
    """bash where there is one, else sh; never the person's own $SHELL."""
    return "/bin/bash" if Path("/bin/bash").exists() else shutil.which("bash") or "/bin/sh"


def job_environment(env: Mapping[str, str], job_id: str) -> dict[str, str]:
    """The server's own environment, what the terminal needs, and `env` over it."""
    own = {key: value for key, value in os.environ.items() if key not in NOT_INHERITED}
    return {**own, **PLAIN, JOB_VARIABLE: job_id, **env}


def current_umask() -> int:
    """This process's umask; reading it needs setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
