"""Whether a path is this user's alone: no other user has put there, or can put there, what is found at it.

A folder that another user owns or may write to lets that user exchange everything below it; a sticky one (as /tmp)
only what is not there yet. tmux checks its default folder so, but no socket that is named with -S.
"""

from __future__ import annotations

import os
import stat
import time
from functools import cache
from pathlib import Path

SURE_FOR = 1.0  # seconds for which folders that were found right are not looked at again

_right_until: dict[Path, float] = {}


def untrusted_parent(path: Path) -> str:
    """What is wrong with the folders above `path`: the one in which another user could exchange it; empty if nothing.

    `path` is absolute. Owners may be this user or root; a folder that others may write to must be sticky.
    """
    now = time.monotonic()
    if _right_until.get(path, 0.0) > now:
        return ""
    # The links on the way, and then the folders that they lead to.
    real = path.parent.resolve()
    for folder in dict.fromkeys([*path.parents, real, *real.parents]):
        problem = _problem_of_parent(folder)
        if problem:
            return problem
    _right_until[path] = now + SURE_FOR
    return ""


def _problem_of_parent(folder: Path) -> str:
    try:
        facts = folder.lstat()
    except FileNotFoundError:
        return ""  # made by us, in one that is looked at
    except OSError as error:
        return f"{str(folder)!r} can't be looked at: {error.strerror}"
    if facts.st_uid not in (0, os.getuid()):
        return f"{str(folder)!r} belongs to {name_of_user(facts.st_uid)}"
    if stat.S_ISLNK(facts.st_mode) or facts.st_mode & stat.S_ISVTX:
        return ""
    return _problem_of_mode(folder, facts)


def untrusted(path: Path, kind: str = "folder") -> str:
    """What is wrong with a folder or socket that should be ours: a link, another user's, or writable by others.

    Empty if nothing, also for a path that does not exist. `kind`: `folder` or `socket`.
    """
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"{str(path)!r} can't be looked at: {error.strerror}"
    right = stat.S_ISDIR(facts.st_mode) if kind == "folder" else stat.S_ISSOCK(facts.st_mode)
    if not right:
        return f"{str(path)!r} is a link or not a {kind}, so another user may decide what it holds"
    if facts.st_uid != os.getuid():
        return f"{str(path)!r} belongs to {name_of_user(facts.st_uid)}"
    return _problem_of_mode(path, facts) if kind == "folder" else ""


def _problem_of_mode(folder: Path, facts: os.stat_result) -> str:
    if facts.st_mode & stat.S_IWOTH:
        return f"{str(folder)!r} can be written to by every user"
    if facts.st_mode & stat.S_IWGRP and not is_private_group(facts.st_gid):
        return f"{str(folder)!r} can be written to by its group"
    return ""


@cache
def is_private_group(gid: int) -> bool:
    """Whether a group has no other member than this user, as where each user has a group and a umask of 002."""
    import grp
    import pwd

    if gid == 0:
        return True  # root may do everything anyway
    try:
        own = pwd.getpwuid(os.getuid())
        members = set(grp.getgrgid(gid).gr_mem)
    except KeyError:
        return False
    return (
        own.pw_gid == gid
        and members <= {own.pw_name}
        and not any(other.pw_gid == gid and other.pw_uid != own.pw_uid for other in pwd.getpwall())
    )


def name_of_user(uid: int) -> str:
    """`user bob (1001)`, or the number alone where it has no name."""
    import pwd

    try:
        return f"user {pwd.getpwuid(uid).pw_name} ({uid})"
    except KeyError:
        return f"user {uid}"
