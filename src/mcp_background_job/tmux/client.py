"""Everything that is asked of tmux, and nothing else: open a window, type, show a screen, close.

Promises: only panes that carry a job's id are touched; options are set on our session and windows, never globally;
the command never passes through tmux's or a shell's parser; a refusal by tmux comes as one TmuxError.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shlex
import shutil
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen, TimeoutExpired
from typing import TYPE_CHECKING

from mcp_background_job.config import BackgroundJobConfig
from mcp_background_job.errors import TmuxError, TmuxMissing
from mcp_background_job.text import one_line

from .timeouts import Bounded, answers_again
from .warm_client import Answer, ReadyClient, answer_of, end, script_of

if TYPE_CHECKING:
    from libtmux.common import tmux_cmd

ROWS, COLUMNS = 50, 200
BORDER = 1  # line above a job, which says how it is; the job has ROWS of its own
HISTORY = 2_000  # lines that a person can scroll back; with 10,000 a flood of 200 MB took 1.17 times as long as bare
WINDOW_OPTIONS = {
    "automatic-rename": "off",
    "window-size": "manual",
    "monitor-bell": "on",
    "pane-border-status": "top",
    "pane-border-style": "default",
    "pane-active-border-style": "default",
    # The text is the session's, so that the tmux.conf decides; elsewhere (a window moved away) it is the id alone.
    "pane-border-format": "#{?@mcp_border,#{T:@mcp_border}, #{@mcp_job_id} }",
}
NOT_COPIED = {"destroy-unattached", "lock-command"}  # of our session's options, for others of its group
BATCH = 15  # commands in one invocation, each at most as long as a message of an agent
PATIENCE = 10.0  # seconds for one answer of tmux; under full load the slowest of thousands took 1
CLOSED_AT_ONCE = 100  # panes; the names of 800 fill the 16 KB that one invocation may have
OLDEST = (3, 2)
# Of the caller's environment, what goes to what lives on: a tmux server would keep the rest, secrets included.
CLEAN = re.compile(r"(PATH|HOME|USER|LOGNAME|SHELL|LANG|LC_.*|TERM|TMPDIR|TMUX_TMPDIR|XDG_.*|DISPLAY|SSH_AUTH_SOCK)")
INSTALL = {
    "Darwin": "brew install tmux",
    "debian": "sudo apt-get install tmux",
    "ubuntu": "sudo apt-get install tmux",
    "fedora": "sudo dnf install tmux",
    "rhel": "sudo dnf install tmux",
    "centos": "sudo dnf install tmux",
    "arch": "sudo pacman -S tmux",
    "alpine": "sudo apk add tmux",
    "opensuse": "sudo zypper install tmux",
    "suse": "sudo zypper install tmux",
}


@dataclass(frozen=True)
class Window:
    """A job's window: tmux's own ids, which stay while it lives."""

    pane: str
    pid: int  # of the process that it was opened with


@dataclass(frozen=True)
class Pane:
    """A pane that carries a job id."""

    pane: str
    job_id: str
    state: str  # the state folder of the servers that opened it
    dead: bool
    pid: int  # of the process that it was opened with, or respawned with


@dataclass(frozen=True)
class Person:
    """Somebody attached to a session: what they look at, and when they last pressed a key."""

    session: str
    group: str
    pane: str
    active: int  # seconds since the epoch
    may_type: bool
    client: str  # tmux's name of their terminal


@dataclass(frozen=True)
class Screen:
    """What a person sees of a pane: `rows` lines of text, and the cursor from 0."""

    text: str
    row: int
    column: int
    rows: int
    columns: int
    alternate: bool


def literal(text: str) -> str:
    """`text` so that tmux's formats and strftime give it back as it is."""
    return text.replace("#", "##").replace("%", "%%")


def plain(text: str) -> str:
    """One line without anything that a terminal obeys, nor a style, which tmux has no way to quote everywhere."""
    return one_line(text).replace("#[", "# [")


def window_name(text: str) -> str:
    """A name for a window: one short line, with nothing in it that a terminal or a format would obey."""
    shown = plain(text)
    return (shown if len(shown) <= 24 else shown[:23] + "…").replace("#", "##") or "job"


