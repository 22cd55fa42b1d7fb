"""The log writer against the bytes sent: any split, any limit, a torn end mark, a disk that refuses."""

import itertools
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_background_job.store.log import Log
from mcp_background_job.supervisor import logwriter
from mcp_background_job.supervisor.logwriter import SegmentLog, copy_until_mark, held_back
from mcp_background_job.supervisor.markers import end_mark

MARK = end_mark("1234567890")
TRIES = int(os.environ.get("MCP_BG_TRIES", "150"))


def send(chunks: list[bytes], folder: Path, limit: int) -> bool:
    """Run the log writer's loop over a pipe that gives exactly these chunks."""
    log = SegmentLog(str(folder), limit)
    waiting = iter(chunks)

    def read(_fd: int, _size: int) -> bytes:
        return next(waiting, b"")

    original, logwriter.os.read = logwriter.os.read, read  # type: ignore[attr-defined]
    try:
        return copy_until_mark(0, log, MARK)
    finally:
        logwriter.os.read = original  # type: ignore[attr-defined]
        log.close()


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    edges = [0, *places, len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges) if a < b]


@pytest.mark.promise("limit-log")
@given(st.binary(max_size=3000), st.lists(st.integers(0, 5000), max_size=20), st.integers(1024, 4096))
@settings(max_examples=TRIES, deadline=None)
@pytest.mark.promise("limit-log")
def test_what_is_kept_is_the_end_of_what_was_sent(data: bytes, cuts: list[int], limit: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        assert not send(split(data.replace(MARK, b""), cuts), folder, limit)
        log = Log(folder)
        sent = data.replace(MARK, b"")
        assert log.end == len(sent)
        assert log.read(log.start, log.end) == sent[log.start :]
        kept = sum(path.stat().st_size for path in folder.iterdir())
        assert kept <= limit + max(limit // logwriter.SEGMENTS, logwriter.MIN_SEGMENT)
        if len(sent) <= limit:
            assert log.start == 0


@given(st.binary(max_size=400), st.binary(max_size=50), st.lists(st.integers(0, 600), max_size=30), st.integers(0, 30))
@settings(max_examples=TRIES, deadline=None)
def test_nothing_behind_the_end_mark_is_kept_and_nothing_before_it_is_lost(
    before: bytes, after: bytes, cuts: list[int], torn: int
) -> None:
    data = before.replace(MARK, b"") + MARK[:torn] + MARK + after  # the first beginning is none
    expected = data[: data.index(MARK)]
    with tempfile.TemporaryDirectory() as name:
        assert send(split(data, cuts), Path(name), 1 << 20)
        log = Log(Path(name))
        assert log.read(0, log.end) == expected


@given(st.binary(max_size=60), st.integers(0, len(MARK) - 1))
def test_only_what_may_begin_the_mark_is_held_back(data: bytes, torn: int) -> None:
    text = data + MARK[:torn]
    keep = held_back(text, MARK)
    assert MARK.startswith(text[len(text) - keep :]) or keep == 0
    assert keep >= (torn if MARK not in text else 0)


@pytest.mark.promise("dropped-told", "full-disk")
def test_a_disk_that_refuses_leaves_a_hole_and_the_offsets_stay_true(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = SegmentLog(str(tmp_path), 1 << 20)
    log.append(b"before")
    real_write, real_open = os.write, os.open
    monkeypatch.setattr(logwriter.os, "write", refuse)  # type: ignore[attr-defined]
    log.append(b"lost bytes")
    monkeypatch.setattr(logwriter.os, "open", refuse)  # type: ignore[attr-defined]
    log.append(b"more")
    monkeypatch.setattr(logwriter.os, "write", real_write)  # type: ignore[attr-defined]
    monkeypatch.setattr(logwriter.os, "open", real_open)  # type: ignore[attr-defined]
    log.append(b"after")
    log.close()
    kept = Log(tmp_path)
    assert kept.end == len("before" + "lost bytes" + "more" + "after")
    assert kept.read(0, kept.end) == b"beforeafter"
    assert (kept.run_end(0, 100), kept.next_kept(6)) == (6, kept.end - len("after"))


def test_a_writer_that_is_started_again_goes_on_at_the_old_end(tmp_path: Path) -> None:
    first = SegmentLog(str(tmp_path), 1 << 20)
    first.append(b"one")
    first.close()
    second = SegmentLog(str(tmp_path), 1 << 20)
    second.append(b"two")
    second.close()
    log = Log(tmp_path)
    assert (log.read(0, log.end), log.end) == (b"onetwo", 6)


pieces = st.binary(max_size=40) | st.builds(bytes.__mul__, st.binary(min_size=1, max_size=9), st.integers(0, 1000))
steps = st.lists(st.tuples(st.sampled_from(["write", "write", "write", "full disk", "restart"]), pieces), max_size=25)


@pytest.mark.promise("limit-log", "dropped-told")
@given(steps, st.integers(1024, 6000))
@settings(max_examples=TRIES, deadline=None)
def test_every_kept_byte_stands_at_its_offset_whatever_befell_the_writer(
    history: list[tuple[str, bytes]], limit: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sent, lost = bytearray(), bytearray()  # all that was printed, and a 1 for each byte that no disk took
        log = SegmentLog(name, limit)
        for step, data in history:
            if step == "restart":  # killed: what it held open is closed, what it knew is forgotten
                log.close()
                log = SegmentLog(name, limit)
                # It goes on where the files end, so bytes lost at the very end were never counted.
                del sent[log.end :], lost[log.end :]
            with pytest.MonkeyPatch.context() as patch:
                if step == "full disk":
                    patch.setattr(logwriter.os, "write", refuse)  # type: ignore[attr-defined]
                log.append(data)
            assert log.end == len(sent) + len(data)
            sent += data
            lost += (b"\1" if step == "full disk" else b"\0") * len(data)
            seen = Log(folder)
            assert seen.end <= log.end
            assert sum(seen.stop(index) - start for index, start in enumerate(seen.starts)) <= limit + limit // 8 + 512
            offset = seen.next_kept(0)
            while offset < seen.end:
                stop = seen.run_end(offset, 1 << 30)
                assert seen.read(offset, stop) == sent[offset:stop]
                assert not any(lost[offset:stop])
                gap, offset = stop, seen.next_kept(stop)
                assert all(lost[gap:offset]), "left out though the disk took it"
        log.close()


def refuse(*_: object) -> int:
    raise OSError(28, "No space left on device")
