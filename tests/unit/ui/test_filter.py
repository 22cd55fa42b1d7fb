"""Typing into the board's filter, and what it finds."""

from __future__ import annotations

import pytest

from mcp_background_job.ui.actions import split_keys
from mcp_background_job.ui.board_rows import matches
from mcp_background_job.ui.filter import Filter


def typed(keys: str) -> tuple[Filter, list[str]]:
    """A filter that was begun, and the keys that it has left to the board."""
    found = Filter()
    found.begin()
    return found, [key for key in split_keys(keys) if not found.take(key)]


def test_what_is_typed_is_no_key_of_the_board() -> None:
    found, left = typed("xkq/ t")
    assert (found.text, found.typing, left) == ("xkq/ t", True, [])
    assert found.line(2, 20) == "/xkq/ t_  2 of 20 jobs, Escape: all"


def test_enter_keeps_it_and_gives_the_keys_back() -> None:
    found, left = typed("web\rt\x1b[A")
    assert (found.text, found.on, left) == ("web", True, ["t", "\x1b[A"])
    assert found.line(1, 2) == "/web  1 of 2 jobs, Escape: all"


def test_escape_clears_it_while_it_is_typed_and_later() -> None:
    assert not typed("web\x1b")[0].on
    assert not typed("web\r\x1b")[0].on
    assert typed("web\x1b\x1b")[1] == ["\x1b"]


def test_arrows_stay_the_boards_and_mistakes_can_be_taken_back() -> None:
    found, left = typed("wen\x7fb\x1b[B")
    assert (found.text, left) == ("web", ["\x1b[B"])
    assert typed("wen\x15a")[0].text == "a"


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("", True), ("web", True), ("WEB", True), ("claude web", True), ("exit 3", True), ("web codex", False)],
)
def test_every_word_must_be_in_one_of_the_facts(wanted: str, found: bool) -> None:
    assert matches(wanted, ["ab12cd", "Web", "npm start", "claude-code", "/home/me/shop", "exit 3"]) is found