def install_hint() -> str:
    """The command that installs tmux on this platform."""
    if platform.system() == "Darwin":
        return INSTALL["Darwin"]
    try:
        facts = platform.freedesktop_os_release()
    except OSError:
        facts = {}
    for name in [facts.get("ID", ""), *facts.get("ID_LIKE", "").split()]:
        if name in INSTALL:
            return INSTALL[name]
    return "your system's package manager, e.g. sudo apt-get install tmux"


class Tmux:
    """One session on one tmux server."""

    def __init__(self, config: BackgroundJobConfig, state: Path) -> None:
        self.config = config
        self.state = state
        self.session = config.session_name
        self._binary: str | None = None
        self._version = OLDEST
        self._ensured = False
        self.stays = False  # whether this process lives long enough for its next calls to be prepared
        self._ready: dict[str, ReadyClient] = {}  # by the tmux server's socket
        self._unanswered: dict[str, Bounded[None]] = {}  # by socket: the tmux server has left a call without an answer
        self.complaints: list[str] = []  # what tmux said of the tmux.conf, if this one has read it

    # -- the program ----------------------------------------------------------------------------------------

    def binary(self) -> str:
        """tmux's path.

        Raises TmuxMissing with what to install.
        """
        if self._binary is None:
            found = shutil.which("tmux")
            if found is None:
                raise TmuxMissing("tmux is not installed", f"Install it: {install_hint()}")
            version = self.raw(found, "-V").stdout
            match = re.search(r"(\d+)\.(\d+)", " ".join(version))
            self._version = (int(match[1]), int(match[2])) if match else OLDEST
            if self._version < OLDEST:
                raise TmuxMissing(
                    f"{version[0]} is too old, 3.2 or newer is needed", f"Install a newer one: {install_hint()}"
                )
            self._binary = found
        return self._binary

    def raw(self, binary: str, *arguments: str, path: str = "") -> tmux_cmd:
        """One run of a program through libtmux; `path` is the socket of the tmux server that it asks.

        Raises TmuxError where there is no answer within PATIENCE; then at once, until that server answers again.
        """
        from libtmux.common import tmux_cmd
        from libtmux.exc import LibTmuxException

        self.check_answering(path)
        # libtmux waits without a limit, and a tmux server that is stopped would hold up its caller for ever.
        answer = tmux_cmd.__new__(tmux_cmd)
        try:
            Bounded(lambda: tmux_cmd.__init__(answer, *arguments, tmux_bin=binary)).result(PATIENCE)
        except TimeoutError:
            # That doesn't end the wait, as the server has its end of the pipe, but it leaves no process behind.
            with suppress(AttributeError):  # not even started
                answer.process.kill()
            raise self.unanswered(path) from None
        except (LibTmuxException, OSError) as error:
            raise TmuxError(f"tmux could not be run: {error}") from error
        return answer

    def check_answering(self, path: str) -> None:
        """Raises TmuxError while a tmux server that has left a call without an answer doesn't answer yet."""
        if path in self._unanswered and self._unanswered[path].running:
            raise no_answer()

    def unanswered(self, path: str) -> TmuxError:
        """Have further calls refused at once until the tmux server answers; the error of this one."""
        self._unanswered[path] = Bounded(lambda: answers_again(path))
        self._unanswered[path].start()
        return no_answer()

    def run(self, *arguments: str, socket: str = "") -> tmux_cmd | Answer:
        """One invocation of tmux; `-u` keeps tabs and non-ASCII whatever the locale."""
        path = socket or str(self.socket_path())
        command = [self.binary(), "-u", *self.server(socket)]
        script = script_of(arguments) if self.stays else None
        if script is None:
            return self.raw(*command, *arguments, path=path)
        ready = self._ready.setdefault(path, ReadyClient(command, clean_environment()))
        client = ready.take()
        done = self.run_ready(client, script, path) if client else None
        answer = done or self.raw(*command, *arguments, path=path)
        ready.prepare()
        return answer

    def run_ready(self, client: Popen[bytes], script: bytes, path: str) -> Answer | None:
        """Have a client that is ready do what `script` says; as `raw`, but None where its tmux server has ended."""
        self.check_answering(path)
        try:
            return answer_of(client, script, PATIENCE)
        except TimeoutExpired:
            client.kill()
            end(client)
            raise self.unanswered(path) from None

    def run_clean(self, *arguments: str) -> tmux_cmd:
        """As `run`, for what may start a tmux server: it would keep our environment, so it gets little of it."""
        environment = [f"{name}={value}" for name, value in clean_environment().items()]
        command = ["/usr/bin/env", "-i", *environment, self.binary(), "-u", *self.server(), *arguments]
        return self.raw(*command, path=str(self.socket_path()))

    def ask(self, *arguments: str, socket: str = "") -> list[str]:
        """As `run`, its lines of output.

        Raises TmuxError where tmux refuses.
        """
        answer = self.run(*arguments, socket=socket)
        if answer.returncode != 0:
            raise refusal(answer.stderr)
        return answer.stdout

    def server(self, socket: str = "") -> list[str]:
        """The options that name the tmux server: that of a job's record, of the settings, or the person's own.

        Always explicit, or a TMUX variable in our environment would name another.
        """
        return ["-S", socket] if socket else ["-L", self.config.tmux_socket_name or "default"]

    def attach_command(self, pane: str = "") -> str:
        """What a person types to see the session, or one job's window in it.

        A server that was itself started inside of that tmux server has its person there too.
        """
        server = ["-L", self.config.tmux_socket_name] if self.config.tmux_socket_name else []
        target = f"{self.session}:.{pane}" if pane else self.session
        inside = os.environ.get("TMUX", "").rsplit(",", 2)[0]
        if inside and Path(inside) == self.socket_path():
            return shlex.join(["tmux", "switch-client", "-t", target])
        return shlex.join(["tmux", *server, "attach", "-t", target])

    def socket_path(self) -> Path:
        """Where tmux has the socket of our server: links resolved, and a TMUX_TMPDIR that isn't there passed by."""
        try:
            base = Path(os.environ.get("TMUX_TMPDIR") or "/tmp").resolve(strict=True)
        except (OSError, RuntimeError):
            base = Path("/tmp").resolve()
        return base / f"tmux-{os.getuid()}" / (self.config.tmux_socket_name or "default")

    # -- windows --------------------------------------------------------------------------------------------

    def open_window(self, job_id: str, name: str, argv: Sequence[str], pipe: str) -> Window:
        """Run `argv` in a new window of the session and its output through `pipe`.

        All of it is one invocation, so that no first byte is lost.

        Raises TmuxError; then there is no window.
        """
        if not self._ensured:
            self.ensure_session()
        command = self.window_commands(job_id, name, argv, pipe)
        answer = self.run(*command)
        for pause in (0, 0.05, 0.2, 0.5):
            if answer.stdout or (pause and answer.stderr):
                break
            # There is no session; or a tmux server that is about to end has answered nothing.
            time.sleep(pause)
            self.ensure_session()
            answer = self.run(*command)
        if answer.returncode != 0 or not answer.stdout:
            if answer.stdout:
                self.run("kill-pane", "-t", answer.stdout[0].split(" ")[0])
            raise refusal(answer.stderr)
        pane, pid = answer.stdout[0].split(" ")
        return Window(pane, int(pid))

    def window_commands(self, job_id: str, name: str, argv: Sequence[str], pipe: str) -> list[str]:
        # Named by the job's id for as long as it takes to address it; the session finds a free index itself.
        new = f"={self.session}:={job_id}"
        pane_options = {
            "@mcp_job_id": job_id,
            "@mcp_state": str(self.state),
            "@mcp_status": "running",
            "@mcp_started": str(int(time.time())),
            "@mcp_since": time.strftime("%H:%M:%S"),
            "remain-on-exit": "on",
            "allow-rename": "off",
        }
        self.binary()
        if self._version >= (3, 3):
            # Its "Pane is dead" would push the first line of the output away; the border says it better.
            pane_options["remain-on-exit-format"] = ""
        shown = "#{pane_id} #{pane_pid}"
        commands = [
            ["new-window", "-d", "-P", "-F", shown, "-t", f"={self.session}:", "-n", job_id, "--", *argv],
            *(["set-option", "-p", "-t", new, key, value] for key, value in pane_options.items()),
            *(["set-option", "-w", "-t", new, key, value] for key, value in WINDOW_OPTIONS.items()),
            # A person's own hook that closes the windows of dead panes would close ours before they are read.
            ["set-hook", "-p", "-t", new, "pane-died", ""],
            ["resize-window", "-t", new, "-x", str(COLUMNS), "-y", str(ROWS + BORDER)],
            ["pipe-pane", "-t", new, pipe],
            ["rename-window", "-t", new, "--", window_name(name)],
        ]
        return join_commands(commands)

    def ensure_session(self) -> None:
        """Make the session with its board, and set its options, unless that has been done.

        Raises TmuxError.
        """
        target = f"={self.session}:"
        conf = self.config.tmux_conf.read_text(encoding="utf-8")
        # Another version of the program, or a tmux.conf that was edited, is read again.
        made = hashlib.sha256(f"{conf}\0{self.program('menu')}".encode()).hexdigest()[:12]
        marker = self.run("show-options", "-qv", "-t", target, "@mcp_jobs")
        if marker.returncode != 0 or marker.stdout != [made]:
            setup = self.session_setup(target, made)
            new = ["new-session", "-d", "-s", self.session, "-x", str(COLUMNS), "-y", str(ROWS + BORDER)]
            new += ["-n", BOARD, "--", *self.board_argv()]
            answer: tmux_cmd | Answer = self.run_clean(*join_commands([new, *self.board_setup(), *setup]))
            if "duplicate session" in " ".join(answer.stderr):
                answer = self.run(*join_commands(setup))
                self.ensure_board(target)
            if answer.returncode != 0:
                raise refusal(answer.stderr)
            self.load_conf(target, conf)
        self._ensured = True

    def ensure_board(self, target: str) -> None:
        """Open the board in a session that has none: a person has made the session, or closed the board."""
        if "1" not in self.run("list-panes", "-s", "-t", target, "-F", "#{@mcp_board}").stdout:
            new = ["new-window", "-d", "-t", target, "-n", BOARD, "--", *self.board_argv()]
            self.run(*join_commands([new, *self.board_setup()]))

    def session_setup(self, target: str, made: str) -> list[list[str]]:
        options = {
            "destroy-unattached": "off",
            "default-size": f"{COLUMNS}x{ROWS + BORDER}",
            "history-limit": str(HISTORY),
            "@mcp_program": self.program("menu"),
            "@mcp_jobs": made,
        }
        return [
            # A person who lets tmux exit when nobody is attached would lose every job at once.
            ["if-shell", "-F", "#{exit-unattached}", "set-option -s exit-unattached off"],
            *(["set-option", "-t", target, key, value] for key, value in options.items()),
            # A hook that runs a shell makes tmux read the pane before pipe-pane is there.
            *(["set-hook", "-t", target, hook, ""] for hook in ("after-new-window", "window-linked")),
        ]

    def board_setup(self) -> list[list[str]]:
        """What makes the first window of a new session the board, at index 0 whatever the person's base-index."""
        board = f"={self.session}:={BOARD}"
        options = {"automatic-rename": "off", "window-size": "latest", "remain-on-exit": "off"}
        return [
            *(["set-option", "-w", "-t", board, key, value] for key, value in options.items()),
            ["set-option", "-p", "-t", board, "@mcp_board", "1"],
            ["if-shell", "-F", "-t", board, "#{window_index}", f"move-window -d -s '{board}' -t '={self.session}:0'"],
        ]

    def program(self, module: str) -> str:
        """A shell command that runs one of our modules with this session's settings."""
        return shlex.join(self.program_argv(module))

    def program_argv(self, module: str) -> list[str]:
        # tmux gives its windows an environment of its own, in which none of these are.
        settings = {
            "MCP_BG_SESSION": self.session,
            "MCP_BG_STATE_DIR": str(self.config.state_dir),
            "MCP_BG_TMUX_CONF": str(self.config.tmux_conf),
            "MCP_BG_TMUX_SOCKET": self.config.tmux_socket_name or "",
            "MCP_BG_MAX_JOBS": str(self.config.max_concurrent_jobs),
            "MCP_BG_MAX_OUTPUT_SIZE": str(self.config.max_output_size_bytes),
            "MCP_BG_CLEANUP_INTERVAL": str(self.config.cleanup_interval_seconds),
            "MCP_BG_RETENTION": str(self.config.retention_seconds),
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        }
        given = [f"{name}={value}" for name, value in settings.items() if value]
        return ["env", *given, sys.executable, "-P", "-m", f"mcp_background_job.ui.{module}"]

    def board_argv(self) -> list[str]:
        return ["/bin/sh", "-c", KEEP_RUNNING, "jobs", *self.program_argv("board"), "--window"]

    def load_conf(self, target: str, conf: str) -> None:
        """Read the tmux.conf for a session; what tmux doesn't like of it is said on stderr and changes nothing."""
        key = MENU_KEY.search(conf)
        text = (
            conf.replace("$MCP_BG_TARGET", target)
            .replace("$MCP_BG_TABLE", self.session)
            .replace("$MCP_BG_KEY", key[1] if key else "F12")
        )
        self.copy_root_keys()
        self.complaints = self.source("tmux.conf", text)
        if self.complaints:
            print(f"tmux.conf: {'; '.join(self.complaints)}", file=sys.stderr)

    def copy_root_keys(self) -> None:
        """Give our key table the person's own root keys, mouse included: a session's key table replaces the root one.

        (tmux tries the root table after other tables, but not after the one that a session's option names.)
        """
        self.run("unbind-key", "-a", "-T", self.session)  # what an earlier tmux.conf has bound
        listed = self.run("list-keys", "-T", "root").stdout
        ours = [re.sub(r"^(bind-key\s+(?:-\S+\s+)*?)-T\s+root\s", rf"\1-T {self.session} ", line) for line in listed]
        ours = [line for line in ours if f"-T {self.session} " in line]
        if self.source("keys.conf", "\n".join(ours) + "\n"):
            # One that tmux can't read back spoils the others of its file.
            for line in ours:
                self.source("keys.conf", line + "\n")

    def source(self, name: str, text: str) -> list[str]:
        """Have tmux read `text`; its complaints."""
        file = self.state / name
        file.write_text(text, encoding="utf-8")
        file.chmod(0o600)
        return list(self.run("source-file", str(file)).stderr)

    def panes(self, socket: str = "") -> list[Pane]:
        """Every pane that carries a job id, in whatever session a person has moved it to."""
        facts = "#{pane_id} #{pane_dead} #{pane_pid} #{@mcp_job_id} #{@mcp_state}"
        # A window that is linked into several sessions is listed for each.
        lines = dict.fromkeys(self.run("list-panes", "-a", "-F", facts, socket=socket).stdout)
        rows = (line.split(" ", 4) for line in lines)
        return [Pane(r[0], r[3], r[4], r[1] == "1", int(r[2] or 0)) for r in rows if len(r) == 5 and r[3]]

    def close(self, panes: Sequence[str], socket: str = "") -> None:
        """Close panes; a window goes with its last one.

        What another server has closed in between ends the rest of a batch; the next sweep has it.
        """
        for start in range(0, len(panes), CLOSED_AT_ONCE):
            batch = panes[start : start + CLOSED_AT_ONCE]
            self.run(*join_commands([["kill-pane", "-t", pane] for pane in batch]), socket=socket)

    # -- people ---------------------------------------------------------------------------------------------

    def people(self, socket: str = "") -> list[Person]:
        """Everybody attached to this tmux server; programs in control mode are none."""
        facts = (
            "#{client_control_mode} #{client_readonly} #{client_activity} #{pane_id} #{client_name} "
            "#{session_group} #{session_name}"
        )
        rows = (line.split(" ", 6) for line in self.run("list-clients", "-F", facts, socket=socket).stdout)
        return [Person(r[6], r[5], r[3], int(r[2]), r[1] == "0", r[4]) for r in rows if len(r) == 7 and r[0] == "0"]

    def last_key(self, socket: str = "") -> float:
        """When somebody last pressed a key in our session or one of its group, in seconds since the epoch."""
        facts = "#{session_activity} #{session_group} #{session_name}"
        rows = (line.split(" ", 2) for line in self.run("list-sessions", "-F", facts, socket=socket).stdout)
        return max((float(r[0]) for r in rows if len(r) == 3 and self.session in r[1:]), default=0.0)

    def lookers(self, pane: str, socket: str) -> tuple[int, frozenset[str]]:
        """How many people look at the window of `pane` now, and which sessions have it.

        Raises TmuxError.
        """
        facts = "#{window_active_clients} #{window_linked_sessions_list}"
        count, _, sessions = self.ask("display-message", "-p", "-t", pane, facts, socket=socket)[0].partition(" ")
        return int(count or 0), frozenset(filter(None, sessions.split(",")))

    def own_options(self, session: str, socket: str) -> list[tuple[str, str, str]]:
        """The options and hooks that are set on a session itself: the command that sets one, its name, its value."""
        found: list[tuple[str, str, str]] = []
        for listing, setting in (("show-options", "set-option"), ("show-hooks", "set-hook")):
            for line in self.run(listing, "-t", session, socket=socket).stdout:
                option, _, value = line.partition(" ")
                if listing == "show-options":
                    value = "\n".join(self.run(listing, "-v", "-t", session, option, socket=socket).stdout)
                if option and option not in NOT_COPIED:
                    found.append((setting, option, value))
        return found

    def dress(self, sessions: Collection[str], socket: str) -> None:
        """Give sessions of our group that a person has made the options of ours, where they have none of their own."""
        listed = self.run("list-sessions", "-F", "#{session_id} #{@mcp_jobs} #{session_name}", socket=socket).stdout
        rows = [line.split(" ", 2) for line in listed]
        bare = [row[0] for row in rows if len(row) == 3 and row[2] in sessions and not row[1]]
        if not bare:
            return
        options = self.own_options(f"={self.session}:", socket)
        # The marker comes last, so that what was not finished is done again.
        options.sort(key=lambda item: item[1] == "@mcp_jobs")
        for session in bare:
            commands = [
                ["set-option", "-oq", "-t", f"{session}:", name, value]
                for setting, name, value in options
                if setting == "set-option"
            ]
            for start in range(0, len(commands), BATCH):
                self.run(*join_commands(commands[start : start + BATCH]), socket=socket)

    def go_to(self, pane: str, viewer: Person, socket: str) -> None:
        """Show somebody the window of `pane`, in their own session where it has that window.

        Raises TmuxError.
        """
        for session in (viewer.session, self.session):
            answer = self.run("switch-client", "-c", viewer.client, "-t", f"={session}:.{pane}", socket=socket)
            if answer.returncode == 0:
                return
        raise refusal(answer.stderr)

    def tell(self, message: str, socket: str = "") -> None:
        """Show a message on the status line of everybody attached to our session."""
        shown = self.run("list-clients", "-F", "#{client_name}", "-t", f"={self.session}", socket=socket).stdout
        commands = [["display-message", "-d", "4000", "-c", client, literal(plain(message))] for client in shown]
        if commands:
            self.run(*join_commands(commands), socket=socket)

    def mark(self, pane: str, options: dict[str, str], socket: str = "") -> None:
        """Set user options of a pane, which the status line and the border show; an empty value takes one away."""
        commands = [
            ["set-option", "-p", "-t", pane, *((name, value) if value else ("-u", name))]
            for name, value in options.items()
        ]
        self.run(*join_commands(commands), socket=socket)

    def mark_jobs(self, wanted: Mapping[str, Mapping[str, str]], socket: str) -> None:
        """Make the panes of jobs say what `wanted` (job id → options) has for them, where they don't yet.

        Raises TmuxError.
        """
        names = sorted({name for options in wanted.values() for name in options})
        facts = "\t".join(["#{pane_id}", "#{@mcp_job_id}", "#{@mcp_state}", *(f"#{{{name}}}" for name in names)])
        commands: list[list[str]] = []
        for line in self.run("list-panes", "-a", "-F", facts, socket=socket).stdout:
            pane, job_id, state, *values = line.split("\t")
            if job_id not in wanted or state != str(self.state):
                continue
            present = dict(zip(names, values, strict=False))
            for name, value in wanted[job_id].items():
                if present.get(name, "") != value:
                    commands.append(["set-option", "-p", "-t", pane, *((name, value) if value else ("-u", name))])
        # A command of more than 16 KB is refused.
        for start in range(0, len(commands), BATCH):
            self.run(*join_commands(commands[start : start + BATCH]), socket=socket)

    # -- a pane ---------------------------------------------------------------------------------------------

    def paste(self, pane: str, text: Path | None, enters: Path | None, keys: Sequence[str], socket: str) -> None:
        """Type the content of `text`, then Enter as often as `enters` has lines, then named keys.

        Pastes are byte-exact, have no limit and pass a person's copy mode by. Several lines go in brackets to a
        program that asked for that; one line goes as if typed, or vim would insert a command as text. tmux reads
        the files while others are served, so all are read before the first byte is typed.

        Raises TmuxError where the pane is gone.
        """
        name = f"mcp-{os.urandom(4).hex()}"
        several = text is not None and b"\n" in text.read_bytes()
        loads: list[list[str]] = []
        commands: list[list[str]] = []
        for buffer, file, brackets in ((f"{name}-text", text, several), (f"{name}-enter", enters, False)):
            if file is not None:
                loads.append(["load-buffer", "-b", buffer, str(file)])
                options = ["-d", "-p"] if brackets else ["-d"]
                commands.append(["paste-buffer", *options, "-b", buffer, "-t", pane])
        if keys:
            commands.extend(self.press(pane, keys, socket))
        self.ask(*join_commands([*loads, *commands]), socket=socket)

    def press(self, pane: str, keys: Sequence[str], socket: str) -> list[list[str]]:
        """Commands that send named keys.

        send-keys types into copy mode and says nothing, so a person's copy mode is left and entered again at the
        same place, all before tmux draws.
        """
        send = ["send-keys", "-t", pane, "--", *keys]
        mode, _, scrolled = self.ask(
            "display-message", "-p", "-t", pane, "#{pane_mode} #{scroll_position}", socket=socket
        )[0].partition(" ")
        if not mode:
            return [send]
        commands = [["send-keys", "-t", pane, "-X", "cancel"], send]
        if mode == "copy-mode":
            commands.append(["copy-mode", "-t", pane])
            if scrolled.isdigit() and int(scrolled):
                commands.append(["send-keys", "-t", pane, "-X", "goto-line", scrolled])
        return commands

    def screen(self, pane: str, socket: str) -> Screen:
        """The visible grid of a pane.

        Raises TmuxError where the pane is gone.
        """
        facts = "#{cursor_y} #{cursor_x} #{pane_height} #{pane_width} #{alternate_on}"
        lines = self.ask(
            "display-message", "-p", "-t", pane, facts, ";", "capture-pane", "-p", "-t", pane, socket=socket
        )
        row, column, rows, columns, alternate = (int(value or 0) for value in lines[0].split(" "))
        return Screen("\n".join(lines[1:]), row, column, rows, columns, bool(alternate))


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

