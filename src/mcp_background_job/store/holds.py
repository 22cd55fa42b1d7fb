"""Who has the keys of a job, in its folder: a person, or the agents.

Promise: a hold appears whole; it is a fact on disk, which any server and any person's command may change.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from .files import write_whole
from .models import Hold
from .records import HOLD, find_record, to_record
from .requests import wake


def read_hold(folder: Path) -> Hold | None:
    """The person's hold of a running job."""
    return find_record(f"{folder}/holder", HOLD)


def set_hold(folder: Path, hold: Hold | None, declined: bool = False) -> None:
    """Give the keys to a person, or back; `declined` where they don't do what they were asked for."""
    if declined:
        write_whole(folder / "declined", b"")
    else:
        (folder / "declined").unlink(missing_ok=True)
    if hold is None:
        (folder / "holder").unlink(missing_ok=True)
        wake(folder)  # its server may have ended meanwhile, and the job with it
        return
    write_whole(folder / "holder", to_record(HOLD, hold))


def release(folder: Path, hold: Hold, declined: bool = False) -> bool:
    """Hand back this very hold; False where it is another's by now, which stays."""
    holder = folder / "holder"
    # One step, or a waiter would see the keys back before it could see that it was a no.
    released = folder / ("declined" if declined else f"holder.{os.urandom(4).hex()}")
    try:
        holder.rename(released)
    except FileNotFoundError:
        return False
    ours = find_record(str(released), HOLD) == hold
    if not ours:
        with suppress(FileExistsError):  # one that was taken meanwhile is newer
            os.link(released, holder)
    if not ours or not declined:
        released.unlink()
    if ours:
        wake(folder)
    return ours


def was_declined(folder: Path) -> bool:
    """Whether the person who was asked for last said no."""
    return (folder / "declined").exists()
