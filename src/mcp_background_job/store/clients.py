"""What each client was told, so that a server that is started anew goes on where a killed one was.

    <state>/.clients/<session>/<server>/lock       held by the server for as long as it lives
                                        <number>   one client's record

Promise: a living server's records are its own; a dead one's are taken by one server at most.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mcp_background_job.supervisor.jobdir import write_file
from mcp_background_job.supervisor.locks import hold_new, is_held

from .files import make_private

MAX_RECORD = 1 << 20  # bytes


class ClientRecords:
    """The records of one server's clients; nothing is on disk before the first is saved."""

    def __init__(self, session_folder: Path) -> None:
        self.folder = clients_folder(session_folder)
        self.own = self.folder / f"{os.getpid()}-{os.urandom(4).hex()}"
        self._lock = -1
        self._sizes: dict[int, int] = {}

    def save(self, number: int, record: bytes) -> None:
        """Write one client's record. A disk that takes nothing loses it, which costs a repeated answer at most."""
        with suppress(OSError):
            self._open()
            # In its place, over all of the one before: a file renamed over another one makes the disk write at once.
            size = self._sizes[number] = max(len(record), self._sizes.get(number, 0))
            write_file(str(self.own / str(number)), record.ljust(size))

    def adopt(self, number: int, is_its: Callable[[bytes], bool]) -> bytes | None:
        """The newest record of a dead server that `is_its`, now this one's by `number`; None where there is none."""
        for path in sorted(self._orphans(), key=modified, reverse=True):
            try:
                record = path.read_bytes()[:MAX_RECORD]
                if is_its(record):
                    self._open()
                    # In one step: whenever this server is killed, the record is there for the next one.
                    path.rename(self.own / str(number))
                    self._sizes[number] = len(record)
                    return record
            except OSError:
                continue  # another server was faster
        return None

    def _open(self) -> None:
        if self._lock < 0:
            make_private(self.own)
            self._lock = hold_new(str(self.own / "lock"))

    def _orphans(self) -> list[Path]:
        return [path for folder in dead(self.folder) for path in records_in(folder)]


def all_records(session_folder: Path) -> list[bytes]:
    """The records of all servers, also of those that are gone."""
    found: list[bytes] = []
    with suppress(OSError):
        for folder in clients_folder(session_folder).iterdir():
            with suppress(OSError):  # it may go meanwhile
                found += [path.read_bytes()[:MAX_RECORD] for path in records_in(folder)]
    return found


def sweep_clients(session_folder: Path, keep: float) -> None:
    """Remove what dead servers left: all that is empty, or that nobody has come for in `keep` seconds."""
    for folder in dead(clients_folder(session_folder)):
        if not records_in(folder) or time.time() - modified(folder) > keep:
            shutil.rmtree(folder, ignore_errors=True)


def clients_folder(session_folder: Path) -> Path:
    """Where a session's servers keep what their clients were told: no session's name begins with a dot."""
    return session_folder.parent / ".clients" / session_folder.name


def dead(clients: Path) -> list[Path]:
    """The folders whose servers are gone; one without a lock is still being made."""
    found: list[Path] = []
    with suppress(OSError):
        for folder in clients.iterdir():
            with suppress(OSError):
                if not is_held(str(folder / "lock")):
                    found.append(folder)
    return found


def records_in(folder: Path) -> list[Path]:
    """The clients' records in a server's folder."""
    return [path for path in folder.iterdir() if path.name.isdigit()]


def modified(path: Path) -> float:
    """When a file or folder was last changed, in seconds since the epoch; 0 where it is gone."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
