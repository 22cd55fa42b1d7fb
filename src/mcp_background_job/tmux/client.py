"""Running tmux: the only module that imports libtmux.

Promises: every call has a time limit, and reads nothing of this process's stdin; a tmux server that leaves one call
without an answer is not waited for again until it answers; where another user has made or could exchange the socket,
no client is started and nothing of this process's environment given away; a refusal by tmux comes as one TmuxError.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from mcp_background_job.errors import TmuxError, TmuxMissing
from mcp_background_job.supervisor.process_tree import read_process
from mcp_background_job.system import MEMFD, PEERCRED, PORTABLE

from .place import NO_TERMINALS, check_folder, check_socket, default_folder
from .timeouts import Bounded, answers_again
from .warm_client import Answer, WarmClient, answer_of, end, lines_of, script_of

if TYPE_CHECKING:
    from libtmux.common import tmux_cmd

PATIENCE = 10.0  # seconds for one answer of tmux; under full load the slowest of thousands took 1
STARTING = 120.0  # seconds for which a server that gives no answer may be reading its tmux.conf
START_PATIENCE = 45.0  # seconds that a start waits for that: less than a client waits for its call
OLDEST = (3, 2)
# Of the caller's environment, what goes to what lives on: a tmux server would keep the rest, secrets included.
CLEAN = re.compile(
    rf"(PATH|HOME|USER|LOGNAME|SHELL|LANG|LC_.*|TERM|TMPDIR|TMUX_TMPDIR|XDG_.*|DISPLAY|SSH_AUTH_SOCK|{PORTABLE})"
)
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

_importing = Lock()


class TmuxServer:
    """One tmux server, by the path of its socket, or by its name in the default folder."""

    def __init__(self, name: str = "default", socket: str = "") -> None:
        # Always explicit, or a TMUX variable in our environment would name another.
        self.options = ["-S", socket] if socket else ["-L", name]
        self.socket = socket or str(default_folder() / name)
        self.stays = False  # whether this process lives long enough for its next calls to be prepared
        self._warm: WarmClient | None = None
        self._unanswered: Bounded[None] | None = None  # the server has left a call without an answer

    def run(self, *arguments: str, data: bytes = b"") -> Answer:
        """One invocation of tmux; `data` is what `-` as the file of a load-buffer stands for, and is in no file.

        Raises TmuxError where there is no answer within PATIENCE; then at once, until the server answers again.
        """
        # -u keeps tabs and non-ASCII whatever the locale.
        command = [tmux_binary(), "-u", *self.options]
        if data and MEMFD:
            # A client that is ready reads its commands on stdin; in memory the data is within reach of it, too.
            with memory_file(data) as path:
                return self.run(*(path if word == "-" else word for word in arguments))
        if data or not self.stays:
            return self._run([*command, *arguments], data)
        script = script_of(arguments)
        if self._warm is None:
            self._warm = WarmClient(command, clean_environment())
        client = self._warm.take()
        done = self._run_warm(client, script) if client else None
        answer = done or self._run([*command, *arguments])
        self._warm.prepare()
        return answer

    def start(self, *arguments: str) -> Answer:
        """As `run`, for what may have to start the tmux server, by a client that belongs to none yet."""
        self.check_place()
        return self._run([tmux_binary(), "-u", *self.options, *arguments], patience=START_PATIENCE)

    def ask(self, *arguments: str) -> list[str]:
        """As `run`, its lines of output.

        Raises TmuxError where tmux refuses, too.
        """
        answer = self.run(*arguments)
        if answer.returncode != 0:
            raise refusal(answer.stderr)
        return answer.stdout

    def check_socket(self) -> None:
        """Raises TmuxError where no server of this user can be at the socket."""
        check_socket(Path(self.socket))

    def check_place(self) -> None:
        """Raises TmuxError where no tmux server of this user can be, or be started, at the socket."""
        self.check_socket()
        check_folder(Path(self.socket).parent)

    def _run(self, command: Sequence[str], data: bytes = b"", patience: float = 0.0) -> Answer:
        self.check_socket()
        self._check_answering()
        try:
            return run_program(command, data, patience)
        except TimeoutError:
            raise self._note_unanswered() from None

    def _run_warm(self, client: subprocess.Popen[bytes], script: bytes) -> Answer | None:
        """Have a client that is ready do what `script` says; as `run`, but None where its tmux server has ended."""
        self.check_socket()
        self._check_answering()
        try:
            return answer_of(client, script, PATIENCE)
        except subprocess.TimeoutExpired:
            client.kill()
            end(client)
            raise self._note_unanswered() from None

    def _check_answering(self) -> None:
        if self._unanswered is not None and self._unanswered.running:
            raise no_answer(self.socket)

    def _note_unanswered(self) -> TmuxError:
        """Have further calls refused at once until the server answers; the error of this one."""
        self._unanswered = Bounded(lambda: answers_again(self.socket))
        self._unanswered.start()
        return no_answer(self.socket)


def run_program(command: Sequence[str], data: bytes = b"", patience: float = 0.0) -> Answer:
    """Run tmux, through libtmux, with the small environment that a tmux server would keep if it started one.

    Raises TimeoutError after `patience` seconds (PATIENCE by default), or TmuxError where it can't be run.
    """
    bounded = bounded_command()
    from libtmux.exc import LibTmuxException

    try:
        done = bounded(command, data, patience or PATIENCE)
    except (LibTmuxException, OSError) as error:
        if isinstance(error, TimeoutError):
            raise
        raise TmuxError(f"tmux could not be run: {error}") from error
    return Answer(done.stdout, done.stderr, done.returncode)


def bounded_command() -> type[tmux_cmd]:
    """libtmux's command with a time limit; imported by one thread at a time, as its modules import each other."""
    with _importing:
        return _bounded_command()


