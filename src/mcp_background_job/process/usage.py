"""CPU and memory of jobs: of all processes below a job's runner, in one pass over the process table.

Promises: a process that vanishes or is another user's counts as nothing; a look is never an exception.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mcp_background_job.system import PROC


@dataclass(frozen=True)
class Usage:
    """What a job's processes use now."""

    cpu: float | None  # percent of one core since the last look; None at the first
    memory: int  # bytes, resident; shared pages count for each process


class Meter:
    """Remembers the CPU seconds of the last look, so that the next one gives a rate."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.at = 0.0
        self.cost = 0.0  # CPU seconds that the last look took

    def look(self, runners: Mapping[str, int]) -> dict[str, Usage]:
        """The usage of each job; `runners` gives the process whose descendants are the job's."""
        started = time.thread_time()
        now = time.monotonic()
        table = process_table()
        below: dict[int, list[int]] = {}
        for pid, facts in table.items():
            below.setdefault(facts[0], []).append(pid)
        found: dict[str, Usage] = {}
        seconds: dict[str, float] = {}
        for job_id, runner in runners.items():
            pids = list(descendants(runner, below))
            seconds[job_id] = sum(table[pid][1] for pid in pids)
            before = self.seconds.get(job_id)
            # Processes that have ended took their seconds along.
            cpu = None if before is None else max(0.0, seconds[job_id] - before) / (now - self.at) * 100
            found[job_id] = Usage(cpu, sum(table[pid][2] for pid in pids))
        self.seconds, self.at = seconds, now
        self.cost = time.thread_time() - started
        return found


def process_table() -> dict[int, tuple[int, float, int]]:
    """Parent, CPU seconds and resident bytes of every process."""
    return linux_table() if PROC else any_table()


def linux_table() -> dict[int, tuple[int, float, int]]:
    """From the one file of a process that has all three (proc_pid_stat(5)): a fifth of what psutil takes."""
    tick, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    table: dict[int, tuple[int, float, int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - names alone, in half the time
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb", buffering=0) as file:  # noqa: PTH123
                facts = file.read(2048)
        except OSError:
            continue
        # Behind the program's name, which may have brackets and blanks in it.
        fields = facts[facts.rfind(b")") + 2 :].split()
        table[int(name)] = (int(fields[1]), (int(fields[11]) + int(fields[12])) / tick, int(fields[21]) * page)
    return table


def any_table() -> dict[int, tuple[int, float, int]]:
    """By psutil, on any platform."""
    import psutil  # 20 ms of the start of a board that nobody may ever look at

    table: dict[int, tuple[int, float, int]] = {}
    for process in psutil.process_iter(["ppid", "cpu_times", "memory_info"]):
        times, memory = process.info["cpu_times"], process.info["memory_info"]
        seconds = times.user + times.system if times else 0.0
        table[process.pid] = (process.info["ppid"] or 0, seconds, memory.rss if memory else 0)
    return table


def descendants(top: int, below: Mapping[int, Iterable[int]]) -> Iterable[int]:
    """The processes below `top`, without itself."""
    todo = [top]
    while todo:
        for pid in below.get(todo.pop(), ()):
            yield pid
            todo.append(pid)
