"""Real programs in real tmux windows: which of them wait for input, and which only look like it.

Each runs as a job does: in a window of its own, below a small runner that makes it the terminal's foreground
group. Those that the machine doesn't have are skipped.
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from mcp_background_job.process import procfs
from mcp_background_job.process.input_state import Awaiting, awaiting_input, certain, terminal_of
from mcp_background_job.system import LINE_LIMIT
from support.interpreters import interpreter
from support.waiting import DEADLINE, stays_true, wait_until

pytestmark = [
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
    pytest.mark.skipif(not certain(), reason="this kernel doesn't tell who sleeps in a terminal read"),
]

EVERY = 0.02  # seconds between looks, about as often as `interact` looks

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

    def started(self) -> bool:
        return (self.folder / "started").exists()


class Tmux:
    """A tmux server of its own, with neither the person's configuration nor their sockets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runners: list[int] = []
        (folder / "home").mkdir()
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "USER") if name in os.environ}
        self.env = kept | {"HOME": str(folder / "home"), "TMUX_TMPDIR": str(folder), "TERM": "xterm"}

    def __call__(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", "-f", "/dev/null", *words], env=self.env, capture_output=True, text=True, timeout=DEADLINE
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def start(self, command: str) -> Job:
        folder = self.folder / f"job{len(self.runners)}"
        folder.mkdir()
        (folder / "text").write_text("line\n" * 300)
        new = ["new-window"] if self.runners else ["new-session", "-x120", "-y40"]
        runner = [sys.executable, "-I", "-S", "-c", RUNNER, str(folder / "pid"), "bash", "-c", command]
        facts = "#{pane_tty} #{pane_pid} #{pane_id}"
        tty, pid, window = self(*new, "-dPF", facts, "-c", str(folder), "--", *runner).split()
        self.runners.append(int(pid))
        wait_until((folder / "pid").exists, what="the job's process started")
        return Job(tty, int((folder / "pid").read_text()), window, folder)

    def type(self, job: Job, text: str) -> None:
        self("send-keys", "-t", job.window, "-l", "--", text)
        self("send-keys", "-t", job.window, "Enter")

    def end(self) -> None:
        ended = []
        for pid in self.runners:
            with suppress(psutil.NoSuchProcess):
                runner = psutil.Process(pid)
                # It adopts whatever its job leaves, so it goes last.
                while below := [process for process in runner.children(recursive=True) if lives(process)]:
                    for process in below:
                        process.kill()
                    ended += below
                runner.kill()
                ended.append(runner)
        subprocess.run(["tmux", "kill-server"], env=self.env, capture_output=True, timeout=DEADLINE)
        wait_until(lambda: not any(map(lives, ended)), what="all that the test started is gone")


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    server = Tmux(tmp_path)
    try:
        yield server
    finally:
        server.end()


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


def watch(jobs: list[Job], seconds: float) -> list[Counter[Awaiting | None]]:
    """What each of the jobs was said to wait for, in many looks."""
    seen: list[Counter[Awaiting | None]] = [Counter() for _ in jobs]

    def look() -> bool:
        for job, answers in zip(jobs, seen, strict=True):
            answers[job.look()] += 1
        return True

    stays_true(look, seconds, every=EVERY)
    return seen


def python(code: str) -> str:
    return f"exec {sys.executable} -c {shlex.quote(code)}"


def node(code: str) -> str:
    return f"exec node -e {shlex.quote(code)}"


def at_hand(command: str, needs: str) -> str:
    for need in needs.split():
        found = interpreter(need) if need.startswith("python") else shutil.which(need)
        if not found:
            pytest.skip(f"{need} is not here")
        command = command.replace(f"exec {need} ", f"exec {found} ")
    return command


CONNECTED = """
import socket
listening = socket.create_server(("127.0.0.1", 0))
connection = socket.create_connection(listening.getsockname())
"""
ASYNCIO = """
import asyncio, sys
async def main():
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.readline()
asyncio.run(main())
"""
REBASE = """
export GIT_CONFIG_GLOBAL=/dev/null GIT_EDITOR='vi -u NONE' GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a
export GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a
git init -q . && git commit -q --allow-empty -m 1 && git commit -q --allow-empty -m 2 && git rebase -i --root
"""
QUESTION = "readline.createInterface({input: process.stdin, output: process.stdout}).question('? ', () => {})"
# Whoever asks needn't be in sudoers: the password is asked for first. As root there is nobody to ask but another.
SUDO = "exec sudo -k true" if os.getuid() else "exec sudo -u nobody sudo -k true"


class Waiting(NamedTuple):
    name: str
    command: str
    answer: Awaiting
    needs: str = ""
    untraced: bool = True  # told without the right to trace as well


WAITING = [
    Waiting("cat", "exec cat", "prompt"),
    Waiting("a pipeline that begins at the terminal", "cat | sort", "prompt"),
    Waiting("dash read", "exec dash -c 'read x; echo'", "prompt", "dash"),
    Waiting("bash read", "read -p 'Name: ' x", "prompt"),
    Waiting("zsh read", "exec zsh -fc 'read x'", "prompt", "zsh"),
    Waiting("read from /dev/tty", "exec </dev/null; read x </dev/tty", "prompt"),
    Waiting("read with a time limit", "read -t 60 x", "prompt", untraced=False),
    Waiting("read beside a busy loop", "(while :; do :; done) & read x", "prompt"),
    Waiting("bash read -s", "read -s x", "password"),
    Waiting("zsh read -s", "exec zsh -fc 'read -s x'", "password", "zsh"),
    Waiting("bash read -n 1", "read -n 1 x", "screen"),
    Waiting("python input", python("input('Name: ')"), "prompt"),
    Waiting("python input in a thread", python("import threading; threading.Thread(target=input).start()"), "prompt"),
    Waiting("python input with readline", python("import readline; input('> ')"), "screen"),
    Waiting("python getpass", python("import getpass; getpass.getpass()"), "password"),
    Waiting("getpass beside a connection", python(CONNECTED + "import getpass; getpass.getpass()"), "password"),
    Waiting("a question on /dev/tty beside a connection", python(CONNECTED + "open('/dev/tty').readline()"), "prompt"),
    Waiting("asyncio", python(ASYNCIO), "prompt", untraced=False),
    Waiting("python 3.11", "exec python3.11 -q", "screen", "python3.11"),
    Waiting("python 3.12", "exec python3.12 -q", "screen", "python3.12"),
    Waiting("python 3.13", "exec python3.13 -q", "screen", "python3.13"),
    Waiting("pdb", python("breakpoint(); print()"), "screen"),
    Waiting("node", "exec node", "screen", "node"),
    Waiting("node reading lines", node("process.stdin.on('data', () => {})"), "prompt", "node", untraced=False),
    Waiting("node readline", node(QUESTION), "screen", "node"),
    Waiting("npm init", "exec npm init", "screen", "npm"),
    Waiting("bash -i", "exec bash --norc -i", "screen"),
    Waiting("zsh", "exec zsh -f", "screen", "zsh"),
    Waiting("fish", "exec fish --no-config", "screen", "fish"),
    Waiting("sqlite3", "exec sqlite3", "screen", "sqlite3"),
    Waiting("gdb", "exec gdb -q -nx", "screen", "gdb"),
    Waiting("less", "exec less text", "screen", "less"),
    Waiting("less at the end of a pipe", "cat text | less", "screen", "less"),
    Waiting("vi", "exec vi text", "screen", "vi"),
    Waiting("top", "exec top", "screen", "top"),
    Waiting("dialog", "exec dialog --yesno Sure? 7 40", "screen", "dialog"),
    Waiting("whiptail", "exec whiptail --yesno Sure? 7 40", "screen", "whiptail"),
    Waiting("git rebase -i", REBASE, "screen", "git vi"),
    # Neither locks nor changes anything, whatever the answer.
    Waiting("apt", "exec apt-get -o Debug::NoLocking=1 -d remove less", "prompt", "apt-get less"),
    Waiting("sudo", SUDO, "password", "sudo"),
    Waiting("read behind another terminal", "exec script -qc 'read x' /dev/null", "prompt", "script"),
]


@pytest.mark.parametrize("program", WAITING, ids=lambda program: program.name)
@pytest.mark.promise("awaiting-told")
def test_a_program_that_waits_is_told_as_what_it_waits_for(tmux: Tmux, program: Waiting) -> None:
    job = tmux.start(at_hand(program.command, program.needs))
    seen: list[Awaiting | None] = []

    def settled() -> bool:
        seen.append(job.look())
        return len(seen) > 15 and seen[-15:].count(program.answer) > 12  # top and node wake now and then

    if shows_calls(job) or program.untraced:
        wait_until(settled, what=program.name, every=EVERY)
    blind: list[Awaiting | None] = []

    def told() -> bool:
        blind.append(job.look())
        return len(blind) >= 5 and (program.answer in blind or not program.untraced)

    with untraced():
        wait_until(told, what=f"{program.name}, untraced", every=EVERY)
    assert set(seen) | set(blind) <= {program.answer, None}, "said to wait for something else"


class Working(NamedTuple):
    """A job that makes the file `started` when it is at work; `typed` goes to it once it waits."""

    name: str
    command: str
    typed: str = ""
    needs: str = ""


STARTED = "open('started', 'w').close(); "
NODE_STARTED = "require('fs').writeFileSync('started', ''); "
RAW = "import threading, time, tty; tty.setraw(0); "
LISTENING = "require('http').createServer(() => {}).listen(0, '127.0.0.1'); "
ASKED = """
const asking = readline.createInterface({input: process.stdin, output: process.stdout});
asking.question('? ', () => { asking.close(); require('fs').writeFileSync('started', ''); WORK });
"""
SERVE = LISTENING + "setTimeout(() => {}, 60000);"
SPAWN = "require('child_process').spawn('sleep', ['60'])"
# ssh with a command, or netcat: it passes on what is typed, but nobody may want it.
RELAY = """
import select
poll = select.poll()
poll.register(0, select.POLLIN)
poll.register(connection, select.POLLIN)
poll.poll()
"""

WORKING = [
    Working("sleep", "touch started; exec sleep 60"),
    Working("sleep below a shell", "touch started; sleep 60; echo"),
    Working("a prompt that nobody reads an answer to", "printf Password:; touch started; sleep 60"),
    Working("echo off, and nobody reads", "stty -echo; touch started; sleep 60"),
    Working("tail -f", "touch started; exec tail -f text"),
    Working("tail -f in a pipe", "touch started; tail -f text | grep x"),
    Working("busy loop", "touch started; while :; do :; done"),
    Working("yes in a pipe", "touch started; yes | head -n 10000000000 >/dev/null"),
    Working("build", "touch started; while :; do cat text | sort >/dev/null; done"),
    Working("stopped", "touch started; kill -STOP $$"),
    Working("reader in the background", "set -m; cat & touch started; sleep 60"),
    Working("python http.server", f"touch started; exec {sys.executable} -m http.server -b 127.0.0.1 0"),
    Working("node server", node(NODE_STARTED + LISTENING), needs="node"),
    Working("node server after a question", node(ASKED.replace("WORK", SERVE)), "yes", "node"),
    Working("node with a child after a question", node(ASKED.replace("WORK", SPAWN)), "yes", "node"),
    Working(
        "node with a timer after a question", node(ASKED.replace("WORK", "setTimeout(() => {}, 60000)")), "a", "node"
    ),
    Working("reading a connection", python(CONNECTED + STARTED + "connection.recv(1)")),
    Working("polling a connection and the terminal", python(CONNECTED + STARTED + RELAY)),
    Working("a child with its output captured", python(STARTED + "import os; os.popen('sleep 60').read()")),
    Working("raw, asleep", python(RAW + STARTED + "time.sleep(60)")),
    Working("raw, in a lock", python(RAW + STARTED + "threading.Event().wait()")),
    Working("raw, busy", python(RAW + STARTED + "\nwhile True: pass")),
    Working("command of bash -i", "exec bash --norc -i", "touch started; sleep 60"),
    Working("bash -i waiting for children", "exec bash --norc -i", "sleep 60 & touch started; wait"),
    Working("python asleep", f"exec {sys.executable} -q", STARTED + "import time; time.sleep(60)"),
    Working("python busy", f"exec {sys.executable} -q", STARTED + "sum(iter(int, 1))"),
    Working("python 3.13 asleep", "exec python3.13 -q", STARTED + "import time; time.sleep(60)", "python3.13"),
    Working("node busy", "exec node", NODE_STARTED + "for (;;) {}", "node"),
    Working("sqlite3 busy", "exec sqlite3", ".shell touch started; sleep 60", "sqlite3"),
    Working("sleep behind another terminal", "exec script -qc 'touch started; sleep 60' /dev/null", needs="script"),
]


@pytest.fixture(scope="module")
def working(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Counter[Awaiting | None]]:
    """What all of them were said to wait for in a good second, watched at once; half of it untraced."""
    server = Tmux(tmp_path_factory.mktemp("working"))
    jobs = {}
    try:
        for program in WORKING:
            with suppress(pytest.skip.Exception):
                jobs[program.name] = server.start(at_hand(program.command, program.needs))
        for program in WORKING:
            if program.typed and (job := jobs.get(program.name)):
                wait_until(job.look, what=program.name)
                server.type(job, program.typed)
        for name, job in jobs.items():
            wait_until(job.started, what=f"{name} is at work")
        seen = watch([*jobs.values()], 0.8)
        with untraced():
            blind = watch([*jobs.values()], 0.8)
        return {name: first + then for name, first, then in zip(jobs, seen, blind, strict=True)}
    finally:
        server.end()


@pytest.mark.parametrize("program", WORKING, ids=lambda program: program.name)
@pytest.mark.promise("awaiting-not-false")
def test_a_program_at_work_is_never_said_to_wait(
    working: dict[str, Counter[Awaiting | None]], program: Working
) -> None:
    if program.name not in working:
        pytest.skip(f"{program.needs} is not here")
    assert set(working[program.name]) == {None}


@pytest.mark.promise("awaiting-not-false")
def test_a_stopped_reader_waits_for_nothing_until_it_is_continued(tmux: Tmux) -> None:
    job = tmux.start("exec cat")
    wait_until(lambda: job.look() == "prompt")
    os.kill(job.pid, signal.SIGSTOP)
    wait_until(lambda: job.look() is None)
    assert set(watch([job], 0.2)[0]) == {None}
    os.kill(job.pid, signal.SIGCONT)
    wait_until(lambda: job.look() == "prompt")


def test_a_poll_taken_up_again_after_a_stop_still_counts(tmux: Tmux) -> None:
    job = tmux.start(
        python("import select, tty; tty.setraw(0); p = select.poll(); p.register(0, select.POLLIN); p.poll(60000)")
    )
    wait_until(lambda: job.look() == "screen")
    os.kill(job.pid, signal.SIGSTOP)
    wait_until(lambda: job.look() is None)
    os.kill(job.pid, signal.SIGCONT)
    wait_until(lambda: job.look() == "screen")


def test_a_reader_that_its_shell_left_behind_counts(tmux: Tmux) -> None:
    job = tmux.start("exec 3<&0; (cat <&3 &); touch started; exec sleep 60")
    wait_until(lambda: job.look() == "prompt")


@pytest.mark.promise("awaiting-told")
def test_a_shell_waits_again_when_its_command_has_ended(tmux: Tmux) -> None:
    job = tmux.start("exec bash --norc -i")
    wait_until(lambda: job.look() == "screen")
    tmux.type(job, "read x")
    wait_until(lambda: job.look() == "prompt")
    tmux.type(job, "read -s y")
    tmux.type(job, "read -s y")
    wait_until(lambda: job.look() == "password")
    tmux.type(job, "secret")
    wait_until(lambda: job.look() == "screen")


def settings(job: Job) -> tuple[bool, bool] | None:
    terminal = terminal_of(job.tty)
    return terminal and (terminal.canonical, terminal.echo)


def test_line_mode_and_echo_follow_the_program(tmux: Tmux) -> None:
    job = tmux.start("read x; read -s y; stty -icanon -echo; exec cat")
    wait_until(lambda: job.look() == "prompt")
    assert settings(job) == (True, True)
    tmux.type(job, "a")
    wait_until(lambda: job.look() == "password")
    assert settings(job) == (True, False)
    tmux.type(job, "b")
    wait_until(lambda: job.look() == "screen")
    assert settings(job) == (False, False)


def test_a_line_of_the_limit_goes_through_and_one_byte_more_does_not(tmux: Tmux) -> None:
    job = tmux.start("while read -r x; do echo ${#x} >>lengths; done")
    lengths = job.folder / "lengths"
    lengths.touch()
    wait_until(lambda: job.look() == "prompt")
    limit = LINE_LIMIT
    tmux.type(job, "x" * limit)
    wait_until(lambda: lengths.read_text().split() == [str(limit)])
    tmux.type(job, "x" * (limit + 1))
    wait_until(lambda: lengths.read_text().split() == [str(limit)] * 2, what="the last byte is lost")


@pytest.mark.promise("awaiting-not-false")
def test_an_ended_job_waits_for_nothing(tmux: Tmux) -> None:
    tmux.start("exec cat")  # keeps the session
    job = tmux.start("exec cat")
    wait_until(lambda: job.look() == "prompt")
    os.kill(job.pid, signal.SIGKILL)
    wait_until(lambda: job.look() is None)
    wait_until(lambda: terminal_of(job.tty) is None, what="the window is gone")
