"""The people who are attached to a tmux server: who they are, what they look at, what they are shown."""

from __future__ import annotations

from dataclasses import dataclass

from .client import TmuxServer, refusal
from .quoting import join_commands, literal, plain


@dataclass(frozen=True)
class Person:
    """A person attached to a session: what they look at, and when they last pressed a key."""

    session: str
    group: str
    pane: str
    active: int  # seconds since the epoch
    may_type: bool
    client: str  # tmux's name of their terminal


def people(server: TmuxServer) -> list[Person]:
    """Every person attached to this tmux server; programs in control mode are not counted."""
    facts = (
        "#{client_control_mode} #{client_readonly} #{client_activity} #{pane_id} #{client_name} "
        "#{session_group} #{session_name}"
    )
    rows = (line.split(" ", 6) for line in server.run("list-clients", "-F", facts).stdout)
    return [Person(r[6], r[5], r[3], int(r[2]), r[1] == "0", r[4]) for r in rows if len(r) == 7 and r[0] == "0"]


def attached_to(server: TmuxServer, session: str) -> int:
    """How many people are attached to a session or one of its group."""
    return sum(session in (person.session, person.group) for person in people(server))


def last_key(server: TmuxServer, session: str) -> float:
    """When a key was last pressed in a session or one of its group, in seconds since the epoch; 0 for never."""
    facts = "#{session_activity} #{session_group} #{session_name}"
    rows = (line.split(" ", 2) for line in server.run("list-sessions", "-F", facts).stdout)
    return max((float(r[0]) for r in rows if len(r) == 3 and session in r[1:]), default=0.0)


def viewers(server: TmuxServer, pane: str) -> tuple[int, frozenset[str]]:
    """How many people look at the window of `pane` now, and which sessions have it.

    Raises TmuxError.
    """
    facts = "#{window_active_clients} #{window_linked_sessions_list}"
    count, _, sessions = server.ask("display-message", "-p", "-t", pane, facts)[0].partition(" ")
    return int(count or 0), frozenset(filter(None, sessions.split(",")))


def go_to(server: TmuxServer, pane: str, viewer: Person, session: str) -> None:
    """Show a person the window of `pane`, in their own session where it has that window, else in `session`.

    Raises TmuxError.
    """
    for name in (viewer.session, session):
        answer = server.run("switch-client", "-c", viewer.client, "-t", f"={name}:.{pane}")
        if answer.returncode == 0:
            return
    raise refusal(answer.stderr)


def tell(server: TmuxServer, session: str, message: str) -> None:
    """Show a message on the status line of every person attached to a session."""
    shown = server.run("list-clients", "-F", "#{client_name}", "-t", f"={session}").stdout
    commands = [["display-message", "-d", "4000", "-c", client, literal(plain(message))] for client in shown]
    if commands:
        server.run(*join_commands(commands))