@cache
def _bounded_command() -> type[tmux_cmd]:
    """libtmux's command with what that lacks: a time limit, an environment, and a stdin that is not the caller's."""
    from libtmux.common import tmux_cmd

    class BoundedCommand(tmux_cmd):
        def __init__(self, command: Sequence[str], data: bytes, patience: float) -> None:
            self.cmd = list(command)
            words = [word.encode("utf-8", "surrogateescape") for word in command]
            pipe = subprocess.PIPE
            environment = clean_environment()
            stdin = pipe if data else subprocess.DEVNULL
            client = subprocess.Popen(words, stdin=stdin, stdout=pipe, stderr=pipe, env=environment)
            try:
                output = client.communicate(data or None, timeout=patience)
            except subprocess.TimeoutExpired:
                # The other ends of the pipes are with the server, which is stopped: no use in waiting for them.
                client.kill()
                end(client)
                raise TimeoutError from None
            self.returncode = client.returncode
            self.stdout, self.stderr = lines_of(output)

    return BoundedCommand


def tmux_binary() -> str:
    """tmux's path.

    Raises TmuxMissing with what to install.
    """
    return find_binary(os.environ.get("PATH", ""))


@contextmanager
def memory_file(data: bytes) -> Iterator[str]:
    """The path of `data` in memory, for processes of this user."""
    fd = os.memfd_create("mcp-typed")
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        yield f"/proc/{os.getpid()}/fd/{fd}"


@cache
def find_binary(path: str) -> str:
    """The tmux on the search path `path`; one that is missing is looked for again at the next call."""
    found = shutil.which("tmux", path=path)
    if found is None:
        raise TmuxMissing("tmux is not installed", f"Install it: {install_hint()}")
    if version_of(found) < OLDEST:
        raise TmuxMissing(
            f"{version_text(found)} is too old, 3.2 or newer is needed", f"Install a newer one: {install_hint()}"
        )
    return found


@cache
def version_text(binary: str) -> str:
    """What a tmux says of its version, such as `tmux 3.3a`."""
    return " ".join(run_program([binary, "-V"]).stdout)


def version_of(binary: str) -> tuple[int, int]:
    """The version of a tmux; the oldest that will do where it gives no number."""
    match = re.search(r"(\d+)\.(\d+)", version_text(binary))
    return (int(match[1]), int(match[2])) if match else OLDEST


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


def clean_environment() -> dict[str, str]:
    """Of this process's environment, what a tmux client needs."""
    return {name: value for name, value in os.environ.items() if CLEAN.fullmatch(name)}


def preload() -> None:
    """Import what the first call would have to wait for."""
    bounded_command()


def no_answer(socket_path: str) -> TmuxError:
    """The error of a tmux server that is stopped, still starting, or too busy."""
    problem = f"tmux gave no answer within {PATIENCE:.0f} seconds"
    pid = server_at(socket_path)
    state, age = state_of(pid)
    if state == "T":
        return TmuxError(f"{problem}: its server (pid {pid}) is stopped", f"`kill -CONT {pid}` wakes it")
    if 0 <= age < STARTING:
        return TmuxError(
            f"{problem}: its server is still starting, which takes as long as your tmux.conf does", "Try again"
        )
    return TmuxError(problem, "Its server may be busy or stopped; see whether `tmux ls` answers in a terminal")


def server_at(socket_path: str) -> int:
    """The pid of the process that listens at a socket (Linux); 0 where that can't be told."""
    if not PEERCRED:
        return 0
    with socket.socket(socket.AF_UNIX) as probe, suppress(OSError):
        probe.settimeout(1.0)
        probe.connect(socket_path)
        credentials = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return int(struct.unpack("3i", credentials)[0])
    return 0


def state_of(pid: int) -> tuple[str, float]:
    """The kernel's letter for the state of a process, and its age in seconds; -1 where that can't be told."""
    found = read_process(pid) if pid else None
    if found is None:
        return "", -1.0
    with suppress(OSError, ValueError):
        up = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
        return found.state, up - found.started / os.sysconf("SC_CLK_TCK")
    return found.state, -1.0


def is_unreachable(messages: Sequence[str]) -> bool:
    """Whether a client has found no server at its socket."""
    text = " ".join(messages)
    return any(said in text for said in ("no server running", "error connecting", "server exited", "lost server"))


def refusal(messages: Sequence[str]) -> TmuxError:
    """tmux's complaint as an error that says what to do."""
    text = "; ".join(messages) or "no reason given"
    if "server exited unexpectedly" in text or "protocol version mismatch" in text:
        return TmuxError(
            f"tmux failed: {text}",
            "The running tmux server may be of another version than the program, and goes with its last session; "
            "set MCP_BG_TMUX_SOCKET to another name to give jobs a server of their own",
        )
    if "fork failed: No such" in text:  # what forkpty(3) says of a missing or empty /dev/pts
        return TmuxError(f"{NO_TERMINALS[0]} ({text})", NO_TERMINALS[1])
    return TmuxError(f"tmux refused: {text}")
