"""What a person sees at 200x50, 80x24, 40x12 and 24x8, as text snapshots (tests/snapshots/screens).

`SNAPSHOTS=write uv run pytest tests/integration/test_screens.py` remakes them; their diff is the change.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator

import pytest

from support.person import Person
from support.rpc import Server
from support.sandbox import Sandbox, run_job, shows
from support.screens import check_screen, masked
from support.waiting import wait_until

WATCH = f"{shlex.quote(sys.executable)} -m mcp_background_job.ui.board"
SIGNS = {  # the border's end, that a job waits, and that a window is cut, as far as there is room
    200: [" took", "1 waiting"],
    80: [" took", "1 waiting", "cut at 80 of 200"],
    40: [" took", "1 waiting", "40/200"],
    24: ["24/200"],
}
SIZES = [(200, 50), (80, 24), (40, 12), (24, 8)]


@pytest.fixture(scope="module")
def world() -> Iterator[tuple[Sandbox, dict[str, str]]]:
    """Jobs in every state, and what their ids are masked as."""
    sandbox = Sandbox()
    try:
        yield sandbox, _start(sandbox, sandbox.server())
    finally:
        sandbox.close()


def _start(sandbox: Sandbox, server: Server) -> dict[str, str]:
    ids = {}

    def start(name: str, command: str, shown: str) -> None:
        job_id = ids[name] = server.call("execute", command=command, name=name, cwd="/usr")["job_id"]
        shows(server, job_id, shown)

    ids["tests"] = run_job(server, "echo 35 passed; echo 1 failed; exit 3", name="tests", cwd="/")["job_id"]
    ids["lint"] = run_job(server, "echo clean", name="lint", cwd="/")["job_id"]
    start("old", "echo going; exec sleep 1000", "going")
    server.call("kill", job_id=ids["old"])
    start("web", "seq 1 9; echo listening; exec sleep 1000", "listening")
    start("migrate", "printf 'Drop the table? '; read x", "table")
    start("deploy", "echo 'to production'; exec sleep 1000", "production")
    server.call("handoff", job_id=ids["deploy"], message="look at it")
    return {job_id: f"{number}ident" for number, job_id in enumerate(ids.values(), 1)}


def _is_settled(person: Person) -> str:
    """A screen that has all the jobs, CPU and bars included, and that no longer changes but in its clocks."""
    screen = person.screen()
    wide = int(person.ask("#{window_width}")) >= 60  # narrower ones have no CPU
    return screen if "prompt" in screen and "asked" in screen and (not wide or screen.count("%") == 3) else ""


@pytest.mark.promise("screens")
@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_the_board(world: tuple[Sandbox, dict[str, str]], columns: int, rows: int) -> None:
    sandbox, words = world
    person = Person(sandbox, WATCH, columns=columns, rows=rows)
    screen = wait_until(lambda: _is_settled(person))
    check_screen(f"board-{columns}x{rows}", masked(screen, words))
    person.press("?")
    person.sees("── keys")
    check_screen(f"board-help-{columns}x{rows}", masked(person.screen(), words))
    person.press("?", "a", "d")
    wait_until(lambda: re.search(r"\(\d\)", person.screen()) and "── deploy" in person.screen())
    screen = person.sees(" to production")
    check_screen(f"board-details-{columns}x{rows}", masked(screen, words))
    person.press("d", "/")
    person.type("/usr run")
    screen = person.sees("//usr run_  1 of 6")
    check_screen(f"board-filter-{columns}x{rows}", masked(screen, words))
    person.press("Escape", "q")
    person.sees("LEFT")


@pytest.mark.promise("screens")
@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_a_jobs_window(world: tuple[Sandbox, dict[str, str]], columns: int, rows: int) -> None:
    sandbox, words = world
    job_id = next(iter(words))
    person = Person(sandbox, columns=columns, rows=rows)
    wait_until(lambda: f"{columns}" in sandbox.tmux("list-clients", "-F", "#{client_width}").split())
    sandbox.tmux("select-window", "-t", sandbox.window(job_id))
    screen = person.sees("35 passed", "failed: exit 3", "deploy asks", *SIGNS[columns])
    check_screen(f"job-{columns}x{rows}", masked(screen, words))
    person.detach()
