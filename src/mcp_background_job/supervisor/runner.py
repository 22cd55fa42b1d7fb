"""The supervisor of one job, inside the job's own window.

tmux starts it as `python -I -S entrypoint.py runner JOB_DIR`, on the standard library alone. It holds `runner.lock` for
as long as it lives, starts the command as the terminal's foreground process group, waits, and leaves an exit record.

Promises: the record appears after the last byte of output is in the log; a kill, a timeout or a closed window
leaves no process of the job behind; why the job was ended is on disk before the first signal goes out; a folder
that has an exit record is never run again.
"""

import os
import resource
import select
import signal
import sys
import time

from mcp_background_job.system import MAXRSS_UNIT, SUBREAPER

from .command import size_terminal, start, take_environment
from .jobdir import quote, uptime, write_record, write_whole
from .launch import LaunchFile
from .lifeline import Lifeline
from .locks import hold_new, try_lock
from .log_guard import LogGuard
from .pane import Pane, shown_end
from .process_tree import become_subreaper, descendants, ignores, send

# The name alone: typing would cost each job memory, and stderr_pty is for those that keep stderr apart.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from .stderr_pty import StderrTerminal

LOCK_WAIT = 2.0  # seconds; a look at a lock that nobody holds lasts microseconds
KILL_PATIENCE = 5.0  # seconds after KILL before processes that can't be signalled (setuid) are given up
SERVER_END = "the end of its server"  # who has asked for a kill that nobody has
SHOW_WAIT = 1.0  # seconds for tmux to show the end, or to close a pipe


