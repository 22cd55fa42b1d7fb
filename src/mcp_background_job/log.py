"""Reading the segment files that the log writer keeps.

Offsets count every byte that the job ever printed, so they stay valid when the oldest segments are dropped.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Segment:
    """One file: `size` bytes from offset `start` on."""

    start: int
    size: int

    @property
    def stop(self) -> int:
        return self.start + self.size


class Log:
    """A look at the log as it is now; bytes that come later are not in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.segments = list_segments(folder)

    @property
    def start(self) -> int:
        """Offset of the oldest byte that is kept."""
        return self.segments[0].start if self.segments else 0

    @property
    def end(self) -> int:
        """Offset behind the newest byte."""
        return self.segments[-1].stop if self.segments else 0

    def next_kept(self, offset: int) -> int:
        """The first offset from `offset` on whose byte is kept, or the end."""
        for segment in self.segments:
            if offset < segment.stop:
                return max(offset, segment.start)
        return max(offset, self.end)

    def run_end(self, offset: int) -> int:
        """Where the run of kept bytes that `offset` is in ends: the end, or what a full disk has left out."""
        for segment in self.segments:
            if segment.start <= offset < segment.stop:
                offset = segment.stop
        return offset

    def read(self, start: int, stop: int) -> bytes:
        """The kept bytes from `start` to before `stop`."""
        parts: list[bytes] = []
        for segment in self.segments:
            first, last = max(start, segment.start), min(stop, segment.stop)
            if first < last:
                parts.append(self.read_segment(segment, first - segment.start, last - first))
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read_segment(self, segment: Segment, skip: int, size: int) -> bytes:
        """Part of one segment; nothing where it was dropped a moment ago."""
        try:
            fd = os.open(self.folder / f"{segment.start:020d}.log", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return b""
        try:
            return os.pread(fd, size, skip)
        finally:
            os.close(fd)


def list_segments(folder: Path) -> list[Segment]:
    """The segments there are, oldest first."""
    found: list[Segment] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(".log") and entry.name[:-4].isdigit():
                    found.append(Segment(int(entry.name[:-4]), entry.stat().st_size))
    except FileNotFoundError:
        return []
    return sorted(found, key=lambda segment: segment.start)
