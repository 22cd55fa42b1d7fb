"""No output costs more than its bytes are worth: each control with its largest parameters, and all of them mixed."""

from __future__ import annotations

import random
import time
import tracemalloc
from pathlib import Path

import pytest

from mcp_background_job.output.emulator.parser import Terminal
from mcp_background_job.output.emulator.render import render, split_point, was_cut
from mcp_background_job.output.emulator.row import MOST_IN_CELL
from mcp_background_job.output.pages import Reader
from mcp_background_job.store.log import Log
from mcp_background_job.supervisor.logwriter import SegmentLog
from support.scale import FULL, slowness

SIZE = 100_000  # bytes
LIMIT = 4.0  # seconds for SIZE bytes; the worst takes one, and took seven
PARAMETERS = ["", "99", "99999", "2147483647"]
SEQUENCES = {
    **{f"CSI {p}{final}": f"\x1b[{p}{final}" for p in PARAMETERS for final in "@ABCDEFGHJKLMPSTXZ`bcdfgrsu"},
    "RI": "\x1bM",
    "RI at the top": "\x1b[H\x1bM",
    "filled and scrolled": "\x1b#8\x1b[99S",
    "filled and cleared": "\x1b#8\x1b[2J",
    "filled and erased": "\x1b#8\x1b[H\x1b[J",
    "region": "\x1b[2;49r\x1b[99S",
    "region moved": "\x1b[50;1Hx\x1b[H\x1b[99L",
    "alternate": "\x1b[?1049hx\x1b[?1049l",
    "combining": "\u0301",
    "joined": "\u200d",
    "wide at the margin": "\x1b[200G漢",
    "wide repeated": "漢\x1b[99999b",
    "combined repeated": "a\u0301\x1b[99999b",
    "inserted": "\x1b[4h漢\r",
    "tab stops": "\x1bH\x1b[C",
    "OSC": "\x1b]0;x\x07",
    "OSC that never ends": "\x1b]0;x",
    "DCS that never ends": "\x1bPq",
    "passthrough": "\x1bPtmux;\x1b\x1b]52;c;xx\x07\x1b\\",
    "nested": "\x1b[" + "\x1b]" * 9,
    "many parameters": "\x1b[" + "1;" * 40 + "T",
    "long parameter": "\x1b[" + "9" * 60 + "T",
    "controls inside": "\x1b[\b5\nT",
    "bidi": "\u202ea\u202c",
    "long line": "x",
    "C1": "\u009b5T",
}


def seconds(data: bytes, **options: bool) -> float:
    """Of the processor, as on the machine of the promises."""
    begun = time.process_time()
    render(data, **options)  # type: ignore[arg-type]
    split_point(data)
    return (time.process_time() - begun) / slowness()


def repeated(text: str) -> bytes:
    data = text.encode()
    return data * (SIZE // len(data) + 1)


@pytest.mark.parametrize("text", SEQUENCES.values(), ids=SEQUENCES)
@pytest.mark.promise("hostile-output")
def test_time_per_byte_is_bounded(text: str) -> None:
    assert seconds(repeated(text)) < LIMIT
    assert seconds(repeated("text " + text), continued=True) < LIMIT
    assert seconds(repeated("漢\r\n" + text)) < LIMIT


@pytest.mark.parametrize("text", ["\x1b[99T", "\x1b#8\x1b[99S", "a\u0301\x1b[99999b", "\u0301"])
@pytest.mark.promise("hostile-output")
def test_twenty_times_as_much_does_not_take_longer(text: str) -> None:
    assert seconds(repeated(text) * 20) < 2 * LIMIT


@pytest.mark.timeout(2 * 3600 if FULL else 240)
@pytest.mark.promise("hostile-output")
def test_hostile_outputs_by_the_thousand() -> None:
    chosen = random.Random(16)
    texts = [
        *SEQUENCES.values(),
        "text",
        "\r\n",
        "\n",
        "\t",
        "漢字",
        "e\u0301",
        "\x1b(0",
        "\x0e",
        "\x1b[?6h",
        "\x1b7",
        "\x1b8",
    ]
    for _ in range(10_000 if FULL else 100):
        some = chosen.sample(texts, chosen.randint(1, 12))
        data = "".join(chosen.choice(some) for _ in range(chosen.randint(1, 3_000))).encode()[: SIZE // 4]
        taken = seconds(data, continued=chosen.random() < 0.5, alternate=chosen.random() < 0.1)
        assert taken < LIMIT, f"{taken:.1f} s for {len(data)} bytes of {some!r}"


def test_long_sequences_are_not_remembered() -> None:
    """4,096 sequences of 100 KB each, all different, would be 400 MB; these 200 of 20 KB would be 4."""
    lengths = [(b"%d;" % number * 4_000, b"%d" % number * 6_000) for number in range(200)]
    data = b"".join(b"x\x1b[%bm\x1b[%bq" % pair for pair in lengths)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        terminal = Terminal(200, 50)
        for start in range(0, len(data), 1 << 18):
            terminal.feed(data[start : start + (1 << 18)].decode())
        assert tracemalloc.get_traced_memory()[0] - before < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_drawing_that_is_given_up_says_so_and_shows_what_came_before() -> None:
    text = render(b"first\r\n" + repeated("\x1b[99T") * 10)
    assert was_cut(text) and not was_cut("first\n")
    assert text.splitlines()[-1].startswith("[… ")


def test_a_cell_takes_as_many_marks_as_tmux_keeps() -> None:
    assert len(render(b"\x1b[4ha" + "\u0301".encode() * 1000)) <= MOST_IN_CELL


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    log = SegmentLog(str(tmp_path), 1 << 26)
    log.append(b"BUILD BEGINS\r\n" + repeated("\x1b[99T") * 6 + b"\r\nBUILD OK\r\n")
    log.close()
    return Reader(Log(tmp_path), "1234567890", False)


@pytest.mark.promise("hostile-output")
def test_what_comes_behind_hostile_output_is_found_by_every_tool(reader: Reader) -> None:
    begun = time.process_time()
    assert reader.tail(5).stdout.endswith("BUILD OK\n")
    assert reader.whole(10_000).stdout.endswith("BUILD OK\n")
    assert "BUILD OK" in reader.grep("BUILD", 0, 10_000).stdout
    assert time.process_time() - begun < 30, "600 KB that took half a minute for each of the three"


@pytest.mark.promise("hostile-output")
def test_pages_of_hostile_output_go_on_to_its_end(reader: Reader) -> None:
    page = reader.page(0, 10_000)
    shown = page.stdout
    for _ in range(100):
        if not page.truncated:
            break
        page = reader.page(page.cursor, 10_000)
        shown += page.stdout
    assert page.cursor == reader.log.end
    assert shown.startswith("BUILD BEGINS") and "BUILD OK" in shown and not was_cut(shown)
