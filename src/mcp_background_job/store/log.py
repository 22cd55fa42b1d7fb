"""Reading the segment files that the log writer keeps.

Offsets count every byte that the job ever printed, so they stay valid when the oldest segments are dropped.

Promise: what is read belongs to the offsets it was read for. A segment that its writer drops between the look at the
folder and the reading is never passed over: `SegmentGone` says so, and whoever reads looks again.
"""

from __future__ import annotations

import os
import time
from bisect import bisect_right
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

from mcp_background_job.errors import StoreError
from mcp_background_job.supervisor.segments import list_offsets, segment_name

Given = ParamSpec("Given")
Answer = TypeVar("Answer")

MAX_HELD = 256 << 20  # bytes that are kept for one who searches them, and can't keep up
LOOKS = 200  # a full-speed flood drops an eighth of 1 MB every 4 ms, longer than most reads take


class SegmentGone(Exception):
    """The writer has dropped a segment since the look at the folder."""


class Log:
    """A look at the log as it is now; bytes that come later are not in it.

    Sizes are asked for as they are needed: a log of 1 GB has 128 segments, and a tail is in the last.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.starts: list[int] = []  # offset of each segment's first byte, oldest first
        self.end = 0  # offset behind the newest byte
        self._stops: dict[int, int] = {}
        self.look()

    def look(self) -> None:
        """See the log as it is now."""
        for _ in range(LOOKS):
            self.starts = list_starts(self.folder)
            self._stops.clear()
            try:
                self.end = self.stop(len(self.starts) - 1) if self.starts else 0
            except SegmentGone:
                continue
            return
        raise too_fast()

    @property
    def start(self) -> int:
        """Offset of the oldest byte that is kept."""
        return self.starts[0] if self.starts else 0

    @property
    def written(self) -> float:
        """When the newest byte was written, in seconds since the epoch; now where there is no byte."""
        try:
            return os.stat(self.path(self.starts[-1])).st_mtime  # noqa: PTH116 - of a string, as are all here
        except (IndexError, FileNotFoundError):
            return time.time()

    def stop(self, index: int) -> int:
        """Offset behind the last byte of a segment."""
        start = self.starts[index]
        found = self._stops.get(start)
        if found is None:
            try:
                found = start + os.stat(self.path(start)).st_size  # noqa: PTH116 - of a string, as are all here
            except FileNotFoundError:
                raise SegmentGone from None
            self._stops[start] = found
        return found

    def path(self, start: int) -> str:
        return f"{self.folder}/{segment_name(start)}"

    def at(self, offset: int) -> int:
        """The index of the segment that `offset` is in or behind; -1 before the first."""
        return bisect_right(self.starts, offset) - 1

    def next_kept(self, offset: int) -> int:
        """The first offset from `offset` on whose byte is kept, or the end."""
        index = self.at(offset)
        if index >= 0 and offset < self.stop(index):
            return offset
        return self.starts[index + 1] if index + 1 < len(self.starts) else max(offset, self.end)

    def run_end(self, offset: int, enough: int) -> int:
        """Where the run of kept bytes that `offset` is in ends: the end, or what a full disk has left out.

        It is not looked for beyond `enough` bytes.
        """
        index, found = self.at(offset), offset
        while 0 <= index < len(self.starts) and self.starts[index] <= found < offset + enough:
            found = max(found, self.stop(index))
            index += 1
        return found

    def read(self, start: int, stop: int) -> bytes:
        """The kept bytes from `start` to before `stop`."""
        parts: list[bytes] = []
        for index in range(max(0, self.at(start)), len(self.starts)):
            first = max(start, self.starts[index])
            if first >= stop:
                break
            last = min(stop, self.stop(index))
            if first < last:
                parts.append(self.read_segment(self.starts[index], first, last))
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read_segment(self, segment: int, start: int, stop: int) -> bytes:
        """The bytes from `start` to before `stop`, all of them in one segment."""
        try:
            fd = os.open(self.path(segment), os.O_RDONLY)
        except FileNotFoundError:
            raise SegmentGone from None
        try:
            return os.pread(fd, stop - start, start - segment)
        finally:
            os.close(fd)


class HeldLog(Log):
    """A log of which nothing from `since` on goes away: what is dropped meanwhile is read from open files.

    No more than MAX_HELD bytes are kept so; the room on disk comes back with `let_go`.
    """

    def __init__(self, folder: Path, since: int) -> None:
        self.since = since
        self._files: dict[int, int] = {}  # descriptors, by their segments' offsets
        super().__init__(folder)

    def look(self) -> None:
        super().look()
        self.hold()
        self.starts = sorted({*self.starts, *tuple(self._files)})
        self.let_go(max(self.since, self.end - MAX_HELD))

    def hold(self) -> None:
        """Keep what has come; may be called while another thread reads."""
        starts = list_starts(self.folder)
        for start in starts[max(0, bisect_right(starts, self.since) - 1) :]:
            if start not in self._files:
                with suppress(FileNotFoundError):  # dropped since
                    file = os.open(self.path(start), os.O_RDONLY | os.O_CLOEXEC)
                    if self._files.setdefault(start, file) != file:  # the other thread was faster
                        os.close(file)

    def let_go(self, before: int) -> None:
        """Keep only what is from offset `before` on."""
        self.since = max(self.since, before)
        for start in sorted(self._files.copy()):  # another thread may add to it
            if start + os.fstat(self._files[start]).st_size > self.since or start == max(self._files):
                break
            os.close(self._files.pop(start))

    def close(self) -> None:
        """Keep nothing."""
        for file in self._files.values():
            os.close(file)
        self._files.clear()

    def stop(self, index: int) -> int:
        start = self.starts[index]
        if start in self._files and start not in self._stops:
            self._stops[start] = start + os.fstat(self._files[start]).st_size
        return super().stop(index)

    def read_segment(self, segment: int, start: int, stop: int) -> bytes:
        if segment in self._files:
            return os.pread(self._files[segment], stop - start, start - segment)
        return super().read_segment(segment, start, stop)


def list_starts(folder: Path) -> list[int]:
    """The offset of each segment's first byte, oldest first."""
    try:
        return list_offsets(str(folder))
    except FileNotFoundError:
        return []


def looking_again(read: Callable[Given, Answer]) -> Callable[Given, Answer]:
    """Call `read`, which takes its own look at the log, again while segments go away under it.

    Raises StoreError where they go faster than they can be read.
    """

    @wraps(read)
    def reading(*given: Given.args, **named: Given.kwargs) -> Answer:
        for _ in range(LOOKS):
            try:
                return read(*given, **named)
            except SegmentGone:
                continue
        raise too_fast()

    return reading


def too_fast() -> StoreError:
    return StoreError("The job prints faster than its log can be read; raise MCP_BG_MAX_OUTPUT_SIZE for the next one")
