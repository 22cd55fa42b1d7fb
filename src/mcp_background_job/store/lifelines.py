"""The lifelines of servers: FIFOs in the session's folder, each held open by one server (supervisor/lifeline.py).

Promise: a lifeline is tidied away once its server has ended, and no other.
"""

from __future__ import annotations

import os
import secrets
import time
from contextlib import suppress
from pathlib import Path

from mcp_background_job.errors import StoreError
from mcp_background_job.supervisor.lifeline import Lifeline

from .folder import SessionFolder

NAMES = ".server-"
OPENED_AGE = 1.0  # seconds after which the maker of a lifeline has opened it


class ServerLifeline:
    """This server's lifeline, made when its first job is started; it breaks when the process ends, whatever ends it."""

    def __init__(self, store: SessionFolder) -> None:
        self.store = store
        self.path: Path | None = None

    def hold(self) -> str:
        """The path of the lifeline, which is held from now on.

        Raises StoreError where it can't be made.
        """
        if self.path is None or not self.path.exists():
            self.store.open()
            path = self.store.folder / f"{NAMES}{secrets.token_hex(6)}"
            try:
                os.mkfifo(path, 0o600)
                # Never closed, and for both ways: to open it for writing alone there would have to be a reader.
                os.open(path, os.O_RDWR | os.O_NONBLOCK)
            except OSError as error:
                raise StoreError(f"The server's lifeline can't be made: {error.strerror}") from error
            self.path = path
        return str(self.path)


def remove_broken(folder: Path) -> None:
    """Remove the lifelines of servers that have ended."""
    for path in folder.glob(f"{NAMES}*"):
        with suppress(OSError):
            if abs(time.time() - path.stat().st_mtime) > OPENED_AGE:
                lifeline = Lifeline(str(path))
                lifeline.close()
                if lifeline.broken:
                    path.unlink(missing_ok=True)
