"""What is said of a job: its state, its end, its name."""

from __future__ import annotations

import pytest

from mcp_background_job.store.models import Hold, Job
from mcp_background_job.ui.states import STATES
from mcp_background_job.ui.wording import elapsed, ending_line, given_name, label, state_name
from support.jobs import ended, running, starting


@pytest.mark.parametrize(
    ("job", "hold", "awaiting", "name"),
    [
        (None, None, None, "unreadable"),
        (starting(), None, None, "starting"),
        (running(), None, None, "running"),
        (running(), None, "password", "password"),
        (running(), Hold(since=0.0), "password", "held"),
        (running(), Hold(since=0.0, message="help"), None, "asked"),
        (ended(code=0), None, None, "completed"),
        (ended(code=3), None, None, "failed"),
        (ended(cause="timeout", signal=15), None, None, "killed"),
    ],
)
def test_each_job_has_one_state(job: Job | None, hold: Hold | None, awaiting: str | None, name: str) -> None:
    assert state_name(job, hold, awaiting) == name
    assert name in STATES


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ({"code": 0}, "completed, exit 0 after 12s"),
        ({"code": 3}, "failed, exit 3 after 12s"),
        ({"signal": 9}, "failed, KILL after 12s"),
        ({"cause": "window_closed", "signal": 1}, "killed (window closed), HUP after 12s"),
        ({"cause": "lost"}, "killed (lost) after 12s"),
    ],
)
def test_one_sentence_says_how_a_job_ended(end: dict[str, object], said: str) -> None:
    assert ending_line(ended(duration=12.0, **end)) == f"abcdef name: {said}"


def test_a_running_job_has_run_since_its_start() -> None:
    assert 29 < elapsed(running()) < 60


def test_a_name_can_neither_break_nor_flood_a_sentence() -> None:
    assert label(running("a\n\x1b[31mb" + "x" * 90)) == "abcdef a [31mb" + "x" * 24 + "…"


def test_a_name_that_repeats_the_command_is_left_out() -> None:
    assert given_name(running("sleep 9", "sleep  9")) == ""
    assert given_name(running("nap", "sleep 9")) == "nap"
