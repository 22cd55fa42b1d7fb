"""The session of jobs: made with its board, given its look and keys, and found by a person.

Promise: options are set on our session and its windows, never globally, and a session that a person has made by hand
keeps what they have set in it.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import sys
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from mcp_background_job.config import BackgroundJobConfig
from mcp_background_job.errors import TmuxError

from .client import TmuxServer, refusal
from .panes import BORDER, COLUMNS, ROWS, JobPane, OpenedPane, new_window, opened, run_in_batches
from .people import note_keys_in_control_mode
from .quoting import join_commands, own_socket

HISTORY = 2_000  # lines that a person can scroll back; with 10,000 a flood of 200 MB took 1.17 times as long as bare
NOT_COPIED = {"destroy-unattached", "lock-command"}  # of our session's options, for others of its group
RETRIES = (0, 0.05, 0.2, 0.5)  # seconds before each further try to open a window
BOARD = "jobs"  # the name of the first window
MENU_KEY = re.compile(r"^\s*set(?:-option)?\s.*\s@mcp_key\s+(\S+)\s*$", re.MULTILINE)
# The session lives as long as this shell does, whatever becomes of the program that it runs.
KEEP_RUNNING = """trap '' INT QUIT TSTP
pause=1
while :; do
    "$@"
    printf '\\033[0m\\r\\nThe board has ended (%s) and starts again in %s seconds.\\r\\n' "$?" "$pause"
    printf 'The jobs go on: Ctrl-b n and Ctrl-b p go through their windows, Ctrl-b w lists them.\\r\\n'
    sleep "$pause"
    [ "$pause" -ge 60 ] || pause=$((pause * 2))
