"""Reading a log while its writer drops the oldest of it: every page is true, and none is empty for a moment."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_background_job.output.pages import Page, Reader
from mcp_background_job.store.log import Log, looking_again
from support.scale import scaled
from support.waiting import DEADLINE, wait_until

LINE = 16  # bytes of a line, whose number is its place
WRITER = """
import sys
from mcp_background_job.supervisor.logwriter import SegmentLog
log, number = SegmentLog(sys.argv[1], int(sys.argv[2])), 0
while True:
    log.append(b"".join(b"%014d\\r\\n" % one for one in range(number, number + 512)))
    number += 512
"""


@pytest.fixture(params=[256 << 10, 2 << 20])
def flooded(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A log folder into which a process writes as fast as it can, keeping little."""
    folder = tmp_path / "log"
    folder.mkdir()
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(folder), str(request.param)])
    try:
        wait_until(lambda: Log(folder).start > 0, what="the first drop")
        yield folder
    finally:
        writer.kill()
        writer.wait(10)


def numbers(start: int, stop: int) -> str:
    return "".join(f"{number:014d}\n" for number in range(start // LINE, stop // LINE))


@pytest.mark.promise("cursor-stays", "dropped-told")
def test_pages_are_true_while_the_oldest_is_dropped(flooded: Path) -> None:
    cursor = pages = dropped = 0
    begun, lasts = time.monotonic(), scaled(1, 20)
    # On a busy machine it takes longer until the reader was overtaken so often.
    while (passed := time.monotonic() - begun) < lasts or (dropped <= 10 and passed < lasts + DEADLINE):
        page: Page = read(flooded, cursor)
        start = cursor + page.dropped_bytes
        assert page.cursor >= start
        assert page.stdout == numbers(start, page.cursor)
        cursor, pages, dropped = page.cursor, pages + 1, dropped + (page.dropped_bytes > 0)
    print(f"{pages} pages, {dropped} of them after a drop")
    assert dropped > 10, "the reader was never overtaken, so nothing was tried"


@pytest.mark.promise("cursor-stays")
def test_the_end_of_a_log_never_goes_back(flooded: Path) -> None:
    end = looks = 0
    until = time.monotonic() + scaled(1, 20)
    while time.monotonic() < until:
        found = Log(flooded).end
        assert found >= end
        end, looks = found, looks + 1
    print(f"{looks} looks")


@pytest.mark.promise("tail-exact")
def test_a_tail_is_the_last_lines_while_the_oldest_are_dropped(flooded: Path) -> None:
    until = time.monotonic() + scaled(1, 20)
    while time.monotonic() < until:
        page = last(flooded)
        assert page.stdout == numbers(page.cursor - 20 * LINE, page.cursor)


@looking_again
def read(folder: Path, cursor: int) -> Page:
    return Reader(Log(folder), "1234567890", False).page(cursor, 3000)


@looking_again
def last(folder: Path) -> Page:
    return Reader(Log(folder), "1234567890", False).tail(20)
