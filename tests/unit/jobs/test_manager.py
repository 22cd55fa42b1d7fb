"""Names of signals, as agents and people write them."""

from __future__ import annotations

import signal

import pytest

from mcp_background_job.errors import InvalidInput
from mcp_background_job.jobs.manager import signal_number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("TERM", signal.SIGTERM),
        ("sigterm", signal.SIGTERM),
        (" Int ", signal.SIGINT),
        ("9", signal.SIGKILL),
        ("SIGKILL", signal.SIGKILL),
    ],
)
def test_a_signal_is_known_by_name_and_number(text: str, number: int) -> None:
    assert signal_number(text) == number


@pytest.mark.parametrize("text", ["", "NONE", "0", "999", "-9", "TERM KILL", "²"])
def test_what_is_not_a_signal_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="Use TERM"):
        signal_number(text)
