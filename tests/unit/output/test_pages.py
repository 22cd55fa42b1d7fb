"""Pages of a log: cursors against the whole, bounds that hold, streams told apart, searches that end."""

import os
import re
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_background_job.errors import InvalidInput
from mcp_background_job.output.drawing import LAST_SCREEN
from mcp_background_job.output.modes import Modes
from mcp_background_job.output.pages import Reader, last_lines
from mcp_background_job.regexes.search import SEARCH_SECONDS
from mcp_background_job.store.log import Log
from mcp_background_job.supervisor.logwriter import SegmentLog
from support.waiting import DEADLINE

NONCE = "1234567890"
CORPUS = Path(__file__).parent / "emulator" / "corpus"
TRIES = int(os.environ.get("MCP_BG_TRIES", "50"))  # prefixes of each program's output
ERR = f"\x1b[7717;7002;{NONCE}m".encode()
OUT = f"\x1b[7717;7003;{NONCE}m".encode()

line = st.text(st.characters(blacklist_categories=["Cc", "Cs", "Mn", "Me", "Cf", "Zl", "Zp"]), max_size=60)
coloured = line.map(lambda text: f"\x1b[31m{text}\x1b[0m")
lines = st.lists(line | coloured, max_size=80).map(lambda parts: "".join(part + "\r\n" for part in parts))


def reader_of(folder: Path, data: bytes, limit: int = 1 << 20, separate: bool = False, ended: bool = False) -> Reader:
    folder.mkdir(exist_ok=True)
    log = SegmentLog(str(folder), limit)
    log.append(data)
    log.close()
    return Reader(Log(folder), NONCE, separate, ended)


def numbered(count: int) -> bytes:
    return "".join(f"line {number}\r\n" for number in range(1, count + 1)).encode()


@given(lines, st.integers(1, 300))
@settings(max_examples=150, deadline=None)
@pytest.mark.promise("cursor-exact")
def test_reading_from_cursor_to_cursor_gives_the_whole(text: str, max_chars: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        reader = reader_of(Path(name), text.encode())
        whole = reader.page(0, 1_000_000).stdout
        cursor, parts = 0, []
        while cursor < reader.log.end:
            page = reader.page(cursor, max_chars)
            assert page.cursor > cursor
            assert page.truncated == (reader.page(page.cursor, 1_000_000).stdout != "")
            parts.append(page.stdout)
            cursor = page.cursor
        assert "".join(parts) == whole


SEQUENCE_BYTES = st.sampled_from(b"\x1b\x1b\x1b[[]]PXk_\\;?01mK\r\n\n\x07\x18ab\xe2\x9c\x93\xc3")
FEW, MANY = 60, 1_000_000


def all_pages(reader: Reader, max_chars: int) -> list[str]:
    """The pages from cursor to cursor; each but the last has more behind it, and moves on."""
    pages, cursor = [], 0
    while True:
        page = reader.page(cursor, max_chars)
        pages.append(page.stdout)
        if not page.truncated:
            assert page.cursor == reader.log.end
            assert reader.page(page.cursor, max_chars).stdout == ""
            return pages
        assert page.cursor > cursor
        assert reader.page(page.cursor, max_chars).size > 0
        cursor = page.cursor


@given(st.binary(max_size=400) | st.lists(SEQUENCE_BYTES, max_size=300).map(bytes))
@settings(max_examples=400, deadline=None)
@pytest.mark.promise("output-any-bytes", "cursor-exact")
def test_of_any_bytes_that_were_a_whole_output_nothing_is_held_back(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        reader = reader_of(Path(name), data + b"\r\nend", ended=True)
        (page,) = all_pages(reader, MANY)
        assert page.endswith("end") or b"\x1b" in data
        assert reader.between(0, MANY) == reader.page(0, MANY)
        assert reader.tail(1000).stdout == page
        # Where nothing draws over what stood before, pages of any size are the same text.
        if not re.search(rb"\r(?!\n)|\x1b\[[^m]*$|\x1b(?!\[[0-9;]*m)|(?<!\r)\n", data):
            assert "".join(all_pages(reader, FEW)) == page


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"caf\xc3", "caf\N{REPLACEMENT CHARACTER}"),
        (b"\x1b[0m\x1b[01;3", ""),
        (b"A\r\n\x1bPq\r\none\r\n", "A\nq\none\n"),
        (b"A\x1b]0;title\r\none\r\n", "A0;title\none\n"),
        (b"A\x1b_" + b"x" * 2000, "A" + "x" * 2000),
        (b"A\x1b", "A"),
    ],
)
@pytest.mark.promise("output-any-bytes")
def test_an_output_that_ends_inside_a_sequence_is_told_to_its_end(tmp_path: Path, data: bytes, text: str) -> None:
    reader = reader_of(tmp_path, data, ended=True)
    for page in (reader.page(0, 4000), reader.between(0, 4000), reader.tail(50)):
        assert (page.stdout, page.cursor, page.truncated) == (text, len(data), False)
    assert all_pages(reader, 3)[-1] is not None
    assert reader.page(len(data), 100) == replace(reader.page(0, 1), stdout="", cursor=len(data), truncated=False)