NAMED_KEY = re.compile(
    r"up|down|left|right|home|end|page(up|down)|pg(up|dn)|[pn]page|ic|insert|dc|delete|bspace|btab|enter|escape"
    r"|space|tab|f([1-9]|1[0-2])|kp([0-9/*+.-]|enter)",
    re.IGNORECASE,
)
MODIFIED = re.compile(r"((?:[CMS]-)*)(.+)", re.IGNORECASE | re.DOTALL)


def is_key(name: str) -> bool:
    """Whether tmux knows `name` as a key: one character or a name, with C-, M- or S- before it, or ^X."""
    if len(name) == 2 and name[0] == "^":
        return name[1].isprintable()
    match = MODIFIED.fullmatch(name)
    if match is None:
        return False
    key = match[2]
    return (len(key) == 1 and key.isprintable()) or NAMED_KEY.fullmatch(key) is not None


def join_commands(commands: Sequence[Sequence[str]]) -> list[str]:
    """Several tmux commands as the arguments of one invocation; a `;` that ends an argument stays one."""
    joined: list[str] = []
    for command in commands:
        if joined:
            joined.append(";")
        joined.extend(word[:-1] + "\\;" if word.endswith(";") else word for word in command)
    return joined


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if CLEAN.fullmatch(name)}


def pipe_command(argv: Sequence[str]) -> str:
    """A shell command for pipe-pane, which expands formats and strftime in it."""
    return literal("exec " + shlex.join(argv))


def no_answer() -> TmuxError:
    return TmuxError(
        f"tmux gave no answer within {PATIENCE:.0f} seconds",
        "Its server may be stopped: try `tmux ls` in a terminal, and `pkill -CONT tmux` to wake it",
    )


def refusal(messages: Sequence[str]) -> TmuxError:
    """tmux's complaint as an error that says what to do."""
    text = "; ".join(messages) or "no reason given"
    if "server exited unexpectedly" in text or "protocol version mismatch" in text:
        return TmuxError(
            f"tmux failed: {text}",
            "The running tmux server may be of another version than the program: `tmux kill-server` ends it",
        )
    return TmuxError(f"tmux refused: {text}")
