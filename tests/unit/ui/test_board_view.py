"""The board's lines: how a job reads, what fits, what stands first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from mcp_background_job.process.usage import Usage
from mcp_background_job.store.models import Hold, Job
from mcp_background_job.text import width
from mcp_background_job.ui.board_view import JobRow, boxed, frame, order, row_of
from mcp_background_job.ui.observer import Seen
from support.jobs import ended, running


def row(
    job_id: str = "abcdef", state: str = "running", name: str = "name", last: str = "", message: str = ""
) -> JobRow:
    return JobRow(job_id, state, state, name, "12s", "3%", "12M", last, message)


def drawn(rows: list[JobRow], columns: int = 80, height: int = 24, chosen: str = "") -> list[str]:
    return [line.plain for line in frame(rows, chosen, [], None, "mcp-jobs", columns, height)]


@pytest.mark.parametrize(
    ("job", "word"),
    [
        (ended(code=0), "done"),
        (ended(code=3), "exit 3"),
        (ended(signal=11), "SEGV"),
        (ended(cause="kill", signal=15), "killed"),
        (ended(cause="timeout", signal=15), "timeout"),
        (ended(cause="window_closed"), "closed"),
        (ended(cause="lost"), "lost"),
        (running(), "running"),
        (None, "broken"),
    ],
)
def test_a_word_says_how_the_job_is(job: Job | None, word: str) -> None:
    assert row_of(Seen("abcdef", job), "", None).word == word


def test_a_row_has_what_the_job_printed_last_and_uses() -> None:
    seen = Seen("abcdef", running("na\tme"), Hold(since=0.0, message="please\nhelp"))
    shown = row_of(seen, "last\x1b[31m  line", Usage(3.4, 12 << 20))
    assert (shown.state, shown.name, shown.message) == ("asked", "na me", "please help")
    assert (shown.cpu, shown.memory, shown.last) == ("3%", "12M", "last[31m line")


TEXTS = st.text(st.sampled_from("ab 日é\u0301👩…"), max_size=60)


@given(st.integers(1, 130), st.integers(1, 30), st.lists(st.tuples(TEXTS, TEXTS, TEXTS), max_size=12))
def test_no_screen_is_higher_or_wider_than_the_terminal(
    columns: int, height: int, jobs: list[tuple[str, str, str]]
) -> None:
    rows = [row(f"job{number:03}", name=name, last=last, message=m) for number, (name, last, m) in enumerate(jobs)]
    lines = drawn(rows, columns, height)
    assert len(lines) == height
    if columns >= 40:
        assert all(width(line) <= columns for line in lines)


def test_the_chosen_job_is_always_among_those_shown() -> None:
    rows = [row(f"job{number:03}") for number in range(100)]
    for chosen in ("job000", "job050", "job099"):
        assert next(line for line in drawn(rows, chosen=chosen) if line.startswith(">"))[3:9] == chosen


def test_what_an_agent_asks_stands_whole_above_the_table() -> None:
    message = "please type the deploy password, which is in the safe behind the coffee machine"
    lines = drawn([row(state="asked", name="deploy", message=message)], 60)
    assert " ".join(line.strip() for line in lines[1:3]) == f"@ deploy asks: {message}"
    assert "held by you" in lines[0]


def test_jobs_that_need_a_person_come_first() -> None:
    asked = Seen("asked0", running(), Hold(since=0.0, message="help"))
    held = Seen("held00", running(), Hold(since=0.0))
    waiting = Seen("waits0", running(), None, "prompt")
    runs, done, broken = Seen("runs00", running()), Seen("done00", ended(code=0)), Seen("broken")
    shown = sorted([broken, done, runs, waiting, held, asked], key=order)
    assert shown[0] is asked and {one.job_id for one in shown[1:3]} == {"held00", "waits0"}
    assert shown[3:] == [runs, done, broken]


def test_a_panel_that_is_too_long_says_how_much_is_missing() -> None:
    lines = [line.plain for line in boxed("title", [str(number) for number in range(20)], 40, 5)]
    assert lines[0].startswith("── title ──") and lines[-1].strip() == "… 16 more lines"


def test_an_empty_board_says_what_it_is_for() -> None:
    assert any("No jobs yet" in line for line in drawn([]))
    assert isinstance(frame([], "", [], Text("note"), "s", 80, 24)[-1], Text)