@pytest.mark.parametrize("begun", [b"\x1b]0;", b"\x1bPq", b"\x1b_", b"\x1b[1;", b"\x1bk"])
@pytest.mark.promise("output-any-bytes")
def test_a_running_job_holds_back_a_few_hundred_bytes_at_most(tmp_path: Path, begun: bytes) -> None:
    held = reader_of(tmp_path / "held", b"before" + begun + b"1" * 300)
    page = held.page(0, 100_000)
    assert (page.stdout, page.cursor, page.truncated) == ("before", 6, False), "nothing of it is there to be read"
    assert held.page(6, 100_000) == replace(page, stdout="")
    assert held.between(0, 100).truncated is False
    for more in (b"1" * 600, b"\r\n2"):
        shown = reader_of(tmp_path / str(len(more)), b"before" + begun + more)
        page = shown.page(0, 100_000)
        assert (page.stdout[:6], page.cursor, page.truncated) == ("before", shown.log.end, False)
        assert page.stdout.endswith(more[-3:].decode().replace("\r", "")) or begun == b"\x1b[1;"


def test_a_page_does_not_end_inside_a_string_with_lines_in_it(tmp_path: Path) -> None:
    image = b"\x1bPq" + b"#0~~\r\n" * 9000 + b"\x1b\\"
    reader = reader_of(tmp_path, b"one\r\n" + image + b"two\r\n" + image + b"three\r\n", ended=True)
    for size in (3, 10, 100_000):
        assert "".join(all_pages(reader, size)) == "one\ntwo\nthree\n"


