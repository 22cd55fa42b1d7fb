"""When output came: what the log writer writes down and a reader makes of it, whatever happens to the files between."""

from __future__ import annotations

import itertools
import os
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_background_job.store.timing import Entry, Timing
from mcp_background_job.supervisor import logwriter
from mcp_background_job.supervisor.logwriter import MIN_TIMING, TimingLog, number
from mcp_background_job.supervisor.segments import RESOLUTION

TRIES = int(os.environ.get("MCP_BG_TRIES", "200"))
writes = st.lists(st.tuples(st.integers(0, 4000), st.integers(1, 1 << 21)), min_size=1, max_size=60)  # pause ms, bytes


class Clock:
    """The monotonic clock, under the test's thumb."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, now: int = 5_000_000_000) -> None:
        self.now = now  # milliseconds
        monkeypatch.setattr(time, "monotonic_ns", lambda: self.now * 1_000_000)


def written(folder: Path, sent: list[tuple[int, int]], limit: int = 1 << 20, restart: int = 0) -> list[Entry]:
    """Write the timing of `sent`, begun anew every `restart` writes; when each piece truly came."""
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock(patch)
        log = TimingLog(str(folder), limit)
        offset, truth = 0, []
        for index, (pause, size) in enumerate(sent):
            if restart and index and index % restart == 0:
                log.close()
                log = TimingLog(str(folder), limit)
            clock.now += pause
            log.note(offset)
            truth.append(Entry(offset, clock.now))
            offset += size
        log.close()
    return [*truth, Entry(offset, clock.now)]


def check(timing: Timing, truth: list[Entry], exact: bool) -> None:
    """Pieces cover every byte once and in order, times never go back, and exact ones are at most RESOLUTION early."""
    end = truth[-1].offset
    pieces = list(timing.pieces(0, end))
    assert [piece.start for piece in pieces] == [0, *(piece.stop for piece in pieces[:-1])]
    assert pieces[-1].stop == end
    assert all(a.time <= b.time for a, b in itertools.pairwise(pieces))
    if exact:
        for entry in truth[:-1]:
            [piece] = [piece for piece in pieces if piece.start <= entry.offset < piece.stop]
            assert piece.time <= entry.time < piece.time + RESOLUTION


@given(writes, st.integers(0, 7))
@settings(max_examples=TRIES, deadline=None)
def test_every_byte_has_the_time_at_which_it_came(sent: list[tuple[int, int]], restart: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        truth = written(Path(name), sent, restart=restart)
        check(Timing(Path(name)), truth, exact=True)


@given(writes, st.integers(0, 7), st.integers(-100, 100_000))
@settings(max_examples=TRIES, deadline=None)
def test_what_came_since_a_time_is_found_and_at_most_a_moment_more(
    sent: list[tuple[int, int]], restart: int, back: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        truth = written(Path(name), sent, restart=restart)
        cutoff = truth[-1].time - back
        found = Timing(Path(name)).since(cutoff)
        young = [entry.offset for entry in truth[:-1] if entry.time >= cutoff]
        nearly = [entry.offset for entry in truth[:-1] if entry.time > cutoff - 2 * RESOLUTION]
        if found is None:
            assert not young
        else:
            assert min(nearly) <= found <= min(young, default=found)


@given(writes, st.data())
@settings(max_examples=TRIES, deadline=None)
def test_a_crash_at_any_byte_costs_the_last_entry_alone(sent: list[tuple[int, int]], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        truth = written(folder, sent)
        whole = list(Timing(folder).entries())
        [path] = folder.iterdir()
        path.write_bytes(path.read_bytes()[: data.draw(st.integers(0, path.stat().st_size))])
        timing = Timing(folder)
        kept = list(timing.entries())
        assert kept == whole[: len(kept)]
        check(timing, truth, exact=False)
        # The one that is started after the crash writes its own file, and what it says is right again.
        with pytest.MonkeyPatch.context() as patch:
            clock = Clock(patch, truth[-1].time + 500)
            log = TimingLog(name, 1 << 20)
            log.note(truth[-1].offset)
            log.close()
        last = list(Timing(folder).pieces(0, truth[-1].offset + 1))[-1]
        assert (last.time, last.start) == (clock.now, truth[-1].offset if kept else 0)


@given(st.binary(max_size=300), st.binary(max_size=300), st.integers(-10, 1 << 50))
@settings(max_examples=TRIES, deadline=None)
def test_files_of_anything_hide_no_byte(one: bytes, two: bytes, cutoff: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / f"{0:020d}.time").write_bytes(one)
        (folder / f"{5000:020d}.time").write_bytes(two)
        (folder / "note.txt").write_text("somebody's")
        timing = Timing(folder)
        check(timing, [Entry(0, 0), Entry(9000, 0)], exact=False)
        assert (timing.since(cutoff) or 0) >= 0
        assert next(timing.pieces(6000, 6001)).stop == 6001


@given(st.integers(0, 1 << 62))
def test_a_number_comes_back(value: int) -> None:
    found = 0
    for index, byte in enumerate(number(value)):
        found |= (byte & 127) << 7 * index
    assert found == value
    assert [byte > 127 for byte in number(value)] == [True] * (len(number(value)) - 1) + [False]


def test_timing_has_a_limit_and_the_oldest_goes_first(tmp_path: Path) -> None:
    truth = written(tmp_path, [(20, 3)] * 60_000, limit=1024)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= MIN_TIMING
    timing = Timing(tmp_path)
    first = timing.first
    assert first is not None and 0 < first.offset < truth[-1].offset
    assert timing.since(truth[-4].time) == truth[-4].offset
    assert timing.since(0) == 0, "what has no entry any more is older than what has"
    # The oldest bytes come with the oldest time that is known, and the rest is exact.
    pieces = timing.pieces(0, truth[-1].offset)
    oldest = next(pieces)
    assert (oldest.start, oldest.time) == (0, first.time)
    assert next(pieces).time - first.time == 20


def test_a_flood_costs_a_hundred_entries_a_second(tmp_path: Path) -> None:
    written(tmp_path, [(1, 35_000)] * 10_000, limit=10 << 20)
    [path] = tmp_path.iterdir()
    assert path.stat().st_size <= 1000 * 5 + 10


def test_files_are_for_this_user_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        written(tmp_path / "timing", [(1, 1)])
    finally:
        os.umask(before)
    [path] = (tmp_path / "timing").iterdir()
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


@pytest.mark.parametrize("refused", ["write", "open"])
def test_a_full_disk_costs_times_and_never_the_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    clock = Clock(monkeypatch)
    log = TimingLog(str(tmp_path), 1 << 20)
    log.note(0)
    if refused == "open":
        log.close()
    with monkeypatch.context() as full:

        def refuse(*_: object) -> int:
            raise OSError(28, "No space left on device")

        full.setattr(logwriter.os, refused, refuse)  # type: ignore[attr-defined]
        for _ in range(3):
            clock.now += 100
            log.note(50)
    clock.now += 100
    log.note(90)
    log.close()
    assert [(piece.start, piece.time) for piece in Timing(tmp_path).pieces(0, 100)] == [
        (0, clock.now - 400),
        (90, clock.now),
    ]


def test_a_write_cut_short_by_a_full_disk_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    log = TimingLog(str(tmp_path), 1 << 20)
    log.note(0)
    real = os.write
    with monkeypatch.context() as full:
        full.setattr(logwriter.os, "write", lambda fd, data: real(fd, data[:1]))  # type: ignore[attr-defined]
        clock.now += 100
        log.note(50)
    clock.now += 100
    log.note(90)
    log.close()
    assert [(piece.start, piece.time) for piece in Timing(tmp_path).pieces(0, 100)][-1] == (90, clock.now)
    assert len(list(tmp_path.iterdir())) == 2


def test_no_folder_means_no_times(tmp_path: Path) -> None:
    timing = Timing(tmp_path / "none")
    assert (timing.first, timing.since(0)) == (None, None)
    assert [(piece.time, piece.start, piece.stop) for piece in timing.pieces(3, 9)] == [(0, 3, 9)]
    assert list(timing.pieces(3, 3)) == []
