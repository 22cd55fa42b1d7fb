"""A job's window that a person splits, zooms and resizes: what the agent reads is what the person saw."""

from __future__ import annotations

import json
import os

import pytest

from support.rpc import Server
from support.sandbox import PYTHON, Sandbox, ended, shows
from support.terminal import cli
from support.waiting import wait_until

# Draws a bar of the terminal's width each time its size changes, and a line of 120 characters.
DRAWS = """
import os, signal, sys
def draw(*_):
    width = os.get_terminal_size().columns
    os.write(1, b"\\r\\x1b[K" + b"=" * (width - 1) + b"\\r" + b"width %d" % width)
signal.signal(signal.SIGWINCH, draw)
draw()
for line in sys.stdin:
    os.write(1, b"\\n" + line.strip().encode() * 12 + b"\\n")
    draw()
"""


@pytest.mark.promise("output-resized")
def test_a_resized_window_loses_no_line_and_garbles_none(server: Server, shared: Sandbox) -> None:
    shared.path("draws.py").write_text(DRAWS)
    job_id = server.call("execute", command=f"stty -echo; exec {PYTHON} draws.py")["job_id"]
    shows(server, job_id, "width 200")
    window = shared.window(job_id)
    for width, word in [(70, "abcdefghij"), (33, "klmnopqrst"), (150, "uvwxyzABCD")]:
        shared.tmux("resize-window", "-t", window, "-x", str(width), "-y", "20")
        shows(server, job_id, f"width {width}")
        server.call("interact", job_id=job_id, input=word, pattern=rf"^(?:{word}){{12}}$", timeout=50)
    shared.tmux("split-window", "-h", "-d", "-t", window, "sleep 1000")
    shows(server, job_id, "width 75")
    seen = [line.rstrip() for line in shared.tmux("capture-pane", "-p", "-J", "-S", "-", "-t", window).split("\n")]
    server.call("interact", job_id=job_id, keys=["C-d"])
    ended(server, job_id)
    text = server.call("output", job_id=job_id)["stdout"]
    lines = [line for line in text.splitlines() if line]
    assert lines == [line for line in seen if line]
    for word in ("abcdefghij", "klmnopqrst", "uvwxyzABCD"):
        assert word * 12 in lines
    assert server.call("tail", job_id=job_id, lines=3)["stdout"].splitlines() == text.splitlines()[-3:]
    shared.tmux("kill-pane", "-a", "-t", window, check=False)


def cast(sandbox: Sandbox, job_id: str, *options: str) -> tuple[dict[str, object], list[list[object]]]:
    header, *events = map(json.loads, cli(sandbox, "export", *options, job_id, "--cast").stdout.splitlines())
    return header, events


@pytest.mark.promise("output-resized", "cast")
def test_a_cast_follows_the_size(server: Server, shared: Sandbox) -> None:
    job_id = server.call("execute", command="echo one; read x; echo two; read x; echo three")["job_id"]
    shows(server, job_id, "one")
    window = shared.window(job_id)
    for columns, rows in [(80, 24), (100, 30)]:
        shared.tmux("resize-window", "-t", window, "-x", str(columns), "-y", str(rows + 1))
        wait_until(lambda: shared.tmux("display", "-p", "-t", window, "#{pane_width}") == str(columns))  # noqa: B023
        wait_until(lambda: columns_of(shared, window) == columns)  # noqa: B023
        server.call("interact", job_id=job_id, input="x")
    ended(server, job_id)
    header, events = cast(shared, job_id)
    assert (header["version"], header["width"], header["height"]) == (2, 200, 50)
    assert [data for _, kind, data in events if kind == "r"] == ["80x24", "100x30"]
    v3, steps = cast(shared, job_id, "--format", "3")
    assert (v3["version"], v3["term"]) == (3, {"cols": 200, "rows": 50, "type": v3["term"]["type"]})  # type: ignore[index]
    assert [event[1:] for event in steps] == [*(event[1:] for event in events), ["x", "0"]]
    assert all(float(str(at)) >= 0 for at, _, _ in steps)
    assert sum(float(str(at)) for at, _, _ in steps[:-1]) == pytest.approx(float(str(events[-1][0])), abs=0.002)
    kinds = "".join(str(kind) for _, kind, _ in events)
    assert kinds.index("r") > 0 and kinds.rindex("o") > kinds.rindex("r")


def columns_of(sandbox: Sandbox, window: str) -> int:
    """How wide a window's terminal says it is."""
    terminal = os.open(sandbox.tmux("display", "-p", "-t", window, "#{pane_tty}"), os.O_RDONLY | os.O_NOCTTY)
    try:
        return os.get_terminal_size(terminal).columns
    finally:
        os.close(terminal)