@given(lines, st.integers(20, 400))
@settings(max_examples=100, deadline=None)
@pytest.mark.promise("output-bounded")
def test_a_page_is_never_longer_than_it_may_be(text: str, max_chars: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        reader = reader_of(Path(name), text.encode())
        assert reader.page(0, max_chars).size <= max_chars


@given(lines)
@settings(max_examples=50, deadline=None)
@pytest.mark.promise("cursor-exact")
def test_any_byte_can_be_read_from_without_a_crash(text: str) -> None:
    data = text.encode()
    with tempfile.TemporaryDirectory() as name:
        reader = reader_of(Path(name), data)
        for cursor in range(0, len(data) + 1, 7):
            assert reader.page(cursor, 50).cursor >= cursor


@pytest.mark.promise("output-bounded")
def test_long_output_is_head_and_tail_and_the_cursor_between_gives_the_rest(tmp_path: Path) -> None:
    reader = reader_of(tmp_path, numbered(10_000))
    page = reader.whole(2000)
    assert page.truncated and len(page.stdout) < 2200
    head, rest = page.stdout.split("[… ")
    note, tail = rest.split(" …]\n")
    assert head.startswith("line 1\nline 2\n") and tail.endswith("line 9999\nline 10000\n")
    left_out, since = (int("".join(filter(str.isdigit, word))) for word in (note.split()[0], note.split("since=")[1]))
    middle = "".join(reader.cut(since, left_out).stdout)
    assert head + middle + tail == reader.page(0, 10_000_000).stdout


def test_short_output_comes_whole(tmp_path: Path) -> None:
    page = reader_of(tmp_path, numbered(10)).whole(2000)
    assert not page.truncated and page.stdout.count("\n") == 10


def test_one_endless_line_is_paged_too(tmp_path: Path) -> None:
    reader = reader_of(tmp_path, b"x" * 5000)
    cursor, text = 0, ""
    while cursor < 5000:
        page = reader.page(cursor, 700)
        text, cursor = text + page.stdout, page.cursor
        assert len(page.stdout) <= 700
    assert text == "x" * 5000


@pytest.mark.promise("dropped-told")
def test_dropped_output_is_counted(tmp_path: Path) -> None:
    reader = reader_of(tmp_path, numbered(1000), limit=2048)
    page = reader.page(0, 100_000)
    assert page.dropped_bytes == reader.log.start > 0
    assert page.stdout.endswith("line 1000\n")
    assert reader.page(reader.log.start, 100_000).dropped_bytes == 0


@pytest.mark.promise("dropped-told")
def test_a_hole_left_by_a_full_disk_is_told(tmp_path: Path) -> None:
    (tmp_path / f"{0:020d}.log").write_bytes(b"before\r\n")
    (tmp_path / f"{1008:020d}.log").write_bytes(b"after\r\n")
    page = Reader(Log(tmp_path), NONCE, False).page(0, 10_000)
    assert "1000 bytes were not logged" in page.stdout
    assert page.stdout.startswith("before\n") and page.stdout.endswith("after\n")
    assert page.dropped_bytes == 1000 and page.cursor == 1015


@pytest.mark.parametrize("count", [1, 2, 50, 1000])
@pytest.mark.promise("tail-exact")
def test_tail_is_exactly_the_last_lines(tmp_path: Path, count: int) -> None:
    page = reader_of(tmp_path, numbered(30_000), limit=10 << 20).tail(count)
    assert page.stdout == "".join(f"line {number}\n" for number in range(30_001 - count, 30_001))


def test_tail_of_long_lines(tmp_path: Path) -> None:
    data = b"".join(bytes([65 + number % 26]) * 3000 + b"\r\n" for number in range(300))
    reader = reader_of(tmp_path, data, limit=10 << 20)
    assert reader.tail(10).stdout.count("\n") == 10
    cut = reader.tail(100)
    assert cut.truncated and len(cut.stdout) < 41_000 and cut.stdout.endswith("N" * 3000 + "\n")


@pytest.mark.promise("tail-exact")
def test_tail_keeps_an_unfinished_line() -> None:
    assert last_lines("a\nb\nc", 2) == "b\nc"
    assert last_lines("a\nb\nc\n", 2) == "b\nc\n"
    assert last_lines("", 2) == ""


@given(st.lists(st.tuples(st.booleans(), st.text("ab\u00e9\u4e2d ", min_size=1, max_size=20)), max_size=30))
@settings(max_examples=100, deadline=None)
@pytest.mark.promise("output-streams")
def test_streams_are_told_apart_in_pages_of_any_size(pieces: list[tuple[bool, str]]) -> None:
    raw = b"".join(ERR + t.encode() + b"\r\n" + OUT if err else t.encode() + b"\r\n" for err, t in pieces)
    out = "".join(text.rstrip("\r") + "\n" for err, text in pieces if not err)
    err = "".join(text + "\n" for is_err, text in pieces if is_err)
    with tempfile.TemporaryDirectory() as name:
        reader = reader_of(Path(name), raw, separate=True)
        cursor, found_out, found_err = 0, "", ""
        while cursor < reader.log.end:
            page = reader.page(cursor, 37)
            found_out, found_err, cursor = found_out + page.stdout, found_err + page.stderr, page.cursor
        assert (found_out, found_err) == (out, err)


def test_the_marks_of_another_job_are_only_output(tmp_path: Path) -> None:
    reader = reader_of(tmp_path, b"a\x1b[7717;7002;1999999999mb\r\n", separate=True)
    assert (reader.page(0, 100).stdout, reader.page(0, 100).stderr) == ("ab\n", "")


@pytest.mark.promise("grep-exact")
def test_grep_numbers_lines_and_shows_their_context(tmp_path: Path) -> None:
    reader = reader_of(tmp_path, numbered(1000), limit=10 << 20)
    assert reader.grep("line 50$", 0, 10_000).stdout == "50:line 50\n"
    assert reader.grep("line (50|52)$", 1, 10_000).stdout == (
        "49-line 49\n50:line 50\n51-line 51\n52:line 52\n53-line 53\n"
    )
    assert reader.grep("line (1|1000)$", 1, 10_000).stdout == "1:line 1\n2-line 2\n--\n999-line 999\n1000:line 1000\n"


@pytest.mark.promise("grep-exact")
def test_grep_finds_across_blocks(tmp_path: Path) -> None:
    reader = reader_of(tmp_path, numbered(300_000), limit=10 << 20)
    assert reader.grep("99999$", 0, 10_000).stdout == "99999:line 99999\n199999:line 199999\n299999:line 299999\n"


def test_grep_says_how_many_matches_are_left_out(tmp_path: Path) -> None:
    page = reader_of(tmp_path, numbered(1000)).grep("line", 0, 500)
    assert page.truncated and "matching lines left out" in page.stdout and len(page.stdout) < 650


def test_a_bad_pattern_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="not a regular expression"):
        reader_of(tmp_path, numbered(3)).grep("(", 0, 100)


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(a|a)*b", r"(.*a){25}x"])
@pytest.mark.promise("runaway-pattern")
def test_a_pattern_that_runs_away_is_stopped(tmp_path: Path, pattern: str) -> None:
    reader = reader_of(tmp_path, (b"a" * 60 + b"!\r\n") * 50)
    begun = time.monotonic()
    try:
        reader.grep(pattern, 0, 1000)
    except InvalidInput as error:
        assert "too long" in str(error)
    # The promise is a bound on time: a second of processor time for each piece, which on a busy machine is several.
    assert time.monotonic() - begun < SEARCH_SECONDS + DEADLINE


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (b"$ ", b"echo hi\r\nhi\r\n", "echo hi\nhi\n"),
        (b"$ ", b"for i in 1; do\r\x1b[K$ for i in 1; do echo M; done", "for i in 1; do echo M; done"),
        (b"loading 10%", b"\rloading 20%\r\nok", "loading 20%\nok"),
        (b"host%      12:00\r\x1b[6C", b"ls\x1b[K\r\n", "ls\n"),
        (b"$ make\r", b"\nfoo\r\n", "\nfoo\n"),
        (b"$ a\tb\r", b"\nfoo\r\n", "\nfoo\n"),
        (b"\xe4\xb8\xad> ", b"x\b \by\r\n", "y\n"),
        (b"x" * 250 + b" ", b"y\r\n", "y\n"),
        (b"one\ttwo", b"\tthree\r\n", "\tthree\n"),
        (b"one", b"\r\x1b[Atwo\r\n", "two\n"),
        (b"Loading", b"\x1b[10;1Hxyz\r\n", "xyz\n"),
    ],
)
@pytest.mark.promise("cursor-exact")
def test_a_page_that_begins_inside_a_line_is_drawn_where_it_stands(
    tmp_path: Path, before: bytes, after: bytes, text: str
) -> None:
    reader = reader_of(tmp_path, b"\r\n" + before + after, ended=True)
    assert reader.page(2 + len(before), 100_000).stdout == text


