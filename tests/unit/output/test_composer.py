"""Whether an agent's composer is empty, on rows as tmux gave them of the real programs."""

from __future__ import annotations

import pytest

from mcp_background_job.output.composer import holds, is_empty

RULE = "\x1b[38;5;244m" + "─" * 60
# (rows from the composer's on, the cursor's column)
EMPTY = {
    "claude": (["\x1b[39m❯\xa0\x1b[7m \x1b[0m\x1b[39m\x1b[49m", RULE, "  ? for shortcuts"], 2),
    "claude with a placeholder": (['\x1b[39m❯\xa0\x1b[7mT\x1b[0;2mry "fix lint errors"\x1b[0m', RULE], 2),
    "codex": (["\x1b[1m›\x1b[0m\x1b[39m\x1b[49m \x1b[2mAsk Codex to do anything", "\x1b[0m\x1b[39m", "  model"], 2),
    "gemini": (
        [
            " \x1b[38;5;183m> \x1b[7m\x1b[39m \x1b[0m\x1b[38;5;248m\x1b[48;5;240m Type your message or @path\x1b[39m",
            "",
            "\x1b[49m \x1b[38;5;248mworkspace",
        ],
        3,
    ),
    "in a box": (["│ > \x1b[2mTry something\x1b[0m      │", "╰" + "─" * 30 + "╯"], 4),
}
NOT_EMPTY = {
    "claude, half typed": (["\x1b[39m❯\xa0hello half\x1b[7m", RULE], 12),
    "claude, half typed, cursor at its beginning": (["\x1b[39m❯\xa0\x1b[7mh\x1b[0mello half", RULE], 2),
    "claude, one character, cursor on it": (["\x1b[39m❯\xa0\x1b[7mh\x1b[0m", RULE], 2),
    "claude, cursor in an empty first line of several": (["\x1b[39m❯\xa0\x1b[7m \x1b[0m", "  second line", RULE], 2),
    "claude, a command's menu": (["\x1b[39m❯\xa0/\x1b[7m \x1b[0m", RULE, "/add-dir"], 3),
    "claude, its menu of models": (
        ["  \x1b[38;5;153m❯\x1b[39m \x1b[38;5;246m1. \x1b[38;5;114mDefault", "    2. Opus"],
        2,
    ),
    "claude, its menu, cursor behind the sign": (["❯ \x1b[38;5;246m1. Yes", "  2. No"], 2),
    "claude's shell mode": (["\x1b[39m!\xa0\x1b[7m \x1b[0m", RULE], 2),
    "codex, half typed": (["\x1b[1m›\x1b[0m\x1b[39m\x1b[49m hello half", "", "  model"], 12),
    "codex, its menu of models": (["  \x1b[1menter\x1b[0;2m select · \x1b[0;1mesc\x1b[0;2m back"], 60),
    "gemini, half typed": ([" \x1b[38;5;183m> \x1b[38;5;231mhello half\x1b[7m\x1b[39m \x1b[0m"], 13),
    "gemini, half typed, cursor at its beginning": ([" \x1b[38;5;183m> \x1b[7mh\x1b[0m\x1b[38;5;231mello half"], 3),
    "gemini, a person types what the placeholder begins with": ([" > \x1b[7mT\x1b[0mype your message"], 3),
    "a shell's prompt with a path": (["~/work ❯ "], 9),
    "Python's prompt": ([">>> "], 4),
    "nothing": ([""], 0),
}


@pytest.mark.promise("wake-guard")
@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_composer_is_known(name: str) -> None:
    rows, column = EMPTY[name]
    assert is_empty(["what it said", "", *rows], 2, column)


@pytest.mark.promise("wake-guard")
@pytest.mark.parametrize("name", NOT_EMPTY)
def test_what_is_no_empty_composer_is_not_taken_for_one(name: str) -> None:
    rows, column = NOT_EMPTY[name]
    assert not is_empty(["what it said", "", *rows], 2, column)


def test_a_style_goes_on_in_the_next_row_and_faint_is_no_colours_2() -> None:
    assert is_empty(["\x1b[2mfaint", "› Ask Codex"], 1, 2)
    assert not is_empty(["\x1b[2mfaint\x1b[22m", "› Ask Codex"], 1, 2)
    assert not is_empty(["› \x1b[38;2;2;2;2mtyped", ""], 0, 2)
    assert not is_empty(["› \x1b[38;5;2mtyped", ""], 0, 2)


@pytest.mark.promise("wake-guard")
def test_a_line_that_was_typed_is_there_whole_and_alone() -> None:
    text = "Job build (ab12cd) failed, exit 1."
    assert holds(["❯\xa0Job build (ab12cd) failed, exit 1.\x1b[7m \x1b[0m", RULE], 0, text)
    assert holds(["❯ old", "│ > Job build (ab12cd)   │", "│   failed, exit 1.      │"], 2, text)
    assert not holds(["❯\xa0xJob build (ab12cd) failed, exit 1.", RULE], 0, text)
    assert not holds(["❯\xa0Job build (ab12cd) failed, exit 1.y", RULE], 0, text)
    assert not holds(["❯\xa0Job build (ab12cd) fai", RULE], 0, text)
    assert not holds(["$ Job build (ab12cd) failed, exit 1."], 0, text)
