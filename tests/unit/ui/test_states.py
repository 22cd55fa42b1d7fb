"""A state looks the same everywhere: in ui/states.py, tmux.conf, the menu's help and the README."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mcp_background_job.ui.menu import HELP
from mcp_background_job.ui.states import STATES

TOP = Path(__file__).parents[3]
CONF = (TOP / "tmux.conf").read_text(encoding="utf-8").replace("\\\n", "")
README = (TOP / "README.md").read_text(encoding="utf-8")
# Told apart by what tmux itself knows, not by @mcp_status; and states that no window has.
WITHOUT_STATUS = {"running", "held", "asked", "starting", "unreadable"}
MEANINGS = {
    "runs": "running",
    "waits for input": "prompt",
    "waits for a key": "screen",
    "done": "completed",
    "failed": "failed",
    "killed": "killed",
    "you hold the keys": "held",
}


def conf_option(name: str) -> str:
    [line] = [line for line in CONF.splitlines() if f" {name} " in line]
    return line.partition(f" {name} ")[2]


def by_status(option: str) -> dict[str, str]:
    """What an option of tmux.conf makes of each value of @mcp_status."""
    found = re.findall(r"s/\^\(?([a-z|]+)\)?\$/([^/]*)/", conf_option(option))
    return {status: shown for statuses, shown in found for status in statuses.split("|")}


def as_rich(style: str) -> str:
    """A style of tmux in rich's words."""
    words = {"bold": "", "fg": "", "bg": ""}
    for name, _, value in re.findall(r"#\[(\w+)(=(\w+))?\]", style):
        words[name] = value or name
    words["bg"] = words["bg"] and f"on {words['bg']}"
    return " ".join(word for word in words.values() if word)


@pytest.mark.promise("pair-signs")
def test_the_window_list_has_the_signs_of_the_board() -> None:
    signs = by_status("@mcp_sign_utf8")
    assert signs == {name: state.sign for name, state in STATES.items() if name not in WITHOUT_STATUS}
    others = conf_option("@mcp_sign")
    assert f"client_utf8,{STATES['running'].sign}," in others
    assert f"@mcp_holder,{STATES['held'].sign}," in others


@pytest.mark.promise("pair-signs")
def test_the_window_list_has_the_colours_of_the_board() -> None:
    styles = {name: as_rich(style) for name, style in by_status("@mcp_style").items()}
    assert styles == {name: state.style for name, state in STATES.items() if name not in WITHOUT_STATUS}
    [runs] = re.findall(r"#\{E:@mcp_runs\},((?:#\[[^]]*\])+),", conf_option("@mcp_style"))
    [held] = re.findall(r"#\{\?@mcp_holder,((?:#\[[^]]*\])+),", conf_option("@mcp_style"))
    assert (as_rich(runs), as_rich(held)) == (STATES["running"].style, STATES["held"].style)


def test_the_words_of_what_is_coloured_in_its_sign_alone_agree() -> None:
    [quiet] = re.findall(r"m/r:\^\(([a-z|]+)\)\$,", conf_option("@mcp_rest"))
    expected = {name for name, state in STATES.items() if not state.word_style} - WITHOUT_STATUS
    assert set(quiet.split("|")) == expected


def meanings(text: str, between: str) -> dict[str, str]:
    """Meaning → sign, where a text explains the signs."""
    signs = "".join(re.escape(sign) for sign in {state.sign for state in STATES.values()})
    return {meaning: sign for sign, meaning in re.findall(f"([{signs}]){between} ([a-z][a-z ]*[a-z])", text)}


def test_the_menus_help_and_the_readme_explain_the_same_signs() -> None:
    expected = {meaning: STATES[name].sign for meaning, name in MEANINGS.items()}
    assert meanings(HELP, "") == expected
    [paragraph] = re.findall(r"- \*\*The signs\*\*: .*?\n- ", README, re.DOTALL)
    told = meanings(" ".join(paragraph.split()), "`").items()
    assert {meaning.removesuffix(" or a password"): sign for meaning, sign in told} == expected


def test_the_readmes_list_shows_states_as_list_does() -> None:
    table = re.findall(r"^[a-z0-9]{6}  (\S) ([a-z]+) ", README, re.MULTILINE)
    shown = {(state.sign, state.word) for state in STATES.values()}
    assert len(table) > 2 and set(table) <= shown


def test_a_word_fits_its_column_and_one_sign_has_one_colour() -> None:
    assert all(len(state.word) <= 8 and len(state.sign) == 1 for state in STATES.values())
    assert len({(state.sign, state.style) for state in STATES.values()}) == len({s.sign for s in STATES.values()})
