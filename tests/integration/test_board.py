"""The board: window 0 of the session and `watch`, as a person at a terminal sees and uses it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from support.person import Person
from support.rpc import Server
from support.sandbox import Sandbox, ended, run_job, shows, words_of
from support.scale import slowness
from support.waiting import stays_true, wait_until

WATCH = f"{shlex.quote(sys.executable)} -m mcp_background_job.ui.board"


@pytest.fixture
def sandbox(cleared: Sandbox) -> Sandbox:
    """The world of this file, without the windows and records of the tests before."""
    return cleared


@pytest.fixture
def alone() -> Iterator[Sandbox]:
    """A world of its own, for tests that change the tmux server or break things."""
    world = Sandbox()
    yield world
    world.close()


def _line(person: Person, job_id: str) -> str:
    return next((line for line in person.screen().splitlines() if job_id in line), "")


def _shows_line(person: Person, job_id: str, *texts: str) -> str:
    return wait_until(
        lambda: line if all(text in (line := _line(person, job_id)) for text in texts) else "",
        15,
        what=f"{texts} in the line of {job_id}",
    )


def _choose(person: Person, job_id: str) -> None:
    """Move the mark to a job, a key at a time: window 0's board has it where the test before has left it."""

    def rows() -> tuple[int, ...]:
        """Where the mark is, and the job."""
        lines = person.screen().splitlines()
        mark = [number for number, line in enumerate(lines) if line.startswith(">")]
        job = [number for number, line in enumerate(lines) if job_id in line]
        return (*mark[:1], *job[:1]) if mark and job else ()

    for _ in range(20):
        mark, job = wait_until(rows)
        if mark == job:
            return
        person.press("Down" if mark < job else "Up")
        wait_until(lambda mark=mark: rows()[:1] not in ((), (mark,)))  # type: ignore[misc]
    raise AssertionError(f"{job_id} could not be chosen")


def _board(sandbox: Sandbox) -> psutil.Process:
    """The program in window 0."""

    def found() -> psutil.Process | None:
        pid = int(sandbox.tmux("display-message", "-p", "-t", "=mcp-jobs:0", "#{pane_pid}"))
        running = [one for one in psutil.Process(pid).children() if "mcp_background_job.ui.board" in words_of(one)]
        return running[0] if running else None

    process = wait_until(found, what="the board's process")
    assert process is not None
    return process


@pytest.mark.promise("pair-signs", "pair-board")
def test_window_0_shows_every_job_with_its_state_time_and_last_line(sandbox: Sandbox, server: Server) -> None:
    runs = server.call("execute", command="echo first; echo the last line; exec sleep 1000", name="runs")["job_id"]
    asks = server.call("execute", command="read -s -p 'Password: ' x", name="asks")["job_id"]
    broken = run_job(server, "echo bad; exit 3", name="broken")["job_id"]
    person = Person(sandbox, columns=80, rows=24)
    _shows_line(person, runs, "● ", "running", "runs", "s ", "the last line")
    _shows_line(person, asks, "? ", "password", "asks", "Password:")
    _shows_line(person, broken, "✗ ", "exit 3", "broken", "bad")
    _shows_line(person, runs, "%", "M ")  # CPU and memory come with the second look
    screen = person.sees("1 failed", "1 running", "1 waiting")
    assert all(len(line) <= 80 for line in screen.splitlines())


@pytest.mark.promise("pair-board")
def test_enter_goes_to_the_jobs_window_and_prefix_0_comes_back(sandbox: Sandbox, server: Server) -> None:
    first = server.call("execute", command="echo in the first; cat", name="first")["job_id"]
    server.call("execute", command="echo in the second; cat", name="second")
    person = Person(sandbox, columns=120, rows=30)
    _choose(person, first)
    person.press("Enter")
    person.sees(f"first {first} since", "in the first\n")
    person.press("C-b", "0")
    person.sees("LAST LINE")


def test_a_board_moves_only_the_one_who_pressed_enter(sandbox: Sandbox, server: Server) -> None:
    job_id = server.call("execute", command="echo in the job; cat", name="job")["job_id"]
    one = Person(sandbox, "tmux new-session -t mcp-jobs", columns=120, rows=30)
    other = Person(sandbox, columns=120, rows=30)
    for person in (one, other):
        person.press("C-b", "0")
        person.sees("LAST LINE")
    # tmux knows in whole seconds only who was active last.
    active = max(map(int, sandbox.tmux("list-clients", "-F", "#{client_activity}").split()))
    wait_until(lambda: time.time() >= active + 1)
    _choose(one, job_id)
    one.press("Enter")
    wait_until(lambda: "LAST LINE" not in one.screen() and "in the job" in one.screen())
    assert "LAST LINE" in other.screen()


