"""Lock files that tell whether their holder lives.

Part of the runner and the log writer: the standard library alone.
"""

import fcntl
import os
import time


def hold_new(path: str) -> int:
    """Make the lock file at `path` and hold it until this process is gone; its descriptor, -1 where there is one.

    It appears held: a lock that is there and free means that its holder is gone.
    """
    new = f"{path}.{os.getpid()}"
    fd = os.open(new, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    try:
        os.link(new, path)
    except FileExistsError:
        os.close(fd)
        return -1
    finally:
        os.unlink(new)
    return fd


def try_lock(fd: int, seconds: float = 0.0) -> bool:
    """Take the lock of an open file, or give up after `seconds`; whether it was taken."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.002)
        else:
            return True


def is_held(path: str) -> bool:
    """Whether a living process holds the lock file at `path`; a shared look at it disturbs nobody.

    Raises OSError where there is none, or it can't be opened.
    """
    fd = os.open(path, os.O_RDONLY)  # for writing it would need a disk that can be written to
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False
