"""A recording against the bytes and times that the log writer was given, whatever they were."""

from __future__ import annotations

import itertools
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_background_job.cli.recordings.cast import cast_lines
from mcp_background_job.output.emulator.picture import picture
from mcp_background_job.output.recording import Recording
from mcp_background_job.store.jobstore import JobStore
from mcp_background_job.store.models import JobId, Spec, StartingJob
from mcp_background_job.supervisor.logwriter import SegmentLog, TimingLog
from mcp_background_job.supervisor.markers import stderr_mark, stdout_mark, sync_mark
from mcp_background_job.supervisor.segments import RESOLUTION
from support.jobs import LAUNCH

TRIES = int(os.environ.get("MCP_BG_TRIES", "100"))
NONCE = "1234567890"
MARKS = [stderr_mark(NONCE), stdout_mark(NONCE), sync_mark(NONCE), sync_mark("2222222222")]

parts = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=20).map(lambda text: text.encode(errors="replace")),
    st.sampled_from(
        [*MARKS, b"\x1b[31m", b"\x1b]0;title\x07", b"\xf0\x9f\xa6\x8a", b"\x1bPq#0~~\x1b\\", b"\x1b", b"\xe2\x82"]
    ),
)
prints = st.lists(st.tuples(st.integers(0, 3000), parts), max_size=30)  # pause in ms, bytes


@contextmanager
def job(printed: list[tuple[int, bytes]], cuts: list[int], limit: int = 1 << 20) -> Iterator[tuple[Recording, Path]]:
    """A job that printed this, cut anywhere on its way to the log writer."""
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        store = JobStore(Path(name), "mcp-jobs")
        begun = time.monotonic()
        spec = Spec(
            job_id=JobId("abcdef"),
            name="ünï",
            summary="x",
            cwd="/",
            started=1e9,
            started_monotonic=begun,
            nonce=NONCE,
            socket="",
        )
        folder = store.create(spec, b"x", {}, LAUNCH, 10)
        clock = int(begun * 1000) + 1
        log = SegmentLog(str(folder / "log"), limit, TimingLog(str(folder / "timing"), limit))
        patch.setattr(time, "monotonic_ns", lambda: clock * 1_000_000)
        whole = b"".join(data for _, data in printed)
        edges = sorted(
            {*itertools.accumulate(len(data) for _, data in printed), *(cut % (len(whole) + 1) for cut in cuts)}
        )
        pauses = dict(
            zip(itertools.accumulate([0, *(len(data) for _, data in printed)]), (p for p, _ in printed), strict=False)
        )
        for start, stop in itertools.pairwise([0, *edges]):
            clock += pauses.get(start, 25)  # where it is cut, time passes too, or it would be one piece again
            log.append(whole[start:stop])
        log.close()
        patch.undo()
        yield Recording(folder, spec), folder


def events(recording: Recording) -> tuple[dict[str, Any], list[tuple[float, str]]]:
    header, *rest = [json.loads(line) for line in cast_lines(StartingJob(recording.spec, None), recording)]
    assert all(kind == "o" for _, kind, _ in rest)
    return header, [(at, text) for at, _, text in rest]


def without_marks(data: bytes) -> bytes:
    return re.sub(b"|".join(map(re.escape, MARKS)), b"", data)


@pytest.mark.promise("cast")
@given(prints, st.lists(st.integers(0, 2000), max_size=20))
@settings(max_examples=TRIES, deadline=None)
def test_the_events_are_the_log_and_nothing_is_split_or_lost(printed: list[tuple[int, bytes]], cuts: list[int]) -> None:
    with job(printed, cuts) as (recording, _):
        header, found = events(recording)
        log, _ = recording.files()
        whole = log.read(0, log.end)
        assert "".join(text for _, text in found) == picture(without_marks(whole))
        assert all(a[0] <= b[0] for a, b in itertools.pairwise(found))
        assert (header["version"], header["width"], header["height"], header["title"]) == (2, 200, 50, "ünï")
        assert recording.lost == 0


@given(st.lists(st.tuples(st.integers(0, 3000), st.text("ab", min_size=1, max_size=3)), min_size=1, max_size=30))
@settings(max_examples=TRIES, deadline=None)
def test_version_3_tells_each_events_time_since_the_one_before(printed: list[tuple[int, str]]) -> None:
    with job([(pause, text.encode()) for pause, text in printed], []) as (recording, _):
        lines = list(cast_lines(StartingJob(recording.spec, None), recording, version=3))
        _, whole = events(Recording(recording.folder, recording.spec))
    assert not any(line.startswith(b"[-") for line in lines)
    passed = [json.loads(line)[0] for line in lines[1:]]
    assert sum(passed) == pytest.approx(whole[-1][0], abs=0.002)


@given(st.lists(st.tuples(st.integers(0, 3000), st.text("ab é🦊\n", min_size=1, max_size=9)), min_size=1, max_size=20))
@settings(max_examples=TRIES, deadline=None)
def test_every_text_has_its_second(printed: list[tuple[int, str]]) -> None:
    with job([(pause, text.encode()) for pause, text in printed], []) as (recording, _):
        _, found = events(recording)
        shown = [(at, char) for at, text in found for char in text]
        clock, true = 0, []
        for pause, text in printed:
            clock += pause
            true += [(clock / 1000, char) for char in text]
        assert [char for _, char in shown] == [char for _, char in true]
        # The file has milliseconds; the job's start and the writer's clock are cut to them.
        assert all(
            -0.002 <= was - at <= RESOLUTION / 1000 + 0.002 for (at, _), (was, _) in zip(shown, true, strict=True)
        )


@given(prints, st.lists(st.integers(0, 2000), max_size=20))
@settings(max_examples=TRIES, deadline=None)
def test_a_log_without_timing_comes_whole_and_at_once(printed: list[tuple[int, bytes]], cuts: list[int]) -> None:
    with job(printed, cuts) as (before, folder):
        for path in (folder / "timing").iterdir():
            path.unlink()
        recording = Recording(folder, before.spec)
        _, found = events(recording)
        log, _ = recording.files()
        assert "".join(text for _, text in found) == picture(without_marks(log.read(0, log.end)))
        assert {at for at, _ in found} <= {0.0} and not recording.timed


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 900)), min_size=5, max_size=60))
@settings(max_examples=TRIES, deadline=None)
def test_where_the_oldest_is_dropped_it_begins_with_what_is_kept(sizes: list[tuple[int, int]]) -> None:
    printed = [(pause, b"%03d" % (n % 1000) * size) for n, (pause, size) in enumerate(sizes)]
    with job(printed, [], limit=4096) as (recording, _):
        whole = b"".join(data for _, data in printed)
        log, _ = recording.files()
        header, found = events(recording)
        assert "".join(text for _, text in found) == whole[log.start :].decode()
        assert recording.dropped == log.start
        if log.start:
            assert found[0][0] == 0.0
            assert header["timestamp"] == int(1e9 + recording.begins)


def test_what_is_dropped_while_it_is_read_is_counted() -> None:
    with job([(0, b"x" * 2000), (100, b"y" * 2000)], [], limit=1 << 20) as (recording, folder):
        frames = recording.more()
        first = next(frames)
        assert first.text == "x" * 2000
        for path in (folder / "log").iterdir():
            path.unlink()
        assert [frame.text for frame in frames] == [""]
        assert recording.lost == 2000
