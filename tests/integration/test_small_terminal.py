"""A terminal that tmux's menu doesn't fit into: what fits is shown, and the keys go there, not into the job."""

from __future__ import annotations

from contextlib import suppress

import pytest

from support.person import Person
from support.rpc import Server
from support.sandbox import Sandbox
from support.waiting import wait_until

SIZES = [(20, 5), (26, 9), (30, 10)]


@pytest.mark.promise("small-terminal")
@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_f12_shows_what_fits_and_no_key_reaches_the_job(
    server: Server, cleared: Sandbox, columns: int, rows: int
) -> None:
    job_id = server.call("execute", command="exec cat", name="talk")["job_id"]
    person = Person(cleared, server.call("status", job_id=job_id)["attach"], columns=columns, rows=rows)

    def closed(question: str) -> None:
        """A popup takes the keys for as long as its program runs, which may have ceased to show anything."""
        wait_until(lambda: question not in person.screen())
        wait_until(lambda: not any("mcp_background_job.ui.menu" in line for line in cleared.command_lines()))

    try:
        person.sees("menu")
        person.press("F12")
        person.sees("t Take over", "Esc closes")
        person.type("t")
        wait_until(lambda: server.call("status", job_id=job_id).get("holder") == "human")
        closed("Esc closes")
        # tmux drops a key that comes while it closes a popup: a person presses it again.
        for _ in range(5):
            person.press("F12")
            with suppress(AssertionError):
                wait_until(lambda: "Esc closes" in person.screen(), 10)
                break
        person.sees("t Hand the keys", "Esc closes")
        person.press("?")
        person.sees("Each job of an", "any other key")
        person.press("x")
        closed("any other key")
        person.press("F12")
        person.sees("Esc closes")
        person.press("k")
        person.sees("Kill job")
        person.press("n")
        closed("Kill job")
        person.press("F12")
        person.sees("Esc closes")
        person.press("Escape")
        wait_until(lambda: "Esc closes" not in person.screen())
        assert server.call("output", job_id=job_id)["stdout"] == ""
        person.type("to the job")
        wait_until(lambda: server.call("output", job_id=job_id)["stdout"] == "to the job")
        person.press("F12")
        person.sees("Esc closes")
        person.press("d")
        person.sees("LEFT")
    finally:
        person.close()
