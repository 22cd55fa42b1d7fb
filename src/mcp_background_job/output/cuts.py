"""Where a page of a log can end: in no character and in no sequence, by what stands behind it in the log."""

from __future__ import annotations

from typing import Literal

from mcp_background_job.store.log import Log

from .streams import Streams

# What may be open at a page's end, in turn: what does not go on is text.
STRINGS: tuple[Literal["all", "no DCS", "none"], ...] = ("all", "no DCS", "none")
HELD_BACK = 512  # bytes without a line's end, in which a running job's output can end, of a sequence that goes on


class Cuts:
    """The places in one log; `ended`: no more will come, so that nothing is held back."""

    def __init__(self, log: Log, streams: Streams, apart: bool, ended: bool) -> None:
        self.log = log
        self.streams = streams
        self.apart = apart
        self.ended = ended

    def unbroken(self, start: int, data: bytes) -> int:
        """How many bytes of `data`, which begins at `start`, mean the same whatever stands behind them."""
        from mcp_background_job.output.emulator.render import split_point

        if self.ended and start + len(data) >= self.log.end:
            return len(data)
        if self.apart:
            data = data[: self.unbroken_streams(start, data)]
        length = len(data)
        for strings in STRINGS:
            length = split_point(data, strings)
            if length == len(data) or self.goes_on(start + length):
                return length
        # Of an ended job that is its last character, which the page that reaches the end has whole.
        return length if self.ended else len(data)

    def unbroken_streams(self, start: int, data: bytes) -> int:
        """The same where streams are kept apart: what is unfinished in one goes on behind pieces of the other."""
        from mcp_background_job.output.emulator.render import split_point

        last = {in_stderr: (at, piece) for in_stderr, at, piece in self.streams.pieces(start, data)}
        ends = len(data)
        for at, piece in last.values():
            whole = split_point(piece)
            rest = piece[whole:]
            if rest.strip(b"\r") and len(rest) <= HELD_BACK and b"\n" not in rest:
                ends = min(ends, at + whole)
        return ends

    def goes_on(self, at: int) -> bool:
        """Whether the sequence or the character at `at`, cut by a page's end, ends behind it, or may still do so."""
        from mcp_background_job.output.emulator.render import STRING_LIMIT, begins_whole

        rest = b""
        for size in (HELD_BACK, STRING_LIMIT):
            rest = self.log.read(at, min(at + size, self.log.run_end(at, size)))
            if begins_whole(rest):
                return True
        return not self.ended and len(rest) <= HELD_BACK and b"\n" not in rest

    def unbroken_lines(self, start: int, data: bytes) -> int:
        """The same, up to a line's end if there is one."""
        length = self.unbroken(start, data)
        stop = length
        while line_end := data.rfind(b"\n", 0, stop) + 1:
            stop = self.unbroken(start, data[:line_end])
            if stop == line_end:
                return line_end
        return length

    @property
    def readable(self) -> int:
        """The offset up to which there is something to read now."""
        if self.ended:
            return self.log.end
        start = max(self.log.start, self.log.end - HELD_BACK - 4)
        return start + self.unbroken(start, self.log.read(start, self.log.end))
