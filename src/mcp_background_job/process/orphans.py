"""What is left of a job that has ended or whose runner was killed: its processes, found by the job id in their
environment.

Promise: no process is signalled that isn't the one that was looked at, however pids are used again.
"""

from __future__ import annotations

import os
import signal
import termios
import time
from contextlib import suppress
from pathlib import Path

from mcp_background_job.config import JOB_VARIABLE
from mcp_background_job.supervisor.locks import is_held
from mcp_background_job.system import PIDFD, PROC

ROUNDS = 20  # looks at most: those that were forked during the last one are found by the next
PAUSE = 0.005  # seconds between two, for the killed to be gone


def processes_of(job_id: str) -> list[tuple[int, str]]:
    """The processes of this user that the job has started, and their command lines."""
    import psutil

    found = []
    for pid in _pids_of(job_id):
        with suppress(psutil.Error):
            process = psutil.Process(pid)
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append((pid, " ".join(process.cmdline()) or process.name()))
    return found


def end_processes(job_id: str, signum: int, grace: float) -> int:
    """End every process of this user that the job has started: a signal, then KILL after `grace` s; how many."""
    found = _pids_of(job_id)
    ended = sum(kill_if_of(pid, job_id, signum) for pid in found)
    for pid in found:
        kill_if_of(pid, job_id, signal.SIGCONT)  # what is stopped would not mind the signal
    deadline = time.monotonic() + grace
    while time.monotonic() < deadline and processes_of(job_id):
        time.sleep(4 * PAUSE)
    end_orphans(job_id)
    return ended


def _pids_of(job_id: str) -> list[int]:
    mark = f"{JOB_VARIABLE}={job_id}".encode()
    if not PROC:
        import psutil

        return [process.pid for process in psutil.process_iter(["environ"]) if _has(process.info["environ"], job_id)]
    found = []
    for name in os.listdir("/proc"):  # noqa: PTH208 - a tenth of the time that Path or psutil takes
        if name.isdigit() and int(name) != os.getpid():
            with suppress(OSError), open(f"/proc/{name}/environ", "rb") as file:  # noqa: PTH123
                if mark in file.read().split(b"\0"):
                    found.append(int(name))
    return found


def _has(environment: dict[str, str] | None, job_id: str) -> bool:
    return (environment or {}).get(JOB_VARIABLE) == job_id


def end_orphans(job_id: str) -> int:
    """Kill every process of this user that the job has started; how many there were."""
    import psutil

    ended: set[tuple[int, float]] = set()
    for _ in range(ROUNDS):
        found = {
            (process.pid, process.create_time())
            for process in psutil.process_iter()
            if process.pid != os.getpid() and kill_if_of(process.pid, job_id)
        }
        if not found:
            break
        ended |= found
        time.sleep(PAUSE)
    return len(ended)


def kill_if_of(pid: int, job_id: str, signum: int = signal.SIGKILL) -> bool:
    """Signal the process `pid` if it has the job's id in its environment; whether it had."""
    import psutil

    try:
        handle = os.pidfd_open(pid) if PIDFD else -1
    except OSError:
        return False
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE or process.environ().get(JOB_VARIABLE) != job_id:
            return False
        if handle < 0:
            process.send_signal(signum)
        else:
            # Opened before the look: where the pid has passed on meanwhile, nobody gets this.
            signal.pidfd_send_signal(handle, signum)
    except (psutil.Error, OSError):
        return False  # another user's, or gone by itself
    finally:
        if handle >= 0:
            os.close(handle)
    return True


def resume(folder: Path, pid: int, tty: str) -> None:
    """Let a stopped runner go on, and a terminal that a person has stopped with C-s."""
    with suppress(OSError, termios.error):
        handle = os.pidfd_open(pid) if PIDFD else -1
        try:
            # A lock that is held proves whose pid it is.
            if not is_held(str(folder / "runner.lock")):
                return
            if handle < 0:
                os.kill(pid, signal.SIGCONT)
            else:
                signal.pidfd_send_signal(handle, signal.SIGCONT)
        finally:
            if handle >= 0:
                os.close(handle)
        fd = os.open(tty, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            termios.tcflow(fd, termios.TCOON)
        finally:
            os.close(fd)
