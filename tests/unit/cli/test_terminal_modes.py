"""What a replay switches back; a real terminal's view is in integration, and what passes at all in test_picture."""

from __future__ import annotations

import pytest

from mcp_background_job.cli.recordings.terminal_modes import Modes


def undone(*shown: str) -> bytes:
    modes = Modes()
    for text in shown:
        modes.feed(text)
        modes.shown()
    return modes.undo(80)


NOTHING = undone()


@pytest.mark.parametrize(
    ("shown", "back"),
    [
        ("\x1b[?1049h", b"\x1b[?1049l"),
        ("\x1b[?47h", b"\x1b[?47l"),
        ("\x1b[?25l", b"\x1b[?25h"),
        ("\x1b[?7l\x1b[?7h\x1b[?7l", b"\x1b[?7h"),
        ("\x1b[?6h", b"\x1b[?6l"),
        ("\x1b[4h", b"\x1b[4l"),
        ("\x1b[5;10r", b"\x1b[r"),
        ("\x1b(0", b"\x1b(B"),
        ("\x1b)0\x0e", b"\x1b)B\x0f"),
        ("\x1b[3g", b"\x1b[3g\x1b[8C\x1bH"),
        ("\x1b[31m", b"\x1b[0;10m"),
    ],
)
def test_what_is_left_changed_is_changed_back(shown: str, back: bytes) -> None:
    assert back in undone("text" + shown) and back not in NOTHING
    assert undone(shown, shown) == undone(shown)


@pytest.mark.parametrize("shown", ["\x1b[?1049h\x1b[?25l\x1b[?25h\x1b[?1049l", "\x1b[?7l\x1b[?7h", "text\r\n"])
def test_what_is_as_it_was_is_not_touched(shown: str) -> None:
    assert undone(shown) == NOTHING


def test_the_alternate_screen_is_left_first() -> None:
    assert undone("\x1b[?1049h\x1b[?6h\x1b[3r").startswith(b"\x18\x1b[?1049l")


@pytest.mark.parametrize("mode", ["\x1b[?1049", "\x1b[?6", "\x1b[4"])
def test_what_was_to_switch_back_and_was_broken_off_is_switched_back(mode: str) -> None:
    modes = Modes()
    modes.feed(f"{mode}h")
    modes.shown()
    modes.feed(f"text{mode}l")
    back = f"{mode}l".encode()
    assert back in modes.undo(80), "a write that was interrupted: nobody knows how much of it came"
    modes.shown()
    assert back not in modes.undo(80)


def test_what_one_piece_switches_there_and_back_may_be_broken_off_between() -> None:
    modes = Modes()
    modes.feed("\x1b[?1049h\x1b[?25l picture \x1b[?25h\x1b[?1049l")
    assert b"\x1b[?1049l" in modes.undo(80) and b"\x1b[?25h" in modes.undo(80)
    modes.shown()
    assert modes.undo(80) == NOTHING
