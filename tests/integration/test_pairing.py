"""A person watches, takes the keys and hands them back: in a real terminal, attached with plain `tmux attach`.

What an agent is told meanwhile is tested where the tools are; here is what the person sees, and what their keys do.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence

import pytest

from mcp_background_job.config import BackgroundJobConfig
from mcp_background_job.jobs import presence
from mcp_background_job.jobs.manager import JobManager
from support.person import Person
from support.rpc import Answer, Server, ToolError
from support.sandbox import PYTHON, Sandbox, alive, ended, run_job, shows
from support.waiting import stays_true, wait_until

KEYS = "you hold the keys — F12 t hands them back"


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


@pytest.fixture
def person(sandbox: Sandbox, server: Server) -> Iterator[Person]:
    """At a terminal of the usual size, with the session of one job that says nothing."""
    server.call("execute", command="exec sleep 1000", name="quiet")
    person = Person(sandbox, columns=80, rows=24)
    person.sees("0:jobs")
    yield person
    person.close()


def _start(server: Server, command: str, name: str, prints: str = "") -> str:
    job_id: str = server.call("execute", command=command, name=name)["job_id"]
    if prints:
        shows(server, job_id, prints)
    return job_id


def _go_to(person: Person, sandbox: Sandbox, job_id: str) -> None:
    """As a person does: the prefix and the window's number."""
    person.press("C-b", "'")
    person.sees("index")
    person.type(sandbox.ask(job_id, "#{window_index}"))
    person.press("Enter")
    wait_until(lambda: sandbox.window(job_id) in sandbox.tmux("list-clients", "-F", "#{window_id}").split())
    wait_until(lambda: "LAST LINE" not in person.screen())


def _menu(person: Person, key: str) -> None:
    wait_until(lambda: "Help" not in person.screen(), what="the end of the menu before")
    person.press("F12")
    person.sees("Help")
    person.press(key)


def _edges_hold(person: Person, first: Sequence[str], last: Sequence[str] = ()) -> None:
    """Wait until the border and the last line hold these texts: tmux draws one after the other."""

    def holding() -> bool:
        lines = person.screen().rstrip("\n").splitlines()
        return all(text in lines[0] for text in first) and all(text in lines[-1] for text in last)

    wait_until(holding, what=f"{first} in the border, {last} in the last line")


# -- at a glance --------------------------------------------------------------------------------------------


@pytest.mark.promise("pair-signs")
def test_the_window_list_shows_each_state_by_a_sign(sandbox: Sandbox, server: Server) -> None:
    _start(server, "echo up; exec sleep 1000", "runs", "up")
    _start(server, "read -p 'Go on? ' x", "asks", "Go on?")
    _start(server, "read -s -p 'Password: ' x", "secret", "Password:")
    run_job(server, "true", name="fine")
    run_job(server, "exit 3", name="broken")
    job_id = _start(server, "exec sleep 1000", "stopped")
    server.call("kill", job_id=job_id)
    person = Person(sandbox, columns=160, rows=24)
    for sign in ("●1:runs", "?2:asks", "?3:secret", "✓4:fine", "✗5:broken", "■6:stopped"):
        person.sees(sign)
    person.sees("1 failed", "2 waiting")


@pytest.mark.promise("pair-signs")
def test_a_job_that_begins_to_wait_for_input_is_shown_so_and_one_that_got_it_no_more(
    person: Person, server: Server
) -> None:
    job_id = _start(server, "read -p 'first? ' x; echo got $x; exec sleep 1000", "asks", "first?")
    person.sees("?2:asks")
    person.sees("1 waiting")
    server.call("interact", job_id=job_id, input="yes", timeout=0)
    person.sees("●2:asks")
    wait_until(lambda: "1 waiting" not in person.screen())


@pytest.mark.promise("pair-signs")
def test_the_border_and_the_status_line_say_how_the_job_is(person: Person, sandbox: Sandbox, server: Server) -> None:
    job_id = _start(server, "echo up; read -s -p 'Password: ' x; exit 7", "deploy", "Password:")
    _go_to(person, sandbox, job_id)
    _edges_hold(
        person, ("? waits for a password", "deploy", job_id, "since"), ("waits for a password  0:", "deploy", job_id)
    )
    person.type("secret")
    person.press("Enter")
    ended(server, job_id)
    _edges_hold(person, ("✗ failed: exit 7", "took 0:"), ("failed: exit 7  0:",))


