"""When the person who holds a job seems to have left, and how that reads."""

from __future__ import annotations

import pytest

from mcp_background_job.jobs.presence import SILENT, Presence


@pytest.mark.parametrize(
    ("attached", "idle", "present"),
    [(1, 0.0, True), (1, SILENT - 1, True), (1, SILENT, False), (0, 0.0, False), (3, SILENT * 9, False)],
)
def test_a_person_is_there_while_attached_and_not_silent(attached: int, idle: float, present: bool) -> None:
    assert Presence(attached, idle).seems_present is present


@pytest.mark.parametrize(
    ("presence", "text"),
    [
        (Presence(0, 5.2), "Nobody is attached, the last key was 5 seconds ago"),
        (Presence(0, 119), "Nobody is attached, the last key was 119 seconds ago"),
        (Presence(0, 600), "Nobody is attached, the last key was 10 minutes ago"),
        (Presence(2, 240), "2 attached, but no key for 4 minutes"),
        (Presence(0, 5.2, pressed=False), "Nobody is attached, and no key has come in the 5 seconds since"),
    ],
)
def test_an_absence_reads_as_a_sentence(presence: Presence, text: str) -> None:
    assert str(presence) == text
