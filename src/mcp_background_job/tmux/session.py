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
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mcp_background_job import __version__
from mcp_background_job.config import BackgroundJobConfig
from mcp_background_job.errors import TmuxError

from .client import TmuxServer, refusal
from .condition import KEYS, MARKER, OPTIONS, BoardPane, Condition, looking, seen, unquoted
from .panes import BORDER, COLUMNS, ROWS, JobPane, OpenedPane, new_window, opened
from .people import note_keys_in_control_mode
from .quoting import join_commands, key_label, own_socket

HISTORY = 2_000  # lines that a person can scroll back; with 10,000 a flood of 200 MB took 1.17 times as long as bare
RETRIES = (0, 0.05, 0.2, 0.5)  # seconds before each further try to open a window
BOARD = "jobs"  # the name of the first window
MENU_KEYS = ("F12", "F11", "F10")  # the first that is not the prefix, where none of the settings' can be
# The session lives as long as this shell does, whatever becomes of the program that it runs.
KEEP_RUNNING = """trap '' INT QUIT TSTP
pause=1
while :; do
    "$@"
    printf '\\033[0m\\r\\nThe board has ended (%s) and starts again in %s seconds.\\r\\n' "$?" "$pause"
    key=$(tmux display-message -p -t "$TMUX_PANE" '#{prefix}' 2>/dev/null)
    key=${key:-the prefix}
    printf 'The jobs go on: %s n and %s p go through their windows, %s w lists them.\\r\\n' "$key" "$key" "$key"
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


@dataclass(frozen=True)
class Keys:
    """The keys of a person in the session, as they read them."""

    prefix: str = "Ctrl-b"
    menu: str = MENU_KEYS[0]


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
        command = new_window(self.name, self.state, job_id, name, argv, pipe)
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
        if found is None or not self._is_well(found):
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
        made = hashlib.sha256(f"{conf}\0{self._program('menu')}".encode()).hexdigest()[:12]
        found = self._look()
        if found is None:
            self._make()
            found = self._look() or Condition()
        if not found.marker or (found.marker != made and not self._ensured):
            self._set_up(made, conf, found, keep=not found.marker, anew=True)
        elif not self._has_options(found):
            self._set_up(found.marker, conf, found, keep=True)
        self._ensure_board(found)
        self._ensured = True

    def _look(self) -> Condition | None:
        return seen(self.server.run(*join_commands(looking(self.target, self.name))).stdout)

    def _is_well(self, found: Condition) -> bool:
        return found.has_board() and self._has_options(found)

    def _has_options(self, found: Condition) -> bool:
        return found.has_options(self._forced()) and unquoted(found.options["@mcp_key"]) not in found.prefixes

    def _make(self) -> None:
        """Make the session: over the windows of one that was ours and has another name now, or with a board."""
        listed = self.server.run("list-sessions", "-F", "#{session_id} #{session_group} #{@mcp_session}").stdout
        renamed = next((line.split(" ")[0] for line in listed if self.name in line.split(" ")[1:]), "")
        new = ["new-session", "-d", "-s", self.name, "-x", str(COLUMNS), "-y", str(ROWS + BORDER)]
        if renamed:
            answer = self.server.run(*join_commands([[*new, "-t", renamed], *self._setup("")]))
        else:
            board = new_board_name()
            new += ["-n", board, "--", *self._board_argv()]
            answer = self.server.start(*join_commands([new, *self._board_setup(board), *self._setup("")]))
        # Another server may have made it meanwhile.
        if answer.returncode != 0 and "duplicate session" not in " ".join(answer.stderr):
            raise refusal(answer.stderr)

    def _ensure_board(self, found: Condition) -> None:
        """Have one board that runs, at index 0 if that is free; what a person has put into its window is theirs."""
        boards = [one for one in found.boards if one.is_board]
        commands = [["set-option", "-pu", "-t", one.pane, "@mcp_board"] for one in found.boards if not one.is_board]
        if not boards:
            board = new_board_name()
            new = ["new-window", "-d", "-t", self.target, "-n", board, "--", *self._board_argv()]
            commands += [new, *self._board_setup(board)]
        elif all(one.dead or self._is_outdated(one) for one in boards):
            pane = boards[0].pane
            commands += [["respawn-pane", "-k", "-t", pane, "--", *self._board_argv()], self._board_of(pane)]
        if boards and not found.has_zero:
            commands.append(["move-window", "-d", "-s", f"={self.name}:{boards[0].window}", "-t", f"={self.name}:0"])
        if commands:
            self.server.run(*join_commands(commands))

    def _is_outdated(self, board: BoardPane) -> bool:
        """Whether the board's program is another version's, or has been removed from the disk."""
        version, _, python = board.program.partition(" ")
        return not self._ensured and (version != __version__ or not Path(python).exists())

    def _forced(self) -> dict[str, str]:
        """Options that have one value, whatever a person or their files set."""
        return {
            # A person who closes their last terminal would end the session.
            "destroy-unattached": "off",
            "key-table": self.name,
            # Index 0 stays free for the board.
            "base-index": "1",
        }

    def _setup(self, made: str) -> list[list[str]]:
        options = {
            **self._forced(),
            "default-size": f"{COLUMNS}x{ROWS + BORDER}",
            "history-limit": str(HISTORY),
            "@mcp_program": self._program("menu"),
            "@mcp_session": self.name,
            MARKER: made,
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
        """What makes a new window the board, at index 0 if that is free.

        It has a name of its own for as long as that is done: a person's window may be called as the board is.
        """
        board = f"={self.name}:={name}"
        options = {"automatic-rename": "off", "window-size": "latest", "remain-on-exit": "off"}
        return [
            *(["set-option", "-w", "-t", board, key, value] for key, value in options.items()),
            ["set-option", "-p", "-t", board, "@mcp_board", "1"],
            self._board_of(board),
            ["if-shell", "-F", "-t", board, "#{window_index}", f"move-window -d -s '{board}' -t '={self.name}:0'"],
            ["rename-window", "-t", board, "--", BOARD],
        ]

    def _board_of(self, board: str) -> list[str]:
        """Note which program the board was opened with."""
        return ["set-option", "-p", "-t", board, "@mcp_board_of", f"{__version__} {sys.executable}"]

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
            "MCP_BG_MENU_KEY": self.config.menu_key,
        }
        given = [f"{name}={value}" for name, value in settings.items() if value]
        return ["env", *given, *own_python(), "-m", f"mcp_background_job.ui.{module}"]

    def _board_argv(self) -> list[str]:
        return ["/bin/sh", "-c", KEEP_RUNNING, "jobs", *self._program_argv("board"), "--window"]

    # -- look and keys --------------------------------------------------------------------------------------

    def _set_up(self, made: str, conf: str, found: Condition, *, keep: bool, anew: bool = False) -> None:
        """Set options and keys, by the tmux.conf; `keep` what else is set on the session, `anew` with no earlier keys.

        What tmux refuses of the tmux.conf is said on stderr and changes nothing.
        """
        setup = self._setup(made)
        self.server.run(*join_commands(setup))
        keys = self._menu_keys(found.prefixes)
        text = conf.replace("$MCP_BG_TARGET", self.target).replace("$MCP_BG_TABLE", self.name)
        lines = [
            line.replace("$MCP_BG_KEY", key)
            for line in text.split("\n")
            for key in (keys if "$MCP_BG_KEY" in line else keys[:1])
        ]
        self._copy_root_keys(anew)
        self.complaints = self._source(lines)
        if self.complaints:
            print(f"tmux.conf: {'; '.join(self.complaints)}", file=sys.stderr)
        if keep:
            own = {command[-2] for command in setup if command[0] == "set-option"} | {OPTIONS, KEYS}
            kept = [
                f"set-option -t '{self.target}' {name} {found.options[name]}" for name in found.options.keys() - own
            ]
            self._source(kept)
        self.server.run("set-option", "-t", self.target, "@mcp_key", keys[0])
        now = self._look() or Condition()
        noted = {OPTIONS: " ".join([*now.options, OPTIONS, KEYS]), KEYS: " ".join(now.keys)}
        self.server.run(*join_commands([["set-option", "-t", self.target, *item] for item in noted.items()]))

    def _menu_keys(self, prefixes: Collection[str]) -> list[str]:
        """The keys that open the menu: those that the settings name, but for those that tmux takes for itself."""
        keys = [key for key in self.config.menu_key.split() if key not in prefixes]
        return keys or [key for key in MENU_KEYS if key not in prefixes][:1]

    def keys(self) -> Keys:
        """The person's prefix, and the key that opens the menu; tmux's and ours where there is no session.

        Raises TmuxError.
        """
        told = self.server.run(
            "display-message", "-p", "-t", self.target, "#{@mcp_session} #{prefix} #{@mcp_key}"
        ).stdout
        words = told[0].split() if told else []
        return Keys(key_label(words[1]), key_label(words[2])) if len(words) == 3 else Keys()

    def _copy_root_keys(self, anew: bool) -> None:
        """Give our key table the person's own root keys, mouse included: a session's key table replaces the root one.

        (tmux tries the root table after other tables, but not after the one that a session's option names.)
        """
        if anew:
            self.server.run("unbind-key", "-a", "-T", self.name)  # what an earlier tmux.conf has bound
        listed = self.server.run("list-keys", "-T", "root").stdout
        ours = [re.sub(r"^(bind-key\s+(?:-\S+\s+)*?)-T\s+root\s", rf"\1-T {self.name} ", line) for line in listed]
        ours = [line for line in ours if f"-T {self.name} " in line]
        if self._source(ours):
            # One that tmux can't read back spoils the others.
            for line in ours:
                self._source([line])

    def _source(self, lines: Sequence[str]) -> list[str]:
        """Have tmux read the lines of a tmux.conf; its complaints.

        In no file, which another server could write while tmux reads it.
        """
        if not lines:
            return []
        text = "\n".join([*lines, ""]).encode("utf-8", "surrogateescape")
        answer = self.server.run("source-file", "-", data=text)
        # What it can't read as commands, so that nothing of it is done, tmux tells on stdout.
        said = answer.stderr or (answer.stdout if answer.returncode else [])
        return [re.sub(r"^(-|/proc/\S+?):(?=\d+: )", "line ", complaint) for complaint in said]


def new_board_name() -> str:
    return f"{BOARD}-{os.urandom(4).hex()}"


def own_python() -> list[str]:
    """This interpreter as it is, whatever PYTHONHOME or PYTHONPATH the person's tmux server has; text is UTF-8."""
    path = os.environ.get("PYTHONPATH", "")
    options = [sys.executable, "-P", "-X", "utf8"]
    if not path:
        return [*options, "-E"]
    return ["env", "-u", "PYTHONHOME", f"PYTHONPATH={path}", *options]
