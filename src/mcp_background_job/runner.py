"""The supervisor of one job, inside the job's own window.

tmux starts it as `python -I -S runner.py JOB_DIR`, on the standard library alone. It holds `runner.lock` for as
long as it lives, starts the command as the terminal's foreground process group, waits, and leaves an exit record.

Promises: the record appears after the last byte of output is in the log; a kill, a timeout or a closed window
leaves no process of the job behind; why the job was ended is on disk before the first signal goes out; a folder
that has an exit record is never run again.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import select
import signal
import struct
import sys
import termios
import time

# Our marks look like colours that no terminal has, with the job's nonce: tmux, cat and less -R show nothing of them.
END_MARK = "\x1b[7717;7001;%sm"
STDERR_MARK = "\x1b[7717;7002;%sm"
STDOUT_MARK = "\x1b[7717;7003;%sm"
LOG_WAIT = 5.0  # seconds that a started log writer may take to catch up without finishing anything
LOG_CHECK = 1.0  # seconds between looks whether the log writer is still there
KILL_PATIENCE = 5.0  # seconds after KILL before processes that can't be signalled (setuid) are given up
SHOW_WAIT = 1.0  # seconds for tmux to show the end, which is on record by then
RECORD_SIZE = 512  # written ahead, so that a full disk can't lose the record
MAX_ARGUMENT = 100_000  # Linux takes 128 KB in one argument; a longer command is read from its file
PR_SET_CHILD_SUBREAPER = 36

Process = tuple[int, int, str, int, int]  # pid, parent, state, process group, start time


def become_subreaper() -> None:
    """Make orphans of the job children of this process (Linux); elsewhere they are found by their session."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def processes() -> list[Process]:
    """Every process of the machine, from /proc, or from ps where there is none."""
    if not os.path.exists("/proc/self/stat"):
        return processes_by_ps()
    found: list[Process] = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            process = read_process(int(name))
            if process is not None:
                found.append(process)
    return found


def read_process(pid: int) -> Process | None:
    """One process by its /proc/PID/stat."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return pid, int(fields[1]), fields[0].decode(), int(fields[2]), int(fields[19])


def processes_by_ps() -> list[Process]:
    import subprocess

    listing = subprocess.run(
        ["ps", "-axo", "pid=,ppid=,stat=,pgid="], capture_output=True, text=True, check=False
    ).stdout
    rows = (line.split() for line in listing.splitlines())
    return [(int(r[0]), int(r[1]), r[2][:1], int(r[3]), 0) for r in rows if len(r) == 4]


def descendants() -> list[Process]:
    """The living processes below this one."""
    children: dict[int, list[Process]] = {}
    for process in processes():
        children.setdefault(process[1], []).append(process)
    found: list[Process] = []
    todo = [os.getpid()]
    while todo:
        for process in children.get(todo.pop(), ()):
            todo.append(process[0])
            if process[2] not in "ZX":
                found.append(process)
    return found


def send(process: Process, signum: int) -> bool:
    """Signal exactly this process; False where it may not be signalled."""
    try:
        if not hasattr(signal, "pidfd_send_signal") or not hasattr(os, "pidfd_open"):
            os.kill(process[0], signum)
            return True
        pidfd = os.pidfd_open(process[0])
        try:
            # The pid may have been given to another process since the listing.
            again = read_process(process[0])
            if again is not None and again[4] == process[4]:
                signal.pidfd_send_signal(pidfd, signum)
        finally:
            os.close(pidfd)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    except OSError:
        # No pidfd in this kernel or sandbox.
        os.kill(process[0], signum)
    return True


def lock_is_free(path: str) -> bool:
    """Whether nobody holds the lock file at `path`; a missing file counts as held."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


