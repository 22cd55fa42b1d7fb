"""The session of jobs: made with its board, look and keys, made right again, and found by a person.

Promise: a window is opened and the session looked at in one invocation, so that a start of a job costs no other.
"""

from __future__ import annotations

import hashlib
import shlex
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from mcp_background_job.config import BackgroundJobConfig
from mcp_background_job.errors import TmuxError

from .board_window import board_setup, mending, new_board_name
from .client import TmuxServer, refusal
from .condition import Condition, seen
from .look import SessionLook
from .panes import BORDER, COLUMNS, ROWS, JobPane, OpenedPane, new_window, opened
from .programs import board_argv
from .quoting import join_commands, own_socket

RETRIES = (0, 0.05, 0.2, 0.5)  # seconds before each further try to open a window


class Place(Protocol):
    """Where a job's runner has found itself (store/models.py: Run)."""

    @property
    def pane(self) -> str: ...
    @property
    def socket(self) -> str: ...
    @property
    def server(self) -> int: ...


class JobsSession:
    """The session that the settings name, on its tmux server; and the other tmux servers that jobs are on."""

    def __init__(self, config: BackgroundJobConfig, state: Path) -> None:
        self.config = config
        self.state = state
        self.name = config.session_name
        self.target = f"={self.name}:"
        self.server = TmuxServer(config.tmux_socket_name or "default")
        self.look = SessionLook(self.server, config)
        self._servers = {self.server.socket: self.server}
        self._ensured = False

    def server_at(self, socket: str) -> TmuxServer:
        """The tmux server at a socket; the session's own where none is recorded."""
        found = self._servers.get(socket or self.server.socket)
        if found is None:
            found = self._servers[socket] = TmuxServer(socket=socket)
            found.stays = self.server.stays
        return found

    def pane(self, job_id: str, place: Place) -> JobPane:
        """The pane of a job, on the tmux server that it was started on."""
        return JobPane(self.server_at(place.socket), place.pane, job_id, place.server)

    def prepare_calls(self) -> None:
        """Have a tmux client ready for each next call: this process lives long enough for it to pay."""
        self.server.stays = True

    def attach_command(self, pane: str = "") -> str:
        """What a person types to see the session, or one job's window in it.

        A server that was itself started inside of that tmux server has its person there too.
        """
        options = ["-L", self.config.tmux_socket_name] if self.config.tmux_socket_name else []
        # By the pane alone, which is found in whatever session a person has moved its window to.
        target = pane or self.name
        if own_socket() == self.server.socket:
            return shlex.join(["tmux", "switch-client", "-t", target])
        return shlex.join(["tmux", *options, "attach", "-t", target])

    # -- windows --------------------------------------------------------------------------------------------

    def open_window(self, job_id: str, name: str, argv: Sequence[str], pipe: str) -> OpenedPane:
        """Run `argv` in a new window of the session and its output through `pipe`.

        Raises TmuxError; then there is no window.
        """
        if not self._ensured:
            self.ensure()
        command = new_window(self.name, self.state, job_id, name, argv, pipe, self.look.glance())
        answer = self.server.run(*command)
        for pause in RETRIES:
            if answer.stdout or (pause and answer.stderr):
                break
            # There is no session; or a tmux server that is about to end has answered nothing.
            time.sleep(pause)
            self.ensure()
            answer = self.server.run(*command)
        window = opened(self.server, answer.stdout, answer.stderr)
        found = seen(answer.stdout)
        if found is None or not (found.has_board() and self.look.is_right(found)):
            # What a person, or a program that restores sessions, has done to it meanwhile.
            with suppress(TmuxError):
                self.ensure()
        return window

    # -- the session ----------------------------------------------------------------------------------------

    def ensure(self) -> None:
        """Make the session with its board, options and keys, or make right what has become of it.

        Raises TmuxError.
        """
        conf = self.config.tmux_conf.read_text(encoding="utf-8")
        # Another version of the program, or a tmux.conf that was edited, is read again.
        made = hashlib.sha256(f"{conf}\0{self.look.program}".encode()).hexdigest()[:12]
        found = self.look.look()
        if found is None:
            self._make()
            found = self.look.look() or Condition()
        if not found.marker or (found.marker != made and not self._ensured):
            self.look.set_up(made, conf, found, keep=not found.marker, anew=True)
        elif not self.look.is_right(found):
            self.look.set_up(found.marker, conf, found, keep=True)
        commands = mending(self.name, board_argv(self.config), found, of_any_version=self._ensured)
        if commands:
            self.server.run(*join_commands(commands))
        self._ensured = True

    def _make(self) -> None:
        """Make the session: over the windows of one that was ours and has another name now, or with a board."""
        listed = self.server.run("list-sessions", "-F", "#{session_id} #{session_group} #{@mcp_session}").stdout
        renamed = next((line.split(" ")[0] for line in listed if self.name in line.split(" ")[1:]), "")
        new = ["new-session", "-d", "-s", self.name, "-x", str(COLUMNS), "-y", str(ROWS + BORDER)]
        if renamed:
            answer = self.server.run(*join_commands([[*new, "-t", renamed], *self.look.setup("")]))
        else:
            board = new_board_name()
            new += ["-n", board, "--", *board_argv(self.config)]
            answer = self.server.start(*join_commands([new, *board_setup(self.name, board), *self.look.setup("")]))
        # Another server may have made it meanwhile.
        if answer.returncode != 0 and "duplicate session" not in " ".join(answer.stderr):
            raise refusal(answer.stderr)
