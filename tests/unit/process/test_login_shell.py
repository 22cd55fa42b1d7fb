"""What a login shell is asked, tried on real shells with files that do what people's files do."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from mcp_background_job.process.login_shell import ASKER, Told, ask_login_shell, login_shell, parsed
from support.waiting import wait_until

MARK = "BG_TEST_SHELL"
# Per shell: the file that its interactive runs read, what exports a variable there, and what every login reads.
SHELLS = {
    "bash": (".bash_profile", "export ADDED='a b'"),
    "zsh": (".zshrc", "export ADDED='a b'"),
    "dash": (".profile", "export ADDED='a b'"),
    "ksh": (".kshrc", "export ADDED='a b'"),
    "fish": (".config/fish/config.fish", "set -gx ADDED 'a b'"),
    "tcsh": (".cshrc", "setenv ADDED 'a b'"),
}


class Home:
    """A person's home folder; what was started in it is found by its path, and nothing may be left."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.temporary = folder.parent / ("t" * 100)  # longer than a socket's path may be
        self.temporary.mkdir()

    def write(self, name: str, text: str) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text + "\n")

    def ask(self, shell: str, limit: float = 20.0, **more: str) -> Told:
        path = shutil.which(shell)
        if path is None:
            pytest.skip(f"{shell} is not installed")
        return ask_login_shell({**self.environment, "SHELL": path, **more}, limit)

    @property
    def environment(self) -> dict[str, str]:
        folder = str(self.folder)
        return {"HOME": folder, "PATH": "/usr/bin:/bin", "TMPDIR": str(self.temporary), MARK: folder}

    def processes(self) -> list[psutil.Process]:
        return [p for p in psutil.process_iter() if _environment(p).get(MARK) == str(self.folder)]


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ() if process.status() != psutil.STATUS_ZOMBIE else {}
    except psutil.Error:
        return {}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path / "home")
    made.folder.mkdir()
    yield made
    left = made.processes()
    for process in left:
        process.kill()
    assert not left, [process.cmdline() for process in left]
    assert not list(made.temporary.iterdir())


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.promise("login-environment")
def test_each_shell_tells_what_its_files_set(home: Home, shell: str) -> None:
    file, line = SHELLS[shell]
    home.write(file, line)
    found = home.ask(shell)
    assert found.problem == "" and found.environment is not None
    assert found.environment["ADDED"] == "a b" and found.environment[MARK] == str(home.folder)
    assert not found.environment.keys() & {"SHLVL", "PWD", "OLDPWD", "_", "MCP_BG_RESOLVING_ENVIRONMENT"}


@pytest.mark.promise("login-environment")
def test_login_and_interactive_files_both_count(home: Home) -> None:
    home.write(".zprofile", 'export PATH="/opt/brew:$PATH"')
    home.write(".zshrc", 'export PATH="/opt/node:$PATH"')
    assert (home.ask("zsh").environment or {})["PATH"].startswith("/opt/node:/opt/brew:")


@pytest.mark.promise("login-environment")
def test_values_are_byte_for_byte_and_functions_are_exported(home: Home) -> None:
    home.write(
        ".bash_profile", "export TWO=$'a\\nb=c\\n' BYTES=$'\\xff'; unset GONE; greet() { echo hi; }; export -f greet"
    )
    found = home.ask("bash", GONE="x", CI="1").environment or {}
    assert (found["TWO"], found["BYTES"], found["CI"]) == ("a\nb=c\n", "\udcff", "1")
    assert "GONE" not in found and "echo hi" in found["BASH_FUNC_greet%%"]


NOISY = {
    "prints": "echo motd; printf '\\033]0;title\\007'; echo error >&2; echo told >/dev/tty",
    "reads": "read -r answer; cat; stty -echo; export ASKED=1",
    "redirects": "exec >~/log 2>&1",
    "closes": 'exec 0<&- 1>&- 2>&-; for fd in 3 4 5 6 7 8 9; do eval "exec $fd>&-"; done',
    "fails": "false; (exit 3); trap 'exit 9' EXIT",
    "leaves": "sleep 300 & (sleep 300 &) ; coproc sleep 300",
    "stops-at-exit": "trap 'sleep 300' EXIT",
}


