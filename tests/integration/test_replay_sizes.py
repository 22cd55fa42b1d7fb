"""A replay of a job whose window was resized says so, where it was; the person's own terminal keeps its size."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

import pytest

from support.person import Person
from support.rpc import Server
from support.sandbox import PYTHON, Sandbox, ended, shows
from support.terminal import COMMAND, cli
from support.waiting import wait_until

# A full-screen program that draws itself anew, in its first row, when its size changes.
FULL_SCREEN = """
import os, signal, sys
def draw(*_):
    os.write(1, b"\\x1b[H\\x1b[2Jdrawn for %d columns" % os.get_terminal_size().columns)
os.write(1, b"\\x1b[?1049h")
signal.signal(signal.SIGWINCH, draw)
draw()
sys.stdin.readline()
"""


def resized(server: Server, sandbox: Sandbox, job_id: str, columns: int, rows: int) -> None:
    """Resize a job's window; the log writer sees it with the next output."""
    window = sandbox.window(job_id)
    sandbox.tmux("resize-window", "-t", window, "-x", str(columns), "-y", str(rows + 1))
    terminal = os.open(sandbox.tmux("display", "-p", "-t", window, "#{pane_tty}"), os.O_RDONLY | os.O_NOCTTY)
    try:
        wait_until(lambda: os.get_terminal_size(terminal) == (columns, rows))
    finally:
        os.close(terminal)


def sizes_of(sandbox: Sandbox, job_id: str) -> Sequence[str]:
    events = [json.loads(line) for line in cli(sandbox, "export", job_id, "--cast").stdout.splitlines()[1:]]
    return [data for _, kind, data in events if kind == "r"]


@pytest.fixture
def lines(server: Server, shared: Sandbox) -> str:
    """A job that prints red lines, whose window was resized twice, the second time in the middle of a line."""
    command = r"stty -echo; printf '\033[31mone\n'; read x; printf 'two\npart'; read x; printf ' whole\nthree\n'; cat"
    job_id: str = server.call("execute", command=command)["job_id"]
    for word, size in (("one", (80, 24)), ("part", (100, 30))):
        shows(server, job_id, word)
        resized(server, shared, job_id, *size)
        server.call("interact", job_id=job_id, input="x")
    shows(server, job_id, "three")
    server.call("interact", job_id=job_id, keys=["C-d"])
    ended(server, job_id)
    assert sizes_of(shared, job_id) == ["80x24", "100x30"]
    return job_id


@pytest.mark.promise("replay-resized")
def test_between_lines_it_is_a_line_of_its_own(shared: Sandbox, lines: str) -> None:
    person = Person(shared, f"{COMMAND} replay -s max {lines} 2>/dev/null; echo status $?", columns=200, rows=50)
    try:
        shown = [line.strip() for line in person.sees("status 0").splitlines()]
        begun = shown.index("one")
        assert shown[begun : begun + 8] == [
            *["one", "the window was resized: 80x24", "two", "part", "the window was resized: 100x30"],
            *["whole", "three", "status 0"],
        ]
        three = next(line for line in person.screen(colours=True).splitlines() if "three" in line)
        assert "\x1b[" not in three or "\x1b[31m" in three, "what comes behind it has the colour that it had"
        assert "\x1b[31m" in person.screen(colours=True)
    finally:
        person.close()


@pytest.mark.promise("replay-resized")
def test_in_a_pipe_it_is_said_beside_the_output(shared: Sandbox, lines: str) -> None:
    done = cli(shared, "replay", "-s", "max", lines)
    assert done.stdout == "\x1b[31mone\ntwo\npart whole\nthree\n"
    assert [line.partition("resized: ")[2] for line in done.stderr.splitlines()] == ["80x24", "100x30"]


@pytest.mark.promise("replay-resized")
def test_over_a_full_screen_program_it_stands_until_that_draws_there(server: Server, shared: Sandbox) -> None:
    shared.path("full.py").write_text(FULL_SCREEN)
    job_id = server.call("execute", command=f"stty -echo; exec {PYTHON} full.py")["job_id"]
    wait_until(lambda: "200 columns" in server.call("screen", job_id=job_id)["screen"])
    resized(server, shared, job_id, 70, 20)
    wait_until(lambda: "70 columns" in server.call("screen", job_id=job_id)["screen"])
    server.call("interact", job_id=job_id, input="x")
    ended(server, job_id)
    person = Person(shared, f"{COMMAND} replay --max-idle 1 {job_id} 2>/dev/null; echo status $?", columns=200, rows=50)
    try:
        shown = person.sees("the window was resized: 70x20").splitlines()
        assert shown[-1].strip() == "the window was resized: 70x20"
        assert shown[0].strip() == "drawn for 200 columns", "held for a moment, or the program's drawing would hide it"
        after = person.sees("status 0")
        assert "resized" not in after and "drawn" not in after
    finally:
        person.close()
