"""Files and folders that only this user can read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from mcp_background_job.supervisor import jobdir


def make_private(folder: Path) -> None:
    """Make a folder and those above it that are missing, each for this user alone; `parents=True` leaves that to the
    umask.
    """
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)


def write_new(path: Path, data: bytes) -> None:
    """Write a file that wasn't there.

    Raises FileExistsError where it was.
    """
    jobdir.write_file(str(path), data, os.O_EXCL)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that nobody ever sees a part of it, however many do so at once."""
    temporary = f"{path}.{os.urandom(4).hex()}"
    try:
        jobdir.write_whole(str(path), temporary, data)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise


def append_line(path: Path, line: bytes) -> None:
    """Add a line to a file, in one write, which keeps it whole however many do so at once."""
    jobdir.write_file(str(path), line, os.O_APPEND)


def join_pairs(pairs: Mapping[str, str]) -> bytes:
    """NUL-separated `name=value` items, which the runner reads without a JSON parser."""
    return b"\0".join(os.fsencode(f"{name}={value}") for name, value in pairs.items())


def open_lock(path: Path) -> int:
    """A descriptor of a lock file, for reading where the disk takes no writing."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        return os.open(path, os.O_RDONLY)
