"""Whoever looks at a job counts, in whatever session its window is now, and the line to attach with goes there."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from support.person import Person
from support.rpc import Server
from support.sandbox import SESSION, Sandbox, alive, shows
from support.waiting import wait_until


@pytest.fixture
def fresh(cleared: Sandbox) -> Iterator[Sandbox]:
    """A tmux server of its own, which is another one for the next test."""
    yield cleared
    tmux = cleared.tmux_server()
    cleared.tmux("kill-server")
    wait_until(lambda: tmux is None or not alive(tmux.pid), what="the end of tmux")


def rename(sandbox: Sandbox, window: str) -> None:
    sandbox.tmux("rename-session", "-t", f"={SESSION}", "renamed")


def move(sandbox: Sandbox, window: str) -> None:
    sandbox.tmux("new-session", "-d", "-s", "mine", "--", "sleep", "1000")
    sandbox.tmux("move-window", "-s", window, "-t", "=mine:9")


def watching(server: Server, job_id: str) -> int:
    count: int = server.call("handoff", job_id=job_id, message="please")["watching"]
    return count


@pytest.mark.promise("all-count", "pair-attach")
@pytest.mark.parametrize("change", [rename, move])
def test_the_attach_line_goes_to_the_job_and_who_follows_it_counts(
    server: Server, fresh: Sandbox, change: Callable[[Sandbox, str], None]
) -> None:
    job_id = server.call("execute", command="echo here I am; exec cat")["job_id"]
    shows(server, job_id, "here I am")
    change(fresh, fresh.window(job_id))
    assert watching(server, job_id) == 0
    person = Person(fresh, server.call("status", job_id=job_id)["attach"], columns=100)
    try:
        person.sees("here I am")
        assert watching(server, job_id) == 1
        person.type("mine")
        person.press("Enter")
        shows(server, job_id, "here I am\nmine\nmine\n")
        fresh.tmux("new-session", "-d", "-s", "elsewhere", "--", "sleep", "1000")
        other = Person(fresh, "tmux attach -t elsewhere", columns=100)
        other.sees("elsewhere")
        assert watching(server, job_id) == 1, "who looks at something else does not count"
        other.close()
    finally:
        person.close()


@pytest.mark.promise("all-count")
def test_a_terminal_that_draws_the_windows_itself_counts_in_a_renamed_session(server: Server, fresh: Sandbox) -> None:
    job_id = server.call("execute", command="exec cat")["job_id"]
    rename(fresh, "")
    person = Person(fresh, "tmux -C attach -t renamed", columns=100)
    try:
        person.sees("%session-changed")
        assert watching(server, job_id) == 1
    finally:
        person.close()
