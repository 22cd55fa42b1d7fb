"""replay on a real terminal and in a pipe; export, and asciinema on what it writes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mcp_background_job.output.emulator.picture import picture
from support.person import Person
from support.rpc import Server
from support.sandbox import Sandbox, ended, run_job, shows
from support.terminal import COMMAND, PROGRAM, cli, start
from support.waiting import stays_true, wait_until

STEPS = 5
STEP = 0.4  # seconds
STEPPER = f"for n in 1 2 3 4 {STEPS}; do echo step$n; sleep {STEP}; done"
# What a terminal's state is, as tmux knows it of the person's own.
STATE = (
    "#{cursor_flag} #{alternate_on} #{insert_flag} #{keypad_cursor_flag} #{keypad_flag} #{wrap_flag} #{origin_flag} "
    "#{mouse_any_flag} #{mouse_sgr_flag} #{scroll_region_upper} #{scroll_region_lower}"
)
# Full screen, cursor hidden, mouse, application keys, margins, bracketed paste, no wrap, insert, red.
SWITCHED = r"\033[?1049h\033[2J\033[?25l\033[?1000;1006h\033[?1h\033=\033[5;10r\033[?2004h\033[?7l\033[4h\033[31min red"


@pytest.fixture
def at(shared: Sandbox) -> Iterator[Any]:
    """Start a person at a terminal, who runs a command of ours."""
    people: list[Person] = []

    def come(arguments: str, columns: int = 200, rows: int = 52, before: str = "") -> Person:
        people.append(Person(shared, f"{before}{COMMAND} {arguments}; echo status $?", columns=columns, rows=rows))
        return people[-1]

    yield come
    for person in people:
        person.close()


def log_of(sandbox: Sandbox, job_id: str) -> bytes:
    folder = sandbox.state / "mcp-jobs" / job_id / "log"
    return b"".join(path.read_bytes() for path in sorted(folder.glob("*.log")))


def played(sandbox: Sandbox, *arguments: str) -> tuple[list[float], str]:
    """When each line of a replay in a pipe came, and what it said on stderr."""
    process = start(sandbox, "replay", *arguments)
    assert process.stdout is not None and process.stderr is not None
    times = [time.monotonic() for _ in iter(process.stdout.readline, "")]
    said = process.stderr.read()
    assert process.wait(60) == 0, said
    process.stdout.close()
    process.stderr.close()
    return times, said


@pytest.mark.promise("replay")
def test_it_is_played_at_the_pace_at_which_it_came(shared: Sandbox, server: Server) -> None:
    job_id = run_job(server, STEPPER)["job_id"]
    cast = [json.loads(line) for line in cli(shared, "export", job_id, "--cast").stdout.splitlines()[1:]]
    true = cast[-1][0] - cast[0][0]  # as it was written down; a busy machine writes the first line late

    def took(*options: str) -> float:
        times, said = played(shared, *options, job_id)
        assert len(times) == STEPS and said == ""
        return times[-1] - times[0]

    # A busy machine shows a line late, the first one too, but not each time: one of three tells.
    assert any(took() > true * 0.8 for _ in range(3))
    assert any(true / 4 * 0.5 < took("--speed", "4") < true * 0.6 for _ in range(3))
    assert any(took("--speed", "max") < true * 0.6 for _ in range(3))
    assert any(took("--max-idle", "0.1") < true * 0.6 for _ in range(3))


@pytest.mark.promise("replay-allowlist")
def test_in_a_pipe_it_is_what_the_log_draws_without_our_marks(shared: Sandbox, server: Server) -> None:
    command = (
        r"stty -echo; printf 'a\033[6n\377\303'; printf '\033[31merr\033[0m\n' >&2; "
        r"printf '\033]0;t'; sleep .1; printf '\007z\n'; cat"
    )
    job_id = server.call("execute", command=command, separate_stderr=True)["job_id"]
    shows(server, job_id, "z")
    server.call("interact", job_id=job_id, input="typed")
    server.call("kill", job_id=job_id)
    log = log_of(shared, job_id)
    nonce = json.loads((shared.state / "mcp-jobs" / job_id / "job.json").read_bytes())["nonce"].encode()
    marks = [rb"\x1b\[7717;7002;%b" % nonce, rb"\x1b\[7717;7003;%b" % nonce, rb"\x1b\[7717;7004;\d{10}"]
    assert all(re.search(mark, log) for mark in marks)
    expected = re.sub(b"(%b)m" % b"|".join(marks), b"", log)
    done = subprocess.run(
        [*PROGRAM, "replay", "-s", "max", job_id], env=shared.environment, capture_output=True, timeout=120
    )
    assert done.stdout.decode() == picture(expected)
    assert b"\x1b[6n" in expected and b"\x1b[6n" not in done.stdout and b"\x1b[31merr" in done.stdout


@pytest.mark.promise("replay")
def test_on_a_terminal_it_looks_as_it_did(server: Server, at: Any) -> None:
    job = run_job(
        server,
        r"printf '\033[2J\033[H\033[10;20Hplaced\033[3;5H\033[1mbold\033[0m'; sleep .3; printf 'ümlaut\033[20;1Hlast'",
    )
    screen = server.call("screen", job_id=job["job_id"])["screen"]
    person: Person = at(f"replay {job['job_id']} 2>/dev/null")
    shown = person.sees("status 0").rstrip("\n").split("\n")
    expected = screen.rstrip("\n").split("\n")
    assert expected[9].rstrip() == " " * 19 + "placed" and "ümlaut" in expected[2]
    assert [line.rstrip() for line in shown[: len(expected) - 1]] == [line.rstrip() for line in expected[:-1]]
    assert shown[len(expected) - 1].rstrip() == "last" and "status 0" in shown[len(expected)]


def line_settings(person: Person) -> str:
    """Of the person's terminal, as stty tells them."""
    with Path(person.ask("#{pane_tty}")).open() as terminal:
        return subprocess.run(["stty", "-a"], stdin=terminal, capture_output=True, text=True, check=True).stdout


