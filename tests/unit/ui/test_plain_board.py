"""The board as lines for a screen reader."""

from __future__ import annotations

import re

import pytest

from mcp_background_job.store.models import Hold
from mcp_background_job.ui.observer import Seen
from mcp_background_job.ui.plain_board import sentence, wants_plain
from support.jobs import ended, running, starting

ID = "abcdef"


@pytest.mark.parametrize(
    ("seen", "line"),
    [
        (Seen(ID, running("web")), "web abcdef runs"),
        (Seen(ID, starting()), "name abcdef starts"),
        (Seen(ID, running(), None, "prompt"), "name abcdef waits for your input: Name?"),
        (Seen(ID, running(), None, "password"), "name abcdef waits for a password: Name?"),
        (Seen(ID, running(), None, "screen"), "name abcdef waits for a key"),
        (Seen(ID, running(), Hold(since=0.0)), "name abcdef is held by you"),
        (
            Seen(ID, running(), Hold(since=0.0, message="do\nit")),
            "name abcdef is held by you, an agent asks: do it",
        ),
        (Seen(ID, ended(code=3, duration=12.0)), "name abcdef ended: exit 3 after 12s"),
        (
            Seen(ID, ended(cause="kill", by="codex", duration=12.0)),
            "name abcdef ended: killed by codex after 12s",
        ),
        (Seen(ID, None), "abcdef has a record that can't be read"),
    ],
)
def test_a_line_says_how_a_job_is_and_begins_with_its_name(seen: Seen, line: str) -> None:
    assert sentence(seen, "Name?") == line


def test_a_line_has_nothing_that_is_drawn_or_obeyed() -> None:
    line = sentence(Seen(ID, running("\x1b[31mred\n\u202e"), None, "prompt"), "x")
    assert not re.search(r"[\x00-\x1f\u202e\u2500-\u259f]", line)


@pytest.mark.parametrize(
    ("environment", "plain"),
    [({}, False), ({"ACCESSIBLE": "1"}, True), ({"ACCESSIBLE": ""}, False), ({"ACCESSIBLE": "0"}, False),
     ({"TERM": "dumb"}, True), ({"TERM": "xterm"}, False)],
)  # fmt: skip
def test_a_person_may_ask_all_their_programs_for_it(environment: dict[str, str], plain: bool) -> None:
    assert wants_plain(environment) is plain
