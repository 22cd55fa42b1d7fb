"""A job's output as it came: what it drew in pieces, each with the second at which it was printed.

Promises: together the pieces are the log without our marks, as `picture` lets it through; none ends inside an escape
sequence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mcp_background_job.output.emulator.picture import picture
from mcp_background_job.output.emulator.render import split_point
from mcp_background_job.store.log import Log, SegmentGone
from mcp_background_job.store.models import Spec
from mcp_background_job.store.sizes import Size, changes, read_sizes
from mcp_background_job.store.timing import Timing
from mcp_background_job.supervisor.markers import end_mark, stderr_mark, stdout_mark, sync_mark

BLOCK = 1 << 20  # bytes read at a time


@dataclass(frozen=True)
class Frame:
    """What was drawn at `time`, in seconds of the recording; or the size that the window has got then, and no text."""

    time: float
    text: str
    size: Size | None = None


class Cleaner:
    """Makes bytes that come piece by piece into what they draw, without our marks; keeps back what is not whole."""

    def __init__(self, nonce: str) -> None:
        own = [re.escape(mark(nonce)) for mark in (stderr_mark, stdout_mark, end_mark)]
        # Each wait marks with a number of its own.
        self.marks = re.compile(b"|".join([*own, re.escape(sync_mark("N")).replace(b"N", rb"\d+")]))
        self.rest = b""

    def feed(self, data: bytes) -> str:
        """What is drawn by all that is whole now."""
        data = self.rest + data
        length = split_point(data)
        clean = self.marks.sub(b"", data[:length])
        whole = split_point(clean)  # a mark can stand between the halves of a character
        self.rest = clean[whole:] + data[length:]
        return picture(clean[:whole])

    def finish(self) -> str:
        """What stayed a part."""
        rest, self.rest = self.rest, b""
        return picture(self.marks.sub(b"", rest))


class Recording:
    """One job's output from the oldest byte that is kept on; `more` goes on where the last look ended."""

    def __init__(self, folder: Path, spec: Spec) -> None:
        self.folder = folder  # the job's
        self.spec = spec
        self.cleaner = Cleaner(spec.nonce)
        log, timing = self.files()
        first = timing.first
        self.dropped = self.position = log.start  # bytes that were dropped; behind the last byte that was given out
        self.lost = 0  # bytes that were to be given out and could not be read
        self.timed = first is not None
        self.untimed = max(0, min(first.offset if first else log.end, log.end) - log.start)
        # Seconds of the job's life at which the recording begins: later than 0 where its beginning was dropped.
        self.begins = 0.0
        if first is not None and (self.dropped or self.untimed):
            oldest = next(timing.pieces(log.start, log.end), None)
            self.begins = 0.0 if oldest is None else max(0.0, age(spec, oldest.time))

    def sizes(self) -> list[Size]:
        """The sizes that the window has had."""
        return read_sizes(self.folder)

    def files(self) -> tuple[Log, Timing]:
        """The files as they are now."""
        log = Log(self.folder / "log")
        return log, Timing(self.folder / "timing")

    def more(self) -> Iterator[Frame]:
        """What there is now that was not given out yet."""
        log, timing = self.files()
        self.lost += max(0, log.start - self.position)
        self.position = max(self.position, log.start)
        sizes = self.sizes()
        for piece in timing.pieces(max(self.position, log.start), log.end):
            time = max(0.0, age(self.spec, piece.time) - self.begins) if self.timed else 0.0
            for start in range(piece.start, piece.stop, BLOCK):
                after = max(start, 1) - 1  # the size at offset 0 is the recording's
                for size in changes(sizes, after, min(start + BLOCK, piece.stop)):
                    yield self.frame(log, time, after + size.offset)
                    yield Frame(time, "", size)
                yield self.frame(log, time, min(start + BLOCK, piece.stop))

    def frame(self, log: Log, time: float, stop: int) -> Frame:
        """What was drawn up to offset `stop`."""
        start, self.position = self.position, stop
        try:
            data = log.read(start, stop)
        except SegmentGone:  # dropped a moment ago, while it was being printed
            data = b""
        self.lost += stop - start - len(data)
        return Frame(time, self.cleaner.feed(data))


def age(spec: Spec, time: int) -> float:
    """Seconds from the job's start to `time`, in milliseconds of the monotonic clock."""
    return time / 1000 - (spec.started_monotonic or 0.0)  # a log with timing is of a version that has both
