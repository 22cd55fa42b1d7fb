"""What render() makes of terminal bytes, case by case, and of what real programs sent."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_background_job.output.emulator import render as module
from mcp_background_job.output.emulator.render import (
    ALTERNATE_NOTE,
    PAST_NOTE,
    STRING_LIMIT,
    ends_alternate,
    render,
    split_point,
)

CORPUS = Path(__file__).with_name("corpus")


@pytest.mark.parametrize("raw", sorted(CORPUS.glob("*.raw")), ids=lambda path: path.stem)
@pytest.mark.promise("output-readable")
def test_a_recorded_program_reads_as_checked(raw: Path) -> None:
    assert render(raw.read_bytes()) == raw.with_suffix(".txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        pytest.param("one\r\ntwo\r\n", "one\ntwo\n", id="newlines"),
        pytest.param("one\ntwo\n", "one\ntwo\n", id="newlines of a pipe"),
        pytest.param("one\r\r\ntwo", "one\ntwo", id="doubled carriage return"),
        pytest.param("one\r\n\r\n\r\ntwo\r\n\r\n", "one\n\n\ntwo\n\n", id="blank lines"),
        pytest.param("\x1b[1;32mok\x1b[0m \x1b[38;2;1;2;3mfine\x1b[m", "ok fine", id="colours"),
        pytest.param("\x1b]0;title\x07a\x1b]8;;http://example.org\x1b\\b\x1b]8;;\x1b\\", "ab", id="titles and links"),
        pytest.param("a\x1bPq#0~~\x1b[31m~\x1b\\b\x1b_note\x1b\\c\x1b^pm\x1b\\d\x1bXsos\x1b\\e", "abcde", id="strings"),
        pytest.param("a\x1b[?2004hb\x1b[?25lc\x1b[?1006hd\x1b=e\x1b>f", "abcdef", id="modes without a trace"),
        pytest.param("be\x07ll nu\0ll del\x7fete", "bell null delete", id="controls without a trace"),
        pytest.param("a\u0085b\u009bc", "abc", id="C1 controls"),
        pytest.param(" 10%\r 50%\r100%\r\n", "100%\n", id="progress"),
        pytest.param("Downloading 10 MB\rDone\r\n", "Doneloading 10 MB\n", id="remains, as one sees them"),
        pytest.param("Downloading\r\x1b[KDone\r\n", "Done\n", id="erased to the right"),
        pytest.param("Downloading\x1b[2K\rDone\r\n", "Done\n", id="erased as a whole"),
        pytest.param("Downloading\rDone       \r\n", "Done\n", id="erased with spaces"),
        pytest.param("abc\b\b\bxy", "xyc", id="backspace"),
        pytest.param("1\r\n2\r\n3\r\n\x1b[2A\x1b[2Ktwo\x1b[2B\rend", "1\ntwo\n3\nend", id="cursor up and down"),
        pytest.param("1\r\n2\r\n\x1b[A\x1b[Lnew", "1\nnew\n2", id="inserted line"),
        pytest.param("1\r\n2\r\n3\x1b[2A\x1b[M", "2\n3", id="deleted line"),
        pytest.param("abc\x1b[3D\x1b[2@\x1b[2C\x1b[P", "  bc", id="inserted and deleted characters"),
        pytest.param("ab-\x1b[4b|", "ab-----|", id="repeated character"),
        pytest.param("a\x1b7bc\x1b8X", "aXc", id="saved cursor"),
        pytest.param("\x1b(0lqk\x1b(B|\x0e\x1b)0x\x0fx", "┌─┐|│x", id="line drawing"),
        pytest.param("name:\tvalue\r\n\tindented\r\n", "name:\tvalue\n\tindented\n", id="tabs stay"),
        pytest.param("name:\tvalue\rNAME", "NAME:   value", id="tabs that a motion touches"),
        pytest.param("日本語\r\x1b[2CX", "日X 語", id="wide characters"),
        pytest.param("👩\u200d💻 e\u0301 🇩🇪", "👩\u200d💻 e\u0301 🇩🇪", id="combined characters"),
        pytest.param(">>> ", ">>> ", id="a prompt's space"),
        pytest.param("\r\x1b[K>>> x\b \b", ">>> ", id="an edited prompt's space"),
        pytest.param("two  spaces  \r\nnext", "two  spaces  \nnext", id="spaces at a line's end"),
        pytest.param("a\x1b[", "a", id="broken off at the end"),
        pytest.param("a\x1b[3\x18b\x1b[1\x1b[31mc\x1b\x1b[0mcc", "abccc", id="broken off inside"),
        pytest.param("ab\x1b[2\rGX", "aX", id="a control character inside a sequence"),
        pytest.param("old\r\n\x1b[H\x1b[2J\x1b[3Jnew", "old\nnew", id="a cleared screen stays in the history"),
        pytest.param("old\r\n\x1bcnew", "old\nnew", id="reset"),
    ],
)
@pytest.mark.promise("output-readable")
def test_text_is_what_one_reads(data: str, text: str) -> None:
    assert render(data.encode()) == text


def test_a_line_longer_than_the_window_is_one_line() -> None:
    line = "".join(f"{i:06}" for i in range(200))
    assert render(f"{line}\r\nnext\r\n".encode()) == f"{line}\nnext\n"
    assert render(f"{line}\x1b[A\r{'x' * 200}".encode(), 200) == line[:800] + "x" * 200 + line[1000:]


def test_wide_characters_wrap_before_the_edge() -> None:
    assert render("abc日本\x1b[A\rX".encode(), columns=4, rows=5) == "Xbc日本"


@pytest.mark.promise("output-any-bytes")
def test_invalid_bytes_show_and_do_not_swallow_text() -> None:
    assert render(b"caf\xe9 \xff\xfe ok \xe2\x82") == "caf\ufffd \ufffd\ufffd ok \ufffd"
    assert render(b"caf\xe9\rX\r\n") == "Xaf\ufffd\n"


def test_a_full_screen_program_is_one_line() -> None:
    drawn = b"\x1b[?1049h\x1b[1;24r\x1b[H\x1b[2J~\r\n~\x1b[24;1H:q\x1b[?1l\x1b[?1049l"
    assert render(b"$ vim\r\n" + drawn + b"$ ") == f"$ vim\n{PAST_NOTE}\n$ "
    assert render(b"$ " + drawn + drawn + b"\r\n") == f"$ \n{PAST_NOTE}\n\n"
    assert render(b"x\r\n\x1b[?47hstill here") == f"x\n{ALTERNATE_NOTE}\n"


def test_a_page_inside_a_full_screen_program_is_that_line_too() -> None:
    page = b"\x1b[5;10Hdrawn\x1b[K"
    assert render(page, continued=True, alternate=True) == f"{ALTERNATE_NOTE}\n"
    assert render(page + b"\x1b[?1049l$ ", continued=True) == f"{PAST_NOTE}\n$ "
    assert render(b"text\r\n\x1b[?1049l$ ", continued=True) == "text\n$ "


@pytest.mark.parametrize(
    ("data", "before", "after"),
    [(b"", False, False), (b"", True, True), (b"a\x1b[?1049hb", False, True), (b"\x1b[?47hb\x1b[?1;47l", False, False)],
)
def test_the_running_full_screen_program_is_known_for_the_next_page(data: bytes, before: bool, after: bool) -> None:
    assert ends_alternate(data, before) is after


def test_a_cursor_that_goes_up_over_the_start_of_a_page_loses_nothing() -> None:
    page = b"message\r\n\x1b[3A\x1b[2Kbar 90%\r\x1b[3Bnext"
    assert render(page) == "bar 90%\n\n\nnext"
    assert render(page, continued=True) == "bar 90%\nmessage\nnext"


def test_a_redraw_straddling_two_pages_is_folded_in_each() -> None:
    redraw = b"\x1b[2A\x1b[2Kone %d\r\n\x1b[2Ktwo %d\r\n"
    log = b"start\r\n\r\n\r\n" + b"".join(redraw % (i, i) for i in range(10))
    cut = log.index(b"\x1b[2Ktwo 5")
    assert render(log[:cut]) == "start\none 5\ntwo 4"
    assert render(log[cut:], continued=True) == "one 9\ntwo 9\n"


def test_the_history_keeps_what_scrolled_off() -> None:
    lines = [f"line {i}" for i in range(500)]
    log = "\r\n".join(lines).encode() + b"\x1b[H\x1b[2Ktop"
    expected = [*lines[:450], "top", *lines[451:]]
    assert render(log) == "\n".join(expected)


def test_lines_that_scroll_out_of_a_region_stay() -> None:
    log = b"\x1b[1;4r" + b"".join(b"line %d\r\n" % i for i in range(9)) + b"\x1b7\x1b[6;1Hbar\x1b8end"
    assert render(log, rows=6) == "".join(f"line {i}\n" for i in range(9)) + "end\n\nbar"


def test_a_string_without_an_end_is_text_past_the_limit() -> None:
    assert render(b"a\x1b]0;never ended\r\nb") == "a0;never ended\nb"
    assert render(b"A\r\n\x1bPq\x1b[31mone\r\n") == "A\nqone\n"
    long = b"x" * (STRING_LIMIT + 1)
    assert render(b"a\x1b]0;" + long) == "a0;" + long.decode()
    for end in (b"\x07b", b"\x1b\\b"):
        assert render(b"a\x1b]1337;File=" + long[:-30] + end) == "ab"
        assert render(b"a\x1b]0;" + long + end) == "a0;" + long.decode() + "b"
    assert render(b"a\x1bPq" + long[:-30] + b"\x1b\\b") == "ab"
    assert render(b"a\x1bPq" + long + b"\x1b\\b") == "aq" + long.decode() + "b"
    assert render(b"\x1bPq" + long + b"\x1bPq1\x1b\\b") == "q" + long.decode() + "b"


@pytest.mark.parametrize(
    ("data", "length"),
    [
        (b"", 0),
        (b"plain", 5),
        (b"ab\xe2\x82", 2),
        (b"ab\xe2\x82\xac", 5),
        (b"ab\xf0\x9f\x9a", 2),
        (b"ab\xff\xfe\x80", 5),
        (b"ab\x1b", 2),
        (b"ab\x1b[", 2),
        (b"ab\x1b[38;5;1", 2),
        (b"ab\x1b[38;5;1m", 11),
        (b"ab\x1b(", 2),
        (b"ab\x1b(B", 5),
        (b"ab\x1b7", 4),
        (b"ab\r", 2),
        (b"ab\r\r\x1b[", 2),
        (b"ab\r\n", 4),
        (b"ab\x1b]0;title", 2),
        (b"ab\x1b]0;title\x1b", 2),
        (b"ab\x1b]0;title\x1b\\", 13),
        (b"ab\x1b]0;title\x07", 12),
        (b"ab\x1b_note", 2),
        (b"ab\x1bPtmux;\x1b\x1b]52;c;\x07", 2),
        (b"ab\x1bPtmux;\x1b\x1b]52;c;\x07\x1b\\", 20),
        (b"ab\x1b]0;tit\xe2\x82", 2),
    ],
)
def test_a_page_can_end_outside_of_any_sequence(data: bytes, length: int) -> None:
    assert split_point(data) == length


def test_a_string_longer_than_the_limit_does_not_hold_a_page_up() -> None:
    data = b"ab\x1b]0;" + b"x" * (STRING_LIMIT + 10)
    assert split_point(data) == len(data)


PRINTED = st.one_of(
    st.text(st.characters(min_codepoint=0x20, exclude_categories=("Cs", "Cc", "Mn", "Me", "Cf")), max_size=20),
    st.sampled_from(["\r\n", "\r\n", "\t", "\x1b[1;31m", "\x1b[m", "\x1b]0;a title\x07", "\x1b]2;b\x1b\\"]),
    st.sampled_from(["\x1bPq\x1b[1m\x1b\\", "\x1b_mark\x1b\\", "\x1b(B", "\x1b[?2004h", "日本", "🚀"]),
)


@given(st.lists(PRINTED, max_size=30), st.data())
@pytest.mark.promise("cursor-exact")
def test_pages_cut_at_split_points_add_up_to_the_whole(parts: list[str], draw: st.DataObject) -> None:
    data = ("\r" + "".join(parts)).encode()
    cut = split_point(data[: draw.draw(st.integers(0, len(data)))])
    assert render(data[:cut]) + render(data[cut:], continued=True) == render(data)


SEQUENCE_BYTES = st.sampled_from(b"\x1b\x1b[[]P;?0123ABHJKLMPrhlm\r\n\b\tab\xe2\x9c\x93")


@given(st.binary(max_size=300) | st.lists(SEQUENCE_BYTES).map(bytes))
@settings(max_examples=300)
@pytest.mark.promise("output-any-bytes")
def test_any_bytes_give_clean_text(data: bytes) -> None:
    for continued in (False, True):
        text = render(data, columns=10, rows=4, continued=continued)
        assert not re.search("[\0-\x08\x0b-\x1f\x7f-\x9f]", text)
    assert 0 <= split_point(data) <= len(data)


MOVING = st.sampled_from(
    ["text", "\r\n", "\r", "\x1b[K", "\x1b[A", "\x1b[2B", "\x1b[31m", "日本", "\x1b]0;t\x07", "\b"]
)


@given(st.lists(MOVING), st.integers(5, 40))
def test_taking_data_apart_in_chunks_changes_nothing(parts: list[str], size: int) -> None:
    data = ("\r" + "".join(parts)).encode()
    whole = render(data, columns=12, rows=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CHUNK", size)
        assert render(data, columns=12, rows=4) == whole


LINE = st.text(st.sampled_from("ab \t"), max_size=30)


@given(st.lists(LINE, max_size=8), st.sampled_from(["\r\n", "\n"]), st.booleans())
def test_plain_lines_read_as_the_terminal_shows_them(lines: list[str], newline: str, continued: bool) -> None:
    data = newline.join(lines).encode()
    fast = render(data, columns=12, rows=4, continued=continued)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_plain_lines", lambda data: None)
        assert render(data, columns=12, rows=4, continued=continued) == fast