@pytest.mark.promise("replay")
@pytest.mark.parametrize("how", ["end", "C-c", "C-\\", "q", "TERM", "HUP"])
def test_the_terminal_is_as_before_however_it_ends(server: Server, shared: Sandbox, at: Any, how: str) -> None:
    job_id = run_job(server, f"printf '{SWITCHED}'; sleep 1")["job_id"]
    run = server.call("execute", command=f"printf '{SWITCHED}'; cat")["job_id"]  # goes on until the person leaves
    wait_until(lambda: b"in red" in log_of(shared, run))
    shown = job_id if how == "end" else run
    settings = shared.path(f"settings-{how.replace(chr(92), 'backslash')}")
    # The person's line settings and the terminal's modes, before and after.
    person: Person = at(f"replay {shown}", before=f"trap : INT QUIT; stty -a >{settings}; read -r go; ")
    wait_until(lambda: settings.exists() and settings.read_text())
    before = person.ask(STATE)
    person.press("Enter")
    if how != "end":
        wait_until(lambda: person.ask("#{alternate_on}") == "1")
        person.sees("in red")
    if how in ("TERM", "HUP"):
        [process] = shared.with_words("replay", run)
        process.send_signal(signal.Signals[f"SIG{how}"])
    elif how != "end":
        person.press(how)
    expected = {"end": 0, "C-c": 130, "C-\\": 131, "q": 0, "TERM": 143, "HUP": 129}[how]
    person.sees(f"status {expected}")
    person.sees("LEFT")
    assert person.ask(STATE) == before
    assert "in red" not in person.screen(), "the job's own screen has gone"
    # What comes after it is in the terminal's own colour.
    assert "\x1b[31m" not in person.screen(colours=True)
    assert line_settings(person) == settings.read_text()
    if how != "end":
        assert server.call("status", job_id=run)["status"] == "running", "a look never ends the job"
    server.call("kill", job_id=run)


def test_the_persons_terminal_answers_nothing(server: Server, shared: Sandbox, at: Any) -> None:
    questions = r"\033[c\033[6n\033[>c\033[5n\033[18t\033]11;?\007\033P$qm\033\\\033[?2026$p"
    # Without echo, or the answers of the job's own terminal would be part of its output.
    job_id = run_job(server, f"stty -echo; printf '{questions}'; echo asked")["job_id"]
    assert b"^[" not in log_of(shared, job_id)
    person: Person = at(f"replay {job_id}")
    person.sees("LEFT")
    stays_true(lambda: "^[" not in person.screen(), 0.5)
    assert "asked" in person.screen()
    # The same bytes as they are do make it answer: the test can fail.
    other = Person(shared, f"printf '{questions}'; cat")
    try:
        other.sees("^[[")
    finally:
        other.close()


def test_a_job_that_runs_is_played_and_then_followed(server: Server, at: Any) -> None:
    job_id = server.call("execute", command="echo before; cat")["job_id"]
    shows(server, job_id, "before")
    person: Person = at(f"replay {job_id}", columns=100, rows=30)
    told = ("before", "still runs", "200x50", "100x30", "q ends")

    def says() -> bool:
        shown = person.screen().replace("\n", "")
        return all(text in shown for text in told)

    wait_until(says)
    server.call("interact", job_id=job_id, input="typed by an agent")
    person.sees("typed by an agent")
    server.call("interact", job_id=job_id, keys=["C-d"])
    ended(server, job_id)
    person.sees("completed, exit 0")
    person.sees("status 0")


def test_keys_pause_skip_and_end_it(server: Server, at: Any) -> None:
    job_id = run_job(server, "; ".join(f"sleep 2; echo {word}" for word in ("first", "second", "third", "fourth")))[
        "job_id"
    ]
    slow: Person = at(f"replay --speed 0.02 {job_id}")  # each pause takes 100 s
    wait_until(lambda: "-icanon" in line_settings(slow), what="a replay that takes keys")
    slow.press("Enter")
    slow.sees("first")
    slow.press("Enter")
    slow.sees("second")
    slow.press("Space")
    for _ in range(12):
        slow.press("+")  # while it pauses no other key but q counts
    stays_true(lambda: "third" not in slow.screen(), 0.5)
    slow.press("Space")
    for _ in range(4):
        slow.press("+")  # what is left of the 100 s takes 6
    slow.sees("third")
    slow.press("q")
    slow.sees("status 0")
    assert "fourth" not in slow.screen()


