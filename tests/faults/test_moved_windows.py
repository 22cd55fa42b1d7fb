"""A person moves a job's window about: nothing that is known or done of the job changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from support.faults import log_writers
from support.rpc import Server
from support.sandbox import Sandbox, alive, ended, run_job, shows
from support.scale import FULL
from support.terminal import cli
from support.waiting import wait_until

TALK = "echo up; while read x; do echo got $x; done; exit 5"
SHELL = ("--", "sh", "-c", "echo theirs; exec sleep 1000")


class Place:
    """A job's pane and window, and what a person has beside it."""

    def __init__(self, sandbox: Sandbox, job_id: str) -> None:
        self.sandbox = sandbox
        self.pane = sandbox.ask(job_id, "#{pane_id}")
        self.window = sandbox.window(job_id)

    def tmux(self, *arguments: str) -> str:
        return self.sandbox.tmux(*arguments)

    def split(self) -> str:
        return self.tmux("split-window", "-d", "-P", "-F", "#{pane_id}", "-t", self.pane, *SHELL)


def rename_the_session(place: Place) -> None:
    place.tmux("rename-session", "-t", "=mcp-jobs", "renamed")


def rename_the_window(place: Place) -> None:
    place.tmux("rename-window", "-t", place.window, "mcp-jobs:#{pane_id} ;")


def move_within_the_session(place: Place) -> None:
    place.tmux("move-window", "-s", place.window, "-t", "=mcp-jobs:77")


def move_to_another_session(place: Place) -> None:
    place.tmux("move-window", "-s", place.window, "-t", "=mine:77")


def link(place: Place) -> None:
    place.tmux("link-window", "-s", place.window, "-t", "=mine:77")


def link_and_unlink(place: Place) -> None:
    link(place)
    place.tmux("unlink-window", "-t", f"=mcp-jobs:{place.window}")


def swap_windows(place: Place) -> None:
    place.tmux("swap-window", "-d", "-s", place.window, "-t", "=mine:own")


def split(place: Place) -> None:
    place.split()


def split_and_leave_it_selected(place: Place) -> None:
    place.tmux("select-pane", "-t", place.split())


def split_and_kill_the_other(place: Place) -> None:
    place.tmux("kill-pane", "-t", place.split())


def split_and_respawn_the_other(place: Place) -> None:
    place.tmux("respawn-pane", "-k", "-t", place.split(), *SHELL)


def split_and_swap_the_panes(place: Place) -> None:
    place.tmux("swap-pane", "-d", "-s", place.pane, "-t", place.split())


def split_and_break_the_job_out(place: Place) -> None:
    place.split()
    place.tmux("break-pane", "-d", "-s", place.pane)


def join_into_a_window_of_theirs(place: Place) -> None:
    place.tmux("join-pane", "-d", "-s", place.pane, "-t", "=mine:own")


def join_theirs_to_it(place: Place) -> None:
    theirs = place.tmux("new-window", "-d", "-P", "-F", "#{pane_id}", "-t", "=mine:", *SHELL)
    place.tmux("join-pane", "-d", "-s", theirs, "-t", place.pane)


def kill_our_session_after_moving(place: Place) -> None:
    move_to_another_session(place)
    place.tmux("kill-session", "-t", "=mcp-jobs")


def zoom_and_resize(place: Place) -> None:
    place.split()
    place.tmux("resize-pane", "-t", place.pane, "-Z")
    place.tmux("resize-window", "-t", place.window, "-x", "90", "-y", "20")


MOVES: list[Callable[[Place], None]] = [
    rename_the_session,
    rename_the_window,
    move_to_another_session,
    link,
    split_and_leave_it_selected,
    split_and_swap_the_panes,
    join_into_a_window_of_theirs,
    kill_our_session_after_moving,
]
if FULL:
    MOVES += [
        move_within_the_session,
        link_and_unlink,
        swap_windows,
        split,
        split_and_kill_the_other,
        split_and_respawn_the_other,
        split_and_break_the_job_out,
        join_theirs_to_it,
        zoom_and_resize,
    ]


def panes(sandbox: Sandbox) -> set[str]:
    return set(sandbox.tmux("list-panes", "-a", "-F", "#{pane_id}").split())


@pytest.fixture
def fresh_tmux(cleared: Sandbox) -> Iterator[Sandbox]:
    """The world of this file, whose tmux server is another one for the next test, as the session may be gone."""
    yield cleared
    tmux = cleared.tmux_server()
    cleared.tmux("kill-server")
    wait_until(lambda: tmux is None or not alive(tmux.pid), what="the end of tmux")


