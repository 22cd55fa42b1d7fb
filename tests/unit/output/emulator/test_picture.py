"""What passes to a person's terminal, whatever a job printed; a real terminal's view is in integration."""

from __future__ import annotations

import itertools
import os
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wcwidth import wcwidth

from mcp_background_job.output.emulator.picture import picture
from mcp_background_job.output.emulator.render import render
from mcp_background_job.output.recording import Cleaner

TRIES = int(os.environ.get("MCP_BG_TRIES", "300"))
# Written down again, so that a mistake in the list there isn't one here.
PASSES = re.compile(
    "[\b-\x0f -~\xa0-\U0010ffff]|\x1b(?:[78DEHM]|#8|[()][0B]|\\[(?:[0-9;:]{0,63}m|[0-9]{0,4}[@A-GLMPSTXZ`bd]"
    "|[0-9]{0,4}(?:;[0-9]{0,4})?[Hfr]|[0-2][JK]|[03]g|4[hl]|\\?(?:6|7|25|47|1047|1049)[hl]))"
)
QUERIES = (
    "[c [0c [>c [=c [5n [6n [?6n [?2026$p [4$p [14t [18t [21t [22;0t [x [?u [>q [>0q Z [?4m [?1;1;0S [1$w P$qm~ P+q54~ "
)
STRINGS = (
    "]10;?^ ]11;?~ ]4;1;?^ ]4;1;red^ ]10;red^ ]104^ ]52;c;aGk=^ ]1337;File=:x^ ]9;4;1;50^ ]8;;http://x/~ ]8;;^ "
    "]0;title^ ]2;title~ ktitle~ _Gi=1,a=q;AAAA~ Pq#0__~ Xsos~ P1000p~"
)
SWITCHES = (
    "[=5u [>1u [<u [>4;2m [5_q [!p [3J [?1J [?5W [?2004h [?1000;1006h [?2026h [?9001h [?69h [20h [?1h = > n N (A %@ _F "
    "#3 l"
)
DROPPED = [
    *(b"\x1b" + one.encode().replace(b"~", b"\x1b\\").replace(b"^", b"\x07") for one in QUERIES.split()),
    *(
        b"\x1b" + one.encode().replace(b"~", b"\x1b\\").replace(b"^", b"\x07")
        for one in STRINGS.split()
        if one[0] != "^"
    ),
    *(b"\x1b" + one.encode().replace(b"_", b" ") for one in SWITCHES.split()),
    *[b"\x1b^pm\x1b\\", b"\x1bPtmux;\x1b\x1b]52;c;aGk=\x07\x1b\\", b"\x05", b"\x07", b"\x7f", b"\xc2\x9b", b"\xc2\x9d"],
    *[b"\x1b", b"\x1b[", b"\x1b[1;2", b"\x1b[6\x18", b"\x1b[6\x1a", b"\x1b(", b"\x1b[\xc3\xa9n"],
]
DRAWN = [
    *["Where? ünïcödé 🦊", "a\r\n\tb\b", "\x1b[1;31mred\x1b[0m\x1b[m", "\x1b[38;2;1;2;3m\x1b[38:5:1m", "\x0elqk\x0f"],
    *["\x1b[2J\x1b[H\x1b[10;20H\x1b[;5f\x1b[0K", "\x1b[?1049h\x1b[?25l", "\x1b[1;20r\x1b[r", "\x1b[3S\x1b[2T\x1b[4X"],
    *["\x1b(0lqk\x1b(B", "\x1b7\x1b8\x1bM\x1bD\x1bE", "\x1b[3P\x1b[2@\x1b[3M\x1b[L", "a\x1b[3b", "\x1b[4hx\x1b[4l"],
    *["\x1bH\x1b[0g\x1b[3g\x1b[2Z", "\x1b#8", "\x1b[A\x1b[2B\x1b[3C\x1b[4D\x1b[5E\x1b[6F\x1b[7G\x1b[8d"],
]
pieces = st.one_of(
    st.binary(max_size=6),
    st.text("abé🦊 \r\n\t\b", max_size=8).map(str.encode),
    st.sampled_from([*DROPPED, *(text.encode() for text in DRAWN)]),
    st.builds(
        lambda *parts: b"\x1b[" + b"".join(parts),
        st.sampled_from([b"", b"?", b">", b"=", b"<"]),
        st.text("0123456789;:", max_size=6).map(str.encode),
        st.sampled_from([b"", b" ", b"$", b"!", b"\r", b"\n", b"\x07"]),
        st.sampled_from([bytes([final]) for final in range(0x40, 0x7F)]),
    ),
)


