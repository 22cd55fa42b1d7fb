"""What a replay leaves out and what it switches back, as bytes; a real terminal's view is in integration."""

from __future__ import annotations

import pytest

from mcp_background_job.cli.recordings.terminal_modes import Modes, without_queries


@pytest.mark.parametrize(
    "question",
    [
        b"\x1b[c",
        b"\x1b[0c",
        b"\x1b[>c",
        b"\x1b[=c",
        b"\x1b[5n",
        b"\x1b[6n",
        b"\x1b[?6n",
        b"\x1b[?2026$p",
        b"\x1b[4$p",
        b"\x1b[14t",
        b"\x1b[18t",
        b"\x1b[21t",
        b"\x1b[x",
        b"\x1b[?u",
        b"\x1b[>q",
        b"\x1b[>0q",
        b"\x1b[?4m",
        b"\x1b[?1;1;0S",
        b"\x1b[1$w",
        b"\x1bP$qm\x1b\\",
        b"\x1bP+q544e\x1b\\",
        b"\x1b]10;?\x07",
        b"\x1b]11;?\x1b\\",
        b"\x1b]4;1;?\x07",
        b"\x1b]52;c;?\x07",
        b"\x1b]52;c;aGVsbG8=\x1b\\",
        b"\x1b]1337;File=:x\x07",
        b"\x1b_Gi=1,a=q;AAAA\x1b\\",
        b"\x05",
        b"\x1bZ",
    ],
)
def test_what_a_terminal_would_answer_is_left_out(question: bytes) -> None:
    assert without_queries(b"a" + question + b"b" + question) == b"ab"


@pytest.mark.parametrize(
    "drawn",
    [
        "Where? ünïcödé\r\n\t\b".encode(),
        b"\x1b[1;31mred\x1b[0m",
        b"\x1b[2J\x1b[H\x1b[10;20H\x1b[K",
        b"\x1b[?1049h\x1b[?25l",
        b"\x1b]0;is this a title?\x07",
        b"\x1b]8;;http://x/?\x1b\\link\x1b]8;;\x1b\\",
        b"\x1b[1;20r",
        b"\x1b[3S\x1b[2T\x1b[4X",
        b"\x1b[5 q",
        b"\x1b(0lqk\x1b(B",
        b"\x1b7\x1b8\x1bM\x1bD",
        b"\x1b[38;2;1;2;3m\x1b[38:5:1m",
        b"\x1b[3P\x1b[2@\x1b[3M",
    ],
)
def test_what_it_draws_is_left_as_it_is(drawn: bytes) -> None:
    assert without_queries(drawn) == drawn


def undone(*shown: bytes) -> bytes:
    modes = Modes()
    for data in shown:
        modes.feed(data)
    return modes.undo()


NOTHING = undone()


@pytest.mark.parametrize(
    ("shown", "back"),
    [
        (b"\x1b[?1049h", b"\x1b[?1049l"),
        (b"\x1b[?25l", b"\x1b[?25h"),
        (b"\x1b[?7l\x1b[?7h\x1b[?7l", b"\x1b[?7h"),
        (b"\x1b[?1000;1006h", b"\x1b[?1006l"),
        (b"\x1b[?2004h", b"\x1b[?2004l"),
        (b"\x1b[4h", b"\x1b[4l"),
        (b"\x1b[5;10r", b"\x1b[r"),
        (b"\x1b=", b"\x1b>"),
        (b"\x1b[4 q", b"\x1b[0 q"),
        (b"\x1b[>1u", b"\x1b[<9u"),
        (b"\x1bc\x1b[?1h", b"\x1b[?1l"),
    ],
)
def test_what_is_left_switched_is_switched_back(shown: bytes, back: bytes) -> None:
    assert back in undone(b"text" + shown) and back not in NOTHING
    assert undone(shown, shown) == undone(shown)


@pytest.mark.parametrize(
    "shown",
    [b"\x1b[?1049h\x1b[?25l\x1b[?25h\x1b[?1049l", b"\x1b[?25l\x1b[5r\x1bc", b"\x1b[?3h", b"\x1b[?1048h", b"\x1b[31m"],
)
def test_what_is_as_it_was_is_not_touched(shown: bytes) -> None:
    assert undone(shown) == NOTHING


def test_the_alternate_screen_is_left_first() -> None:
    assert undone(b"\x1b[?1049h\x1b[?1h\x1b[3r").startswith(b"\x18\x1b[?1049l")
