"""Real programs in real tmux windows: which of them wait for input, and which only look like it.

Each program runs as a job does: in a window of its own, under a small runner that is its parent and makes it the
terminal's foreground group. Those that the machine doesn't have are skipped.
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from mcp_background_job import procfs
from mcp_background_job.tty import Awaiting, awaiting_input, certain, echo_on, line_limit

pytestmark = [
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
    pytest.mark.skipif(not certain(), reason="this kernel doesn't tell who sleeps in a terminal read"),
]

PATIENCE = 25.0  # seconds; programs start slowly on a loaded machine
INTERVAL = 0.02  # of looking: as often as an interact looks

RUNNER = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER
pid = os.fork()
if not pid:
    os.setpgid(0, 0)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execvp(sys.argv[2], sys.argv[2:])
with open(sys.argv[1] + ".new", "w") as file:
    file.write(str(pid))
os.rename(sys.argv[1] + ".new", sys.argv[1])
os.waitpid(pid, 0)
"""


class Job(NamedTuple):
    tty: str
    pid: int
    window: str
    folder: Path

    def look(self) -> Awaiting | None:
        return awaiting_input(self.tty, self.pid)


class Tmux:
    """A tmux server of its own, with neither the person's configuration nor their sockets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        kept = ("PATH", "LANG", "LC_ALL", "USER", "LOGNAME")
        self.env = {name: os.environ[name] for name in kept if name in os.environ}
        (folder / "home").mkdir()
        self.env |= {"HOME": str(folder / "home"), "TMUX_TMPDIR": str(folder), "TERM": "xterm"}
        self.runners: list[int] = []

    def __call__(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", "-f", "/dev/null", *words], env=self.env, capture_output=True, text=True, timeout=PATIENCE
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def start(self, command: str) -> Job:
        folder = self.folder / f"job{len(self.runners)}"
        folder.mkdir()
        (folder / "text").write_text("line\n" * 300)
        runner = [sys.executable, "-I", "-S", "-c", RUNNER, str(folder / "pid"), "bash", "-c", command]
        verb = ["new-window", "-t", "test:"] if self.runners else ["new-session", "-s", "test", "-x120", "-y40"]
        said = self(
            *verb, "-dPF", "#{pane_tty} #{pane_pid} #{pane_id}", "-c", str(folder), "--", shlex.join(runner)
        )
        tty, runner_pid, window = said.split()
        self.runners.append(int(runner_pid))
        poll(lambda: (folder / "pid").exists(), "the job's process started")
        return Job(tty, int((folder / "pid").read_text()), window, folder)

    def type(self, job: Job, text: str, *keys: str) -> None:
        self("send-keys", "-t", job.window, "-l", "--", text, ";", "send-keys", "-t", job.window, *keys)

    def end(self) -> None:
        killed = []
        for pid in self.runners:
            try:
                runner = psutil.Process(pid)
                # A subreaper: whatever the job left is below it until it goes itself.
                while below := [p for p in runner.children(recursive=True) if p.status() != "zombie"]:
                    for process in below:
                        process.kill()
                    killed += below
                    psutil.wait_procs(below, timeout=5)
                runner.kill()
                killed.append(runner)
            except psutil.NoSuchProcess:
                continue
        subprocess.run(["tmux", "kill-server"], env=self.env, capture_output=True, timeout=PATIENCE)
        _, alive = psutil.wait_procs(killed, timeout=5)
        assert not alive


def poll(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(INTERVAL)


def watch(jobs: list[Job], seconds: float) -> list[Counter[Awaiting | None]]:
    """What each job was said to wait for, in many looks."""
    seen: list[Counter[Awaiting | None]] = [Counter() for _ in jobs]
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for job, answers in zip(jobs, seen, strict=True):
            answers[job.look()] += 1
        time.sleep(INTERVAL)
    return seen


@contextmanager
def untraced() -> Iterator[None]:
    """As for a plain user where Yama forbids tracing: wchan and the open descriptors are all there is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(procfs, "_NUMBERS", None)
        yield


def shows_calls(job: Job) -> bool:
    try:
        return bool(Path(f"/proc/{job.pid}/syscall").read_bytes())
    except OSError:
        return False


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    server = Tmux(tmp_path)
    yield server
    server.end()


class Program(NamedTuple):
    name: str
    command: str
    answer: Awaiting
    needs: tuple[str, ...] = ()
    untraced: bool = True  # told without reading its calls too


def python(code: str) -> str:
    return shlex.join(["exec", sys.executable, "-c", code])[1:].replace("exec'", "exec", 1)


