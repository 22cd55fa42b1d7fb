"""Cursors against the whole: any reads, of any size, of output that grows and loses its oldest part meanwhile."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_background_job.output.pages import Page, Reader
from mcp_background_job.store.log import Log
from mcp_background_job.supervisor.logwriter import SegmentLog

NONCE = "1234567890"
EXAMPLES = int(os.environ.get("MCP_BG_TRIES", "150"))

# What has no width of its own is left out of the alphabet: a mark at the beginning of a page has nothing to stand on.
text = st.text(st.sampled_from("abc xyz09é中日🙂€\u00a0"), max_size=40)
colour = st.sampled_from(["\x1b[0m", "\x1b[1;31m", "\x1b[38;5;208m", "\x1b[38;2;1;2;3m", "\x1b[m"])
silent = st.sampled_from(["\x1b]0;a title\x07", "\x1b]8;;http://x/\x1b\\", "\x1b_private\x1b\\", "\x1b[?25l", "\x1b(B"])
ending = st.sampled_from(["\r\n", "\r\n", "\r\n", ""])  # most lines end, some are long
lines = st.lists(
    st.tuples(colour | silent | text, text, colour | silent | st.just(""), ending).map("".join), max_size=60
)
cuts = st.lists(st.integers(1, 200), min_size=1, max_size=40)
sizes = st.lists(st.integers(1, 400), min_size=1, max_size=30)


class Job:
    """A log that a writer fills piece by piece, and the same bytes kept whole, to compare with."""

    def __init__(self, folder: Path, data: bytes, limit: int) -> None:
        self.data = data
        self.written = 0
        self.kept, self.all = folder / "kept", folder / "all"
        for path in (self.kept, self.all):
            path.mkdir()
        self.writers = [SegmentLog(str(self.kept), limit), SegmentLog(str(self.all), 1 << 30)]

    def write(self, count: int) -> None:
        """`count` bytes more, wherever that cuts a character or a sequence."""
        piece = self.data[self.written : self.written + count]
        for writer in self.writers:
            writer.append(piece)
        self.written += len(piece)

    def read(self, cursor: int, max_chars: int) -> Page:
        return Reader(Log(self.kept), NONCE, False).page(cursor, max_chars)

    def whole(self, start: int, stop: int) -> str:
        """What a reader of nothing but the bytes from `start` to `stop` would read."""
        reader = Reader(Log(self.all), NONCE, False)
        return reader.text(start, self.data[start:stop])[0]

    def close(self) -> None:
        for writer in self.writers:
            writer.close()


def read_to_the_end(job: Job, wanted: list[int], pieces: list[int]) -> list[tuple[int, int, str]]:
    """Read on and write on in turn until all is read: the runs that were read without a gap, (start, stop, text)."""
    runs: list[tuple[int, int, str]] = []
    cursor = turn = idle = 0
    while idle < 3:
        job.write(pieces[turn % len(pieces)])
        page = job.read(cursor, wanted[turn % len(wanted)])
        turn += 1
        start = cursor + page.dropped_bytes
        assert cursor <= start <= page.cursor <= job.written
        # One more than fits is what it takes to move on, where not one character fits.
        assert page.size <= max(wanted[(turn - 1) % len(wanted)], 16)
        assert page.truncated == (job.read(page.cursor, 1_000_000).stdout != "")
        if page.dropped_bytes or not runs:
            runs.append((start, start, ""))
        first, stop, found = runs[-1]
        assert stop == start, "a gap that was not told"
        runs[-1] = (first, page.cursor, found + page.stdout)
        idle = idle + 1 if page.cursor == cursor and job.written == len(job.data) else 0
        cursor = page.cursor
    return runs


@pytest.mark.promise("cursor-exact")
@given(lines, sizes, cuts)
@settings(max_examples=EXAMPLES, deadline=None)
def test_any_reads_of_growing_output_add_up_to_the_whole(
    parts: list[str], wanted: list[int], pieces: list[int]
) -> None:
    data = ("".join(parts) + "end\r\n").encode()
    with tempfile.TemporaryDirectory() as name:
        job = Job(Path(name), data, 1 << 30)
        [(start, stop, found)] = read_to_the_end(job, wanted, pieces)
        job.close()
        assert (start, stop) == (0, len(data))
        assert found == job.whole(0, len(data))


@pytest.mark.promise("cursor-exact", "cursor-stays", "dropped-told")
@given(lines, sizes, st.lists(st.integers(1, 3000), min_size=1, max_size=10), st.integers(1024, 4096))
@settings(max_examples=EXAMPLES, deadline=None)
def test_reads_that_dropped_output_has_overtaken_say_so_and_are_true(
    parts: list[str], wanted: list[int], pieces: list[int], limit: int
) -> None:
    data = ("".join(parts) * 4 + "end\r\n").encode()
    with tempfile.TemporaryDirectory() as name:
        job = Job(Path(name), data, limit)
        runs = read_to_the_end(job, wanted, pieces)
        job.close()
        assert runs[-1][1] == len(data)
        for start, stop, found in runs:
            assert found == job.whole(start, stop)


@pytest.mark.promise("cursor-exact")
@given(lines, st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 5000)), min_size=1, max_size=20))
@settings(max_examples=EXAMPLES, deadline=None)
def test_reads_in_any_order_from_any_cursor_give_what_stands_there(
    parts: list[str], reads: list[tuple[int, int]]
) -> None:
    data = ("".join(parts) + "end\r\n").encode()
    with tempfile.TemporaryDirectory() as name:
        job = Job(Path(name), data, 1 << 30)
        job.write(len(data))
        job.close()
        for place, max_chars in reads:
            cursor = place % (len(data) + 1)
            page = job.read(cursor, max_chars)
            assert page.dropped_bytes == 0
            assert page.stdout == job.whole(cursor, page.cursor)
            # The next one goes on from there, in bounds of its own.
            following = job.read(page.cursor, 1_000_000)
            assert following.stdout == job.whole(page.cursor, following.cursor)
            assert following.cursor == len(data)