def test_the_clock_of_the_status_line_runs_and_the_first_line_of_the_job_stays_whole(
    person: Person, sandbox: Sandbox, server: Server
) -> None:
    job_id = _start(server, "echo the first line; exec sleep 1000", "clock", "first line")
    _go_to(person, sandbox, job_id)
    # Any second may be skipped: tmux draws when it comes to it.
    seen: set[str] = set()

    def runs() -> bool:
        seen.update(re.findall(r"running  (\d+:\d\d)", person.screen()))
        return len(seen) >= 2

    wait_until(runs, what="two times of the clock")
    # tmux 3.3 spills a border that is wider than the terminal onto the line below it.
    wait_until(lambda: person.screen().splitlines()[1] == "the first line")


@pytest.mark.promise("pair-last-screen")
def test_the_whole_output_of_a_short_job_stays_in_sight_after_its_end(
    person: Person, sandbox: Sandbox, server: Server
) -> None:
    job = run_job(server, "echo the only line; exit 3")
    _go_to(person, sandbox, job["job_id"])
    wait_until(lambda: sandbox.ask(job["job_id"], "#{pane_dead}") == "1")
    person.sees("failed: exit 3  0:")
    wait_until(lambda: person.screen().splitlines()[1] == "the only line")


def test_the_job_has_its_fifty_lines_below_the_border(server: Server) -> None:
    job = run_job(server, "stty size")
    assert server.call("output", job_id=job["job_id"])["stdout"] == "50 200\n"


@pytest.mark.promise("text-is-text")
def test_names_and_messages_are_shown_as_they_stand_and_obeyed_by_nothing(sandbox: Sandbox, server: Server) -> None:
    trap = sandbox.path("trap")
    evil = f"#[bg=red]#(touch {trap})"
    job_id = _start(server, "cat", evil)
    server.call("handoff", job_id=job_id, message=f"%H #{{session_id}} {evil} 'x' \"; }}")
    person = Person(sandbox, columns=200, rows=50)
    person.sees(f"asks: %H #{{session_id}} {evil} 'x' \"; }}")
    _go_to(person, sandbox, job_id)
    for key in ("t", "k"):
        _menu(person, key)
    person.sees(f"Kill job {job_id}")
    person.press("n")
    wait_until(lambda: f"Kill job {job_id}" not in person.screen())
    person.press("F12")
    person.sees("Help")
    assert not trap.exists()


@pytest.mark.parametrize(("state", "sign"), [("exit 3", "x"), ("cat", "?")])
def test_a_terminal_without_utf8_gets_plain_signs(sandbox: Sandbox, server: Server, state: str, sign: str) -> None:
    _start(server, state, "job")
    person = Person(sandbox, "env LANG=C LC_ALL=C tmux attach -t mcp-jobs", columns=80, rows=24)
    person.sees(f"{sign}1:job")


# -- taking over --------------------------------------------------------------------------------------------


@pytest.mark.promise("human-holds", "pair-handback")
def test_f12_t_takes_the_keys_and_hands_them_back(person: Person, sandbox: Sandbox, server: Server) -> None:
    job_id = _start(server, "echo up; cat", "talk", "up")
    _go_to(person, sandbox, job_id)
    _menu(person, "t")
    _edges_hold(person, (KEYS,), ("held by a person",))
    # tmux marks the pane with the key itself; the program that writes it down starts then.
    wait_until(lambda: server.call("status", job_id=job_id)["holder"] == "human")
    with pytest.raises(ToolError, match="person"):
        server.call("interact", job_id=job_id, input="mine")
    with pytest.raises(ToolError, match="person"):
        server.call("kill", job_id=job_id)
    cursor = server.call("output", job_id=job_id)["cursor"]
    waiting = server.start("wait", job_ids=[job_id], until="handback", timeout=50, since=cursor)
    person.type("typed by hand")
    person.press("Enter")
    shows(server, job_id, "typed by hand\ntyped by hand\n")
    assert not waiting.done
    _menu(person, "t")
    answer = waiting.answer()
    assert answer["reason"] == "handback"
    assert "typed by hand" in answer["stdout"]
    wait_until(lambda: KEYS not in person.screen())
    assert server.call("status", job_id=job_id)["holder"] == "agent"