class Runner:
    """One run of one job folder."""

    def __init__(self, job: str) -> None:
        self.job = job
        self.cause = "exit"
        self.signal_number = 0  # what ends the tree, once a cause to end it is there
        self.status: int | None = None  # the main process's wait status
        self.main = 0
        self.survivors: list[int] = []
        self.stderr_master = self.stderr_slave = -1
        self.hung_up = False
        self.tmux_server = os.getppid()

    def path(self, name: str) -> str:
        return os.path.join(self.job, name)

    # -- start ----------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Run the job to its end; the exit status for tmux to show."""
        os.umask(0o077)
        if not self.take_lock():
            return self.refuse("This job is running already")
        if os.path.exists(self.path("exit.json")) or not os.path.exists(self.path("environment")):
            return self.refuse("This job has ended and is not run again")
        self.launch = read_pairs(self.path("launch"))
        self.environment = self.take_environment()
        self.reserve_record()
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
        """Hold runner.lock until this process is gone.

        It appears held: a lock that is there and free means that its runner is gone.
        """
        fd = os.open(self.path("runner.new"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        try:
            os.link(self.path("runner.new"), self.path("runner.lock"))
        except FileExistsError:
            os.close(fd)
            return self.take_old_lock()
        finally:
            os.unlink(self.path("runner.new"))
        return True

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

    def reserve_record(self) -> None:
        try:
            with open(self.path("exit.tmp"), "wb") as file:
                file.write(b" " * RECORD_SIZE)
        except OSError:
            pass  # the disk is full already; at the end it may not be

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
        slave = -1
        if self.launch["separate_stderr"] == "1":
            self.stderr_master, slave = self.stderr_terminal()
        pid = os.fork()
        if pid == 0:
            try:
                self.become_command(slave)
            except BaseException as error:
                os.write(2, f"cannot start the command: {error}\n".encode(errors="replace"))
            finally:
                os._exit(126)
        self.stderr_slave = slave
        try:
            os.setpgid(pid, pid)
        except OSError:
            pass  # the child was quicker and has started the command
        return pid

    def stderr_terminal(self) -> tuple[int, int]:
        """A second terminal for stderr; it passes bytes on unchanged, the window's terminal treats them once."""
        import pty

        master, slave = pty.openpty()
        attributes = termios.tcgetattr(slave)
        attributes[1] &= ~termios.OPOST
        termios.tcsetattr(slave, termios.TCSANOW, attributes)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8)))
        os.set_blocking(master, False)
        return master, slave

    def become_command(self, stderr: int) -> None:
        signal.set_wakeup_fd(-1)
        os.setpgid(0, 0)
        os.tcsetpgrp(0, os.getpid())
        for signum in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            try:
                signal.signal(signum, signal.SIG_DFL)
            except (OSError, ValueError):
                pass  # the C library's own
        if stderr >= 0:
            os.dup2(stderr, 2)
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
            self.read_requests()
            left = self.started + timeout - time.monotonic()
            if left <= 0:
                self.end_by("timeout", signal.SIGTERM)
            if self.cause != "exit":
                self.take_down(self.signal_number)
                return
            self.mind_log()
            self.sleep(min(left, LOG_CHECK))

    def sleep(self, seconds: float) -> None:
        """Until a signal, a request, stderr, or `seconds` have passed."""
        waiting = select.poll()
        for fd in (self.wakeup, self.control, self.stderr_master):
            if fd >= 0:
                waiting.register(fd, select.POLLIN)
        for fd, _ in waiting.poll(max(0.0, seconds) * 1000):
            if fd == self.stderr_master:
                self.relay_stderr()
            else:
                try:
                    os.read(fd, 4096)
                except BlockingIOError:
                    pass

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

    def read_requests(self) -> None:
        """A kill request is a file that holds a signal number; it outlives whoever wrote it."""
        if self.cause != "exit":
            return
        try:
            with open(self.path("kill")) as file:
                self.end_by("kill", int(file.read()))
        except (OSError, ValueError):
            return

    def relay_stderr(self) -> None:
        """Pass what stderr has for us to the window."""
        try:
            self.show_stderr(os.read(self.stderr_master, 2048))
        except BlockingIOError:
            return

    def drain_stderr(self) -> None:
        """Pass on all of stderr up to its end; a pty hands bytes on late, so only a mark of ours shows the end."""
        if self.stderr_master < 0:
            return
        mark = (END_MARK % self.launch["nonce"]).encode()
        os.set_blocking(self.stderr_slave, False)
        unsent, pending = mark, b""
        deadline = time.monotonic() + LOG_WAIT
        while mark not in pending and time.monotonic() < deadline:
            try:
                unsent = unsent[os.write(self.stderr_slave, unsent) :]
            except BlockingIOError:
                pass
            try:
                pending += os.read(self.stderr_master, 2048)
            except BlockingIOError:
                time.sleep(0.001)
                continue
            if mark not in pending:
                shown = max(0, len(pending) - len(mark))
                self.show_stderr(pending[:shown])
                pending = pending[shown:]
        self.show_stderr(pending.partition(mark)[0])

    def show_stderr(self, data: bytes) -> None:
        """Write a piece of stderr to the window, between marks and in one write, which the kernel keeps whole."""
        if not data:
            return
        nonce = self.launch["nonce"]
        framed = (STDERR_MARK % nonce).encode() + data + (STDOUT_MARK % nonce).encode()
        # A signal would end the write early, and the job's own output could come in between.
        signals = {signal.SIGCHLD, signal.SIGHUP, signal.SIGTERM}
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        try:
            while framed:
                framed = framed[os.write(0, framed) :]
        except OSError:
            pass  # the window is gone
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)

    def mind_log(self) -> None:
        """Start the log writer again where it has died while the window is open."""
        now = time.monotonic()
        if now - self.log_seen < LOG_CHECK:
            return
        self.log_seen = now
        if lock_is_free(self.path("logwriter.lock")):
            tmux, socket, pane = self.launch["tmux"], os.environ.get("TMUX", ""), os.environ.get("TMUX_PANE", "")
            arguments = [tmux, "-S", socket.rsplit(",", 2)[0], "pipe-pane", "-t", pane, self.launch["pipe"]]
            null = os.open(os.devnull, os.O_RDWR)
            actions = [(os.POSIX_SPAWN_DUP2, null, fd) for fd in (0, 1, 2)]
            try:
                os.posix_spawn(tmux, arguments, os.environ, file_actions=actions)
            except OSError:
                pass
            os.close(null)
            self.log_seen = now + LOG_WAIT

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
            late = time.monotonic() - begun - grace
            for process in left:
                if late >= 0:
                    send(process, signal.SIGKILL)
                elif (process[0], process[4]) in first:
                    first.discard((process[0], process[4]))
                    send(process, signum)
                    send(process, signal.SIGCONT)
            if late > KILL_PATIENCE:
                self.survivors = [process[0] for process in left]
                return
            self.sleep(0.02)

    def finish(self) -> None:
        """Mark the end of the output, wait until the log has it, and write the exit record."""
        ended, ended_monotonic = time.time(), time.monotonic()
        self.drain_stderr()
        if not self.hung_up:
            self.mark_end()
        self.await_log()
        if self.cause == "window_closed" and self.tmux_is_gone():
            self.cause = "lost"
        write_record(self.job, self.record(ended, ended_monotonic))
        if not self.hung_up:
            self.show_end(ended)

    def mark_end(self) -> None:
        """Write the end mark to the terminal, also one that a person has stopped with C-s."""
        try:
            termios.tcflow(0, termios.TCOON)
            # Its own description: non-blocking mode on fd 0 would be the job's survivors' too.
            tty = os.open(os.ttyname(0), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, termios.error):
            return
        data = (END_MARK % self.launch["nonce"]).encode()
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
        while not (lock_is_free(self.path("logwriter.lock")) and self.log_began()):
            now = time.monotonic()
            present = log_size(self.path("log"))
            if present != size:
                size, moved = present, now
            if now - moved > LOG_WAIT:
                return
            time.sleep(0.001 if now - begun < 0.5 else 0.02)

    def log_began(self) -> bool:
        return any(name.endswith(".log") for name in os.listdir(self.path("log")))

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
        arguments = [self.launch["tmux"], "-S", os.environ.get("TMUX", "").rsplit(",", 2)[0]]
        for name, value in shown_end(self.cause, code, signum, ended).items():
            arguments += ["set-option", "-p", "-t", pane, *((name, value) if value else ("-u", name)), ";"]
        null = os.open(os.devnull, os.O_RDWR)
        try:
            pid = os.posix_spawn(
                arguments[0],
                arguments[:-1],
                os.environ,
                file_actions=[(os.POSIX_SPAWN_DUP2, null, fd) for fd in (0, 1, 2)],
            )
            deadline = time.monotonic() + SHOW_WAIT
            while os.waitpid(pid, os.WNOHANG)[0] == 0 and time.monotonic() < deadline:
                time.sleep(0.002)
        except OSError:
            pass

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
        parts.append(f'"ended": {ended:.6f}')
        parts.append(f'"duration": {ended_monotonic - self.started:.6f}')
        parts.append(f'"cpu": {used.ru_utime + used.ru_stime:.6f}')
        parts.append(f'"peak_memory": {used.ru_maxrss * unit}')
        if self.survivors:
            parts.append(f'"survivors": {self.survivors}')
        return "{" + ", ".join(parts) + "}"


