"""Which client an agent's process is, by where its server was started, and what that client knows of jobs.

From what servers note of their clients (server/clients.py). A client over HTTP has no place, so it is nobody's here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp_background_job.store.clients import all_records
from mcp_background_job.supervisor.process_tree import read_process

DEEPEST = 64  # processes above one another


@dataclass(frozen=True)
class KnownJob:
    """What a client knows of a job: where the output ended when it was told of a need for input, and of the end."""

    told: int
    over: bool


@dataclass(frozen=True)
class AgentRecord:
    """A client on stdio: the process that started its server, and the jobs that it has started or asked about."""

    pid: int
    jobs: dict[str, KnownJob]


def agent_records(session_folder: Path) -> Iterator[AgentRecord]:
    """What is noted of each client on stdio; what is damaged is left out."""
    for data in all_records(session_folder):
        with suppress(ValueError, TypeError, AttributeError):
            record: dict[str, Any] = json.loads(data)
            place = str(record["who"]).split(" ")[-2:]
            if len(place) == 2 and place[0].isdigit() and is_same(int(place[0]), place[1]):
                jobs = {
                    job_id: KnownJob(int(told), state == "over") for job_id, (told, _, state) in record["jobs"].items()
                }
                yield AgentRecord(int(place[0]), jobs)


def is_same(pid: int, started: str) -> bool:
    """Whether a process still is the one that was noted, by its start."""
    found = read_process(pid)
    return found is None or str(found.started) == started


def ancestors(pid: int) -> Iterator[int]:
    """A process and those above it, but for the first of the machine."""
    for _ in range(DEEPEST):
        if pid <= 1:
            return
        yield pid
        found = read_process(pid)
        pid = found.parent if found is not None else 0


def records_below(session_folder: Path, pid: int) -> list[AgentRecord]:
    """Those of clients that are a process, or were started below it."""
    return [record for record in agent_records(session_folder) if pid in ancestors(record.pid)]


def own_records(session_folder: Path) -> list[AgentRecord]:
    """Those of the agent that has started this process: of the nearest one above that has a server below it."""
    records = list(agent_records(session_folder))
    above = {record.pid: set(ancestors(record.pid)) for record in records}
    for pid in ancestors(os.getppid()):
        found = [record for record in records if pid in above[record.pid]]
        if found:
            return found
    return []
