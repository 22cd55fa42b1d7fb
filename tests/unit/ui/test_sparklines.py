"""CPU and memory as bars."""

from __future__ import annotations

import pytest

from mcp_background_job.process.usage import Usage
from mcp_background_job.ui import sparklines
from mcp_background_job.ui.sparklines import LOOKS, Histories, sparkline


def test_bars_are_as_high_as_their_values_and_the_newest_are_shown() -> None:
    assert sparkline([0, 50, 99, 100], 8, 100.0) == "▁▅██"
    assert sparkline([100, 0, 200], 8, 100.0) == "▅▁█"
    assert sparkline(list(range(9)), 3) == "▇██"
    assert [sparkline(values, columns) for values, columns in (([], 8), ([0.0], 8), ([1.0], 0))] == ["", "▁", ""]


def test_a_history_is_of_the_jobs_that_run_and_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    history = Histories()
    for number in range(2 * LOOKS):
        history.note({"one": Usage(None if not number else 1.0, number), "two": Usage(5.0, 7)}, 2.0)
    assert len(history.cpu("one")) == len(history.memory("one")) == LOOKS
    history.note({"one": Usage(2.0, 3)}, 2.0)
    assert history.cpu("one")[-2:] == (1.0, 2.0) and history.memory("two") == ()
    assert history.last("two") is None and history.last("one") == Usage(2.0, 3)
    later = history.next_at + 2 * sparklines.GAP * 2.0
    monkeypatch.setattr("time.monotonic", lambda: later)
    history.note({"one": Usage(4.0, 3)}, 2.0)
    assert history.cpu("one") == (4.0,), "what was before nobody looked stands beside what is now"
