"""The README's pictures can be remade, and name nothing of another host."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from picture import draw
from support.sandbox import Sandbox

FOLDER = Path(__file__).parents[2] / ".github"


def words(svg: str) -> str:
    return " ".join(re.sub(r"<style>.*?</style>|<[^>]+>", " ", svg, flags=re.DOTALL).replace("&#160;", " ").split())


def test_the_pictures_that_are_checked_in_show_the_board_and_a_job_in_a_persons_hands() -> None:
    board, pair = ((FOLDER / f"{name}.svg").read_text(encoding="utf-8") for name in ("board", "pair"))
    assert "1 held by you" in words(board)
    assert "you hold the keys" in words(pair) and "Hand the keys back" in words(pair)
    for svg in (board, pair):
        assert "@font-face" not in svg and "<image" not in svg
        assert not re.search(r"(?:url\(|href=)[\"']?https?:", svg)


@pytest.mark.slow
def test_the_pictures_can_be_drawn_from_real_jobs(sandbox: Sandbox) -> None:
    drawn = draw(sandbox)
    for name, svg in drawn.items():
        shown = words((FOLDER / name).read_text(encoding="utf-8"))
        for text in ("@6:deploy", "?5:migrate", "✗2:test", "1 failed", "type the deploy password"):
            assert text in words(svg) and text in shown, (name, text)
