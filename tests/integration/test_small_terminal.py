"""A terminal that tmux's menu doesn't fit into: what fits is shown, and the keys go there, not into the job."""

from __future__ import annotations

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
    try:
        person.sees("menu")
        person.press("F12")
        person.sees("t Take over", "Esc closes")
        person.type("t")
        wait_until(lambda: server.call("status", job_id=job_id).get("holder") == "human")
        wait_until(lambda: "Esc closes" not in person.screen())
        person.press("F12")
        person.sees("t Hand the keys", "Esc closes")
        person.press("?")
        person.sees("Each job of an", "any other key")
        person.press("x")
        wait_until(lambda: "any other key" not in person.screen())
        person.press("F12")
        person.sees("Esc closes")
        person.press("k")
        person.sees("Kill job")
        person.press("n")
        wait_until(lambda: "Kill job" not in person.screen())
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