@pytest.mark.promise("pair-handback")
def test_t_takes_over_and_hands_back(sandbox: Sandbox, server: Server) -> None:
    job_id = server.call("execute", command="echo up; cat", name="talk")["job_id"]
    shows(server, job_id, "up")
    person = Person(sandbox, columns=100, rows=24)
    _choose(person, job_id)
    person.press("t")
    _shows_line(person, job_id, "@ ", "held")
    assert server.call("status", job_id=job_id)["holder"] == "human"
    wait_until(lambda: sandbox.ask(job_id, "#{@mcp_holder}") == "human")
    person.press("t")
    _shows_line(person, job_id, "prompt")
    assert server.call("status", job_id=job_id)["holder"] == "agent"


@pytest.mark.promise("pair-handoff")
def test_what_an_agent_asks_stands_above_all_jobs(sandbox: Sandbox, server: Server) -> None:
    job_id = server.call("execute", command="echo up; cat", name="deploy")["job_id"]
    server.call("execute", command="sleep 1000", name="later")
    person = Person(sandbox, columns=80, rows=24)
    person.sees("later")
    message = "please type the deploy password, which is in the safe behind the coffee machine on the third floor"
    server.call("handoff", job_id=job_id, message=message)

    def above() -> bool:
        """The status line has the message too, and may have it earlier."""
        lines = person.screen().splitlines()
        return message in " ".join(line.strip() for line in lines[1:3]) and job_id in lines[4]

    wait_until(above)


@pytest.mark.promise("kill-asks", "pair-board")
def test_k_kills_after_asking(sandbox: Sandbox, server: Server) -> None:
    job_id = server.call("execute", command="echo up; exec sleep 1000", name="doomed")["job_id"]
    person = Person(sandbox, columns=80, rows=24)
    _choose(person, job_id)
    person.press("x")
    person.sees("Kill doomed")
    person.press("n")
    wait_until(lambda: "Kill doomed" not in person.screen())
    assert server.call("status", job_id=job_id)["status"] == "running"
    person.press("K")
    person.sees("Kill doomed")
    person.press("y")
    assert ended(server, job_id)["reason"] == "kill"
    _shows_line(person, job_id, "■ ", "killed")


def test_c_shows_the_command_and_question_mark_the_keys(sandbox: Sandbox, server: Server) -> None:
    job_id = server.call("execute", command="echo one\necho 'two  #[bg=red]'; cat", name="lines")["job_id"]
    person = Person(sandbox, columns=80, rows=24)
    _choose(person, job_id)
    person.press("c")
    person.sees("echo 'two  #[bg=red]'; cat", " echo one\n", f"in {sandbox.work}")
    person.press("?")
    person.sees("kill it (asks first)")
    person.press("?")
    wait_until(lambda: "asks first" not in person.screen())


def test_q_leaves_watch_and_not_window_0(sandbox: Sandbox, server: Server) -> None:
    server.call("execute", command="cat", name="talk")
    inside = Person(sandbox, columns=80, rows=24)
    inside.sees("LAST LINE")
    inside.press("q")
    inside.sees("keeps the session")
    outside = Person(sandbox, WATCH, columns=80, rows=24)
    outside.sees("talk")
    outside.press("q")
    outside.sees("LEFT")


def test_watch_goes_to_a_job_and_is_back_after_detaching(sandbox: Sandbox, server: Server) -> None:
    job_id = server.call("execute", command="echo in the job; cat", name="talk")["job_id"]
    person = Person(sandbox, WATCH, columns=100, rows=24)
    _choose(person, job_id)
    person.press("Enter")
    person.sees(f"talk {job_id} since")
    person.press("C-b", "d")
    person.sees("LAST LINE")
    person.press("q")
    person.sees("LEFT")


@pytest.mark.promise("text-is-text")
def test_what_jobs_print_and_are_called_is_shown_and_not_obeyed(sandbox: Sandbox, server: Server) -> None:
    job_id = server.call(
        "execute",
        command=r"printf '\033[41mred\033[0m [bold]b[/bold] #[fg=red]x\a\033]0;title\a'; cat",
        name="[red]n[/red] #[bg=red]",
    )["job_id"]
    person = Person(sandbox, columns=160, rows=24)
    _shows_line(person, job_id, "[red]n[/red] #[bg=red]", "red [bold]b[/bold] #[fg=red]x")


