"""Whatever a person or their programs do to the session, the next job makes it right, and nothing of theirs is lost."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator

import pytest

from support.person import Person
from support.rpc import Server
from support.sandbox import SESSION, Sandbox, alive
from support.terminal import COMMAND
from support.waiting import wait_until

TARGET = f"={SESSION}:"
OWN = ("--", "sleep", "1000")


@pytest.fixture
def fresh(cleared: Sandbox, server: Server) -> Iterator[Sandbox]:
    """A session with a board and one job, on a tmux server of its own."""
    server.call("execute", command="exec cat", name="first")
    yield cleared
    tmux = cleared.tmux_server()
    cleared.tmux("kill-server")
    wait_until(lambda: tmux is None or not alive(tmux.pid), what="the end of tmux")


def panes(sandbox: Sandbox, template: str) -> list[str]:
    return sandbox.tmux("list-panes", "-s", "-t", TARGET, "-F", template).splitlines()


def boards(sandbox: Sandbox) -> list[str]:
    """The index and pane of each board that runs in the session."""
    facts = "#{@mcp_board} #{pane_dead} #{m:*board*,#{pane_start_command}} #{window_index} #{pane_id}"
    return [line.removeprefix("1 0 1 ") for line in panes(sandbox, facts) if line.startswith("1 0 1 ")]


def option(sandbox: Sandbox, name: str) -> str:
    return sandbox.tmux("show-options", "-qv", "-t", TARGET, name)


def keys(sandbox: Sandbox) -> str:
    return sandbox.tmux("list-keys", "-T", SESSION, check=False)


def close_it(sandbox: Sandbox) -> None:
    sandbox.tmux("kill-window", "-t", f"{TARGET}0")


def kill_its_shell(sandbox: Sandbox) -> None:
    pane = boards(sandbox)[0].split(" ")[1]
    os.kill(int(sandbox.tmux("display-message", "-p", "-t", pane, "#{pane_pid}")), signal.SIGKILL)
    wait_until(lambda: not boards(sandbox))


def leave_it_dead(sandbox: Sandbox) -> None:
    sandbox.tmux("set-option", "-w", "-t", f"{TARGET}0", "remain-on-exit", "on")
    kill_its_shell(sandbox)


def move_it(sandbox: Sandbox) -> None:
    sandbox.tmux("move-window", "-s", f"{TARGET}0", "-t", f"{TARGET}9")


def move_it_away(sandbox: Sandbox) -> None:
    sandbox.tmux("new-session", "-d", "-s", "mine", *OWN)
    sandbox.tmux("move-window", "-s", f"{TARGET}0", "-t", "=mine:9")


def rename_the_session(sandbox: Sandbox) -> None:
    sandbox.tmux("rename-session", "-t", f"={SESSION}", "renamed")


def kill_it_beside_one_of_its_group(sandbox: Sandbox) -> None:
    sandbox.tmux("new-session", "-d", "-s", "grouped", "-t", f"={SESSION}")
    sandbox.tmux("kill-session", "-t", f"={SESSION}")


def unset_options(sandbox: Sandbox) -> None:
    for name in ("key-table", "status", "@mcp_menu", "destroy-unattached"):
        sandbox.tmux("set-option", "-u", "-t", TARGET, name)


def take_the_table(sandbox: Sandbox) -> None:
    sandbox.tmux("set-option", "-t", TARGET, "key-table", "root")


def unbind_all(sandbox: Sandbox) -> None:
    sandbox.tmux("unbind-key", "-a", "-T", SESSION)


def source_a_file(sandbox: Sandbox) -> None:
    conf = sandbox.path("own.conf")
    conf.write_text(f"set -g status off\nunbind -a -T {SESSION}\nset -u -t {TARGET} status\n")
    sandbox.tmux("source-file", str(conf))


FAULTS = [
    close_it,
    kill_its_shell,
    leave_it_dead,
    move_it,
    move_it_away,
    rename_the_session,
    kill_it_beside_one_of_its_group,
    unset_options,
    take_the_table,
    unbind_all,
    source_a_file,
]


def check_all_is_well(sandbox: Sandbox) -> None:
    assert [line.split(" ")[0] for line in boards(sandbox)] == ["0"], "one board, in window 0"
    assert (option(sandbox, "key-table"), option(sandbox, "status")) == (SESSION, "2")
    assert option(sandbox, "destroy-unattached") == "off"
    assert "display-menu" in option(sandbox, "@mcp_menu")
    assert " F12 " in keys(sandbox)


@pytest.mark.promise("session-heals")
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_the_next_job_makes_the_session_right(server: Server, fresh: Sandbox, fault: Callable[[Sandbox], None]) -> None:
    before = set(fresh.windows())
    mine = fresh.tmux("new-window", "-d", "-P", "-F", "#{pane_id}", "-t", TARGET, "-n", "own", *OWN)
    fresh.tmux("set-option", "-t", TARGET, "status-interval", "7")
    fault(fresh)
    server.call("execute", command="exec cat", name="second")
    check_all_is_well(fresh)
    assert before < set(fresh.windows())
    assert mine in fresh.tmux("list-panes", "-a", "-F", "#{pane_id}").split(), "a window of the person stays"
    if fault not in (rename_the_session, kill_it_beside_one_of_its_group):
        assert option(fresh, "status-interval") == "7", "what a person has set stays set"
    fresh.tmux("select-window", "-t", f"{TARGET}0")
    person = Person(fresh, columns=100)
    try:
        # Where the board begins under an open menu, its switch to the other screen makes tmux 3.3a draw over that menu.
        person.sees("F12 menu", "LAST LINE", " second ")
        person.press("F12")
        person.sees("Detach", "Help")
    finally:
        person.close()


@pytest.mark.promise("session-heals")
@pytest.mark.parametrize("which", ["", "first"])
def test_attach_makes_the_session_right(server: Server, fresh: Sandbox, which: str) -> None:
    close_it(fresh)
    unbind_all(fresh)
    unset_options(fresh)
    person = Person(fresh, f"{COMMAND} attach {which}", columns=100)
    try:
        person.sees("F12 menu")
        check_all_is_well(fresh)
    finally:
        person.close()


@pytest.mark.promise("session-heals")
def test_a_renamed_session_and_its_successor_show_the_same_windows(server: Server, fresh: Sandbox) -> None:
    rename_the_session(fresh)
    server.call("execute", command="exec cat", name="second")
    listed = [fresh.tmux("list-windows", "-t", f"={name}", "-F", "#{window_id}") for name in (SESSION, "renamed")]
    assert listed[0] == listed[1] and len(listed[0].split()) == 3, "the board and two jobs, in both"


@pytest.mark.promise("session-heals", "safe-own-windows")
def test_what_a_person_runs_in_window_0_stays_theirs(server: Server, fresh: Sandbox) -> None:
    fresh.tmux("respawn-window", "-k", "-t", f"{TARGET}0", *OWN)
    pid = fresh.tmux("display-message", "-p", "-t", f"{TARGET}0", "#{pane_pid}")
    for name in ("second", "third"):
        server.call("execute", command="exec cat", name=name)
        assert len(boards(fresh)) == 1 and not boards(fresh)[0].startswith("0 ")
    assert fresh.tmux("display-message", "-p", "-t", f"{TARGET}0", "#{pane_pid}") == pid
    person = Person(fresh, columns=100)
    try:
        fresh.tmux("select-window", "-t", f"{TARGET}1")
        person.sees(" first ")
        person.press("F12")
        person.sees("All jobs")
        person.press("0")
        person.sees("LAST LINE", timeout=20)
    finally:
        person.close()


@pytest.mark.promise("session-heals")
def test_what_another_server_writes_meanwhile_is_not_read(server: Server, fresh: Sandbox) -> None:
    folder, stop = fresh.state / SESSION, threading.Event()

    def write() -> None:
        while not stop.is_set():
            for name in ("tmux.conf", "keys.conf"):
                (folder / name).write_text("# half of it\n")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(5):
            unset_options(fresh)
            unbind_all(fresh)
            server.call("execute", command="true")
            check_all_is_well(fresh)
    finally:
        stop.set()
        writer.join()


@pytest.mark.promise("session-heals")
def test_a_board_of_another_version_is_started_anew(server: Server, fresh: Sandbox) -> None:
    pane = boards(fresh)[0].split(" ")[1]
    fresh.tmux("set-option", "-p", "-t", pane, "@mcp_board_of", "0.1.0 /nowhere/python")
    pid = fresh.tmux("display-message", "-p", "-t", pane, "#{pane_pid}")
    server.call("execute", command="true")
    assert fresh.tmux("display-message", "-p", "-t", pane, "#{pane_pid}") == pid, "not again with each job"
    fresh.server().call("execute", command="true")
    assert fresh.tmux("display-message", "-p", "-t", pane, "#{pane_pid}") != pid
    assert len(boards(fresh)) == 1
