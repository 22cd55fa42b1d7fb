"""The benchmark's own figures: medians, verdicts, the README's tables, and that an earlier run can be added to."""

from __future__ import annotations

from pathlib import Path

import pytest
import readme
from figures import Figures, Row
from programs import FIRST, TYPED, WRONG


def figures() -> Figures:
    made = Figures()
    made.versions = {"ours": "1", "bare": "", "other": "2.0"}
    made.add("call", "bare", [1.0, 2.0, 3.0])
    made.add("call", "ours", [2.0, 4.0, 9.0])
    made.add("call", "other", [100.0])
    return made


def test_a_row_knows_median_and_99th_percentile() -> None:
    row = Row("x", samples={"ours": [float(number) for number in range(1, 201)]})
    assert (row.median("ours"), row.high("ours")) == (100.5, 199.0)
    assert row.cell("ours", high=True) == "100 (199)"


def test_the_floor_says_how_many_times_it_ours_is() -> None:
    assert figures().rows["call"].floor() == "2 (x2.00)"


def test_a_reach_is_held_to_what_lies_above_the_floor_in_each_round() -> None:
    made = figures()
    made.reach("call", "≤ bare + 1", made.above("call"), 1.0)
    assert (made.rows["call"].judged, made.rows["call"].sign) == (2.0, "✗")
    made.reach("call", "≤ bare x 2", made.times("call"), 2.0)
    assert made.rows["call"].sign == "✓"


def test_a_contender_without_a_figure_shows_why() -> None:
    made = figures()
    made.note("call", "gone", "not done")
    assert made.rows["call"].cell("gone") == "not done"
    assert made.rows["call"].cell("never") == ""


def test_figures_come_back_from_their_file_and_other_suites_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    figures().save(file)
    later = Figures()
    later.load(file)
    later.add("other call", "ours", [1.0])
    later.save(file)
    again = Figures()
    again.load(file)
    assert list(again.rows) == ["call", "other call"]
    assert again.rows["call"] == figures().rows["call"]


def test_the_readme_gets_its_tables_between_its_marks_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "README.md"
    file.write_text(readme.README.read_text())
    monkeypatch.setattr(readme, "README", file)
    made = figures()
    made.features = {"a | feature": {"ours": "yes", "other": "no"}}
    readme.write(made)
    once = file.read_text()
    assert "| call, ms | 4 | " in once and "| other 2.0 |" in once
    assert "| a \\| feature | yes | no |" in once
    readme.write(made)
    assert file.read_text() == once
    outside = once.partition("<!-- compared")[0]
    assert outside in Path(__file__).parents[2].joinpath("README.md").read_text()


def test_a_readme_without_the_marks_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text("nothing here")
    with pytest.raises(SystemExit, match="no <!-- measured"):
        readme.between(file, "measured", [])


def test_programs_have_their_table_where_they_were_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {name: tmp_path / f"{name}.md" for name in ("README", "ARCHITECTURE")}
    for name, file in files.items():
        file.write_text(getattr(readme, name).read_text())
        monkeypatch.setattr(readme, name, file)
    before = files["README"].read_text()
    made = Figures()
    for name, rest in [("a repl", "read"), ("a reader", "line"), ("a relay", "relay")]:
        made.add(FIRST + name, "ours", [250.4], "ms", rest)
    made.add(TYPED + "a repl", "ours", [9.0, 12.0, 20.0], "ms", "read")
    made.add(WRONG, "ours", [0], "")
    readme.write(made)
    text = files["ARCHITECTURE"].read_text()
    assert "| a reader | line | 250 |  | a relay | relay | 250 |  |" in text
    assert "| a repl | read | 250 | 12 |" in text
    assert files["README"].read_text() == before
