"""Lock files that tell whether their holder lives.

Part of the runner and the log writer: the standard library alone.
"""

from __future__ import annotations

import fcntl
import os


def hold_new(path: str) -> int:
    """Make the lock file at `path` and hold it until this process is gone; its descriptor, -1 where there is one.

    It appears held: a lock that is there and free means that its holder is gone.
    """
    new = f"{path}.{os.getpid()}"
    fd = os.open(new, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    try:
        os.link(new, path)
    except FileExistsError:
        os.close(fd)
        return -1
    finally:
        os.unlink(new)
    return fd


def lock_is_free(path: str) -> bool:
    """Whether nobody holds the lock file at `path`; a missing file counts as held."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # for writing it would need a disk that can be written to
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True
