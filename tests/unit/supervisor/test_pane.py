"""How an end is shown on a pane."""

from __future__ import annotations

import pytest

from mcp_background_job.supervisor.pane import shown_end


@pytest.mark.promise("pair-signs")
@pytest.mark.parametrize(
    ("cause", "exitcode", "status", "why"),
    [
        ("exit", 0, "completed", ""),
        ("exit", 3, "failed", "exit 3"),
        ("exit", -11, "failed", "SIGSEGV"),
        ("exit", -40, "failed", "signal 40"),
        ("kill", -15, "killed", ""),
        ("kill", 0, "killed", ""),
        ("timeout", -15, "killed", "timeout"),
        ("window_closed", -1, "killed", "window closed"),
        ("lost", None, "killed", "lost"),
    ],
)
def test_an_end_has_a_status_and_says_why(cause: str, exitcode: int | None, status: str, why: str) -> None:
    options = shown_end(cause, exitcode, 12.7)
    assert (options["@mcp_status"], options["@mcp_exit"], options["@mcp_ended"]) == (status, why, "12")
    assert (options["@mcp_holder"], options["@mcp_message"]) == ("", ""), "nobody holds what has ended"
