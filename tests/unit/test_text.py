"""Text from outside: cleaned, measured as tmux does, and cut to fit."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_background_job.output.emulator.row import split_cells
from mcp_background_job.text import clip, escaped, fit, one_line, shorten, summed_up, width, without_rules, wrap

CHARACTERS = st.text(
    st.one_of(
        st.sampled_from("ab 日本語éé\u0301\u200d\ufe0f❤👨👩👧🏽🇩🇪कि한ﾊ…─✓"),
        st.characters(exclude_categories=["Cc", "Cs"]),
    )
)


@given(CHARACTERS)
def test_text_is_as_wide_as_the_emulator_draws_it(text: str) -> None:
    assert width(text) == len(split_cells(text, 10_000))


@given(CHARACTERS, st.integers(-1, 12))
def test_what_is_cut_fits_and_is_a_beginning_of_the_text(text: str, columns: int) -> None:
    room = max(0, columns)
    assert text.startswith(clip(text, columns)) and width(clip(text, columns)) <= room
    assert width(shorten(text, columns)) <= room
    assert width(fit(text, columns)) == room
    if width(text) <= columns:
        assert clip(text, columns) == shorten(text, columns) == text


@pytest.mark.parametrize(
    ("text", "columns"),
    [("build", 5), ("日本語", 6), ("e\u0301", 1), ("👨\u200d👩\u200d👧", 2), ("🇩🇪", 2), ("कि", 2), ("", 0)],
)
def test_the_width_of_what_people_write(text: str, columns: int) -> None:
    assert width(text) == columns


def test_what_is_too_long_for_its_column_is_cut_by_cells_not_by_characters() -> None:
    assert fit("build", 8) == "build   "
    assert fit("a long name", 6) == "a lon…"
    assert fit("日本語日本語", 6) == "日本… "
    assert shorten("日本語日本語", 6) == "日本…"
    assert shorten("name", 0) == ""


@given(CHARACTERS, st.integers(2, 20))
def test_wrapped_text_fits_and_is_whole(text: str, columns: int) -> None:
    lines = wrap(one_line(text), columns)
    assert all(width(line) <= columns for line in lines)
    assert "".join(lines).replace(" ", "") == one_line(text).replace(" ", "")


def test_lines_are_broken_at_blanks() -> None:
    assert wrap("one two three", 8) == ["one two", "three"]
    assert wrap("one two three", 7) == ["one two", "three"]
    assert wrap("  indented line", 12) == ["  indented", "line"]
    assert wrap("abcdefgh", 3) == ["abc", "def", "gh"]
    assert wrap("", 3) == [""]
    assert len(wrap("x" * 1_000_000, 100)) == 10_000


@given(st.text())
def test_a_cleaned_line_has_nothing_that_a_terminal_obeys(text: str) -> None:
    line = one_line(text)
    assert line.isprintable() and line == one_line(line)


def test_blanks_and_breaks_of_a_line_become_single_blanks() -> None:
    assert one_line("  one\n\ttwo\x1b[31m \x00\x85three\u202e ") == "one two[31m three"


def test_control_characters_of_a_command_are_shown_by_name() -> None:
    assert escaped("a\x1b[31mb\nc\x07\u202e") == "a\\x1b[31mb\nc\\x07\\u202e"


def test_the_width_tables_are_not_loaded_for_ascii() -> None:
    code = "import sys; from mcp_background_job.text import fit; fit('a b', 2); print('wcwidth' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_only_a_rule_that_is_drawn_across_is_told_by_its_beginning() -> None:
    assert without_rules("a\n" + "─" * 200 + "\n❯ \n" + "━" * 50 + "x") == "a\n───…\n❯ \n━━━…x"
    for kept in ("─" * 49, "=" * 200, "-" * 200, "a" * 200, " " * 200):
        assert without_rules(kept) == kept


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (["one  ", "", "", ""], "one"),
        (["one", *["~"] * 40, '"x" 3L'], 'one\n[… 40 rows of ~ …]\n"x" 3L'),
        (["one", "", "", "", "", "two"], "one\n[… 4 rows …]\ntwo"),
        (["one", "", "", "", "two"], "one\n\n\n\ntwo"),
        (["─" * 200, "> ", "=" * 80], "───…\n>\n===…"),
        (["aaaaaaaaaaaaaaaaaaaaaaaaaaa", "0" * 40], "aaaaaaaaaaaaaaaaaaaaaaaaaaa\n" + "0" * 40),
        (['"x" 3L' + " " * 150 + "1,1", "a" + " " * 39 + "b"], '"x" 3L   …1,1\na' + " " * 39 + "b"),
        ([], ""),
    ],
)
def test_a_screen_is_told_without_what_says_nothing(rows: list[str], told: str) -> None:
    assert summed_up(rows) == told
