"""Jobs and a session that the release before the rooms has started, under the program that took its place on disk."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import psutil
import pytest

from support.person import Person
from support.rpc import Answer, Server
from support.sandbox import SESSION, Sandbox, alive, ended, shows, words_of
from support.waiting import wait_until

TOP = Path(__file__).parents[2]
FLAT = "src/mcp_background_job/service.py"  # a file of the flat layout, which the move took away


def git(*arguments: str) -> bytes:
    done = subprocess.run(["git", "-C", str(TOP), *arguments], capture_output=True, timeout=120, check=False)
    return done.stdout if done.returncode == 0 else b""


def before_the_move() -> str:
    """The last commit of the flat layout; empty where this tree has no history."""
    moved = git("log", "-1", "--format=%H", "--no-renames", "--diff-filter=D", "--", FLAT).decode().strip()
    return f"{moved}^" if moved else ""


class Installed:
    """A copy of the program in the sandbox, which is replaced in place as an upgrade does it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.app = sandbox.root / "app"
        self.app.mkdir()
        archive = git("archive", before_the_move(), "src", "tmux.conf")
        subprocess.run(["tar", "-x", "-C", str(self.app)], input=archive, check=True, timeout=120)

    def upgrade(self) -> None:
        def is_gone() -> bool:  # a program that starts just now may write its bytecode there
            shutil.rmtree(self.app / "src", ignore_errors=True)
            return not (self.app / "src").exists()

        wait_until(is_gone)
        shutil.copytree(TOP / "src", self.app / "src", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(TOP / "tmux.conf", self.app / "tmux.conf")

    def server(self) -> Server:
        return self.sandbox.server(PYTHONPATH=str(self.app / "src"))


@pytest.fixture
def installed(sandbox: Sandbox) -> Installed:
    if not before_the_move():
        pytest.skip("the commit before the rooms is not in this tree's history")
    return Installed(sandbox)


def started(server: Server, command: str, **options: object) -> str:
    job_id: str = server.call("execute", command=f"echo up; {command}", **options)["job_id"]
    shows(server, job_id, "up\n")
    return job_id


@pytest.mark.promise("record-older")
def test_running_jobs_of_the_release_before_are_read_typed_into_and_end_rightly(
    sandbox: Sandbox, installed: Installed
) -> None:
    old = installed.server()
    cat, asks, sleeps, apart, limited = (
        started(old, "cat", name="cat"),
        started(old, "read x; exit $x"),
        started(old, "sleep 1000 & sleep 1000"),
        started(old, "cat; echo err >&2; exit 4", separate_stderr=True),
        started(old, "sleep 1000", timeout=15),
    )
    old.kill9()
    installed.upgrade()
    new = installed.server()
    assert {job["status"] for job in new.call("list")["jobs"]} == {"running"}
    assert new.call("status", job_id=cat)["name"] == "cat"
    assert "hello\n" in new.call("interact", job_id=cat, input="hello")["stdout"]
    assert new.call("interact", job_id=asks, input="5")["exit_code"] == 5
    shell = psutil.Process(new.call("status", job_id=sleeps)["pid"])
    children = wait_until(lambda: shell.children(recursive=True))
    assert new.call("kill", job_id=sleeps) == {"status": "killed"}
    assert not any(alive(child.pid) for child in children)

    # The old runner starts another log writer by the path that its launch file has.
    pid = sandbox.state / SESSION / cat / "logwriter.pid"
    writer = pid.read_text()
    psutil.Process(int(writer)).kill()
    # The file is there, and empty, a moment before the number is in it.
    wait_until(lambda: pid.exists() and pid.read_text() not in ("", writer))
    assert "again\n" in new.call("interact", job_id=cat, input="again")["stdout"]

    new.call("interact", job_id=apart, keys=["C-d"])
    found: Answer = ended(new, apart)
    assert (found["exit_code"], new.call("output", job_id=apart)["stderr"]) == (4, "err\n")
    assert ended(new, limited)["reason"] == "timeout"
    new.call("interact", job_id=cat, keys=["C-d"])
    assert ended(new, cat)["exit_code"] == 0


@pytest.mark.promise("pair-menu")
def test_the_board_and_the_menu_of_a_session_from_before_go_on(sandbox: Sandbox, installed: Installed) -> None:
    old = installed.server()
    job_id = started(old, "cat", name="mine")
    old.kill9()
    installed.upgrade()
    person = Person(sandbox, f"tmux attach -t {SESSION}:0")
    person.sees("mine")
    shell = psutil.Process(int(sandbox.tmux("display-message", "-p", "-t", f"={SESSION}:0", "#{pane_pid}")))
    [board] = wait_until(lambda: [one for one in shell.children() if "board" in " ".join(words_of(one))])
    board.kill()
    wait_until(lambda: [one for one in shell.children() if one.pid != board.pid], what="the board's next start")
    person.sees("mine")
    sandbox.tmux("select-window", "-t", sandbox.window(job_id))
    person.press("F12")
    person.sees("Take over")
    person.press("t")
    new = installed.server()
    wait_until(lambda: new.call("status", job_id=job_id)["holder"] == "human")