done"""


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
        self.complaints: list[str] = []  # what tmux said of the tmux.conf, if this one has read it
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
        target = f"{self.name}:.{pane}" if pane else self.name
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
        command = new_window(self.name, self.state, job_id, name, argv, pipe)
        answer = self.server.run(*command)
        for pause in RETRIES:
            if answer.stdout or (pause and answer.stderr):
                break
            # There is no session; or a tmux server that is about to end has answered nothing.
            time.sleep(pause)
            self.ensure()
            answer = self.server.run(*command)
        window = opened(self.server, answer.stdout, answer.stderr, answer.returncode != 0)
        if not window.marker:
            # A session of our name that another made: a person, or what restores sessions.
            with suppress(TmuxError):
                self.ensure()
        return window

    # -- the session ----------------------------------------------------------------------------------------

    def ensure(self) -> None:
        """Make the session with its board, and set its options, unless that has been done.

        Raises TmuxError.
        """
        conf = self.config.tmux_conf.read_text(encoding="utf-8")
        # Another version of the program, or a tmux.conf that was edited, is read again.
        made = hashlib.sha256(f"{conf}\0{self._program('menu')}".encode()).hexdigest()[:12]
        marker = self.server.run("show-options", "-qv", "-t", self.target, "@mcp_jobs")
        if marker.returncode != 0 or marker.stdout != [made]:
            setup = self._setup(made)
            board = new_board_name()
            new = ["new-session", "-d", "-s", self.name, "-x", str(COLUMNS), "-y", str(ROWS + BORDER)]
            new += ["-n", board, "--", *self._board_argv()]
            answer = self.server.start(*join_commands([new, *self._board_setup(board), *setup]))
            if "duplicate session" in " ".join(answer.stderr):
                answer = self.server.run(*join_commands(setup))
                self._ensure_board()
            if answer.returncode != 0:
                raise refusal(answer.stderr)
            self._load_conf(conf)
        self._ensured = True

    def _ensure_board(self) -> None:
        """Open the board in a session that has none: a person has made the session, or closed the board."""
        if "1" not in self.server.run("list-panes", "-s", "-t", self.target, "-F", "#{@mcp_board}").stdout:
            board = new_board_name()
            new = ["new-window", "-d", "-t", self.target, "-n", board, "--", *self._board_argv()]
            self.server.run(*join_commands([new, *self._board_setup(board)]))

    def _setup(self, made: str) -> list[list[str]]:
        options = {
            "destroy-unattached": "off",
            "default-size": f"{COLUMNS}x{ROWS + BORDER}",
            "history-limit": str(HISTORY),
            "@mcp_program": self._program("menu"),
            "@mcp_jobs": made,
        }
        return [
            # A person who lets tmux exit when nobody is attached would lose every job at once.
            ["if-shell", "-F", "#{exit-unattached}", "set-option -s exit-unattached off"],
            *(["set-option", "-t", self.target, key, value] for key, value in options.items()),
            # A hook that runs a shell makes tmux read the pane before pipe-pane is there.
            *(["set-hook", "-t", self.target, hook, ""] for hook in ("after-new-window", "window-linked")),
            *note_keys_in_control_mode(self.target),
        ]

    def _board_setup(self, name: str) -> list[list[str]]:
        """What makes a new window the board, at index 0 if that is free, whatever the person's base-index.

        It has a name of its own for as long as that is done: a person's window may be called as the board is.
        """
        board = f"={self.name}:={name}"
        options = {"automatic-rename": "off", "window-size": "latest", "remain-on-exit": "off"}
        return [
            *(["set-option", "-w", "-t", board, key, value] for key, value in options.items()),
            ["set-option", "-p", "-t", board, "@mcp_board", "1"],
            ["if-shell", "-F", "-t", board, "#{window_index}", f"move-window -d -s '{board}' -t '={self.name}:0'"],
            ["rename-window", "-t", board, "--", BOARD],
        ]

    def _program(self, module: str) -> str:
        """A shell command that runs one of our modules with this session's settings."""
        return shlex.join(self._program_argv(module))

    def _program_argv(self, module: str) -> list[str]:
        # tmux gives its windows an environment of its own, in which none of these are.
        settings = {
            "MCP_BG_SESSION": self.name,
            "MCP_BG_STATE_DIR": str(self.config.state_dir),
            "MCP_BG_TMUX_CONF": str(self.config.tmux_conf),
            "MCP_BG_TMUX_SOCKET": self.config.tmux_socket_name or "",
            "MCP_BG_MAX_JOBS": str(self.config.max_concurrent_jobs),
            "MCP_BG_MAX_OUTPUT_SIZE": str(self.config.max_output_size_bytes),
            "MCP_BG_CLEANUP_INTERVAL": str(self.config.cleanup_interval_seconds),
            "MCP_BG_RETENTION": str(self.config.retention_seconds),
        }
        given = [f"{name}={value}" for name, value in settings.items() if value]
        return ["env", *given, *own_python(), "-m", f"mcp_background_job.ui.{module}"]

    def _board_argv(self) -> list[str]:
        return ["/bin/sh", "-c", KEEP_RUNNING, "jobs", *self._program_argv("board"), "--window"]

    # -- look and keys --------------------------------------------------------------------------------------

    def _load_conf(self, conf: str) -> None:
        """Read the tmux.conf for the session; what tmux refuses of it is said on stderr and changes nothing."""
        key = MENU_KEY.search(conf)
        text = (
            conf.replace("$MCP_BG_TARGET", self.target)
            .replace("$MCP_BG_TABLE", self.name)
            .replace("$MCP_BG_KEY", key[1] if key else "F12")
        )
        self._copy_root_keys()
        self.complaints = self._source("tmux.conf", text)
        if self.complaints:
            print(f"tmux.conf: {'; '.join(self.complaints)}", file=sys.stderr)

    def _copy_root_keys(self) -> None:
        """Give our key table the person's own root keys, mouse included: a session's key table replaces the root one.

        (tmux tries the root table after other tables, but not after the one that a session's option names.)
        """
        self.server.run("unbind-key", "-a", "-T", self.name)  # what an earlier tmux.conf has bound
        listed = self.server.run("list-keys", "-T", "root").stdout
        ours = [re.sub(r"^(bind-key\s+(?:-\S+\s+)*?)-T\s+root\s", rf"\1-T {self.name} ", line) for line in listed]
        ours = [line for line in ours if f"-T {self.name} " in line]
        if self._source("keys.conf", "\n".join(ours) + "\n"):
            # One that tmux can't read back spoils the others of its file.
            for line in ours:
                self._source("keys.conf", line + "\n")

    def _source(self, name: str, text: str) -> list[str]:
        """Have tmux read `text`; its complaints."""
        file = self.state / name
        file.write_text(text, encoding="utf-8")
        file.chmod(0o600)
        return self.server.run("source-file", str(file)).stderr


def new_board_name() -> str:
    return f"{BOARD}-{os.urandom(4).hex()}"


def own_python() -> list[str]:
    """This interpreter as it is, whatever PYTHONHOME or PYTHONPATH the person's tmux server has; text is UTF-8."""
    path = os.environ.get("PYTHONPATH", "")
    options = [sys.executable, "-P", "-X", "utf8"]
    if not path:
        return [*options, "-E"]
    return ["env", "-u", "PYTHONHOME", f"PYTHONPATH={path}", *options]


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
