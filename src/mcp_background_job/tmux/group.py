"""Sessions of the group of ours: what a person makes by hand over the same windows gets the look and the menu.

Promise: what they have set in it stays.
"""

from __future__ import annotations

from collections.abc import Collection

from .client import TmuxServer
from .panes import run_in_batches

NOT_COPIED = {"destroy-unattached", "lock-command"}  # of our session's options, for others of its group


def session_options(server: TmuxServer, session: str) -> list[tuple[str, str, str]]:
    """The options and hooks that are set on a session itself: the command that sets one, its name, its value."""
    found: list[tuple[str, str, str]] = []
    for listing, setting in (("show-options", "set-option"), ("show-hooks", "set-hook")):
        for line in server.run(listing, "-t", session).stdout:
            option, _, value = line.partition(" ")
            if listing == "show-options":
                value = "\n".join(server.run(listing, "-v", "-t", session, option).stdout)
            if option and option not in NOT_COPIED:
                found.append((setting, option, value))
    return found


def apply_session_options(server: TmuxServer, source: str, sessions: Collection[str]) -> None:
    """Give sessions of our group that a person has made the options of `source`, where they have none of their own."""
    listed = server.run("list-sessions", "-F", "#{session_id} #{@mcp_jobs} #{session_name}").stdout
    rows = [line.split(" ", 2) for line in listed]
    bare = [row[0] for row in rows if len(row) == 3 and row[2] in sessions and not row[1]]
    if not bare:
        return
    options = session_options(server, source)
    # The marker comes last, so that what was not finished is done again.
    options.sort(key=lambda item: item[1] == "@mcp_jobs")
    for session in bare:
        commands = [
            ["set-option", "-oq", "-t", f"{session}:", name, value]
            for setting, name, value in options
            if setting == "set-option"
        ]
        run_in_batches(server, commands)
