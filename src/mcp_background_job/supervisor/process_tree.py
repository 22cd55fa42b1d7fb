"""The processes below this one, and signals that reach exactly those.

Part of the runner: the standard library alone.
"""

import os
import signal
import sys

PR_SET_CHILD_SUBREAPER = 36


class Process:
    """A process as it was when it was looked at."""

    __slots__ = ("group", "parent", "pid", "started", "state")

    def __init__(self, pid: int, parent: int, state: str, group: int, started: int) -> None:
        self.pid = pid
        self.parent = parent
        self.state = state  # a letter, Z and X for what has ended
        self.group = group
        self.started = started  # in the kernel's ticks; 0 where nothing tells

    @property
    def has_ended(self) -> bool:
        return self.state in "ZX"


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
    return Process(pid, int(fields[1]), fields[0].decode(), int(fields[2]), int(fields[19]))


def processes_by_ps() -> list[Process]:
    import subprocess

    listing = subprocess.run(
        ["ps", "-axo", "pid=,ppid=,stat=,pgid="], capture_output=True, text=True, check=False
    ).stdout
    rows = (line.split() for line in listing.splitlines())
    return [Process(int(r[0]), int(r[1]), r[2][:1], int(r[3]), 0) for r in rows if len(r) == 4]


def descendants() -> list[Process]:
    """The living processes below this one."""
    children: dict[int, list[Process]] = {}
    for process in processes():
        children.setdefault(process.parent, []).append(process)
    found: list[Process] = []
    todo = [os.getpid()]
    while todo:
        for process in children.get(todo.pop(), ()):
            todo.append(process.pid)
            if not process.has_ended:
                found.append(process)
    return found


def ignores(pid: int, signum: int) -> bool:
    """Whether a process ignores a signal, as far as /proc tells."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            mask = file.read().split(b"\nSigIgn:", 1)[1].split(None, 1)[0]
    except (OSError, IndexError):
        return False
    return bool(int(mask, 16) >> (signum - 1) & 1)


def send(process: Process, signum: int) -> bool:
    """Signal exactly this process; False where it may not be signalled, or isn't surely the one that was listed."""
    try:
        if not hasattr(signal, "pidfd_send_signal") or not hasattr(os, "pidfd_open"):
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