@pytest.mark.parametrize("program", sorted(CORPUS.glob("*.raw")), ids=lambda path: path.stem)
@pytest.mark.promise("cursor-exact", "output-any-bytes")
def test_every_prefix_of_real_output_is_told_to_its_end(tmp_path: Path, program: Path) -> None:
    data = program.read_bytes()
    step = max(1, len(data) // TRIES)
    for length in range(1, len(data) + 1, step):
        reader = reader_of(tmp_path / str(length), data[:length], ended=True)
        whole = reader.page(0, MANY)
        assert (whole.cursor, whole.truncated) == (length, False)
        assert all_pages(reader, MANY) == [whole.stdout]
        assert reader.between(0, MANY).stdout == whole.stdout
        assert len(all_pages(reader, 1000)) < 30


@pytest.mark.parametrize("piece", ["€".encode(), b"\x1b[31mred\x1b[0m", b"\x1b]0;title\x07x"])
@pytest.mark.promise("output-streams", "cursor-exact")
def test_what_is_unfinished_in_one_stream_goes_on_behind_the_other(tmp_path: Path, piece: bytes) -> None:
    for cut in range(1, len(piece)):
        first = ERR + b"abc " + piece[:cut] + OUT
        running = reader_of(tmp_path / f"r{cut}", first, separate=True)
        page = running.page(0, 1000)
        whole = first + b"out\r\n" + ERR + piece[cut:] + b" end\r\n" + OUT
        later = reader_of(tmp_path / f"l{cut}", whole, separate=True, ended=True)
        rest = later.page(page.cursor, 1000)
        both = later.page(0, 1000)
        assert (page.stderr + rest.stderr, page.stdout + rest.stdout) == (both.stderr, both.stdout)
        assert "\N{REPLACEMENT CHARACTER}" not in both.stderr and "31m" not in both.stderr


@pytest.mark.promise("dropped-told")
def test_what_is_left_of_a_long_output_begins_at_a_line(tmp_path: Path) -> None:
    for size in (1500, 2003, 2501):
        folder = tmp_path / str(size)
        folder.mkdir()
        log = SegmentLog(str(folder), size)
        for number in range(3000):
            log.append(f"\x1b[38;2;10;20;30mé line {number}\x1b[0m\r\n".encode())
        log.close()
        reader = Reader(Log(folder), NONCE, False, ended=True)
        assert reader.log.start > 0
        assert re.match(r"é line \d+\n", reader.page(0, 100_000).stdout)


@pytest.mark.promise("last-screen")
def test_of_much_drawing_the_last_screen_begins_at_a_sequence(tmp_path: Path) -> None:
    drawn = b"".join(b"\x1b[5;5Hcounter %d value %s" % (number, b"x" * 23) for number in range(60_000))
    reader = reader_of(tmp_path, b"\x1b[?1049h\x1b[2J" + drawn, limit=10 << 20, ended=True)
    reader.last_screen = Modes().follow(reader.log).screen_since
    shown = reader.full_screen(reader.last_screen or 0, reader.log.end)
    assert shown == f"\n\n\n\n    counter 59999 value {'x' * 23}"


@pytest.mark.promise("last-screen")
def test_a_reset_does_not_leave_the_alternate_screen_as_in_tmux(tmp_path: Path) -> None:
    reader = reader_of(tmp_path, b"first\r\n\x1b[?1049hfull\r\n\x1bcNEEDLE\r\n", ended=True)
    reader.last_screen = Modes().follow(reader.log).screen_since
    assert reader.page(0, 1000).stdout == f"first\n{LAST_SCREEN}\nNEEDLE\n"
