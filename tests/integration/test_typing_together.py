"""An agent and a person at the same job: what the one types never lands in the middle of the other's line."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.person import Person
from support.rpc import Server
from support.sandbox import Sandbox, shows


@pytest.fixture
def talk(server: Server) -> Iterator[str]:
    job_id = server.call("execute", command="echo up; exec cat")["job_id"]
    shows(server, job_id, "up")
    yield job_id
    server.call("kill", job_id=job_id)


@pytest.fixture
def person(server: Server, shared: Sandbox, talk: str) -> Iterator[Person]:
    someone = Person(shared, server.call("status", job_id=talk)["attach"])
    someone.sees("up")
    yield someone
    someone.close()


@pytest.mark.promise("typing-counts")
def test_an_agent_waits_for_a_pause_of_a_person_who_types(server: Server, person: Person, talk: str) -> None:
    person.type("half a line")
    shows(server, talk, "half a line")
    answer = server.call("interact", job_id=talk, input="intruder", timeout=0.5)
    assert (answer["reason"], answer["status"]) == ("human", "running")
    assert "intruder" not in server.call("output", job_id=talk)["stdout"]
    person.press("Enter")
    answer = server.call("interact", job_id=talk, input="after the pause", timeout=15)
    assert "after the pause\nafter the pause\n" in answer["stdout"]
    assert "half a line\nhalf a line\n" in server.call("output", job_id=talk)["stdout"]


@pytest.mark.promise("typing-counts")
def test_a_person_who_looks_at_another_window_holds_nobody_up(server: Server, person: Person, talk: str) -> None:
    person.press("C-b", "0")
    person.sees("LAST LINE")
    answer = server.call("interact", job_id=talk, input="at once", timeout=2)
    assert "at once\nat once\n" in answer["stdout"]


@pytest.mark.promise("pair-handback")
def test_a_handoff_counts_who_watches_and_ends_other_waits(server: Server, person: Person, talk: str) -> None:
    waiting = server.start("wait", job_ids=[talk], until="quiet", timeout=20)
    answer = server.call("handoff", job_id=talk, message="please look at this")
    assert (answer["holder"], answer["watching"]) == ("human", 1)
    assert answer["attach"].startswith("tmux attach -t ")
    assert waiting.answer()["reason"] == "human"
    assert server.call("wait", job_ids=[talk], until="handback", timeout=0.2)["reason"] == "timeout"
    person.press("F12")
    person.sees("Hand the keys back")
    person.press("t")
    assert server.call("wait", job_ids=[talk], until="handback", timeout=10)["reason"] == "handback"


@pytest.mark.promise("no-secret-on-disk")
def test_a_transcript_says_what_an_agent_typed_and_not_its_passwords(server: Server, shared: Sandbox) -> None:
    job_id = server.call("execute", command="read x; read -s p; echo done", wait=10)["job_id"]
    server.call("interact", job_id=job_id, input="plainly")
    server.call("interact", job_id=job_id, input="hunter2")
    folder = shared.path(server.call("status", job_id=job_id)["log"]).parent
    text = (folder / "input.jsonl").read_text()
    assert "plainly" in text and "hunter2" not in text and '"characters": 7' in text