def test_a_resized_terminal_is_drawn_anew_and_a_long_list_scrolls(sandbox: Sandbox, server: Server) -> None:
    ids = [server.call("execute", command="exec sleep 1000", name=f"n{number}")["job_id"] for number in range(30)]
    person = Person(sandbox, columns=80, rows=15)
    wait_until(lambda: ids[-1] in person.screen())
    assert ids[0] not in person.screen()
    person.press("G")
    wait_until(lambda: _line(person, ids[0]).startswith(">"))
    person.press("g")
    wait_until(lambda: _line(person, ids[-1]).startswith(">"))
    person._outer("resize-window", "-x", "120", "-y", "45")
    wait_until(lambda: all(job_id in person.screen() for job_id in ids))


def _clicks(person: Person, job_id: str, button: int = 0) -> None:
    """Press and let go of a mouse button on a job's line, as a terminal tells it."""
    lines = person.screen().splitlines()
    row = next(number for number, line in enumerate(lines) if job_id in line) + 1
    person.type(f"\x1b[<{button};20;{row}M\x1b[<{button};20;{row}m")


def _names(person: Person) -> list[str]:
    """The names in the table, from the top."""
    return [line[19:].split()[0] for line in person.screen().splitlines() if re.match(r"[> ]\S \w{6} \w", line)]


@pytest.mark.promise("board-finds")
def test_typing_shows_only_the_jobs_that_match_and_escape_all_again(sandbox: Sandbox, server: Server) -> None:
    folder = sandbox.path("shop")
    folder.mkdir(exist_ok=True)
    server.call("execute", command="exec sleep 1000", name="xkq-web", cwd=str(folder))
    server.call("execute", command="exec sleep 1001", name="other")
    run_job(server, f"true {'x' * 300} needle; exit 3", name="broken")
    person = Person(sandbox, WATCH, columns=80, rows=24)
    wait_until(lambda: sorted(_names(person)) == ["broken", "other", "xkq-web"])
    for wanted, found in (("xkq", ["xkq-web"]), ("shop", ["xkq-web"]), ("1001", ["other"]), ("EXIT 3", ["broken"])):
        person.press("/")
        person.type(wanted)
        person.sees(f"/{wanted}_  1 of 3 jobs")
        wait_until(lambda found=found: _names(person) == found)  # type: ignore[misc]
        person.press("Escape")
        wait_until(lambda: len(_names(person)) == 3 and "Escape: all" not in person.screen())
    person.press("/")
    person.type("needle")  # beyond what a list shows of a command
    wait_until(lambda: _names(person) == ["broken"])
    person.press("BSpace", "x")
    person.sees("No job matches.")
    person.press("C-u", "o", "t", "h", "Enter")
    wait_until(lambda: _names(person) == ["other"])
    person.press("t")
    person.sees("/oth  1 of 3 jobs", "held", "you hold it since")
    person.press("q")
    person.sees("LEFT")


@pytest.mark.promise("board-finds")
def test_a_groups_the_jobs_by_agent_and_folder(sandbox: Sandbox, server: Server) -> None:
    folder = sandbox.path("shop")
    folder.mkdir(exist_ok=True)
    for name, cwd in (("one", sandbox.work), ("two", folder), ("three", sandbox.work)):
        server.call("execute", command="exec sleep 1000", name=name, cwd=str(cwd))
    person = Person(sandbox, WATCH, columns=120, rows=24)
    wait_until(lambda: _names(person) == ["three", "two", "one"])
    person.press("a")
    wait_until(lambda: _names(person) == ["three", "one", "two"])
    lines = person.sees(f"in {sandbox.work} (2)", f"in {folder} (1)").splitlines()
    assert lines[2].endswith(f"in {sandbox.work} (2)") and lines[5].endswith(f"in {folder} (1)")
    person.press("Down", "Down")
    wait_until(lambda: person.screen().splitlines()[6].startswith(">"))
    person.press("a")
    wait_until(lambda: _names(person) == ["three", "two", "one"])


def test_details_show_the_last_lines_as_they_come(sandbox: Sandbox, server: Server) -> None:
    job_id = server.call("execute", command="seq 100 120; while read x; do echo got $x; done", name="talk")["job_id"]
    person = Person(sandbox, WATCH, columns=80, rows=24)
    _choose(person, job_id)
    person.press("d")
    lines = person.sees("── talk", f"in {sandbox.work}, for ", "CPU ", " 119\n").splitlines()
    assert next(number for number, line in enumerate(lines) if line.startswith("── talk")) == 12
    assert lines[23] == " 120"
    server.call("interact", job_id=job_id, input="hello")
    wait_until(lambda: person.screen().splitlines()[23] == " got hello")
    person._outer("resize-window", "-x", "40", "-y", "12")
    wait_until(lambda: person.screen().splitlines()[6].startswith("── talk") and " got hello" in person.screen())
    person.press("d")
    wait_until(lambda: "── talk" not in person.screen())


