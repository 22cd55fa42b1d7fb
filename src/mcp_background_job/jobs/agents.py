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

import psutil

from mcp_background_job.store.clients import all_records
from mcp_background_job.supervisor.process_tree import read_process

# What an agent's client may have between itself and the server that it starts.
WRAPPERS = {"sh", "bash", "dash", "zsh", "env", "uv", "uvx", "npx", "pipx", "timeout", "nice"}


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


def ancestors(pid: int) -> list[psutil.Process]:
    """A process and those above it, but for the first of the machine; none where it is gone."""
    try:
        process = psutil.Process(pid)
        return [one for one in (process, *process.parents()) if one.pid > 1]
    except psutil.Error:
        return []


def records_below(session_folder: Path, pid: int) -> list[AgentRecord]:
    """Those of clients that are a process, or were started below it."""
    return [one for one in agent_records(session_folder) if pid in (above.pid for above in ancestors(one.pid))]


def own_records(session_folder: Path) -> list[AgentRecord]:
    """Those of the agent that has started this process: it, or what it uses to start programs, has started the server.

    Two agents have more above them in common: the shell, tmux, the desktop.
    """
    above = {process.pid for process in ancestors(os.getppid())}
    return [record for record in agent_records(session_folder) if started_by_one_of(above, record.pid)]


def started_by_one_of(pids: set[int], starter: int) -> bool:
    for process in ancestors(starter):
        if process.pid in pids:
            return True
        with suppress(psutil.Error):
            if process.name() in WRAPPERS:
                continue
        return False
    return False
