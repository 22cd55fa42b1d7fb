"""`attach`: from a terminal to a job's window, several people at once, and nothing left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from support.person import Person
from support.rpc import Server
from support.sandbox import SESSION, Sandbox, shows
from support.terminal import COMMAND, cli
from support.waiting import stays_true, wait_until

Attach = Callable[..., Person]


@pytest.fixture
def attach(cleared: Sandbox) -> Iterator[Attach]:
    """People who attach; their terminals are closed at the end."""
    people: list[Person] = []

    def come(*arguments: str) -> Person:
        person = Person(cleared, f"{COMMAND} attach {' '.join(arguments)}; echo status $?", columns=80, rows=24)
        people.append(person)
        return person

    yield come
    for person in people:
        person.close()


Jobs = tuple[str, str]


@pytest.fixture
def jobs(cleared: Sandbox, server: Server) -> Jobs:
    """Two jobs that can be told apart on a screen."""
    first = server.call("execute", command="echo THE-FIRST; cat", name="first")["job_id"]
    second = server.call("execute", command="echo THE-SECOND; cat", name="second")["job_id"]
    shows(server, first, "THE-FIRST")
    shows(server, second, "THE-SECOND")
    return first, second


def sessions(sandbox: Sandbox) -> list[str]:
    return sandbox.tmux("list-sessions", "-F", "#{session_name}", check=False).splitlines()


@pytest.mark.promise("pair-attach")
def test_attach_goes_to_the_job_and_typing_reaches_it(server: Server, attach: Attach, jobs: Jobs) -> None:
    first, second = jobs
    person = attach(second)
    person.sees("THE-SECOND")
    person.type("from the person")
    person.press("Enter")
    shows(server, second, "from the person\nfrom the person")
    person.detach()
    person.sees("status 0")
    person = attach("first")
    person.sees("THE-FIRST")
    assert server.call("status", job_id=first)["status"] == "running"


@pytest.mark.promise("own-view")
def test_several_people_look_at_different_jobs_and_leave_no_session(
    server: Server, cleared: Sandbox, attach: Attach, jobs: Jobs
) -> None:
    first, second = jobs
    cleared.tmux("set-option", "-t", f"={SESSION}:", "status-left", 'a"b $HOME {#S} ; ')
    ann = attach(first)
    ann.sees("THE-FIRST")
    bob = attach(second)
    bob.sees("THE-SECOND")
    cid = attach(first)
    cid.sees("THE-FIRST")
    assert "THE-FIRST" in ann.screen() and "THE-SECOND" not in ann.screen()
    assert len(sessions(cleared)) == 3
    [own, _] = [name for name in sessions(cleared) if name != SESSION]
    ours = cleared.tmux("show-options", "-t", f"={SESSION}:").splitlines()
    theirs = cleared.tmux("show-options", "-t", f"={own}:").splitlines()
    assert set(theirs) - set(ours) == {"destroy-unattached on"}
    assert set(ours) - set(theirs) == {"destroy-unattached off"}
    ann.detach()
    bob.detach()
    assert "status 0" in bob.screen()
    wait_until(lambda: len(sessions(cleared)) == 2)
    # A terminal that is closed leaves as little as a detach.
    cid.close()
    wait_until(lambda: sessions(cleared) == [SESSION])
    for job_id in (first, second):
        assert server.call("status", job_id=job_id)["status"] == "running"
    assert set(cleared.windows()) == {first, second}


def test_a_new_job_shows_in_everybodys_session(server: Server, cleared: Sandbox, attach: Attach, jobs: Jobs) -> None:
    first, _ = jobs
    attach(first).sees("THE-FIRST")
    bob = attach(first)
    bob.sees("THE-FIRST")
    third = server.call("execute", command="echo THE-THIRD; cat", name="third")["job_id"]
    window = wait_until(lambda: cleared.windows().get(third, ""))
    [own] = [name for name in sessions(cleared) if name != SESSION]
    cleared.tmux("select-window", "-t", f"={own}:{window}")
    bob.sees("THE-THIRD")


@pytest.mark.promise("watcher")
def test_a_watcher_can_not_type(server: Server, attach: Attach, jobs: Jobs) -> None:
    first, second = jobs
    for others in range(2):
        person = attach("-r", first)
        person.sees("THE-FIRST")
        person.type(f"typed{others}")
        person.press("Enter", "C-c")
        stays_true(lambda: "typed" not in server.call("output", job_id=first)["stdout"], 0.5)
        if not others:
            person.detach()
            attach(second).sees("THE-SECOND")
    assert server.call("status", job_id=first)["status"] == "running"


def test_inside_the_same_tmux_a_person_is_switched_and_comes_back(cleared: Sandbox, jobs: Jobs) -> None:
    first, second = jobs
    inside = f"env MCP_BG_STATE_DIR={cleared.state} {COMMAND} attach"
    mine = Person(cleared, f"tmux new-session -s mine \"sh -c '{inside} {second}; echo status \\$?; exec cat'\"")
    mine.sees("THE-SECOND")
    assert cleared.tmux("list-clients", "-F", "#{session_name}") == SESSION
    mine.press("C-b", "L")
    mine.sees("status 0")
    # Somebody else is there now: a session of one's own, gone when one switches back.
    other = Person(cleared, f"{COMMAND} attach {first}")
    other.sees("THE-FIRST")
    third = Person(cleared, f"tmux new-session -s third \"sh -c '{inside} {second}; echo status \\$?; exec cat'\"")
    third.sees("THE-SECOND")
    assert len(sessions(cleared)) == 4
    assert "THE-SECOND" not in other.screen()
    third.press("C-b", "L")
    third.sees("status 0")
    wait_until(lambda: sorted(sessions(cleared)) == sorted([SESSION, "mine", "third"]))
    locked = Person(cleared, f"tmux new-session -s locked \"sh -c '{inside} -r {second}; echo status \\$?; exec cat'\"")
    locked.sees("status 1")
    assert "whole terminal" in locked.screen()
    for person in (mine, other, third, locked):
        person.close()


def test_from_within_another_tmux_server_it_is_nested(cleared: Sandbox, jobs: Jobs) -> None:
    first, _ = jobs
    inside = f"env MCP_BG_STATE_DIR={cleared.state} {COMMAND} attach {first}"
    socket = cleared.sockets / "another"
    person = Person(cleared, f"tmux -S {socket} new-session \"sh -c '{inside}; echo status \\$?; exec cat'\"")
    person.sees("THE-FIRST")
    person.press("C-b", "C-b", "d")
    person.sees("status 0")
    person.close()


def test_without_jobs_the_session_is_made(sandbox: Sandbox) -> None:
    person = Person(sandbox, f"{COMMAND} attach; echo status $?")
    wait_until(lambda: sandbox.tmux("list-clients", "-F", "#{session_name}", check=False) == SESSION)
    person.detach()
    assert sessions(sandbox) == [SESSION]
    person.close()


def test_what_can_not_be_attached_to_is_said(server: Server, cleared: Sandbox, attach: Attach, jobs: Jobs) -> None:
    first, second = jobs
    assert "needs a terminal" in cli(cleared, "attach", first, status=1).stderr
    assert "not found" in cli(cleared, "attach", "nosuch", status=1).stderr
    server.call("kill", job_id=second)
    cleared.tmux("kill-window", "-t", cleared.window(second))
    person = attach(second)
    person.sees("status 1")
    assert f"output {second}" in person.screen().replace("\n", "")
    assert sessions(cleared) == [SESSION]