@pytest.mark.promise("window-moved")
@pytest.mark.parametrize("move", MOVES, ids=lambda move: move.__name__)
def test_a_job_is_read_typed_into_seen_ended_and_killed_wherever_its_window_is(
    server: Server, fresh_tmux: Sandbox, move: Callable[[Place], None]
) -> None:
    fresh_tmux.tmux("new-session", "-d", "-s", "mine", "-n", "own", "-x", "150", "-y", "60", *SHELL)
    talk, victim = (server.call("execute", command=TALK)["job_id"] for _ in range(2))
    for job_id in (talk, victim):
        shows(server, job_id, "up\n")
    pid = server.call("status", job_id=victim)["pid"]
    places = [Place(fresh_tmux, talk)]
    ours = {fresh_tmux.ask(job_id, "#{pane_id}") for job_id in (talk, victim)}
    if move is not kill_our_session_after_moving:
        move(places[0])
        if move is not rename_the_session:
            places.append(Place(fresh_tmux, victim))
            taken = "mine:77" in fresh_tmux.tmux("list-windows", "-a", "-F", "#{session_name}:#{window_index}")
            if not taken and move not in (move_within_the_session, swap_windows):
                move(places[1])
    else:
        places.append(Place(fresh_tmux, victim))
        fresh_tmux.tmux("move-window", "-s", places[1].window, "-t", "=mine:78")
        move(places[0])
    theirs = {
        pane
        for pane in panes(fresh_tmux) - ours
        if fresh_tmux.tmux("display-message", "-p", "-t", pane, "#{@mcp_board}") != "1"
    }

    answer = server.call("interact", job_id=talk, input="one; two")
    assert answer["stdout"] == "got one; two\n"
    assert (answer["reason"], answer["awaiting_input"]) == ("input", "prompt")
    assert "got one; two" in server.call("screen", job_id=talk)["screen"]
    assert {job["status"] for job in server.call("list")["jobs"]} == {"running"}
    assert server.call("output", job_id=victim)["stdout"] == "up\n", "input reached one job only"

    assert server.call("kill", job_id=victim) == {"status": "killed"}
    assert not alive(pid)
    server.call("interact", job_id=talk, keys=["C-d"])
    job = ended(server, talk)
    assert (job["status"], job["reason"], job["exit_code"]) == ("failed", "exit", 5)
    assert server.call("output", job_id=talk)["stdout"] == "up\none; two\ngot one; two\n"
    assert server.call("status", job_id=victim)["reason"] == "kill"

    cli(fresh_tmux, "clean", "--all")
    wait_until(lambda: not panes(fresh_tmux) & ours, what="the end of the jobs' own panes")
    assert theirs <= panes(fresh_tmux), "what a person has opened beside a job stays"


@pytest.mark.promise("window-respawned")
@pytest.mark.parametrize("with_command", [True, False])
def test_a_job_whose_window_is_respawned_is_killed_and_what_runs_there_now_is_theirs(
    server: Server, shared: Sandbox, with_command: bool
) -> None:
    job_id = server.call("execute", command="setsid sleep 300 & echo up; cat")["job_id"]
    shows(server, job_id, "up\n")
    tree = shared.runner(job_id).children(recursive=True)
    pane = shared.ask(job_id, "#{pane_id}")
    shared.tmux("respawn-pane", "-k", "-t", pane, *(SHELL if with_command else ()))
    job = ended(server, job_id)
    assert (job["status"], job["reason"]) == ("killed", "window_closed")
    output = server.call("output", job_id=job_id)
    # tmux keeps the pipe for whatever is respawned, until the job's runner closes it.
    assert output["stdout"].startswith("up\n") and len(output["stdout"]) < 20
    assert not log_writers(shared, job_id)
    wait_until(lambda: not [one for one in tree if alive(one.pid)], what="the end of the job's processes")
    assert server.call("status", job_id=job_id) == job, "a job is never run a second time"
    shared.tmux("send-keys", "-t", pane, "of nobody else's business", "Enter")
    if with_command:
        wait_until(lambda: "business" in shared.tmux("capture-pane", "-p", "-t", pane))
        theirs = int(shared.tmux("display-message", "-p", "-t", pane, "#{pane_pid}"))
        assert server.call("output", job_id=job_id) == output, "what a person does there is not in the job's log"
        for _ in range(2):  # the second time no record tells of the pane
            cli(shared, "clean", "--all")
            run_job(server, "true")
        assert alive(theirs), "what a person runs there is not ours to end"
        shared.tmux("kill-pane", "-t", pane)
    else:
        wait_until(lambda: "not run again" in shared.tmux("capture-pane", "-p", "-t", pane))
        cli(shared, "clean", "--all")
        wait_until(lambda: pane not in panes(shared))


@pytest.mark.promise("window-respawned")
def test_a_finished_window_that_a_person_respawned_shows_their_program_to_nobody(
    server: Server, shared: Sandbox
) -> None:
    job_id = server.call("execute", command="echo the job; exit 3")["job_id"]
    job = ended(server, job_id)
    pane = shared.ask(job_id, "#{pane_id}")
    wait_until(lambda: shared.tmux("display-message", "-p", "-t", pane, "#{pane_dead}") == "1")
    shared.tmux("respawn-pane", "-t", pane, *SHELL)
    wait_until(lambda: "theirs" in shared.tmux("capture-pane", "-p", "-t", pane))
    with pytest.raises(Exception, match="no window"):
        server.call("screen", job_id=job_id)
    assert server.call("output", job_id=job_id)["stdout"] == "the job\n"
    assert server.call("status", job_id=job_id)["exit_code"] == job["exit_code"] == 3
    shared.tmux("kill-pane", "-t", pane)
