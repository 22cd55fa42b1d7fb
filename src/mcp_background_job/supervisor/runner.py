"""The supervisor of one job, inside the job's own window.

tmux starts it as `python -I -S entrypoint.py runner JOB_DIR`, on the standard library alone. It holds `runner.lock` for
as long as it lives, starts the command as the terminal's foreground process group, waits, and leaves an exit record.

Promises: the record appears after the last byte of output is in the log; a kill, a timeout or a closed window
leaves no process of the job behind; why the job was ended is on disk before the first signal goes out; a folder
that has an exit record is never run again.
"""

from __future__ import annotations

import fcntl
import os
import resource
import select
import signal
import struct
import sys
import termios
import time

from mcp_background_job.supervisor.jobdir import (
    append_to_log,
    log_size,
    quote,
    read_pairs,
    shown_end,
    terminal_type,
    uptime,
    write_record,
    write_whole,
    writer_state,
)
from mcp_background_job.supervisor.locks import hold_new
from mcp_background_job.supervisor.markers import INTERRUPTED, end_mark
from mcp_background_job.supervisor.process_tree import become_subreaper, descendants, send

# The name alone: typing would cost each job memory, and stderrtty is for those that keep stderr apart.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from mcp_background_job.supervisor.stderr_pty import StderrTerminal

LOG_WAIT = 5.0  # seconds that a started log writer may take to catch up without finishing anything
LOG_START = 10.0  # seconds that a loaded machine may take to start it
LOG_CHECK = 1.0  # seconds between looks whether the log writer is still there, until its end can wake us
WATCHED_CHECK = 600.0  # the same from then on: each look of each job costs 0.2 ms
LOG_WRITERS = 3  # log writers that are started at the end, should one after the other be killed
KILL_PATIENCE = 5.0  # seconds after KILL before processes that can't be signalled (setuid) are given up
SHOW_WAIT = 1.0  # seconds for tmux to show the end, or to close a pipe
MAX_ARGUMENT = 100_000  # Linux takes 128 KB in one argument; a longer command is read from its file


