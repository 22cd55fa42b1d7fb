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
    jobs: str  # the name that their session was made with, if it is one of jobs; a person may have renamed it
    window: frozenset[str]  # the panes of the window that they look at
    pane: str
    active: int  # seconds since the epoch
    may_type: bool
    client: str  # tmux's name of their terminal
    control: bool = False  # their terminal draws the windows itself (tmux -CC), and may show any of them

    def is_at(self, session: str, pane: str) -> bool:
        """Whether they are in the session of jobs, or look at a job's window wherever that is now."""
        return session in (self.session, self.group, self.jobs) or pane in self.window


def people(server: TmuxServer) -> list[Person]:
    """Every person attached to this tmux server; programs in control mode that take no output are none."""
    facts = (
        "#{client_flags} #{client_readonly} #{client_activity} #{pane_id} #{client_name} "
        "#{P:#{pane_id}.} #{session_group} #{@mcp_session} #{session_name}"
    )
    found: list[Person] = []
    for line in server.run("list-clients", "-F", facts).stdout:
        flags, *rest = line.split(" ", 8)
        if len(rest) == 8 and "no-output" not in flags.split(","):
            readonly, active, pane, client, window, group, jobs, session = rest
            control = "control-mode" in flags.split(",")
            found.append(
                Person(
                    session,
                    group,
                    jobs,
                    frozenset(window.split(".")),
                    pane,
                    int(active),
                    readonly == "0",
                    client,
                    control,
                )
            )
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


def attached_to(server: TmuxServer, session: str, pane: str) -> int:
    """How many people are attached to a session of jobs, or look at a job's pane elsewhere."""
    return sum(person.is_at(session, pane) for person in people(server))


def last_key(server: TmuxServer, session: str, pane: str) -> float:
    """When a key was last pressed in a session of jobs, or at a job's pane, in seconds since the epoch; 0 for never."""
    facts = f"#{{session_activity}} #{{?{TYPED},#{{{TYPED}}},0}} #{{session_group}} #{{@mcp_session}} #{{session_name}}"
    rows = (line.split(" ", 4) for line in server.run("list-sessions", "-F", facts).stdout)
    keys = [max(float(row[0]), float(row[1])) for row in rows if len(row) == 5 and session in row[2:]]
    return max([*keys, *(float(person.active) for person in people(server) if pane in person.window)], default=0.0)


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
    """Show a person the window of `pane`, in their own session where it has that window, in `session`, or elsewhere.

    Raises TmuxError.
    """
    for target in (f"={viewer.session}:.{pane}", f"={session}:.{pane}", pane):
        answer = server.run("switch-client", "-c", viewer.client, "-t", target)
        if answer.returncode == 0:
            return
    raise refusal(answer.stderr)


def tell(server: TmuxServer, session: str, pane: str, message: str) -> None:
    """Show a message on the status line of every person who is at a session of jobs, or at a job's pane."""
    clients = [person.client for person in people(server) if person.is_at(session, pane)]
    commands = [["display-message", "-d", "4000", "-c", client, literal(plain(message))] for client in clients]
    if commands:
        server.run(*join_commands(commands))
