"""The terminals of the people who are attached: a desktop notification there, or a bell.

OSC 9 (iTerm2's) and OSC 777 (rxvt's) go to the terminal itself: tmux passes them on from a visible pane at most, and a
job's pane passes nothing. Promise: only a terminal that is this user's is written to, without waiting for it, and
only one that is known to take the sequence gets more than a bell.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass

from .client import TmuxServer
from .quoting import join_commands, plain

LONGEST = 200  # characters of a notification
# By the name that a terminal gives itself when tmux asks (XTVERSION), else by TERM: iTerm2, WezTerm, kitty and Ghostty
# document OSC 9; foot documents OSC 777.
TAKES_9 = re.compile(r"iterm2|wezterm|kitty|xterm-kitty|ghostty|xterm-ghostty", re.IGNORECASE)
TAKES_777 = re.compile(r"foot", re.IGNORECASE)


@dataclass(frozen=True)
class Terminal:
    """The terminal of one client, and which session and pane it shows."""

    client: str
    tty: str
    session: str
    group: str
    pane: str
    kind: str  # what it calls itself, or its TERM


def terminals(server: TmuxServer) -> list[Terminal]:
    """Those that tmux draws on; a client in control mode has none.

    Raises TmuxError.
    """
    facts = "#{client_control_mode}\t#{client_name}\t#{client_tty}\t#{session_name}\t#{session_group}\t#{pane_id}\t"
    lines = server.run("list-clients", "-F", facts + "#{client_termtype}\t#{client_termname}").stdout
    rows = [line.split("\t") for line in lines if line.count("\t") == 7]
    found: list[Terminal] = []
    for control, client, tty, session, group, pane, kind, term in rows:
        if control == "0" and tty:
            found.append(Terminal(client, tty, session, group, pane, kind or term))
    return found


def tell_terminals(server: TmuxServer, session: str, pane: str, text: str) -> int:
    """Notify those who are attached to a session or its group and look at another pane than `pane`; how many.

    Without a session, those who are attached to any.

    Raises TmuxError.
    """
    told = [
        one
        for one in terminals(server)
        if session in ("", one.session, one.group)
        and one.pane != pane
        and write_to(one.tty, notification(one.kind, text))
    ]
    if told:
        # What tmux was writing at that moment may have been cut in two.
        server.run(*join_commands([["refresh-client", "-t", one.client] for one in told]))
    return len(told)


def notification(kind: str, text: str) -> bytes:
    """What makes a terminal of this kind show a notification: a bell where none is known."""
    shown = plain(text)[:LONGEST].replace(";", ",")
    if TAKES_9.match(kind):
        return f"\x1b]9;{shown}\a".encode()
    if TAKES_777.match(kind):
        return f"\x1b]777;notify;Background job;{shown}\a".encode()
    return b"\a"


def write_to(tty: str, data: bytes) -> bool:
    """Write to a terminal that is this user's; False where it is not, or takes nothing now."""
    try:
        fd = os.open(tty, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        facts = os.fstat(fd)
        if not stat.S_ISCHR(facts.st_mode) or facts.st_uid != os.getuid() or not os.isatty(fd):
            return False
        with suppress(OSError):
            return os.write(fd, data) == len(data)
        return False
    finally:
        os.close(fd)
