"""A session's folder in the state folder: its safety, its locks, and which jobs it has."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mcp_background_job.errors import JobNotFound, StoreError
from mcp_background_job.ownership import untrusted, untrusted_parent
from mcp_background_job.supervisor.locks import try_lock

from .files import make_private
from .models import JobId

JOB_ID = re.compile(r"[a-z][a-z0-9]{5}")
ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # none that is misread
LOCK_PATIENCE = 10.0  # seconds; the lock is held for milliseconds, unless its holder is stopped
OURS = {"lock", "sweep.lock", "tmux.conf", "keys.conf"}  # files beside the job folders
HALF_MADE = ".new-"
HALF_MADE_AGE = 1.0  # seconds after which the maker of a folder in the making has locked it


@contextmanager
def locked_folder(path: Path) -> Iterator[bool]:
    """Whether the lock of a folder in the making could be had, which its maker holds until it is made."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield try_lock(fd)
    finally:
        os.close(fd)


class SessionFolder:
    """The folder of one session."""

    def __init__(self, state_dir: Path, session: str) -> None:
        self.folder = state_dir / session

    # -- safety and locks -----------------------------------------------------------------------------------

    def open(self) -> None:
        """Make the session's folder, for this user alone.

        Raises StoreError where it can't be made, or as `check`.
        """
        self.check()
        try:
            make_private(self.folder)
            self.check()
            if self.folder.stat().st_mode & 0o077:
                self.folder.chmod(0o700)
        except OSError as error:
            raise StoreError(f"The state folder {str(self.folder)!r} can't be made: {error.strerror}") from error

    def check(self) -> None:
        """Look at nothing that another user has put there, or could exchange.

        Once no folder on the way can be renamed or written to by others, paths stay what they were when looked at.

        Raises StoreError where a folder is a link, or another user owns it, one above it, or may write to one of them.
        """
        problem = untrusted_parent(self.folder.parent)
        for folder in (self.folder.parent, self.folder):
            problem = problem or untrusted(folder)
        if problem:
            raise StoreError(problem)

    def check_writable(self) -> None:
        """Raises StoreError where the folder can't be made or written to, or as `check`."""
        self.check()
        there = self.folder
        while not there.exists():
            there = there.parent
        if not os.access(there, os.W_OK | os.X_OK):
            raise StoreError(f"The state folder {str(self.folder)!r} can't be made: {str(there)!r} can't be written to")

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep every other server of this session from adding a job.

        Raises StoreError after LOCK_PATIENCE.
        """
        fd = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if not try_lock(fd, LOCK_PATIENCE):
                raise StoreError("Another server has held the session's lock for too long")
            yield
        finally:
            os.close(fd)

    @contextmanager
    def sweeping(self) -> Iterator[bool]:
        """Whether this process is the one that tidies up now.

        Raises StoreError as `check`.
        """
        self.check()
        fd = os.open(self.folder / "sweep.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            yield try_lock(fd)
        finally:
            os.close(fd)

    # -- its jobs -------------------------------------------------------------------------------------------

    def ids(self) -> list[JobId]:
        """Every job id there is; nothing else in the folder counts.

        Raises StoreError as `check`.
        """
        self.check()
        try:
            return [JobId(name) for name in os.listdir(self.folder) if JOB_ID.fullmatch(name)]  # noqa: PTH208 - 5x faster
        except FileNotFoundError:
            return []

    def foreign(self) -> list[str]:
        """Names in the folder that are no job's, nor ours; those that begin with a dot are ignored."""
        try:
            with os.scandir(self.folder) as entries:
                return [
                    entry.name
                    for entry in entries
                    if not (JOB_ID.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False))
                    and entry.name not in OURS
                    and not entry.name.startswith(".")
                ]
        except FileNotFoundError:
            return []

    def path(self, job_id: str) -> Path:
        """The folder of an existing job.

        Raises JobNotFound, also for anything that is no job id, or StoreError as `check`.
        """
        if not JOB_ID.fullmatch(job_id):
            raise JobNotFound(job_id)
        self.check()
        path = self.folder / job_id
        if not path.is_dir():
            raise JobNotFound(job_id)
        return path

    def new_id(self) -> JobId:
        """An id that no job has."""
        while True:
            job_id = secrets.choice(ALPHABET[:22]) + "".join(secrets.choice(ALPHABET) for _ in range(5))
            if not (self.folder / job_id).exists():
                return JobId(job_id)

    def remove_typed(self) -> None:
        """Remove what servers of 0.2 left that were killed while they typed: the input, in a file."""
        for job_id in self.ids():
            with suppress(OSError):  # a job's folder may go meanwhile
                for path in (self.folder / job_id).glob("typed-*"):
                    path.unlink(missing_ok=True)

    def remove_half_made(self) -> None:
        """Remove folders whose maker died while making or removing them; they may hold an environment."""
        for path in self.folder.glob(HALF_MADE + "*"):
            with suppress(OSError), locked_folder(path) as alone:
                # Also one from the future: the clock was set back since.
                if alone and abs(time.time() - path.stat().st_mtime) > HALF_MADE_AGE:
                    shutil.rmtree(path, ignore_errors=True)
