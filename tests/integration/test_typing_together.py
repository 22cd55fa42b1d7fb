"""An agent and a person at the same job: what the one types never lands in the middle of the other's line."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from support.person import Person
from support.rpc import Server, ToolError
from support.sandbox import SESSION, Sandbox, shows
from support.terminal import cli
from support.waiting import DEADLINE, wait_until


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


@contextmanager
def again_and_again(action: Callable[[], object]) -> Iterator[None]:
    """Do it until the block ends, as somebody who goes on typing: how long a call takes is the machine's affair."""
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(0.2):
            action()

    thread = threading.Thread(target=go_on)
    action()
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(DEADLINE)


@pytest.mark.promise("typing-counts")
def test_an_agent_waits_for_a_pause_of_a_person_who_types(server: Server, person: Person, talk: str) -> None:
    person.type("half a line")
    shows(server, talk, "half a line")
    with again_and_again(lambda: person.type(".")):
        answer = server.call("interact", job_id=talk, input="intruder", timeout=0.5)
    assert (answer["reason"], answer["status"]) == ("human", "running")
    assert "intruder" not in server.call("output", job_id=talk)["stdout"]
    person.press("Enter")
    answer = server.call("interact", job_id=talk, input="after the pause", timeout=50)
    assert "after the pause\n" in answer["stdout"]
    assert re.search(r"^(half a line\.+)\n\1\n", server.call("output", job_id=talk)["stdout"], re.MULTILINE)


@pytest.mark.promise("typing-counts")
def test_a_person_who_looks_at_another_window_holds_nobody_up(server: Server, person: Person, talk: str) -> None:
    person.press("C-b", "0")
    person.sees("LAST LINE")
    answer = server.call("interact", job_id=talk, input="at once")
    assert "at once\n" in answer["stdout"]


@pytest.mark.promise("pair-handback")
def test_a_handoff_counts_who_watches_and_ends_other_waits(server: Server, person: Person, talk: str) -> None:
    # For input that will not come to a pattern: `quiet` would be over after two seconds.
    waiting = server.start("wait", job_ids=[talk], until="input", pattern="never", timeout=50)
    server.call("status", job_id=talk)
    answer = server.call("handoff", job_id=talk, message="please look at this")
    assert (answer["holder"], answer["watching"]) == ("human", 1)
    assert answer["attach"].startswith("tmux attach -t ")
    assert waiting.answer()["reason"] == "human"
    assert server.call("wait", job_ids=[talk], until="handback", timeout=0.2)["reason"] == "timeout"
    person.press("F12")
    person.sees("Hand the keys back")
    person.press("t")
    assert server.call("wait", job_ids=[talk], until="handback", timeout=50)["reason"] == "handback"


@pytest.mark.promise("no-secret-on-disk")
def test_a_transcript_says_what_an_agent_typed_and_not_its_passwords(server: Server, shared: Sandbox) -> None:
    job_id = server.call("execute", command="read x; read -s p; echo done", wait=50)["job_id"]
    server.call("interact", job_id=job_id, input="plainly")
    server.call("interact", job_id=job_id, input="hunter2")
    folder = shared.path(server.call("status", job_id=job_id)["log"]).parent
    text = (folder / "input.jsonl").read_text()
    assert "plainly" in text and "hunter2" not in text and '"characters": 7' in text


@pytest.mark.promise("typing-counts")
def test_somebody_in_control_mode_is_a_person(server: Server, shared: Sandbox, talk: str) -> None:
    """As iTerm2 has it (tmux -CC): it shows the windows itself, and types by send-keys."""
    client = subprocess.Popen(
        ["tmux", "-C", "attach", "-t", SESSION],
        env={**shared.environment, "TERM": "xterm-256color"},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    assert client.stdin is not None
    try:
        wait_until(lambda: "control-mode" in shared.tmux("list-clients", "-F", "#{client_flags}"))
        pane = shared.window(talk)
        client.stdin.write(f"send-keys -lt {pane} 'half '\n".encode())
        client.stdin.flush()
        shows(server, talk, "half ")
        begun = time.monotonic()
        wait_until(lambda: time.monotonic() - begun > 1.0, what="what was known of nobody being there is too old")

        def typed() -> None:
            assert client.stdin is not None
            client.stdin.write(f"send-keys -lt {pane} .\n".encode())
            client.stdin.flush()

        with again_and_again(typed):
            assert server.call("interact", job_id=talk, input="agent", timeout=1)["reason"] == "human"
        client.stdin.write(f"send-keys -t {pane} Enter\n".encode())
        client.stdin.flush()
        answer = server.call("interact", job_id=talk, input="in the pause", timeout=50)
        assert "in the pause\n" in answer["stdout"]
        handed = server.call("handoff", job_id=talk, message="please")
        assert handed["watching"] == 1
        assert "watching" not in server.call("status", job_id=talk)
        client.stdin.write(b"refresh-client -f no-output\n")  # a program that only listens
        client.stdin.flush()
        wait_until(lambda: "no-output" in shared.tmux("list-clients", "-F", "#{client_flags}"))
        assert server.call("handoff", job_id=talk, message="please")["watching"] == 0
    finally:
        client.stdin.close()
        client.wait(60)
        cli(shared, "give", talk)


@pytest.mark.promise("pair-take-back")
def test_an_agent_takes_its_own_handoff_back_while_nobody_has_come(server: Server, shared: Sandbox, talk: str) -> None:
    with pytest.raises(ToolError, match="message is empty"):
        server.call("handoff", job_id=talk)
    assert server.call("handoff", job_id=talk, take_back=True)["holder"] == "agent", "there is nothing to take back"
    server.call("handoff", job_id=talk, message="please")
    with pytest.raises(ToolError, match=r"until=handback.*or handoff with take_back=true"):
        server.call("interact", job_id=talk, input="x")
    waiting = server.start("wait", job_ids=[talk], until="handback", timeout=50)
    assert server.call("handoff", job_id=talk, take_back=True)["holder"] == "agent"
    assert waiting.answer()["reason"] == "handback"
    assert "mine again" in server.call("interact", job_id=talk, input="mine again")["stdout"]


@pytest.mark.promise("pair-take-back")
def test_nothing_is_taken_back_from_a_person_who_has_come(server: Server, shared: Sandbox, talk: str) -> None:
    server.call("handoff", job_id=talk, message="please")
    held = json.loads((shared.state / SESSION / talk / "holder").read_text())["since"]
    wait_until(lambda: time.time() > int(held) + 1)  # tmux tells seconds
    someone = Person(shared, server.call("status", job_id=talk)["attach"])
    someone.sees("up")
    someone.type("me")
    shows(server, talk, "me")
    for _ in ("attached", "gone again"):
        with pytest.raises(ToolError, match="A person holds"):
            server.call("handoff", job_id=talk, take_back=True)
        someone.close()
    cli(shared, "take", talk)
    with pytest.raises(ToolError, match=r"A person holds.*hand it back\.$"):
        server.call("handoff", job_id=talk, take_back=True)
    cli(shared, "give", talk)