@pytest.mark.promise("no-secret-on-disk", "pair-handoff")
def test_a_handoff_stands_in_the_border_and_in_everybodys_status_line(
    person: Person, sandbox: Sandbox, server: Server
) -> None:
    job_id = _start(server, "read -s -p 'Password: ' x; echo done", "deploy", "Password:")
    elsewhere = Person(sandbox, "tmux new-session -t mcp-jobs", columns=120, rows=30)
    elsewhere.sees("quiet")
    answer = server.call("handoff", job_id=job_id, message="please type the deploy password")
    assert answer["watching"] == 2
    # Whichever window they look at: this one looks at the board.
    person.sees("2:deploy asks: please type the deploy password", "@2:deploy")
    _go_to(person, sandbox, job_id)
    _edges_hold(person, (KEYS, "please type"))
    person.type("s3cret")
    person.press("Enter")
    ended(server, job_id)
    wait_until(lambda: "asks:" not in person.screen() and KEYS not in person.screen())
    assert all(b"s3cret" not in data for _, data in sandbox.stored_bytes())


@pytest.mark.promise("pair-handoff")
def test_the_bell_rings_for_a_handoff(sandbox: Sandbox, server: Server) -> None:
    job_id = _start(server, "echo up; cat", "deploy", "up")
    person = Person(sandbox, columns=80, rows=24)
    person.sees("0:jobs")
    server.call("handoff", job_id=job_id, message="help me")
    person.sees("asks: help me")
    wait_until(lambda: sandbox.ask(job_id, "#{window_bell_flag}") == "1", what="the bell")


@pytest.mark.promise("hold-lasts")
def test_a_hold_survives_the_death_of_every_server(alone: Sandbox) -> None:
    sandbox, server = alone, alone.server()
    job_id = _start(server, "echo up; exec cat", "talk", "up")
    server.call("handoff", job_id=job_id, message="please look at this")
    server.kill9()
    assert sandbox.ask(job_id, "#{@mcp_holder} #{@mcp_message}") == "human please look at this"
    again = sandbox.server()
    assert again.call("status", job_id=job_id)["holder"] == "human"
    assert again.call("list")["jobs"][0]["holder"] == "human"
    with pytest.raises(ToolError, match="person holds"):
        again.call("interact", job_id=job_id, input="mine")
    person = Person(sandbox, columns=80, rows=24)
    person.sees("asks: please look at this")
    _go_to(person, sandbox, job_id)
    _menu(person, "t")
    assert again.call("wait", job_ids=[job_id], until="handback", timeout=50)["reason"] == "handback"
    assert again.call("interact", job_id=job_id, input="mine")["stdout"] == "mine\n"
    person.close()


@pytest.mark.promise("hold-lasts")
def test_a_hold_ends_with_its_job(person: Person, sandbox: Sandbox, server: Server) -> None:
    job_id = _start(server, "read x; echo $x", "talk")
    server.call("handoff", job_id=job_id, message="press Enter")
    waiting = server.start("wait", job_ids=[job_id], until="handback", timeout=50)
    _go_to(person, sandbox, job_id)
    person.sees(KEYS)
    person.type("by hand")
    person.press("Enter")
    answer = waiting.answer()
    assert (answer["reason"], answer["exit_code"]) == ("exit", 0)
    assert "by hand" in answer["stdout"]
    assert "holder" not in server.call("status", job_id=job_id)
    assert all("holder" not in job for job in server.call("list")["jobs"])
    wait_until(lambda: sandbox.ask(job_id, "#{@mcp_holder}#{@mcp_message}") == "")
    wait_until(lambda: "✓ done" in (shown := person.screen()) and KEYS not in shown)


@pytest.mark.promise("human-holds")
def test_reading_goes_on_while_a_person_holds_the_job(person: Person, sandbox: Sandbox, server: Server) -> None:
    job_id = _start(server, "echo up; exec cat", "talk", "up")
    server.call("handoff", job_id=job_id, message="type something")
    _go_to(person, sandbox, job_id)
    person.type("by hand")
    person.press("Enter")
    shows(server, job_id, "by hand\nby hand\n")
    assert "by hand" in server.call("tail", job_id=job_id)["stdout"]
    assert "by hand" in server.call("screen", job_id=job_id)["screen"]
    assert server.call("wait", job_ids=[job_id], pattern="by hand", since=0, timeout=50)["reason"] == "match"