def read(data: bytes) -> list[str]:
    """What a person reads; a tab and the blanks that it is in a line drawn over are the same."""
    lines = render(b"\r" + data).split("\n")  # with a carriage return: it came through a terminal
    # Without what takes no column: the renderer leaves it out where it stands alone between two controls.
    return [re.sub("[ \t]+", " ", "".join(filter(wcwidth, line))).rstrip() for line in lines]


printed = st.lists(pieces, max_size=12).map(b"".join)


@pytest.mark.promise("replay-allowlist")
@pytest.mark.parametrize("sequence", DROPPED)
def test_what_does_not_draw_is_dropped(sequence: bytes) -> None:
    assert picture(b"a" + sequence) == "a"
    assert picture(b"a" + sequence + b"\x18b") == "ab", "nor does it hide what comes after it is broken off"


def test_of_a_string_without_an_end_its_text_is_left() -> None:
    assert picture(b"a\x1b]52;c;aGk=") == "a52;c;aGk="
    assert picture(b"a\x1bPtmux;\x1b\x1b]0;x") == "atmux;0;x"


@pytest.mark.parametrize("text", DRAWN)
def test_what_draws_is_left_as_it_is(text: str) -> None:
    assert picture(text.encode()) == text


@pytest.mark.parametrize(
    ("sequence", "shown"),
    [
        (b"\x1b[s\x1b[1;5s\x1b[u", "\x1b7\x1b7\x1b8"),
        (b"\x1b[?1000;1049;2004h", "\x1b[?1049h"),
        (b"\x1b[?3h", "\x1b[H\x1b[2J"),
        (b"\x1b[1\r2;3H", "\r\x1b[12;3H"),
        (b"\x1b[2147483647b", "\x1b[9999b"),
        (b"\x9b6n \xff", "�6n �"),
        (b"\x1b[1;2;3;4;5T", "\x1b[1T"),
    ],
)
def test_what_a_terminal_might_take_for_something_else_is_spelt_in_our_way(sequence: bytes, shown: str) -> None:
    assert picture(sequence) == shown


def test_a_reset_clears_the_screen_and_leaves_the_persons_own_settings() -> None:
    shown = picture(b"\x1bc")
    assert "\x1bc" not in shown and "\x1b[2J" in shown and "\x1b[?7h" in shown


@pytest.mark.promise("replay-allowlist")
@given(printed)
@settings(max_examples=TRIES, deadline=None)
def test_only_the_allowlist_passes_and_the_text_is_unchanged(data: bytes) -> None:
    shown = picture(data)
    assert PASSES.sub("", shown) == "", "nothing else, and no part of a sequence"
    # A repetition repeats what stands before it, and what is dropped stands there no more.
    if not re.search(rb"\x1b\[[^a-z]*b", data):
        # A character that a control interrupts is a broken one, as in tmux; the renderer puts it together.
        assert read(shown.encode()) == read(data.decode(errors="replace").encode())


@pytest.mark.promise("replay-allowlist")
@given(printed, st.lists(st.integers(0, 200), max_size=6))
@settings(max_examples=TRIES, deadline=None)
def test_where_it_is_cut_changes_nothing(data: bytes, cuts: list[int]) -> None:
    cleaner = Cleaner("1234567890")
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    shown = [cleaner.feed(data[start:stop]) for start, stop in itertools.pairwise(edges)]
    assert all(PASSES.sub("", text) == "" for text in shown)
    assert "".join([*shown, cleaner.finish()]) == picture(data)


@pytest.mark.parametrize(
    "sequence", [b"\x1bPtmux;\x1b\x1b]52;c;aGk=\x07\x1b\\", b"\x1b[38;5;1m", "🦊".encode(), b"\x1b]8;;x\x1b\\"]
)
def test_every_cut_of_a_sequence_gives_the_same(sequence: bytes) -> None:
    for cut in range(len(sequence)):
        cleaner = Cleaner("1234567890")
        shown = cleaner.feed(b"a" + sequence[:cut])
        assert shown == "a"
        assert cleaner.feed(sequence[cut:] + b"b") == picture(sequence) + "b"


def test_an_image_as_large_as_a_screen_is_dropped_though_it_comes_in_pieces() -> None:
    cleaner = Cleaner("1234567890")
    image = b"\x1bPq" + b"#0~~" * 100_000 + b"\x1b\\after"
    shown = [cleaner.feed(image[start : start + 4096]) for start in range(0, len(image), 4096)]
    assert "".join(shown) == "after"
