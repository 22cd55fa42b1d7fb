"""The board's lines: how a job reads, what fits, what stands first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from mcp_background_job.process.usage import Usage
from mcp_background_job.store.models import Hold, Job
from mcp_background_job.text import width
from mcp_background_job.ui.board_rows import JobRow, grouped, order, row_of
from mcp_background_job.ui.board_view import boxed, details, frame, help_lines
from mcp_background_job.ui.observer import Seen
from support.jobs import ended, running


def row(
    job_id: str = "abcdef", state: str = "running", name: str = "name", last: str = "", message: str = ""
) -> JobRow:
    return JobRow(job_id, state, state, name, "12s", "3%", "12M", last, message)


def drawn(rows: list[JobRow], columns: int = 80, height: int = 24, chosen: str = "") -> list[str]:
    states = [one.state for one in rows]
    return [line.plain for line in frame(rows, chosen, states, [], [], "mcp-jobs", columns, height).lines]


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


@pytest.mark.parametrize(("columns", "height"), [(20, 3), (24, 6), (24, 8)])
def test_in_a_small_terminal_the_chosen_job_and_its_state_come_first(columns: int, height: int) -> None:
    rows = [row("aaaaaa", "asked", "deploy", message="please " * 20), row("bbbbbb", "prompt", "build", last="Name?")]
    lines = drawn(rows, columns, height, "bbbbbb")
    assert next(line for line in lines if line.startswith(">"))[:columns].split() == [">?", "prompt", "build"]
    assert lines[-1].strip() == "Name?" and all(width(line) <= columns for line in lines[1:])


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
    assert any("No job matches" in line.plain for line in frame([], "", ["running"], [], [], "s", 80, 24).lines)


def test_a_note_is_seen_whatever_else_there_is() -> None:
    rows = [row(f"job{number:03}", "asked", message="please " * 40) for number in range(9)]
    for height in (3, 5, 12):
        lines = frame(rows, "", ["asked"] * 9, boxed("t", ["x"] * 9, 40, 4), [Text("Kill it?")], "s", 40, height).lines
        assert len(lines) == height and lines[-1].plain == "Kill it?"


@pytest.mark.parametrize(
    ("job", "cause"),
    [
        (ended(code=3), ""),
        (ended(signal=11), "signal SEGV"),
        (ended(cause="kill", signal=15, by="claude-code"), "killed by claude-code"),
        (ended(cause="kill", signal=15), "killed"),
        (ended(cause="timeout", signal=15), "timeout"),
        (ended(cause="window_closed"), "window closed"),
        (ended(cause="lost"), "lost"),
    ],
)
def test_an_ended_job_says_why(job: Job, cause: str) -> None:
    shown = row_of(Seen("abcdef", job), "the last line", None)
    assert shown.says(80) == (f"{cause}: the last line" if cause else "the last line")


@pytest.mark.parametrize(
    ("seen", "says"),
    [
        (Seen("a", running(), None, "prompt", 1000.0), "waits for you since 3m: Name?"),
        (Seen("a", running(), None, "password", 1170.0), "waits for you since 10s: Name?"),
        (Seen("a", running(), Hold(since=1000.0, message="type it")), "waits for you since 3m: type it"),
        (Seen("a", running(), Hold(since=1180.0 - 7300)), "you hold it since 2h: Name?"),
        (Seen("a", running(), None, "screen", 1000.0), "Name?"),
        (Seen("a", running()), "Name?"),
    ],
)
def test_a_job_that_waits_for_a_person_says_since_when(seen: Seen, says: str) -> None:
    assert row_of(seen, "Name?", None, now=1180.0).says(80) == says


def test_a_remark_gives_way_to_the_last_line() -> None:
    waits = row_of(Seen("a", running(), None, "prompt", 1000.0), "Name?", None, now=1180.0)
    assert waits.says(20) == "since 3m: Name?" and waits.says(12) == "since 3m: N…"
    killed = row_of(Seen("a", ended(cause="kill", signal=15, by="codex")), "end", None)
    assert killed.says(15) == "by codex: end"


def test_a_narrow_table_says_the_rest_of_the_chosen_job_alone() -> None:
    rows = [row("first0", last="one"), row("second", last="the last line of the second job")]
    lines = drawn(rows, 40, 12, "second")
    assert lines[-1] == " the last line of the second job" and all(width(line) <= 40 for line in lines)
    assert all("one" not in line for line in lines)


def test_groups_have_a_heading_and_those_that_need_a_person_come_first() -> None:
    def by(job_id: str, owner: str) -> JobRow:
        return JobRow(job_id, "running", "running", job_id, "1s", "", "", "", "", owner=owner)

    rows = [by("a1", "codex in /b"), by("b1", "claude in /a"), by("a2", "codex in /b")]
    entries = grouped(rows)
    assert entries == ["codex in /b (2)", rows[0], rows[2], "claude in /a (1)", rows[1]]
    shown = frame(entries, "b1", ["running"] * 3, [], [], "s", 80, 24)
    lines = [line.plain.rstrip() for line in shown.lines]
    assert lines[2] == " codex in /b (2)" and lines[5] == " claude in /a (1)"
    assert shown.jobs[2:7] == ["", "a1", "a2", "", "b1"] and len(shown.jobs) == 24
    assert lines[6].startswith(">")


def test_details_end_with_the_newest_lines_and_have_their_height() -> None:
    lines = [line.plain for line in details("t", ["f" * 99, "g"], [str(n) for n in range(50)], 40, 10)]
    assert len(lines) == 10 and lines[-1] == " 49" and lines[2] == " g" and width(lines[1]) <= 40
    assert len(details("t", ["f"], ["one"], 40, 10)) == 10


def test_the_help_names_every_key_at_any_width() -> None:
    for columns in (40, 84, 200):
        assert all(
            any(word in line for line in help_lines(columns, "Alt-m", "Ctrl-a"))
            for word in ("Enter", "Escape", "agent and folder")
        )
        assert max(map(width, help_lines(columns, "Alt-m", "Ctrl-a")[:-3])) <= columns - 2
