"""The errands' figures: who is first, what can be compared, and the README's table."""

from __future__ import annotations

from pathlib import Path

import pytest
import readme
from figures import Figures
from tallies import Tallies, Tally

WRONG = Tally(1, 1, 1, "wrong: 2 processes left", 1.0)
MISSING = Tally(0, 0, 0, "missing: no terminal", 0.0)


def tally(calls: int, size: int) -> Tally:
    return Tally(calls, size // 2, size - size // 2, "", 1.0)


def tallies() -> Tallies:
    rows = {
        "a build": {"ours": tally(1, 500), "other": tally(2, 700)},
        "a REPL": {"ours": tally(5, 900), "other": tally(7, 800)},
        "a hang": {"ours": tally(2, 900), "other": WRONG},
        "a vault": {"ours": tally(2, 400), "other": MISSING},
    }
    return Tallies(rows, {"ours": 6500, "other": 60000}, "2026-01-01")


def test_first_is_who_is_right_with_the_fewest_calls_and_then_the_fewest_bytes() -> None:
    made = tallies()
    assert [made.first(errand, "ours") for errand in made.rows] == [True, True, True, True]
    assert not made.first("a REPL", "other")
    assert not made.first("a hang", "other")  # cheap, and wrong


def test_sums_are_of_the_errands_that_all_did_right() -> None:
    assert tallies().shared() == ["a build", "a REPL"]
    assert (tallies().total("ours"), tallies().total("other")) == ("6 · 1.40", "9 · 1.50")


def test_what_is_wrong_or_missing_is_said() -> None:
    lines = {cells[0]: cells[1:] for cells in tallies().lines(["ours", "other"])}
    assert lines["a REPL"] == ["5 · 0.90 ✓", "7 · 0.80"]
    assert lines["a hang"] == ["2 · 0.90 ✓", "1 · 0.00 wrong"]
    assert lines["a vault"] == ["2 · 0.40 ✓", "missing"]
    assert lines["right"] == ["4 of 4", "2 of 4"]
    assert WRONG.in_full() == "1 / 1 / 1 wrong: 2 processes left (1 s)"


def test_they_come_back_from_the_figures_file(tmp_path: Path) -> None:
    made = Figures()
    made.errands = tallies()
    made.save(tmp_path / "figures.json")
    again = Figures()
    again.load(tmp_path / "figures.json")
    assert again.errands == tallies()


def test_errands_alone_leave_the_other_tables_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "README.md"
    before = readme.README.read_text()
    file.write_text(before)
    monkeypatch.setattr(readme, "README", file)
    made = Figures()
    made.versions = {"ours": "1", "bare": "", "other": "2.0"}
    made.errands = tallies()
    readme.write(made)
    after = file.read_text()
    assert "| a build | 1 · 0.50 ✓ | 2 · 0.70 |" in after
    begin, end = "<!-- errands", "<!-- /errands"
    assert after.partition(begin)[0] == before.partition(begin)[0]
    assert after.partition(end)[2] == before.partition(end)[2]
