"""The mouse, as a terminal tells of it."""

from __future__ import annotations

import pytest

from mcp_background_job.ui.actions import split_keys
from mcp_background_job.ui.mouse import Mouse, mouse_report


@pytest.mark.parametrize(
    ("typed", "report"),
    [
        ("\x1b[<0;12;7M", Mouse("click", 6)),
        ("\x1b[<0;12;7m", Mouse("", 6)),
        ("\x1b[<64;1;1M", Mouse("wheel up", 0)),
        ("\x1b[<65;1;1M", Mouse("wheel down", 0)),
        ("\x1b[<2;1;1M", Mouse("", 0)),
        ("\x1b[A", None),
        ("k", None),
    ],
)
def test_a_report_says_what_was_done_and_in_which_line(typed: str, report: Mouse | None) -> None:
    assert split_keys(typed) == [typed]
    assert mouse_report(typed) == report