@pytest.mark.promise("pair-board")
def test_who_ended_a_job_and_since_when_one_waits(alone: Sandbox) -> None:
    sandbox, server = alone, alone.server()
    asks = server.call("execute", command="read -p 'Name? ' x", name="asks")["job_id"]
    killed = server.call("execute", command="echo up; exec sleep 1000", name="doomed")["job_id"]
    server.call("kill", job_id=killed)
    timed = run_job(server, "echo up; exec sleep 1000", name="slow", timeout=1)["job_id"]
    shut = server.call("execute", command="echo up; exec sleep 1000", name="shut")["job_id"]
    shows(server, shut, "up")
    sandbox.tmux("kill-window", "-t", sandbox.window(shut))
    person = Person(sandbox, WATCH, columns=160, rows=24)
    _shows_line(person, killed, "■ ", "killed by ", ": up")
    _shows_line(person, timed, "■ ", "timeout of 1s: up")
    _shows_line(person, shut, "■ ", "closed", "window closed: up")
    # Since it printed its question, though the board has only just begun to look.
    log = next((sandbox.state / "mcp-jobs" / asks / "log").iterdir())
    os.utime(log, (time.time() - 190, time.time() - 190))
    later = Person(sandbox, WATCH, columns=160, rows=24)
    _shows_line(later, asks, "? ", "waits for you since 3m: Name?")


@pytest.mark.promise("board-mouse")
@pytest.mark.parametrize("inside", [True, False], ids=["window 0", "watch"])
def test_a_click_chooses_and_another_goes_to_the_window(sandbox: Sandbox, server: Server, inside: bool) -> None:
    ids = [
        server.call("execute", command=f"echo in job {number}; exec sleep 1000", name=f"n{number}")["job_id"]
        for number in range(9)
    ]
    if inside:
        sandbox.tmux("set-option", "-t", "=mcp-jobs:", "mouse", "on")
        sandbox.tmux("select-window", "-t", "=mcp-jobs:0")
    person = Person(sandbox, *(() if inside else (WATCH,)), columns=80, rows=24)
    wait_until(lambda: all(job_id in person.screen() for job_id in ids))
    if inside:
        asks = ("display-message", "-p", "-t", "=mcp-jobs:0", "#{mouse_any_flag}")
        wait_until(lambda: sandbox.tmux(*asks).strip() == "1", what="the board's wish for clicks")
    _clicks(person, ids[2])
    _shows_line(person, ids[2], ">")
    _clicks(person, ids[5])
    _shows_line(person, ids[5], ">")
    _clicks(person, ids[8], 65)
    _shows_line(person, ids[2], ">")
    _clicks(person, ids[8], 64)
    _shows_line(person, ids[5], ">")
    _clicks(person, ids[7])
    _shows_line(person, ids[7], ">")
    _clicks(person, ids[7])
    person.sees(f"n7 {ids[7]} since", "in job 7")
    sandbox.tmux("set-option", "-u", "-t", "=mcp-jobs:", "mouse")


@pytest.mark.promise("board-mouse")
def test_a_person_without_tmuxs_mouse_keeps_their_terminals_own(sandbox: Sandbox, server: Server) -> None:
    job_id = server.call("execute", command="exec sleep 1000", name="runs")["job_id"]
    person = Person(sandbox, columns=80, rows=24)
    sandbox.tmux("select-window", "-t", "=mcp-jobs:0")
    _shows_line(person, job_id, "running")
    wait_until(lambda: person.ask("#{mouse_any_flag}") == "0")
    sandbox.tmux("set-option", "-t", "=mcp-jobs:", "mouse", "on")
    asks = ("display-message", "-p", "-t", "=mcp-jobs:0", "#{mouse_any_flag}")
    wait_until(lambda: sandbox.tmux(*asks).strip() == "1")
    sandbox.tmux("set-option", "-u", "-t", "=mcp-jobs:", "mouse")
    wait_until(lambda: sandbox.tmux(*asks).strip() == "0")
    wait_until(lambda: person.ask("#{mouse_any_flag}") == "0")
    outside = Person(sandbox, WATCH, columns=80, rows=24)
    _shows_line(outside, job_id, "running")
    assert outside.ask("#{mouse_any_flag}") == "1"
    outside.press("q")
    outside.sees("LEFT")
    assert outside.ask("#{mouse_any_flag}") == "0"


