"""Being woken when a job's files change, instead of looking again and again.

On Linux by inotify, one descriptor for the whole server; elsewhere, and where inotify is used up, by a short pause.
A wake-up is only a hint: whoever is woken looks at the files.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from types import TracebackType

from mcp_background_job.system import INOTIFY

IN_MODIFY, IN_MOVED_TO, IN_CREATE, IN_DELETE = 0x2, 0x80, 0x100, 0x200
IN_Q_OVERFLOW = 0x4000  # changes were lost: the kernel keeps 16384
IN_NONBLOCK, IN_CLOEXEC = os.O_NONBLOCK, os.O_CLOEXEC
EVENT = struct.Struct("iIII")  # watch, mask, cookie, length of the name that follows
PAUSE = 0.02  # seconds between looks where nothing wakes


class Hub:
    """The event loop's inotify descriptor and who waits for which folder."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.fd: int = self.libc.inotify_init1(IN_NONBLOCK | IN_CLOEXEC)
        self.watches: dict[int, set[asyncio.Event]] = {}
        if self.fd >= 0:
            loop.add_reader(self.fd, self.read)

    def watch(self, folder: Path, event: asyncio.Event) -> int:
        """Set `event` whenever something in `folder` changes; -1 where that can't be had."""
        if self.fd < 0:
            return -1
        mask = IN_MODIFY | IN_MOVED_TO | IN_CREATE | IN_DELETE
        number: int = self.libc.inotify_add_watch(self.fd, os.fsencode(folder), mask)
        if number >= 0:
            self.watches.setdefault(number, set()).add(event)
        return number

    def unwatch(self, number: int, event: asyncio.Event) -> None:
        waiting = self.watches.get(number)
        if waiting is None:
            return
        waiting.discard(event)
        if not waiting:
            del self.watches[number]
            self.libc.inotify_rm_watch(self.fd, number)

    def read(self) -> None:
        """Wake whoever waits for one of the folders that changed."""
        try:
            data = os.read(self.fd, 1 << 16)
        except BlockingIOError:
            return
        position = 0
        while position < len(data):
            number, mask, _, length = EVENT.unpack_from(data, position)
            position += EVENT.size + length
            lost = mask & IN_Q_OVERFLOW
            for event in set().union(*self.watches.values()) if lost else self.watches.get(number, ()):
                event.set()

    def close(self) -> None:
        if self.fd >= 0:
            self.loop.remove_reader(self.fd)
            os.close(self.fd)
            self.fd = -1


@cache
def hub_of(loop: asyncio.AbstractEventLoop) -> Hub:
    return Hub(loop)


class FolderEvents:
    """Waits for changes in some folders; a context manager, so that nothing is left when the waiter goes."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self.folders = list(folders)
        self.event = asyncio.Event()
        self.numbers: list[int] = []
        self.complete = False

    def __enter__(self) -> FolderEvents:
        if INOTIFY:
            self.hub = hub_of(asyncio.get_running_loop())
            self.numbers = [self.hub.watch(folder, self.event) for folder in self.folders]
            self.complete = all(number >= 0 for number in self.numbers)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number in self.numbers:
            self.hub.unwatch(number, self.event)

    async def wait(self, seconds: float) -> bool:
        """Until something changed, or `seconds` have passed; whether anything may have changed."""
        if not self.complete:
            seconds = min(seconds, PAUSE)
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self.event.wait()
        except TimeoutError:
            return not self.complete
        self.event.clear()
        return True
