"""A world for one test: its own HOME, tmux sockets and state folder, and nobody left alive afterwards."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from support.rpc import HANDSHAKE_ERA, Answer, Server
from support.waiting import DEADLINE, wait_until

PYTHON = shlex.quote(sys.executable)
SESSION = "mcp-jobs"

# The rest of the tester's environment stays out: PAGER, LESS, EDITOR, TMUX, MCP_BG_* change what is tested.
_KEPT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "MCP_BG_PORTABLE")


class Sandbox:
    """Folders, environment, servers and the tmux server of one test.

    The folder's name is the mark: it stands in HOME and TMUX_TMPDIR of every process that was started here,
    so that survivors are found whoever their parent is by now.
    """

    def __init__(self) -> None:
        # Short: a unix socket's path has to fit into 104 bytes.
        self._began = time.time()
        self.root = Path(tempfile.mkdtemp(prefix=f"bg{uuid.uuid4().hex[:8]}-")).resolve()
        self.mark = self.root.name
        self.home = self.root / "home"
        self.work = self.root / "work"
        self.state = self.root / "state"
        self.sockets = self.root / "t"
        for folder in (self.home, self.work, self.sockets):
            folder.mkdir(mode=0o700)
        self.environment = {name: os.environ[name] for name in _KEPT if name in os.environ} | {
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "SHELL": "/bin/sh",
            "USER": "tester",
            "TMUX_TMPDIR": str(self.sockets),
            "MCP_BG_STATE_DIR": str(self.state),
            "BG_TEST_ID": self.mark,
        }
        self.servers: list[Server] = []
        self._seen: set[psutil.Process] = set()

    # servers and jobs

    def server(
        self,
        *,
        protocol: str = HANDSHAKE_ERA,
        arguments: Sequence[str] = (),
        umask: int = -1,
        without: Iterable[str] = (),
        **environment: str,
    ) -> Server:
        """Start a server and say hello; keyword arguments are added to its environment."""
        server = self.silent_server(protocol=protocol, arguments=arguments, umask=umask, without=without, **environment)
        return server.open()

    def silent_server(
        self,
        *,
        protocol: str = HANDSHAKE_ERA,
        arguments: Sequence[str] = (),
        umask: int = -1,
        without: Iterable[str] = (),
        program: Sequence[str] = (),
        **environment: str,
    ) -> Server:
        """Start a server without a word to it yet; `program` is another command line that starts one."""
        given = {**self.environment, **environment}
        for name in without:
            given.pop(name, None)
        errors = self.root / f"server-{len(self.servers)}.err"
        named = {"program": program} if program else {}
        server = Server(given, errors, arguments=arguments, protocol=protocol, cwd=self.work, umask=umask, **named)
        self.servers.append(server)
        return server

    def path(self, name: str) -> Path:
        """A file in the folder that jobs start in."""
        return self.work / name

    def records(self, session: str = SESSION) -> set[str]:
        """Ids of the job directories on disk."""
        folder = self.state / session
        return {entry.name for entry in folder.iterdir() if entry.is_dir()} if folder.is_dir() else set()

    def stored_bytes(self) -> Iterable[tuple[Path, bytes]]:
        """Every file under the state folder with what it holds; files may go while we look."""
        for path in sorted(self.state.rglob("*")):
            with contextlib.suppress(FileNotFoundError):
                if path.is_file():
                    yield path, path.read_bytes()

    # tmux

    def tmux(self, *arguments: str, check: bool = True, environment: Mapping[str, str] | None = None) -> str:
        """Run the person's tmux client; returns what it printed."""
        done = subprocess.run(
            ["tmux", *arguments],
            env={**self.environment, "TERM": "xterm-256color", **(environment or {})},
            cwd=self.work,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=DEADLINE,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"tmux {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout.rstrip("\n")

    def windows(self) -> dict[str, str]:
        """Job id → window id (`@n`) of the windows that carry one."""
        listed = self.tmux("list-windows", "-a", "-F", "#{window_id} #{@mcp_job_id}", check=False)
        pairs = [line.split(" ", 1) for line in listed.splitlines() if " " in line]
        return {job: window for window, job in pairs if job}

    def window(self, job_id: str) -> str:
        return self.windows()[job_id]

    def runner(self, job_id: str) -> psutil.Process:
        """The supervisor of a job: the process that its window was made with."""
        return psutil.Process(int(self.ask(job_id, "#{pane_pid}")))

    def ask(self, job_id: str, template: str) -> str:
        """What tmux says of a job's window, in tmux's own format language."""
        return self.tmux("display-message", "-p", "-t", self.window(job_id), template)

    def tmux_server(self) -> psutil.Process | None:
        pid = (
            self.tmux("display-message", "-p", "#{pid}", check=False)
            or self.tmux("list-sessions", "-F", "#{pid}", check=False).partition("\n")[0]
        )
        with contextlib.suppress(psutil.NoSuchProcess):  # it may end meanwhile
            return psutil.Process(int(pid)) if pid.isdigit() else None
        return None

    # processes

    def processes(self) -> list[psutil.Process]:
        """Living processes that carry the sandbox's mark, or descend from one that does."""
        alive = {process for process in psutil.process_iter() if self._is_ours(process)}
        for process in list(alive):
            with contextlib.suppress(psutil.Error):
                alive.update(child for child in process.children(recursive=True) if _lives(child))
        self._seen |= alive
        return sorted((process for process in self._seen if _lives(process)), key=lambda process: process.pid)

    def command_lines(self) -> list[list[str]]:
        """Those of the living processes."""
        found: list[list[str]] = []
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                found.append(process.cmdline())
        return found

    def _is_ours(self, process: psutil.Process) -> bool:
        if process.pid == os.getpid():
            return False
        try:
            # A second for the coarse clock of start times; whatever is older can't be ours.
            return (
                process.create_time() > self._began - 1
                and _lives(process)
                and (
                    any(self.mark in value for value in process.environ().values())
                    or any(self.mark in word for word in process.cmdline())
                )
            )
        except (psutil.Error, OSError):
            return False

    def with_words(self, *words: str) -> list[psutil.Process]:
        """Living processes whose command line ends so."""
        return [process for process in self.processes() if words_of(process)[-len(words) :] == list(words)]

    def clear(self) -> None:
        """Leave the servers and window 0 as they are, and nothing else: for the next test of a shared world."""
        for session in self.tmux("list-sessions", "-F", "#{session_name}", check=False).splitlines():
            self.tmux("detach-client", "-s", f"={session}", check=False)
            if session != SESSION:
                self.tmux("kill-session", "-t", f"={session}", check=False)
        self.tmux("kill-window", "-a", "-t", f"={SESSION}:0", check=False)
        wait_until(self._removed, what="the end of all records")
        for path in self.work.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    def _removed(self) -> bool:
        for job_id in self.records():
            # Its runner may write the end into it meanwhile.
            shutil.rmtree(self.state / SESSION / job_id, ignore_errors=True)
        return not self.records()

    def close(self) -> None:
        """End everything. Raises AssertionError for what outlives its tmux server and for noise on stdout."""
        self.processes()
        complaints = []
        for server in self.servers:
            server.close()
            if server.noise:
                complaints.append(f"not protocol on stdout: {server.noise[:3]!r}")
        for socket in (*self.sockets.rglob("*"), *self.root.glob("person*")):
            if socket.is_socket():
                self.tmux("-S", str(socket), "kill-server", check=False)
        try:
            wait_until(lambda: not self.processes(), every=0.05)
        except AssertionError:
            complaints.append("still alive after the tmux server ended: " + "; ".join(self._kill_leftovers()))
        shutil.rmtree(self.root, ignore_errors=True)
        assert not complaints, "\n".join(complaints)

    def _kill_leftovers(self) -> list[str]:
        described = []
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                described.append(f"{process.pid} {process.status()} {' '.join(process.cmdline())[:200]}")
                process.kill()
        return described


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def words_of(process: psutil.Process) -> list[str]:
    """A process's command line; empty for one that has ended meanwhile."""
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie that nobody reaped yet doesn't."""
    try:
        return _lives(psutil.Process(pid))
    except psutil.Error:
        return False


def ended(server: Server, job_id: str, timeout: float = DEADLINE) -> Answer:
    """Poll until the job has ended; returns its final status answer."""

    def final() -> Answer | None:
        answer = server.call("status", job_id=job_id)
        return answer if answer["status"] != "running" else None

    answer = wait_until(final, timeout, what=f"the end of job {job_id}")
    assert answer is not None
    return answer


def run_job(server: Server, command: str, /, **options: Any) -> Answer:
    """Execute a command and return its final status answer."""
    return ended(server, server.call("execute", command=command, **options)["job_id"])


def run_jobs(server: Server, commands: Sequence[str], /, **options: Any) -> list[Answer]:
    """Execute commands side by side; final status answers in the same order."""
    pending = [server.start("execute", command=command, **options) for command in commands]
    job_ids = [one.answer()["job_id"] for one in pending]
    return [ended(server, job_id) for job_id in job_ids]


def printed(server: Server, command: str, /, **options: Any) -> str:
    """Execute a command, wait for its end and return what it printed."""
    job = run_job(server, command, **options)
    text: str = server.call("output", job_id=job["job_id"])["stdout"]
    return text


def shows(server: Server, job_id: str, text: str, timeout: float = DEADLINE) -> str:
    """Wait until a job has printed a text; returns all its output."""

    def output() -> str:
        whole: str = server.call("output", job_id=job_id)["stdout"]
        return whole if text in whole else ""

    return wait_until(output, timeout, what=f"{text!r} in the output of {job_id}")


def timeless(listing: Answer) -> Answer:
    """A list of jobs without what is of the moment: how long those that run have run, and whether they wait."""
    of_the_moment = {"duration", "awaiting_input"}
    jobs = [
        {name: value for name, value in job.items() if job["status"] != "running" or name not in of_the_moment}
        for job in listing["jobs"]
    ]
    return {**listing, "jobs": jobs}