def test_a_board_with_no_color_has_none(sandbox: Sandbox, server: Server) -> None:
    server.call("execute", command="read x", name="asks")
    run_job(server, "exit 3", name="broken")
    coloured = Person(sandbox, WATCH, columns=80, rows=24)
    coloured.sees("exit 3", "prompt")
    assert re.search(r"\x1b\[[\d;]*4[0-7]", coloured.screen(colours=True))
    plain = Person(sandbox, f"NO_COLOR=1 {WATCH}", columns=80, rows=24)
    plain.sees("exit 3", "prompt")
    assert "\x1b[" not in plain.screen(colours=True)


@pytest.mark.promise("record-foreign")
def test_a_corrupt_record_is_a_line_of_its_own(sandbox: Sandbox, server: Server) -> None:
    fine = server.call("execute", command="exec sleep 1000", name="fine")["job_id"]
    person = Person(sandbox, columns=80, rows=24)
    person.sees(fine)
    broken = sandbox.state / "mcp-jobs" / "abcdef"
    broken.mkdir()
    (broken / "job.json").write_text("{")
    _shows_line(person, "abcdef", "broken", "can't be read")
    _shows_line(person, fine, "running")
    shutil.rmtree(broken)
    wait_until(lambda: "abcdef" not in person.screen())


@pytest.mark.promise("pair-board")
def test_the_board_outlives_its_state_folder_and_comes_back_with_it(alone: Sandbox) -> None:
    sandbox, server = alone, alone.server()
    server.call("execute", command="exec sleep 1000", name="before")
    person = Person(sandbox, columns=80, rows=24)
    person.sees("running  before")
    board = _board(sandbox)
    shutil.rmtree(sandbox.state)
    person.sees("No jobs yet")
    server.call("execute", command="exec sleep 1000", name="after")
    person.sees("running  after")
    assert _board(sandbox) == board


@pytest.mark.promise("pair-board")
def test_a_killed_board_is_started_again_and_takes_nothing_along(sandbox: Sandbox, server: Server) -> None:
    job_id = server.call("execute", command="echo up; cat", name="talk")["job_id"]
    person = Person(sandbox, columns=80, rows=24)
    _shows_line(person, job_id, "talk")
    killed = _board(sandbox)
    killed.kill()
    person.sees("starts again")
    wait_until(lambda: _board(sandbox) != killed)
    _shows_line(person, job_id, "talk")
    assert server.call("interact", job_id=job_id, input="still")["stdout"] == "still\n"


def test_keys_of_the_terminal_do_not_end_window_0(sandbox: Sandbox, server: Server) -> None:
    job_id = server.call("execute", command="cat", name="talk")["job_id"]
    person = Person(sandbox, columns=80, rows=24)
    # The board's own line: before the board has the terminal, C-c would be its shell's.
    _shows_line(person, job_id, "talk")
    board = _board(sandbox)
    for key in ("C-c", "C-\\", "C-z", "C-d", "Escape"):
        person.press(key)
    person.press("?")
    person.sees("kill it (asks first)")
    assert _board(sandbox) == board


def test_a_closed_window_0_leaves_the_jobs_and_comes_back_with_the_next_server(alone: Sandbox) -> None:
    sandbox, server = alone, alone.server()
    job_id = server.call("execute", command="echo up; cat", name="talk")["job_id"]
    sandbox.tmux("kill-window", "-t", "=mcp-jobs:0")
    assert server.call("status", job_id=job_id)["status"] == "running"
    sandbox.tmux("set-option", "-t", "=mcp-jobs:", "-u", "@mcp_jobs")
    again = sandbox.server()
    again.call("execute", command="true")
    rows = ("list-windows", "-t", "=mcp-jobs", "-F", "#{window_name}")
    wait_until(lambda: "jobs" in sandbox.tmux(*rows).split())


@pytest.mark.promise("board-idle")
def test_the_board_costs_next_to_nothing_while_nothing_happens(sandbox: Sandbox, server: Server) -> None:
    for number in range(20):
        server.call("execute", command="exec sleep 1000", name=f"n{number}")
    board = _board(sandbox)
    person = Person(sandbox, columns=120, rows=40)
    person.sees("running  n19")

    def spent() -> float:
        times = board.cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)

    def share() -> float:
        before, begun = spent(), time.monotonic()
        stays_true(board.is_running, 3, every=0.5)
        return (spent() - before) / (time.monotonic() - begun)

    # Time is the promise: under one percent of a core. The bound leaves room for a busy machine's slower cores, and
    # what the start of twenty jobs has left to do may fall into the first of the three.
    assert any(share() < 0.03 * slowness() for _ in range(3))