def shown_end(cause: str, code: int | None, signum: int | None, ended: float) -> dict[str, str]:
    """The pane options of a job that has ended; an empty value takes one away."""
    why = {"exit": "", "kill": "", "timeout": "timeout", "window_closed": "window closed", "lost": "lost"}[cause]
    status = "killed"
    if cause == "exit":
        status = "completed" if code == 0 else "failed"
        if code:
            why = f"exit {code}"
        elif signum is not None:
            names = {int(known): known.name for known in signal.Signals}
            why = names.get(signum, f"signal {signum}")
    return {
        "@mcp_status": status,
        "@mcp_exit": why,
        "@mcp_ended": str(int(ended)),
        "@mcp_holder": "",
        "@mcp_message": "",
    }


def read_pairs(path: str) -> dict[str, str]:
    """A file of NUL-separated `name=value` items."""
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        return dict(item.split("=", 1) for item in file.read().split("\0") if item)


def quote(text: str) -> str:
    """A JSON string of a path or a tmux id."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def write_whole(path: str, temporary: str, data: bytes) -> None:
    """Write `data` to `path` so that nobody ever sees a part of it."""
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)
    os.rename(temporary, path)


def write_record(job: str, text: str) -> None:
    """Write the exit record into the room reserved for it; tried again for a while where the disk refuses."""
    data = text.encode().ljust(RECORD_SIZE)
    for _ in range(50):
        try:
            write_whole(os.path.join(job, "exit.json"), os.path.join(job, "exit.tmp"), data)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return  # somebody removed the folder; there is nobody to tell
            time.sleep(0.1)
        else:
            return


def log_size(folder: str) -> int:
    """The offset at which the log ends now."""
    try:
        last = max((name for name in os.listdir(folder) if name.endswith(".log")), default=None)
        return 0 if last is None else int(last[:-4]) + os.stat(os.path.join(folder, last)).st_size
    except OSError:
        return 0


def terminal_type() -> str:
    """tmux-256color where the machine knows it, else what tmux says it is."""
    for folder in ("/usr/share/terminfo", "/lib/terminfo", "/etc/terminfo", "/usr/local/share/terminfo"):
        for letter in ("t", "74"):  # macOS names the folders by the letter's code
            if os.path.exists(f"{folder}/{letter}/tmux-256color"):
                return "tmux-256color"
    return os.environ.get("TERM", "screen")


if __name__ == "__main__":
    sys.exit(Runner(sys.argv[1]).run())