class Runner:
    """One run of one job folder."""

    def __init__(self, job: str) -> None:
        self.job = job
        self.cause = "exit"
        self.signal_number = 0  # what ends the tree, once a cause to end it is there
        self.exitcode: int | None = None  # the main process's exit code, or its signal as a negative number
        self.killer = ""  # who has ended it, where that was no request
        self.main = 0
        self.survivors: list[int] = []
        self.left = False  # processes that outlive the command
        self.stderr: StderrTerminal | None = None
        self.pane = Pane(os.path.basename(job))
        self.heard = b""  # from the control FIFO

    def path(self, name: str) -> str:
        return os.path.join(self.job, name)

    # -- start ----------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Run the job to its end; the exit status for tmux to show."""
        os.umask(0o077)
        if not os.path.isdir(self.job):
            # It was given up before tmux, which had been stopped, came to start it.
            self.pane.close()
            return self.refuse("This job was given up")  # the next tidying closes its window
        if not self.take_lock():
            return self.refuse("This job is running already")
        if os.path.exists(self.path("exit.json")) or not os.path.exists(self.path("environment")):
            return self.refuse("This job has ended and is not run again")
        self.launch = LaunchFile(self.job)
        self.lifeline = Lifeline(self.launch.lifeline)
        self.main = self.start()
        self.write_run()
        self.supervise()
        self.finish()
        return self.exit_status()

    def take_lock(self) -> bool:
        """Hold runner.lock until this process is gone, also one that another runner, or its finder, has left."""
        path = self.path("runner.lock")
        return hold_new(path) >= 0 or try_lock(os.open(path, os.O_RDWR), LOCK_WAIT)

    def refuse(self, why: str) -> int:
        print(f"{why}.")
        return 1

    def prepare_signals(self) -> None:
        """Ignore what the keyboard sends, and be woken by the rest through a pipe."""
        for ignored in (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU):
            signal.signal(ignored, signal.SIG_IGN)
        self.wakeup, write_end = os.pipe()
        for fd in (self.wakeup, write_end):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGHUP, lambda *_: self.end_by("window_closed", signal.SIGHUP))
        signal.signal(signal.SIGTERM, lambda *_: self.end_by("outside", signal.SIGTERM))
        # Opened for both ways, or every sender's leaving would read as an end of file.
        self.control = os.open(self.path("control"), os.O_RDWR | os.O_NONBLOCK)

    def start(self) -> int:
        """Start the command, with a terminal of its own for stderr where that is kept apart; its pid."""
        environment = take_environment(self.job)
        self.prepare_signals()
        become_subreaper()
        size_terminal(self.launch.rows, self.launch.columns)
        if self.launch.separate_stderr:
            from .stderr_pty import StderrTerminal

            self.stderr = StderrTerminal(self.launch.nonce)
        self.started = time.monotonic()
        self.log = LogGuard(self.job, self.launch, self.pane)
        return start(self.job, self.launch, environment, self.stderr)

    def write_run(self) -> None:
        """Say which processes and which terminal this is."""
        text = (
            f'{{"runner": {os.getpid()}, "pid": {self.main}, "tty": {quote(os.ttyname(0))}, '
            f'"pane": {quote(self.pane.id)}, "socket": {quote(self.pane.socket)}, "server": {self.pane.tmux_server}}}\n'
        )
        try:
            write_whole(self.path("run.json"), self.path("run.tmp"), text.encode())
        except OSError:
            pass  # a full disk: the job runs all the same, its pid is not known

    # -- while it runs --------------------------------------------------------------------------------------

    def supervise(self) -> None:
        """Wait for the main process; end the tree once there is a cause to."""
        while True:
            self.reap()
            if self.exitcode is not None and self.cause == "exit":
                self.left = self.hang_up_stragglers()
                return
            request = self.requested()
            if request:
                self.end_by("kill", request)
            elif self.lifeline.broken and not os.path.exists(self.path("holder")):
                self.killer = SERVER_END
                self.end_by("kill", signal.SIGTERM)
            left = self.started + self.launch.timeout - time.monotonic()
            if left <= 0:
                self.end_by("timeout", signal.SIGTERM)
            if self.cause != "exit":
                if self.pane.closed:
                    # tmux keeps the pipe of a pane that a person respawns: theirs is not for the job's log.
                    self.pane.pipe_to(self.launch.tmux, patience=SHOW_WAIT)
                self.take_down(self.signal_number)
                if self.cause == "outside":
                    self.cause = "exit"  # nobody asked here: a signal has ended it
                return
            self.log.look()
            self.sleep(min(left, self.log.interval))

    def sleep(self, seconds: float) -> None:
        """Until a signal, a request, stderr, or `seconds` have passed."""
        waiting = select.poll()
        for fd in (self.wakeup, self.control):
            waiting.register(fd, select.POLLIN)
        if self.stderr is not None:
            waiting.register(self.stderr.master, select.POLLIN)
        for fd in (self.log.writer, self.lifeline.fd):
            if fd >= 0:
                waiting.register(fd, select.POLLIN)
        for fd, _ in waiting.poll(max(0.0, seconds) * 1000):
            if self.stderr is not None and fd == self.stderr.master:
                self.stderr.relay()
            elif fd == self.log.writer:
                self.log.writer_ended()
            elif fd == self.lifeline.fd:
                self.lifeline.look()
            else:
                try:
                    data = os.read(fd, 4096)
                except BlockingIOError:
                    continue
                if fd == self.control:
                    self.heard = (self.heard + self.pass_on(data))[-100:]

    def pass_on(self, data: bytes) -> bytes:
        """Send the terminal's foreground the signals that are asked for as `s18`; what else was asked for."""
        words = data.split()
        for word in words:
            if word[:1] == b"s" and word[1:].isdigit():
                try:
                    os.killpg(os.tcgetpgrp(0), int(word[1:]))
                except (OSError, OverflowError):
                    continue
        return b" ".join(word for word in words if word[:1] != b"s") + b"\n"

    def reap(self) -> None:
        """Collect every child that has ended, adopted ones too."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.main:
                self.exitcode = os.waitstatus_to_exitcode(status)

    def end_by(self, cause: str, signum: int) -> None:
        """Note why the job is to end; the first cause stands."""
        if cause == "window_closed":
            self.pane.closed = True
        if self.cause == "exit" and self.exitcode is None:
            self.cause, self.signal_number = cause, signum

    def requested(self) -> int:
        """The signal of a kill request, or 0.

        It is a file, which outlives whoever wrote it; on a disk that takes none, a number in the control FIFO.
        """
        try:
            with open(self.path("kill")) as file:
                return int(file.read())
        except (OSError, ValueError):
            numbers = [int(word) for word in self.heard.split() if word.isdigit()]
            return numbers[-1] if numbers else 0

    def asked_by(self) -> str:
        """Who has asked for the kill; empty where they did not say, or the disk took no file."""
        try:
            with open(self.path("killer"), encoding="utf-8", errors="replace") as file:
                return "".join(char for char in file.read(200) if char.isprintable())
        except OSError:
            return ""

    # -- the end --------------------------------------------------------------------------------------------

    def hang_up_stragglers(self) -> bool:
        """What the command left in its own process group goes as it would with a terminal; whether it left anything."""
        left = descendants(os.getpid())
        for process in left:
            if process.group == self.main:
                send(process, signal.SIGHUP)
                send(process, signal.SIGCONT)
        return bool(left)

    def take_down(self, signum: int) -> None:
        """End every process of the job: `signum` and CONT to each, a grace, then KILL until none is left."""
        begun = time.monotonic()
        grace = 0.0 if signum == signal.SIGKILL else self.launch.grace
        # Those that are there now: what a handler starts to clean up is left to finish within the grace.
        first = {(process.pid, process.started) for process in descendants(os.getpid())}
        while True:
            self.reap()
            left = descendants(os.getpid())
            if not left:
                self.reap()
                return
            if grace and self.requested() == signal.SIGKILL:
                grace = 0.0  # whoever asked has lost patience
            late = time.monotonic() - begun - grace
            for process in left:
                if late >= 0:
                    send(process, signal.SIGKILL)
                elif (process.pid, process.started) in first and send(process, signum):
                    first.discard((process.pid, process.started))
                    # An interactive shell ignores TERM; a terminal that closes would send HUP.
                    if signum == signal.SIGTERM and ignores(process, signal.SIGTERM):
                        send(process, signal.SIGHUP)
                    send(process, signal.SIGCONT)
            if late > KILL_PATIENCE:
                self.survivors = [process.pid for process in left]
                return
            self.sleep(0.02)

    def finish(self) -> None:
        """Mark the end of the output, wait until the log has it, and write the exit record."""
        ended, ended_monotonic = time.time(), time.monotonic()
        if self.stderr is not None:
            self.stderr.drain()
        self.log.finish()
        if self.cause == "exit":
            self.log.note_interruption()
        if self.cause == "window_closed" and self.pane.tmux_has_ended():
            self.cause = "lost"
        write_record(self.job, self.record(ended, ended_monotonic))
        if not self.pane.closed:
            # For the status line and the border, and for a person who wants to be told.
            self.pane.show_end(self.launch.tmux, shown_end(self.cause, self.exitcode, ended), SHOW_WAIT)

    def exit_status(self) -> int:
        """The status for tmux to show, as a shell would give it."""
        if self.exitcode is None:
            return 1
        return self.exitcode if self.exitcode >= 0 else 128 - self.exitcode

    def record(self, ended: float, ended_monotonic: float) -> str:
        """The exit record: one JSON object of numbers and fixed words."""
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        parts = [f'"cause": "{self.cause}"']
        if self.exitcode is not None:
            parts.append(f'"code": {self.exitcode}' if self.exitcode >= 0 else f'"signal": {-self.exitcode}')
        parts.append(f'"ended": {ended:.6f}, "uptime": {uptime() - (time.monotonic() - ended_monotonic):.6f}')
        parts.append(f'"duration": {ended_monotonic - self.started:.6f}')
        parts.append(f'"cpu": {used.ru_utime + used.ru_stime:.6f}')
        parts.append(f'"peak_memory": {used.ru_maxrss * MAXRSS_UNIT}')
        if self.survivors:
            parts.append(f'"survivors": {self.survivors}')
        if self.left or not SUBREAPER:  # without one, what has left the session as well as its parent is not seen here
            parts.append('"left": true')
        if self.cause == "kill" and (by := self.killer or self.asked_by()):
            parts.append(f'"by": {quote(by)}')
        return "{" + ", ".join(parts) + "}"


def main() -> None:
    """Run the job whose folder the command line names."""
    sys.exit(Runner(sys.argv[2]).run())