@pytest.mark.parametrize("noise", NOISY)
@pytest.mark.promise("login-environment", "login-noise")
def test_noise_is_dropped_and_nothing_is_left(home: Home, noise: str, capfd: pytest.CaptureFixture[str]) -> None:
    home.write(".bash_profile", f"export BEFORE=1\n{NOISY[noise]}\nexport AFTER=1")
    found = home.ask("bash")
    assert found.problem == "" and found.environment is not None
    assert found.environment["BEFORE"] == found.environment["AFTER"] == "1"
    assert capfd.readouterr() == ("", "")
    for path in home.folder.parent.rglob("*"):
        if path.is_file() and path.name != ".bash_profile":
            assert b"BEFORE=" not in path.read_bytes(), f"the environment is in {path}"


@pytest.mark.promise("login-noise")
def test_a_daemon_of_the_shells_stays_as_after_every_login(home: Home) -> None:
    home.write(".bash_profile", "setsid sleep 300 >/dev/null 2>&1 & export AGENT=$!; sleep 0.2")
    agent = psutil.Process(int((home.ask("bash").environment or {})["AGENT"]))
    assert agent.is_running() and agent.status() != psutil.STATUS_ZOMBIE
    agent.kill()
    wait_until(lambda: not home.processes())


@pytest.mark.parametrize(
    ("file", "line"),
    [
        (".bashrc", "case $- in *i*) exec cat;; esac"),
        (".bashrc", "case $- in *i*) exec tmux new-session;; esac"),
        (".bashrc", "case $- in *i*) exit 3;; esac"),
    ],
)
@pytest.mark.promise("login-failure")
def test_an_interactive_file_that_starts_another_program_costs_only_what_it_sets(
    home: Home, file: str, line: str
) -> None:
    home.write(".bash_profile", "export KEPT=1; . ~/.bashrc")
    home.write(file, line)
    found = home.ask("bash")
    assert (found.environment or {})["KEPT"] == "1" and "interactive" in found.problem


@pytest.mark.promise("login-failure")
def test_files_can_tell_that_nobody_is_there(home: Home) -> None:
    home.write(".bash_profile", '[ -z "$MCP_BG_RESOLVING_ENVIRONMENT$VSCODE_RESOLVING_ENVIRONMENT" ] && exec cat')
    assert home.ask("bash").problem == ""


HANGING = {
    "sleeps": "sleep 300",
    "ignores": "trap '' TERM HUP INT; while :; do sleep 300; done",
    "stops": "kill -STOP $$",
    "daemons": "setsid sleep 300 & nohup sleep 300 & (setsid sh -c 'sleep 300; :' &); sleep 300",
}


@pytest.mark.parametrize("hang", HANGING)
@pytest.mark.promise("login-failure")
def test_a_shell_that_hangs_is_killed_with_all_that_it_started(home: Home, hang: str) -> None:
    home.write(".bash_profile", HANGING[hang])
    began = time.monotonic()
    found = home.ask("bash", 1.0)
    assert found.environment is None and "in time" in found.problem
    assert time.monotonic() - began < 4  # the promise is a time
    assert not home.processes()


@pytest.mark.parametrize("script", ["#!/bin/sh\nexit 1", "#!/bin/sh\nexec cat", "not a program", "#!/no/such/shell"])
@pytest.mark.promise("login-failure")
def test_what_is_no_shell_is_told(home: Home, script: str) -> None:
    program = home.folder / "nu"
    program.write_text(script + "\n")
    program.chmod(0o755)
    found = ask_login_shell({**home.environment, "SHELL": str(program)}, 5.0)
    assert found.environment is None and found.shell == str(program) and found.problem


@pytest.mark.promise("login-failure")
def test_the_shell_ends_with_a_server_that_is_killed(home: Home) -> None:
    home.write(".bash_profile", "sleep 300")
    code = (
        "import subprocess, sys\n"
        f"subprocess.run([sys.executable, *{ASKER!r}, 'ask', '60', '/bin/bash'], start_new_session=True)"
    )
    server = subprocess.Popen([sys.executable, "-c", code], env=home.environment)
    try:
        wait_until(lambda: any(process.name() == "sleep" for process in home.processes()))
        os.kill(server.pid, signal.SIGKILL)
    finally:
        server.wait()
    wait_until(lambda: not home.processes() and not list(home.temporary.iterdir()))


def test_the_shell_is_that_of_the_variable_or_of_the_account(tmp_path: Path) -> None:
    mine = tmp_path / "myshell"
    mine.write_text("")
    mine.chmod(0o755)
    assert login_shell(str(mine)) == str(mine)
    assert login_shell("") == login_shell("bash") == login_shell("/no/such") != ""


def test_what_is_no_variable_is_left_out() -> None:
    assert parsed(b"A=1\0=x\0B\0C==\0SHLVL=3\0") == {"A": "1", "B": "", "C": "="}
