"""When a job printed what: reading the timing files that the log writer keeps.

Promises: whatever the files hold, offsets and times never go back; a torn, dropped or missing entry makes times less
exact, by no more than to the entry before it, and never hides a byte.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mcp_background_job.supervisor.segments import RESOLUTION, TIMING, list_offsets, segment_name

LONGEST = 1 << 40  # bytes or milliseconds (35 years) between two entries; more is no entry


@dataclass(frozen=True)
class Entry:
    """The byte at `offset` was printed at `time`, in milliseconds of the monotonic clock of the job's boot."""

    offset: int
    time: int


@dataclass(frozen=True)
class Piece:
    """The bytes from `start` to before `stop`, printed at `time`; 0 where nobody knows when."""

    time: int
    start: int
    stop: int


class Timing:
    """A look at the timing files as they are now."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.starts = list_offsets(str(folder), TIMING)
        except OSError:
            self.starts = []  # a job of a version that kept no timing

    def entries(self, offset: int = 0) -> Iterator[Entry]:
        """The entries from the one that `offset` belongs to on, and maybe some before it."""
        latest = 0
        for index, start in enumerate(self.starts):
            following = self.starts[index + 1] if index + 1 < len(self.starts) else None
            if following is not None and following <= offset:
                continue
            for entry in self.file(start):
                if following is not None and entry.offset > following:
                    break
                latest = max(latest, entry.time)
                yield Entry(entry.offset, latest)

    def file(self, start: int) -> list[Entry]:
        """The whole entries of one file; none where it was dropped a moment ago."""
        try:
            data = (self.folder / segment_name(start, TIMING)).read_bytes()
        except OSError:
            return []
        found: list[Entry] = []
        time = value = shift = 0
        offset, step = start, -1
        for byte in data:
            value |= (byte & 127) << shift
            if byte > 127:
                shift += 7
                continue
            if value > LONGEST:
                break
            if step < 0:
                step = value
            else:
                offset, time, step = offset + step, time + value, -1
                found.append(Entry(offset, time))
            value = shift = 0
        return found

    @property
    def first(self) -> Entry | None:
        """The oldest entry."""
        return next(self.entries(), None)

    def since(self, time: int) -> int | None:
        """Offset of the first byte that may have been printed at `time` or later; None where no entry is that young.

        Where that goes further back than the entries do, 0: what has no entry is older than what has.
        """
        found: int | None = None
        for start in reversed(self.starts):
            for entry in reversed(self.file(start)):
                if entry.time + RESOLUTION <= time:
                    return found
                found = entry.offset
        return None if found is None else 0

    def pieces(self, start: int, stop: int) -> Iterator[Piece]:
        """The bytes from `start` to before `stop`, by the time at which they came.

        Those before the oldest entry go with it: what came first is not shown last.
        """
        begun, time = start, -1
        for entry in self.entries(start):
            if entry.offset >= stop:
                break
            if entry.offset > begun and time >= 0:
                yield Piece(time, begun, entry.offset)
                begun = entry.offset
            time = entry.time
        if begun < stop:
            yield Piece(max(time, 0), begun, stop)
