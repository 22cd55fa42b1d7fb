"""A pane of the person's own, into which one line is typed: looked at, and typed into as long as it is what was seen.

Promise: what is typed reaches the pane that was named, on its tmux server, with the process that it was opened with,
the program that was seen, and the cursor where it was seen, or nothing is typed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from mcp_background_job.errors import InvalidInput, TmuxError

from .client import TmuxServer
from .panes import DONE
from .quoting import command_line, join_commands

FACTS = (
    "#{pid} #{pane_pid} #{?pane_dead,1,0}#{?pane_input_off,1,0}#{?pane_in_mode,1,0}#{?@mcp_holder,1,0} "
    "#{cursor_y} #{cursor_x} #{pane_id} #{pane_tty} #{pane_current_command}"
)
OPEN = "0000"  # alive, its input on, in no mode, not held by a person
COMMAND = re.compile(r"[\w.+-]+")  # of which a format can be made


@dataclass(frozen=True)
class Shown:
    """A pane at one moment: whose it is, what runs there, and its rows with their colours (capture-pane -e)."""

    server_pid: int
    pid: int  # of the process that the pane was opened with
    takes_input: bool
    row: int
    column: int
    pane: str
    tty: str
    command: str  # the foreground's name
    rows: tuple[str, ...]


def look(server: TmuxServer, pane: str) -> Shown:
    """What a pane shows now.

    Raises TmuxError where there is no such pane.
    """
    lines = server.ask("display-message", "-p", "-t", pane, FACTS, ";", "capture-pane", "-p", "-e", "-t", pane)
    server_pid, pid, state, row, column, pane_id, tty, command = (lines or [""])[0].split(" ", 7)
    return Shown(
        int(server_pid), int(pid), state == OPEN, int(row), int(column), pane_id, tty, command, tuple(lines[1:])
    )


@dataclass(frozen=True)
class PersonsPane:
    """A pane by its number, its first process and its tmux server: a number alone may be another's by now."""

    server: TmuxServer
    pane: str
    pid: int
    server_pid: int

    @classmethod
    def find(cls, server: TmuxServer, pane: str) -> PersonsPane:
        """Raises InvalidInput for what is no pane's number, or TmuxError where there is no such pane."""
        if not re.fullmatch(r"%\d+", pane):
            raise InvalidInput(f"{pane[:40]!r} is not a pane", "Give its number, as tmux's #{pane_id} shows it: %3")
        shown = look(server, pane)
        return cls(server, pane, shown.pid, shown.server_pid)

    def look(self) -> Shown | None:
        """What it shows now; None where it is gone."""
        try:
            shown = look(self.server, self.pane)
        except TmuxError:
            return None
        return shown if (shown.pid, shown.server_pid) == (self.pid, self.server_pid) else None

    def type(self, text: str, seen: Shown) -> bool:
        """Type a text, if the pane still is as it was `seen`; whether it was typed."""
        name = f"mcp-{os.urandom(4).hex()}"
        before = ["load-buffer", "-b", name, "-"]
        commands = [["paste-buffer", "-b", name, "-t", self.pane]]
        return self._perform(commands, seen, before, ["delete-buffer", "-b", name], text.encode())

    def press_enter(self, seen: Shown) -> bool:
        """Press Enter, if the pane still is as it was `seen`; whether it was pressed."""
        return self._perform([["send-keys", "-t", self.pane, "Enter"]], seen)

    def _perform(
        self,
        commands: Sequence[Sequence[str]],
        seen: Shown,
        before: Sequence[str] = (),
        after: Sequence[str] = (),
        data: bytes = b"",
    ) -> bool:
        if not COMMAND.fullmatch(seen.command):
            return False
        same = {"pid": seen.server_pid, "pane_pid": seen.pid, "cursor_y": seen.row, "cursor_x": seen.column}
        wanted = [
            f"#{{==:#{{{name}}},{value}}}" for name, value in {**same, "pane_current_command": seen.command}.items()
        ]
        wanted += [f"#{{==:#{{{name}}},}}" for name in ("@mcp_holder",)]
        wanted += [f"#{{!=:#{{{name}}},1}}" for name in ("pane_dead", "pane_input_off", "pane_in_mode")]
        condition = wanted[0]
        for one in wanted[1:]:
            condition = f"#{{&&:{condition},{one}}}"
        done = command_line([*commands, ["display-message", "-p", DONE]])
        guarded = ["if-shell", "-F", "-t", self.pane, condition, done]
        answer = self.server.run(*join_commands([one for one in (before, guarded, after) if one]), data=data)
        return DONE in answer.stdout