def test_two_agents_see_who_started_what(sandbox: Sandbox, server: Server) -> None:
    other = sandbox.silent_server()
    hello = {"protocolVersion": other.protocol, "capabilities": {}, "clientInfo": {"name": "second", "version": "1"}}
    other.request("initialize", hello)
    other.notify("notifications/initialized")
    mine = _start(server, "exec cat", "mine")
    theirs = other.call("execute", command="exec cat", name="theirs")["job_id"]
    for one in (server, other):
        assert {job["job_id"]: job["client"] for job in one.call("list")["jobs"]} == {mine: "tests", theirs: "second"}
    other.call("interact", job_id=mine, input="from the second")
    assert "from the second" in server.call("output", job_id=mine)["stdout"]
    person = Person(sandbox, columns=80, rows=24)
    person.sees("0:jobs")
    _go_to(person, sandbox, mine)
    _menu(person, "i")
    person.sees("UTC  second")
    person.press("q")
    person.close()


@pytest.mark.promise("no-shell")
def test_nothing_of_the_look_runs_a_shell(person: Person, sandbox: Sandbox, server: Server) -> None:
    job_id = _start(server, "exec cat", "talk")
    looks = [
        sandbox.tmux("show-options", "-A", "-t", "=mcp-jobs:"),
        sandbox.tmux("show-options", "-Aw", "-t", sandbox.window(job_id)),
        sandbox.tmux("show-options", "-Ap", "-t", sandbox.window(job_id)),
    ]
    assert all("#(" not in look for look in looks)


@pytest.mark.promise("absent-person-told")
def test_an_agent_is_told_that_the_person_has_gone_and_gets_nothing_of_it(sandbox: Sandbox, server: Server) -> None:
    job_id = _start(server, "echo up; cat", "talk", "up")
    person = Person(sandbox, server.call("status", job_id=job_id)["attach"], columns=80, rows=24)
    person.sees("talk")
    _menu(person, "t")
    person.sees(KEYS)
    # Somebody is there: that is no news.
    assert "watching" not in server.call("status", job_id=job_id)
    assert "watching" not in server.call("wait", job_ids=[job_id], until="handback", timeout=0.1)
    person.detach()
    told = wait_until(lambda: _absence(server, job_id))
    assert told["watching"] == 0 and told["idle"] < 60
    answer = server.call("wait", job_ids=[job_id], until="handback", timeout=0.1)
    assert (answer["reason"], answer["watching"]) == ("timeout", 0)
    with pytest.raises(ToolError, match=r"Nobody is attached, the last key was \d+ seconds ago.*until=handback"):
        server.call("interact", job_id=job_id, input="mine")
    with pytest.raises(ToolError, match="Nobody is attached"):
        server.call("kill", job_id=job_id)
    assert server.call("status", job_id=job_id)["holder"] == "human"
    assert "mine" not in server.call("output", job_id=job_id)["stdout"]


def _absence(server: Server, job_id: str) -> Answer:
    status = server.call("status", job_id=job_id)
    return {name: status[name] for name in ("watching", "idle") if name in status}


def test_a_stopped_tmux_keeps_nobody_from_reading_a_job_that_a_person_holds(sandbox: Sandbox, server: Server) -> None:
    job_id = _start(server, "echo up; exec cat", "talk", "up")
    server.call("handoff", job_id=job_id, message="please look at this")
    tmux = sandbox.tmux_server()
    assert tmux is not None
    tmux.suspend()
    try:
        begun = time.monotonic()
        assert server.call("status", job_id=job_id)["holder"] == "human"
        assert server.call("wait", job_ids=[job_id], until="handback", timeout=0.1)["reason"] == "timeout"
        with pytest.raises(ToolError, match="person holds"):
            server.call("kill", job_id=job_id)
        # Time is the promise: a second each; who asks tmux waits ten.
        assert time.monotonic() - begun < 10
    finally:
        tmux.resume()