class Runner:
    """One run of one job folder."""

    def __init__(self, job: str) -> None:
        self.job = job
        self.cause = "exit"
        self.signal_number = 0  # what ends the tree, once a cause to end it is there
        self.status: int | None = None  # the main process's wait status
        self.main = 0
        self.survivors: list[int] = []
        self.stderr: StderrTerminal | None = None
        self.hung_up = False
        self.heard = b""  # from the control FIFO
        self.writer = -1  # the log writer's pidfd
        self.tmux_server = os.getppid()

    def path(self, name: str) -> str:
        return os.path.join(self.job, name)

    # -- start ----------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Run the job to its end; the exit status for tmux to show."""
        os.umask(0o077)
        if not os.path.isdir(self.job):
            return self.close_window()
        if not self.take_lock():
            return self.refuse("This job is running already")
        if os.path.exists(self.path("exit.json")) or not os.path.exists(self.path("environment")):
            return self.refuse("This job has ended and is not run again")
        self.launch = read_pairs(self.path("launch"))
        self.environment = self.take_environment()
        self.prepare_signals()
        become_subreaper()
        self.size_terminal()
        self.started = time.monotonic()
        self.main = self.spawn()
        self.write_run()
        self.supervise()
        self.finish()
        return self.exit_status()

    def take_lock(self) -> bool:
        """Hold runner.lock until this process is gone."""
        return hold_new(self.path("runner.lock")) >= 0 or self.take_old_lock()

    def take_old_lock(self) -> bool:
        """Hold a lock that another runner, or whoever found it gone, has left; a look at it lasts microseconds."""
        fd = os.open(self.path("runner.lock"), os.O_RDWR | os.O_CLOEXEC)
        deadline = time.monotonic() + 2
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.002)
            else:
                return True

    def close_window(self) -> int:
        """Leave nothing of a job that was given up before tmux, which had been stopped, came to start it."""
        socket = os.environ.get("TMUX", "").rsplit(",", 2)[0]
        try:
            os.execvp("tmux", ["tmux", "-S", socket, "kill-pane", "-t", os.environ["TMUX_PANE"]])
        except (OSError, KeyError):
            return self.refuse("This job was given up")  # the next tidying closes its window

    def refuse(self, why: str) -> int:
        print(f"{why}.")
        return 1

    def take_environment(self) -> dict[bytes, bytes]:
        """The job's environment; its file is gone afterwards."""
        with open(self.path("environment"), "rb") as file:
            raw = file.read()
        os.unlink(self.path("environment"))
        environment = dict(item.split(b"=", 1) for item in raw.split(b"\0") if item)
        for name in (b"TMUX", b"TMUX_PANE"):  # the pane's own, so that tmux commands in the job find it
            if os.environb.get(name):
                environment[name] = os.environb[name]
        environment.setdefault(b"TERM", terminal_type().encode())
        return environment

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
        signal.signal(signal.SIGTERM, lambda *_: self.end_by("kill", signal.SIGTERM))
        # Opened for both ways, or every sender's leaving would read as an end of file.
        self.control = os.open(self.path("control"), os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def size_terminal(self) -> None:
        """Give the terminal its size before the command can ask for it: tmux's own resize may come later."""
        rows, columns = int(self.launch["rows"]), int(self.launch["columns"])
        try:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        except OSError:
            pass

    def spawn(self) -> int:
        """Start the command as the terminal's foreground process group; its pid."""
        if self.launch["separate_stderr"] == "1":
            from mcp_background_job.supervisor.stderr_pty import StderrTerminal

            self.stderr = StderrTerminal(self.launch["nonce"])
        pid = os.fork()
        if pid == 0:
            try:
                self.become_command()
            except BaseException as error:
                os.write(2, f"cannot start the command: {error}\n".encode(errors="replace"))
            finally:
                os._exit(126)
        try:
            os.setpgid(pid, pid)
        except OSError:
            pass  # the child was quicker and has started the command
        return pid

    def become_command(self) -> None:
        signal.set_wakeup_fd(-1)
        os.setpgid(0, 0)
        os.tcsetpgrp(0, os.getpid())
        for signum in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            try:
                signal.signal(signum, signal.SIG_DFL)
            except (OSError, ValueError):
                pass  # the C library's own
        if self.stderr is not None:
            os.dup2(self.stderr.slave, 2)
        os.umask(int(self.launch["umask"], 8))
        os.chdir(os.fsencode(self.launch["cwd"]))
        shell = os.fsencode(self.launch["shell"])
        with open(self.path("command"), "rb") as file:
            command = file.read()
        if len(command) > MAX_ARGUMENT:
            quoted = os.fsencode(os.path.abspath(self.path("command"))).replace(b"'", b"'\\''")
            command = b". '" + quoted + b"'"
        os.execve(shell, [shell, b"-c", b"--", command], self.environment)

    def write_run(self) -> None:
        """Say which processes and which terminal this is."""
        pane = os.environ.get("TMUX_PANE", "")
        socket = os.environ.get("TMUX", "").rsplit(",", 2)[0]
        text = (
            f'{{"runner": {os.getpid()}, "pid": {self.main}, "tty": {quote(os.ttyname(0))}, '
            f'"pane": {quote(pane)}, "socket": {quote(socket)}}}\n'
        )
        try:
            write_whole(self.path("run.json"), self.path("run.tmp"), text.encode())
        except OSError:
            pass  # a full disk: the job runs all the same, its pid is not known

    # -- while it runs --------------------------------------------------------------------------------------

    def supervise(self) -> None:
        """Wait for the main process; end the tree once there is a cause to."""
        timeout = float(self.launch["timeout"] or "inf")
        self.log_seen = time.monotonic()
        while True:
            self.reap()
            if self.status is not None and self.cause == "exit":
                self.hang_up_stragglers()
                return
            request = self.requested()
            if request:
                self.end_by("kill", request)
            left = self.started + timeout - time.monotonic()
            if left <= 0:
                self.end_by("timeout", signal.SIGTERM)
            if self.cause != "exit":
                if self.hung_up:
                    # tmux keeps the pipe of a pane that a person respawns: theirs is not for the job's log.
                    self.ask_tmux("pipe-pane", "-t", os.environ.get("TMUX_PANE", ""), patience=SHOW_WAIT)
                self.take_down(self.signal_number)
                return
            self.mind_log()
            self.sleep(min(left, LOG_CHECK if self.writer < 0 else WATCHED_CHECK))

    def sleep(self, seconds: float) -> None:
        """Until a signal, a request, stderr, or `seconds` have passed."""
        waiting = select.poll()
        for fd in (self.wakeup, self.control):
            waiting.register(fd, select.POLLIN)
        if self.stderr is not None:
            waiting.register(self.stderr.master, select.POLLIN)
        if self.writer >= 0:
            waiting.register(self.writer, select.POLLIN)
        for fd, _ in waiting.poll(max(0.0, seconds) * 1000):
            if self.stderr is not None and fd == self.stderr.master:
                self.stderr.relay()
            elif fd == self.writer:
                os.close(fd)
                self.writer, self.log_seen = -1, 0.0
            else:
                try:
                    data = os.read(fd, 4096)
                except BlockingIOError:
                    continue
                if fd == self.control:
                    self.heard = (self.heard + data)[-100:]

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
                self.status = status

    def end_by(self, cause: str, signum: int) -> None:
        """Note why the job is to end; the first cause stands."""
        if cause == "window_closed":
            self.hung_up = True
        if self.cause == "exit" and self.status is None:
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

    def mind_log(self) -> None:
        """Start the log writer again where it has died while the window is open."""
        now = time.monotonic()
        if self.writer >= 0 or now - self.log_seen < LOG_CHECK:
            return
        self.log_seen = now
        if self.writer_is_dead():
            self.open_log()
            self.log_seen = now + LOG_WAIT
        else:
            self.watch_writer()

    def watch_writer(self) -> None:
        """Be woken by the log writer's end, where the platform can."""
        try:
            with open(self.path("logwriter.pid")) as file:
                fd = os.pidfd_open(int(file.read()))
        except (AttributeError, OSError, ValueError):
            return
        # Still there behind the opening: it is no other process that has got its pid.
        if writer_state(self.job) == "there":
            self.writer = fd
        else:
            os.close(fd)

    def writer_is_dead(self) -> bool:
        """Whether the log writer was killed, or has not come within LOG_START."""
        state = writer_state(self.job)
        if state == "absent" and time.monotonic() - self.started > LOG_START:
            return os.path.exists(self.path("launch"))  # without its folder there is nothing to log to
        return state == "dead"

    def open_log(self) -> None:
        """Have tmux start another log writer, which notes in the log that something may be missing."""
        try:
            os.unlink(self.path("logwriter.pid"))
        except OSError:
            pass
        self.ask_tmux("pipe-pane", "-t", os.environ.get("TMUX_PANE", ""), self.launch["pipe"])

    def ask_tmux(self, *arguments: str, patience: float = 0.0) -> None:
        """Run a tmux command and wait at most `patience` seconds for it; a refusal concerns nobody."""
        socket = os.environ.get("TMUX", "").rsplit(",", 2)[0]
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            pid = os.posix_spawn(
                self.launch["tmux"],
                [self.launch["tmux"], "-S", socket, *arguments],
                os.environ,
                file_actions=[(os.POSIX_SPAWN_DUP2, null, fd) for fd in (0, 1, 2)],
            )
            deadline = time.monotonic() + patience
            while time.monotonic() < deadline and os.waitpid(pid, os.WNOHANG)[0] == 0:
                time.sleep(0.002)
        except OSError:
            pass
        finally:
            os.close(null)

    # -- the end --------------------------------------------------------------------------------------------

    def hang_up_stragglers(self) -> None:
        """What the command left in its own process group goes as it would with a terminal."""
        for process in descendants():
            if process[3] == self.main:
                send(process, signal.SIGHUP)
                send(process, signal.SIGCONT)

    def take_down(self, signum: int) -> None:
        """End every process of the job: `signum` and CONT to each, a grace, then KILL until none is left."""
        begun = time.monotonic()
        grace = 0.0 if signum == signal.SIGKILL else float(self.launch["grace"])
        # Those that are there now: what a handler starts to clean up is left to finish within the grace.
        first = {(process[0], process[4]) for process in descendants()}
        while True:
            self.reap()
            left = descendants()
            if not left:
                self.reap()
                return
            if grace and self.requested() == signal.SIGKILL:
                grace = 0.0  # whoever asked has lost patience
            late = time.monotonic() - begun - grace
            for process in left:
                if late >= 0:
                    send(process, signal.SIGKILL)
                elif (process[0], process[4]) in first and send(process, signum):
                    first.discard((process[0], process[4]))
                    send(process, signal.SIGCONT)
            if late > KILL_PATIENCE:
                self.survivors = [process[0] for process in left]
                return
            self.sleep(0.02)

    def finish(self) -> None:
        """Mark the end of the output, wait until the log has it, and write the exit record."""
        ended, ended_monotonic = time.time(), time.monotonic()
        if self.stderr is not None:
            self.stderr.drain()
        self.close_log()
        if self.cause == "window_closed" and self.tmux_is_gone():
            self.cause = "lost"
        write_record(self.job, self.record(ended, ended_monotonic))
        if not self.hung_up:
            self.show_end(ended)

    def close_log(self) -> None:
        """Send the end mark and wait until the log writer has it.

        One that has died is replaced, so that the log says so.
        """
        for _ in range(LOG_WRITERS):
            if self.writer_is_dead() and not self.hung_up:
                self.open_log()
                self.await_writer()
            if not self.hung_up:
                self.mark_end()
            self.await_log()
            if self.hung_up or not self.writer_is_dead():
                break
        if self.cause == "exit" and writer_state(self.job) in ("dead", "absent"):
            append_to_log(self.path("log"), INTERRUPTED)  # tmux has gone, with what it had not passed on yet

    def await_writer(self) -> None:
        """Until a new log writer has begun, which has its pipe by then."""
        deadline = time.monotonic() + LOG_WAIT
        while writer_state(self.job) != "there" and not self.hung_up and time.monotonic() < deadline:
            time.sleep(0.002)

    def mark_end(self) -> None:
        """Write the end mark to the terminal, also one that a person has stopped with C-s."""
        try:
            termios.tcflow(0, termios.TCOON)
            # Its own description: non-blocking mode on fd 0 would be the job's survivors' too.
            tty = os.open(os.ttyname(0), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, termios.error):
            return
        data = end_mark(self.launch["nonce"])
        deadline = time.monotonic() + LOG_WAIT
        while data and time.monotonic() < deadline and not self.hung_up:
            try:
                data = data[os.write(tty, data) :]
            except BlockingIOError:
                self.sleep(0.01)
            except OSError:
                break
        os.close(tty)

    def await_log(self) -> None:
        """Until the log writer is done: it has the end mark, its window is gone, or it has died."""
        begun = time.monotonic()
        size, moved = -1, begun
        while writer_state(self.job) not in ("done", "dead"):
            now = time.monotonic()
            present = log_size(self.path("log"))
            if present != size:
                size, moved = present, now
            if now - moved > LOG_WAIT:
                return
            time.sleep(0.001 if now - begun < 0.5 else 0.02)

    def tmux_is_gone(self) -> bool:
        """Whether the tmux server went along with the window; it takes it some milliseconds."""
        deadline = time.monotonic() + 0.5
        while os.getppid() == self.tmux_server:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def show_end(self, ended: float) -> None:
        """Say on the pane how the job ended, for the status line and the border; a refusal concerns nobody."""
        code = signum = None
        if self.status is not None and os.WIFEXITED(self.status):
            code = os.WEXITSTATUS(self.status)
        elif self.status is not None:
            signum = os.WTERMSIG(self.status)
        pane = os.environ.get("TMUX_PANE", "")
        arguments: list[str] = []
        for name, value in shown_end(self.cause, code, signum, ended).items():
            arguments += ["set-option", "-p", "-t", pane, *((name, value) if value else ("-u", name)), ";"]
        self.ask_tmux(*arguments[:-1], patience=SHOW_WAIT)

    def exit_status(self) -> int:
        if self.status is None:
            return 1
        if os.WIFSIGNALED(self.status):
            return 128 + os.WTERMSIG(self.status)
        return os.WEXITSTATUS(self.status)

    def record(self, ended: float, ended_monotonic: float) -> str:
        """The exit record: one JSON object of numbers and fixed words."""
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kilobytes here
        parts = [f'"cause": "{self.cause}"']
        if self.status is not None and os.WIFEXITED(self.status):
            parts.append(f'"code": {os.WEXITSTATUS(self.status)}')
        if self.status is not None and os.WIFSIGNALED(self.status):
            parts.append(f'"signal": {os.WTERMSIG(self.status)}')
        parts.append(f'"ended": {ended:.6f}, "uptime": {uptime() - (time.monotonic() - ended_monotonic):.6f}')
        parts.append(f'"duration": {ended_monotonic - self.started:.6f}')
        parts.append(f'"cpu": {used.ru_utime + used.ru_stime:.6f}')
        parts.append(f'"peak_memory": {used.ru_maxrss * unit}')
        if self.survivors:
            parts.append(f'"survivors": {self.survivors}')
        return "{" + ", ".join(parts) + "}"


def main() -> None:
    """Run the job whose folder the command line names."""
    sys.exit(Runner(sys.argv[2]).run())
