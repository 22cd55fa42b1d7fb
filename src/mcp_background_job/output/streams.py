"""The streams of a job whose stderr is kept apart: in its log marks stand around each piece of stderr."""

from __future__ import annotations

from collections.abc import Iterator

from mcp_background_job.store.log import Log
from mcp_background_job.supervisor.markers import stderr_mark, stdout_mark

LOOKBACK = 16 << 10  # bytes; one piece of stderr and its marks are far smaller


class Streams:
    """Tells the streams of one log apart; `nonce` tells its marks from anything that the job prints itself."""

    def __init__(self, log: Log, nonce: str) -> None:
        self.log = log
        self.err_mark = stderr_mark(nonce)
        self.out_mark = stdout_mark(nonce)

    def begins_in_stderr(self, start: int) -> bool:
        before = self.log.read(max(self.log.start, start - LOOKBACK), start)
        return before.rfind(self.err_mark) > before.rfind(self.out_mark)

    def pieces(self, start: int, data: bytes) -> Iterator[tuple[bool, int, bytes]]:
        """Of `data`, which begins at `start`: whether a piece is stderr, where in `data` it begins, and its bytes."""
        in_stderr, position = self.begins_in_stderr(start), 0
        while position < len(data):
            mark = self.out_mark if in_stderr else self.err_mark
            found = data.find(mark, position)
            stop = len(data) if found < 0 else found
            yield in_stderr, position, data[position:stop]
            position = stop + len(mark)
            in_stderr = not in_stderr

    def split(self, start: int, data: bytes) -> tuple[bytes, bytes]:
        """The bytes outside and inside of the marks."""
        streams: tuple[list[bytes], list[bytes]] = ([], [])
        for in_stderr, _, piece in self.pieces(start, data):
            streams[in_stderr].append(piece)
        return b"".join(streams[0]), b"".join(streams[1])