@pytest.mark.promise("absent-person-told")
def test_a_person_who_is_attached_and_silent_for_long_is_told_of(
    sandbox: Sandbox, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = _start(server, "echo up; cat", "talk", "up")
    person = Person(sandbox, server.call("status", job_id=job_id)["attach"], columns=80, rows=24)
    person.sees("up")
    # Minutes would be too long for a test; tmux counts in whole seconds.
    monkeypatch.setattr(presence, "SILENT", 3.0)
    monkeypatch.setenv("TMUX_TMPDIR", str(sandbox.sockets))
    manager = JobManager(BackgroundJobConfig(state_dir=sandbox.state))
    manager.control.take(job_id)

    def there() -> bool:
        """Whether one who has just pressed a key counts; pressed anew each time, for a machine that takes seconds."""
        person.type("x")
        return manager.control.absent_holder(manager.view.job(job_id)) is None

    wait_until(there)
    away = wait_until(lambda: manager.control.absent_holder(manager.view.job(job_id)))
    assert away is not None
    assert away.attached == 1 and away.idle_seconds >= 3 and "1 attached, but no key" in str(away)
    wait_until(there)


# -- the menu -----------------------------------------------------------------------------------------------


@pytest.mark.promise("kill-asks", "pair-menu")
def test_the_menu_kills_after_asking_though_a_person_holds_the_job(
    person: Person, sandbox: Sandbox, server: Server
) -> None:
    job_id = _start(server, "sleep 1000 & echo $!; wait", "tree", "\n")
    child = int(server.call("output", job_id=job_id)["stdout"])
    _go_to(person, sandbox, job_id)
    _menu(person, "t")
    person.sees(KEYS)
    _menu(person, "k")
    person.sees(f"Kill job {job_id} and everything it started? y or n")
    person.press("n")
    wait_until(lambda: f"Kill job {job_id}" not in person.screen())
    stays_true(lambda: alive(child), 0.5)
    _menu(person, "k")
    person.sees(f"Kill job {job_id} and everything it started? y or n")
    person.press("y")
    end = ended(server, job_id)
    assert (end["status"], end["reason"]) == ("killed", "kill")
    assert not alive(child)
    person.sees("■ killed")


def test_the_menu_shows_what_agents_typed(person: Person, sandbox: Sandbox, server: Server) -> None:
    job_id = _start(server, "echo up; cat", "talk", "up")
    server.call("interact", job_id=job_id, input="hello \x1b[31m there", keys=["Escape"])
    _go_to(person, sandbox, job_id)
    _menu(person, "i")
    screen = person.sees("What agents typed")
    assert "hello" in screen and "keys: Escape" in screen
    person.press("q")
    wait_until(lambda: "What agents typed" not in person.screen())


def test_the_menu_runs_the_command_again_as_a_new_job(person: Person, sandbox: Sandbox, server: Server) -> None:
    job = run_job(server, "pwd; exit 3", name="again", cwd=str(sandbox.home))
    _go_to(person, sandbox, job["job_id"])
    _menu(person, "r")
    second = wait_until(
        lambda: [one["job_id"] for one in server.call("list")["jobs"] if one["name"] == "again"][:-1], 20
    )[0]
    end = ended(server, second)
    assert (end["command"], end["cwd"], end["exit_code"]) == ("pwd; exit 3", str(sandbox.home), 3)
    person.sees(f" {second}")


def test_the_menu_detaches_and_helps(person: Person, sandbox: Sandbox) -> None:
    _menu(person, "?")
    person.sees("agents still read the job")
    person.press("q")
    wait_until(lambda: "agents still read" not in person.screen())
    _menu(person, "d")
    person.sees("LEFT")


@pytest.mark.promise("pair-menu")
def test_the_menu_of_a_window_without_a_job_offers_nothing_to_kill(person: Person, sandbox: Sandbox) -> None:
    sandbox.tmux("new-window", "-t", "=mcp-jobs:", "-n", "mine", "--", "sleep", "1000")
    person.sees("mine")
    person.press("F12")
    screen = person.sees("Detach", "Help")
    assert "Kill" not in screen and "Take over" not in screen


def test_a_click_on_the_status_line_opens_the_menu(person: Person, sandbox: Sandbox, server: Server) -> None:
    sandbox.tmux("set-option", "-t", "=mcp-jobs:", "mouse", "on")
    lines = person.sees("F12 menu").splitlines()
    row = next(number for number, line in enumerate(lines) if "F12 menu" in line)
    click = f"\x1b[<{{}};{lines[row].index('F12') + 2};{row + 1}{{}}"
    person.type(click.format(0, "M") + click.format(0, "m"))
    person.sees("Detach")


# -- the person's own tmux ----------------------------------------------------------------------------------


@pytest.mark.promise("nothing-global", "pair-own-tmux")
def test_the_persons_own_keys_and_prefix_still_work(alone: Sandbox) -> None:
    sandbox = alone
    sandbox.home.joinpath(".tmux.conf").write_text(
        # A message stays until a key is pressed: tmux's own three quarters of a second may pass between two looks.
        "set -g display-time 0\n"
        "set -g prefix C-a\nbind -n F11 display-message 'eleven pressed'\nbind -n F12 display-message 'mine'\n"
    )
    server = sandbox.server()
    job_id = _start(server, "cat", "talk")
    person = Person(sandbox, columns=80, rows=24)
    person.sees("0:jobs")
    person.press("F11")
    person.sees("eleven pressed")
    person.press("C-a", "n")
    person.sees(f" {job_id}")
    person.type("typed")
    person.press("Enter")
    shows(server, job_id, "typed\ntyped\n")
    other = Person(sandbox, "tmux new-session -s other -- cat", columns=80, rows=24)
    other.sees("other")
    other.press("F12")
    other.sees("mine")


@pytest.mark.promise("nothing-global")
def test_a_session_made_by_hand_gets_the_look_and_keeps_what_its_person_has_set(
    person: Person, sandbox: Sandbox, server: Server
) -> None:
    def of_others() -> list[str]:
        options = (["-g"], ["-gw"], ["-s"], ["-t", "=other:"])
        keys = (["-T", "root"], ["-T", "prefix"])
        return [sandbox.tmux("show-options", *one) for one in options] + [
            sandbox.tmux("list-keys", *one) for one in keys
        ]

    sandbox.tmux("new-session", "-d", "-s", "other", "--", "sleep", "1000")
    before = of_others()
    own = "tmux new-session -s own -t mcp-jobs \\; set-option status-interval 7 \\; set-option status-right mine"
    plain = Person(sandbox, own, columns=80, rows=24)
    plain.sees("F12 menu")
    _menu(plain, "?")
    plain.sees("agents still read the job")
    plain.press("q")
    assert sandbox.tmux("show-options", "-v", "-t", "=own:", "status-interval") == "7"
    assert sandbox.tmux("show-options", "-v", "-t", "=own:", "status-right") == "mine"
    assert sandbox.tmux("show-options", "-t", "=own:", "destroy-unattached") == ""
    assert of_others() == before
    plain.close()
    person.sees("F12 menu")


@pytest.mark.promise("menu-keys")
def test_other_keys_open_the_menu_and_the_first_is_named(alone: Sandbox) -> None:
    sandbox = alone
    again = sandbox.server(MCP_BG_MENU_KEY="M-m F9")
    again.call("execute", command="cat")
    person = Person(sandbox, columns=80, rows=24)
    person.sees("M-m menu")
    for key in ("M-m", "F9"):
        person.press(key)
        person.sees("Detach")
        person.press("Escape")
        wait_until(lambda: "Detach" not in person.screen())


@pytest.mark.promise("menu-keys")
def test_where_the_menus_key_is_the_prefix_another_opens_it(alone: Sandbox) -> None:
    sandbox = alone
    sandbox.home.joinpath(".tmux.conf").write_text("set -g prefix F12\n")
    server = sandbox.server()
    server.call("execute", command="cat", name="one")
    person = Person(sandbox, columns=80, rows=24)
    person.sees("F11 menu")
    person.press("F11")
    person.sees("Detach", "Help")
    person.press("?")
    person.sees("F12 0 all jobs", "F11 opens the menu")
    person.press("q")
    wait_until(lambda: "all jobs" not in person.screen())
    sandbox.tmux("set-option", "-g", "prefix", "C-a")
    sandbox.tmux("set-option", "-g", "prefix2", "F11")
    server.call("execute", command="cat", name="two")
    person.sees("F12 menu")
    sandbox.tmux("select-window", "-t", "=mcp-jobs:0")
    person.sees("LAST LINE")
    person.press("?")
    person.sees("Ctrl-a 0 comes back", "F12 opens the menu")


@pytest.mark.promise("end-not-false")
def test_a_job_whose_end_only_tmux_saw_is_shown_as_lost(sandbox: Sandbox, server: Server) -> None:
    job_id = _start(server, f"exec {PYTHON} -c 'import time; time.sleep(1000)'", "victim")
    wait_until(lambda: server.call("status", job_id=job_id).get("pid"))
    sandbox.runner(job_id).kill()
    wait_until(lambda: sandbox.ask(job_id, "#{@mcp_status}") == "killed", every=0.1)
    record = json.loads((sandbox.state / "mcp-jobs" / job_id / "exit.json").read_text())
    assert record["cause"] == "lost"
