"""What the command line prints for a person."""

from __future__ import annotations

import sys

import pytest
from rich.text import Text

from mcp_background_job.ui.console import end_last_line, note, print_facts, print_page, progress


def test_facts_stand_in_two_columns_without_the_absent_and_without_trailing_blanks(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_facts({"job": "abcdef", "name": "", "pid": None, "state": Text("● running", "green"), "exit code": 0})
    assert capsys.readouterr().out == "job        abcdef\nstate      ● running\nexit code  0\n"


def test_the_two_streams_of_a_job_stay_two(capsys: pytest.CaptureFixture[str]) -> None:
    print_page({"stdout": "out", "stderr": "err"})
    assert capsys.readouterr() == ("out", "err")


def test_remarks_are_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("waiting"):
        note("text")
    assert capsys.readouterr() == ("", "mcp-background-job: text\n")


@pytest.mark.parametrize(
    ("terminal", "text", "printed"), [(True, "half", "\n"), (True, "whole\n", ""), (True, "", ""), (False, "half", "")]
)
def test_an_unfinished_last_line_is_ended_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], terminal: bool, text: str, printed: str
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    end_last_line(text)
    assert capsys.readouterr().out == printed
