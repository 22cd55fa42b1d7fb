"""The processes below this one, and signals that reach exactly those.

Part of the runner: the standard library alone.
"""

import os
import signal

from mcp_background_job.system import PIDFD, PROC, SUBREAPER

PR_SET_CHILD_SUBREAPER = 36


class Process:
    """A process as it was when it was looked at."""

    __slots__ = ("group", "ignored", "parent", "pid", "started", "state")

    def __init__(self, pid: int, parent: int, state: str, group: int, started: int, ignored: int = 0) -> None:
        self.pid = pid
        self.parent = parent
        self.state = state  # a letter, Z and X for what has ended
        self.group = group
        self.started = started  # in the kernel's ticks; 0 where nothing tells
        self.ignored = ignored  # the signals that it ignores, a bit each; with PROC `ignores` tells them

    @property
    def has_ended(self) -> bool:
        return self.state in "ZX"


def become_subreaper() -> None:
    """Make orphans children of this process, where the system can; elsewhere `descendants` finds them."""
    if not SUBREAPER:
        return
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def processes() -> list[Process]:
    """Every process of the machine, from /proc, or from ps where there is none."""
    if not PROC:
        return processes_by_ps()
    found: list[Process] = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            process = read_process(int(name))
            if process is not None:
                found.append(process)
    return found


def read_process(pid: int) -> Process | None:
    """One process by its /proc/PID/stat; None also where there is no /proc."""
    if not PROC:
        return None
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return Process(pid, int(fields[1]), fields[0].decode(), int(fields[2]), int(fields[19]))


def processes_by_ps() -> list[Process]:
    """As ps tells, which is not one of them; nothing where there is no ps."""
    # `-o a=,b=` is POSIX, but one column with the heading ",b=" on FreeBSD.
    columns = [f"-o{name}=" for name in ("pid", "ppid", "stat", "pgid", "sigignore")]
    null, (ours, theirs) = os.open(os.devnull, os.O_RDWR), os.pipe()
    streams = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate((null, theirs, null))]
    try:
        ps = os.posix_spawnp("ps", ["ps", "-A", *columns], os.environ, file_actions=streams)
    except OSError:
        return []
    finally:
        os.close(theirs)
        os.close(null)
        listing = read_to_end(ours)
    os.waitpid(ps, 0)
    rows = (line.split() for line in listing.decode(errors="replace").splitlines())
    found = [Process(int(r[0]), int(r[1]), r[2][:1], int(r[3]), 0, mask_of(r[4])) for r in rows if len(r) == 5]
    return [process for process in found if process.pid != ps]


def read_to_end(fd: int) -> bytes:
    data = b""
    while piece := os.read(fd, 1 << 16):
        data += piece
    os.close(fd)
    return data


def mask_of(digits: str) -> int:
    """A set of signals as ps writes it, in hexadecimal digits; none where it writes something else."""
    try:
        return int(digits.lstrip("<>"), 16)
    except ValueError:
        return 0


def descendants(session: int = 0) -> list[Process]:
    """The living processes below this one.

    Where orphans go to process 1, also those in `session` (its leader's pid) and below them: what has left that, and
    has lost its parent, is not found.
    """
    everyone = processes()
    children: dict[int, list[Process]] = {}
    for process in everyone:
        children.setdefault(process.parent, []).append(process)
    found: dict[int, Process] = {}
    todo = [os.getpid()]
    if session and not SUBREAPER:
        strays = [process for process in everyone if process.pid != os.getpid() and session_of(process.pid) == session]
        found.update((process.pid, process) for process in strays)
        todo += found
    while todo:
        for process in children.get(todo.pop(), ()):
            if process.pid not in found:
                todo.append(process.pid)
                found[process.pid] = process
    return [process for process in found.values() if not process.has_ended]


def session_of(pid: int) -> int:
    """The session of a process; 0 where it has ended, or that isn't told."""
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def ignores(process: Process, signum: int) -> bool:
    """Whether a process ignores a signal, as far as that is told."""
    ignored = process.ignored
    if PROC:
        try:
            with open(f"/proc/{process.pid}/status", "rb") as file:
                ignored = int(file.read().split(b"\nSigIgn:", 1)[1].split(None, 1)[0], 16)
        except (OSError, IndexError):
            return False
    return bool(ignored >> (signum - 1) & 1)


def send(process: Process, signum: int) -> bool:
    """Signal exactly this process; False where it may not be signalled, or isn't surely the one that was listed."""
    try:
        if not PIDFD:
            os.kill(process.pid, signum)
            return True
        pidfd = os.pidfd_open(process.pid)
        try:
            # The pid may have been given to another process since the listing.
            again = read_process(process.pid)
            # Start times count in hundredths of a second, so the parent is compared too; ours take in orphans.
            if again is not None and (
                again.started != process.started or again.parent not in (process.parent, os.getpid())
            ):
                return False
            signal.pidfd_send_signal(pidfd, signum)
        finally:
            os.close(pidfd)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    except OSError:
        # No pidfd in this kernel or sandbox.
        os.kill(process.pid, signum)
    return True
