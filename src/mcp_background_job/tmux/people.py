"""The people who are attached to a tmux server: who they are, what they look at, what they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .client import TmuxServer, refusal
from .quoting import command_line, join_commands, literal, plain

TYPED = "@mcp_typed"
CONTROL = "#{client_control_mode}"


@dataclass(frozen=True)
class Person:
    """A person attached to a session: what they look at, and when they last pressed a key."""

    session: str
    group: str
    pane: str
    active: int  # seconds since the epoch
    may_type: bool
    client: str  # tmux's name of their terminal
    control: bool = False  # their terminal draws the windows itself (tmux -CC), and may show any of them


def people(server: TmuxServer) -> list[Person]:
    """Every person attached to this tmux server; programs in control mode that take no output are none."""
    facts = (
        "#{client_flags} #{client_readonly} #{client_activity} #{pane_id} #{client_name} "
        "#{session_group} #{session_name}"
    )
    found: list[Person] = []
    for line in server.run("list-clients", "-F", facts).stdout:
        flags, *rest = line.split(" ", 6)
        if len(rest) == 6 and "no-output" not in flags.split(","):
            readonly, active, pane, client, group, session = rest
            control = "control-mode" in flags.split(",")
            found.append(Person(session, group, pane, int(active), readonly == "0", client, control))
    return found


def note_keys_in_control_mode(target: str) -> list[list[str]]:
    """Commands that have tmux write down, at pane and session, when a control client has typed there.

    What such a client types comes as `send-keys`, which is no activity of theirs to tmux.
    """
    noted = command_line([["set-option", "-pF", TYPED, "#{T:@mcp_now}"], ["set-option", "-F", TYPED, "#{T:@mcp_now}"]])
    return [
        ["set-option", "-t", target, "@mcp_now", "%s"],
        ["set-hook", "-t", target, "after-send-keys", command_line([["if-shell", "-F", CONTROL, noted]])],
    ]


def typed_in_control_mode(server: TmuxServer, pane: str) -> float:
    """When a control client last typed into a pane, in seconds since the epoch; 0 for never."""
    said = server.run("show-options", "-pqv", "-t", pane, TYPED).stdout  # a format would take the session's
    return float(said[0]) if said and said[0].isdigit() else 0.0


def attached_to(server: TmuxServer, session: str) -> int:
    """How many people are attached to a session or one of its group."""
    return sum(session in (person.session, person.group) for person in people(server))


def last_key(server: TmuxServer, session: str) -> float:
    """When a key was last pressed in a session or one of its group, in seconds since the epoch; 0 for never."""
    facts = f"#{{session_activity}} #{{?{TYPED},#{{{TYPED}}},0}} #{{session_group}} #{{session_name}}"
    rows = (line.split(" ", 3) for line in server.run("list-sessions", "-F", facts).stdout)
    return max((max(float(r[0]), float(r[1])) for r in rows if len(r) == 4 and session in r[2:]), default=0.0)


@dataclass(frozen=True)
class Viewed:
    """How the window of a pane is looked at."""

    people: int  # who look at it now
    sessions: frozenset[str]  # that have it
    mouse: bool  # tmux has the mouse there, by its option
    more: list[str]  # what another command has printed, asked in the same invocation


def viewed(server: TmuxServer, pane: str, ask_too: Sequence[str]) -> Viewed:
    """Raises TmuxError."""
    facts = "#{window_active_clients} #{?mouse,1,0} #{window_linked_sessions_list}"
    first, *more = server.ask(*join_commands([["display-message", "-p", "-t", pane, facts], ask_too]))
    people, mouse, sessions = first.split(" ", 2)
    return Viewed(int(people or 0), frozenset(filter(None, sessions.split(","))), mouse == "1", more)


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