def test_a_job_of_before_plays_at_once_with_a_word(shared: Sandbox, server: Server) -> None:
    job_id = run_job(server, STEPPER)["job_id"]
    shutil.rmtree(shared.state / "mcp-jobs" / job_id / "timing")
    times, said = played(shared, job_id)
    assert len(times) == STEPS and times[-1] - times[0] < STEP
    assert "no timing" in said
    exported = cli(shared, "export", job_id, "--cast")
    assert "no timing" in exported.stderr
    assert len(exported.stdout.splitlines()) == 2


def test_dropped_output_is_said_and_the_rest_keeps_its_pace(shared: Sandbox) -> None:
    server = shared.server(MCP_BG_MAX_OUTPUT_SIZE="4000")
    job_id = run_job(server, "sleep 1; seq 1 3000; sleep 2; echo last")["job_id"]
    log = log_of(shared, job_id)
    times, said = played(shared, job_id)
    assert "no longer kept" in said
    assert len(times) == log.count(b"\n")
    # Of the pause behind the flood, and not of what is gone; a busy machine shows the first line late.
    assert times[-1] - times[0] > 1
    cast = [json.loads(line) for line in cli(shared, "export", job_id, "--cast").stdout.splitlines()]
    assert "".join(text for _, _, text in cast[1:]) == log.decode()
    assert cast[1][0] == 0.0, "it begins with what is kept, not with a pause for what is not"


@pytest.mark.promise("cast")
def test_the_exported_file_is_the_log_and_this_users_alone(shared: Sandbox, server: Server) -> None:
    before = time.time()
    job = run_job(
        server,
        r"printf 'h\303'; sleep .2; printf '\251llo \033[31mred\033[0m\n'; seq 1 2000; printf '\377end'",
        name='föö "x"',
    )
    path = shared.path("a.cast")
    done = cli(shared, "export", job["job_id"], "--cast", path.name)
    assert done.stdout == "" and "asciinema play" in done.stderr
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    header, *events = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert (header["version"], header["width"], header["height"], header["title"]) == (2, 200, 50, 'föö "x"')
    assert before - 2 < header["timestamp"] <= time.time() and header["duration"] == pytest.approx(
        job["duration"], abs=0.01
    )
    assert header["env"]["SHELL"].endswith("sh") and header["env"]["TERM"]
    assert "".join(text for _, _, text in events) == log_of(shared, job["job_id"]).decode(errors="replace")
    assert [at for at, _, _ in events] == sorted(at for at, _, _ in events)
    assert cli(shared, "export", job["job_id"], "--cast").stdout == path.read_text(encoding="utf-8")
    assert cli(shared, "export", job["job_id"], "--cast", "-").stdout == path.read_text(encoding="utf-8")
    shorter = json.loads(cli(shared, "export", "-i", "1.5", job["job_id"], "--cast").stdout.splitlines()[0])
    assert shorter["idle_time_limit"] == 1.5
    # An existing file is nobody's to overwrite, and stays as it is.
    assert "already exists" in cli(shared, "export", job["job_id"], "--cast", path.name, status=1).stderr
    assert "--cast" in cli(shared, "export", job["job_id"], status=2).stderr


@pytest.mark.promise("cast")
@pytest.mark.skipif(shutil.which("asciinema") is None, reason="asciinema is not installed")
def test_asciinema_plays_it(shared: Sandbox, server: Server) -> None:
    job_id = run_job(server, rf"{STEPPER}; printf '\303\251\033[31mred\033[0m\nthe end\n'")["job_id"]
    path = shared.path("played.cast")
    cli(shared, "export", job_id, "--cast", str(path))
    raw = shared.path("played.log")  # `asciinema cat` of 2.2 wants a terminal of its own
    begun = time.monotonic()
    played = f"asciinema cat {path} >{raw}; asciinema play {path}; echo status $?"
    person = Person(shared, played, columns=200, rows=52)
    try:
        person.sees("step1")
        assert "the end" not in person.screen()
        shown = person.sees("status 0")
    finally:
        person.close()
    assert "é" in shown and "the end" in shown
    assert raw.read_bytes() == log_of(shared, job_id)
    assert time.monotonic() - begun > STEP * STEPS * 0.9


def test_an_export_that_is_interrupted_leaves_no_half_file(shared: Sandbox, server: Server) -> None:
    job_id = run_job(server, "echo x", name="full")["job_id"]
    done = subprocess.run(
        ["sh", "-c", f"ulimit -f 0; trap '' XFSZ; exec {COMMAND} export {job_id} --cast half.cast"],
        env=shared.environment, cwd=shared.work, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert not shared.path("half.cast").exists()


def test_ctrl_c_ends_a_replay_in_a_pipe(shared: Sandbox, server: Server) -> None:
    job_id = server.call("execute", command="echo up; cat")["job_id"]
    shows(server, job_id, "up")
    process = start(shared, "replay", job_id)
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (130, "")
    server.call("kill", job_id=job_id)
