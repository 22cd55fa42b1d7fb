"""The session lives on the person's own tmux server, under their tmux.conf, and disturbs nothing there."""

from __future__ import annotations

import time
from datetime import datetime

import pytest

from support.person import Person
from support.rpc import Server
from support.sandbox import Sandbox, ended, run_job, run_jobs, shows
from support.waiting import stays_true, wait_until

NASTY_CONF = """
set -g base-index 1
setw -g pane-base-index 1
set -g renumber-windows on
set -g default-shell {shell}
set -g default-command 'sleep 1'
set -g destroy-unattached on
set -g history-limit 0
setw -g automatic-rename on
set -g automatic-rename-format '#{{pane_current_command}}'
set -g allow-rename on
set -g set-titles on
setw -g remain-on-exit off
set -g mouse on
set -g status off
set -g prefix C-a
unbind C-b
setw -g mode-keys vi
set -g default-terminal xterm
setw -g monitor-activity on
setw -g aggressive-resize on
set -g detach-on-destroy off
setw -g synchronize-panes on
setw -g xterm-keys on
set -g window-size smallest
set -g default-size 61x17
set -g set-clipboard external
set -g escape-time 500
set -g assume-paste-time 1
set-hook -g after-new-window 'run-shell "sleep .3"'
set-hook -g pane-died 'kill-window'
bind -n F12 kill-server
"""

GLOBALS = (
    ("show-options", "-s"),
    ("show-options", "-g"),
    ("show-options", "-g", "-w"),
    ("show-hooks", "-g"),
    ("show-environment", "-g"),
)


def write_conf(sandbox: Sandbox, text: str) -> None:
    """A person's tmux.conf, with a login shell that understands no POSIX, as fish doesn't."""
    shell = sandbox.home / "fish"
    shell.write_text("#!/bin/sh\necho 'fish: Unsupported use of everything'\nexit 127\n")
    shell.chmod(0o755)
    (sandbox.home / ".tmux.conf").write_text(text.format(shell=shell))


def check_all_works(sandbox: Sandbox, server: Server) -> None:
    """The promises of the other files, each once."""
    jobs = run_jobs(server, ["printf 'first\\nlast'; exit 3", "stty size; echo $TERM", "kill -KILL $$", "seq 1 3000"])
    outputs = [server.call("output", job_id=job["job_id"])["stdout"] for job in jobs]
    assert [(job["status"], job.get("exit_code")) for job in jobs[:2]] == [("failed", 3), ("completed", 0)]
    assert outputs[0] == "first\nlast"
    assert outputs[1].split()[1] == "200"
    assert outputs[1].split()[2].startswith(("tmux", "screen", "xterm"))
    assert jobs[2]["signal"] == "KILL"
    assert outputs[3].splitlines() == [str(number) for number in range(1, 3001)]

    talk = server.call("execute", command="echo up; cat", name="talk")["job_id"]
    bystander = server.call("execute", command="echo up; cat", name="bystander")["job_id"]
    shows(server, talk, "up")
    shows(server, bystander, "up")
    assert server.call("interact", job_id=talk, input="a; b")["stdout"] == "a; b\n"
    assert server.call("output", job_id=bystander)["stdout"] == "up\n", "input reached one job only"
    # pane-died and renumber-windows of the person must not reach our windows.
    assert {job["job_id"] for job in jobs} <= set(sandbox.windows())
    assert server.call("kill", job_id=talk) == {"status": "killed"}
    assert server.call("status", job_id=bystander)["status"] == "running"
    sandbox.tmux("kill-window", "-t", sandbox.window(bystander))
    end = ended(server, bystander)
    assert (end["status"], end["reason"]) == ("killed", "window_closed")


@pytest.mark.promise("pair-own-tmux")
def test_a_persons_own_tmux_conf_breaks_nothing_when_the_server_starts_with_it(sandbox: Sandbox) -> None:
    write_conf(sandbox, NASTY_CONF + "set -s exit-unattached on\nset -s exit-empty on\n")
    check_all_works(sandbox, sandbox.server())


@pytest.mark.promise("pair-own-tmux")
def test_a_persons_own_tmux_conf_breaks_nothing_on_a_server_that_runs_already(sandbox: Sandbox) -> None:
    write_conf(sandbox, NASTY_CONF)
    person = Person(sandbox, "tmux new-session -s mine -- sleep 1000")
    wait_until(lambda: "mine" in sandbox.tmux("list-sessions", check=False))
    check_all_works(sandbox, sandbox.server())
    assert "LEFT" not in person.screen()


@pytest.mark.promise("pair-own-tmux")
def test_a_tmux_conf_with_mistakes_in_it_breaks_nothing(sandbox: Sandbox) -> None:
    write_conf(sandbox, "set -g no-such-option 1\nnonsense\nsource-file /nonexistent\n")
    server = sandbox.server()
    assert run_job(server, "exit 3")["exit_code"] == 3


def _keys(sandbox: Sandbox) -> list[list[str]]:
    """Every key binding as words: tmux pads its columns to the longest."""
    return [line.split() for line in sandbox.tmux("list-keys").splitlines()]


@pytest.mark.promise("safe-own-windows")
def test_nothing_global_of_the_person_is_changed(sandbox: Sandbox) -> None:
    # Without automatic-rename: tmux would give other names to their windows some time after these run.
    (sandbox.home / ".tmux.conf").write_text(
        "set -g history-limit 777\nsetw -g automatic-rename off\nbind -n F11 display-message hi\n"
    )
    sandbox.tmux("new-session", "-d", "-s", "mine", "--", "sleep", "1000")
    sandbox.tmux("new-window", "-t", "mine:", "--", "sleep", "1000")
    sandbox.tmux("set-buffer", "-b", "theirs", "kept")
    rows = (
        "list-windows",
        "-t",
        "=mine",
        "-F",
        "#{window_id} #{window_index} #{window_name} #{window_layout} #{window_active}",
    )
    before = {command: sandbox.tmux(*command) for command in GLOBALS}
    keys = _keys(sandbox)
    windows = sandbox.tmux(*rows)
    own = sandbox.tmux("show-options", "-t", "=mine:")

    server = sandbox.server()
    run_jobs(server, ["echo hi", "exit 3"])
    job_id = server.call("execute", command="cat")["job_id"]
    server.call("interact", job_id=job_id, input="several\nlines;")
    server.call("interact", job_id=job_id, keys=["Up"])
    server.call("kill", job_id=job_id)
    run_job(server, "echo more")

    assert {command: sandbox.tmux(*command) for command in GLOBALS} == before
    own_table = ["-T", "mcp-jobs"]
    foreign = [words for words in _keys(sandbox) if words[1:3] != own_table and words[2:4] != own_table]
    assert foreign == keys, "keys only in a table of our own"
    assert sandbox.tmux(*rows) == windows
    assert sandbox.tmux("show-options", "-t", "=mine:") == own
    assert sandbox.tmux("list-buffers", "-F", "#{buffer_name} #{buffer_sample}") == "theirs kept"
    server.close()
    assert sandbox.tmux(*rows) == windows


def test_the_session_outlives_its_last_job(sandbox: Sandbox) -> None:
    server = sandbox.server()
    job = run_job(server, "true")
    sandbox.tmux("kill-window", "-t", sandbox.window(job["job_id"]))
    server.close()
    assert sandbox.tmux("has-session", "-t", "=mcp-jobs") == ""
    assert sandbox.tmux("list-windows", "-t", "=mcp-jobs", "-F", "#{window_id}")


@pytest.mark.promise("safe-own-windows")
def test_a_foreign_session_whose_name_begins_alike_is_not_taken_for_ours(sandbox: Sandbox) -> None:
    sandbox.tmux("new-session", "-d", "-s", "mcp-jobs-of-mine", "--", "sleep", "1000")
    server = sandbox.server()
    run_job(server, "true")
    theirs = ("list-windows", "-t", "=mcp-jobs-of-mine", "-F", "#{pane_current_command}")
    wait_until(lambda: sandbox.tmux(*theirs) == "sleep")
    assert sandbox.tmux("has-session", "-t", "=mcp-jobs") == ""


@pytest.mark.promise("safe-own-windows")
def test_a_session_that_a_person_made_is_used_and_its_windows_left_alone(sandbox: Sandbox) -> None:
    sandbox.tmux("new-session", "-d", "-s", "mcp-jobs", "-n", "mine", "-x", "80", "-y", "24", "--", "sleep", "1000")
    server = sandbox.server()
    job = run_job(server, "stty size; exit 3")
    assert job["exit_code"] == 3
    assert server.call("output", job_id=job["job_id"])["stdout"].split()[1] == "200"
    assert "mine" in sandbox.tmux("list-windows", "-t", "=mcp-jobs", "-F", "#{window_name}").split()


@pytest.mark.promise("window-moved")
def test_a_session_that_a_person_renamed_keeps_its_jobs(server: Server, cleared: Sandbox) -> None:
    job_id = server.call("execute", command="echo up; cat")["job_id"]
    shows(server, job_id, "up")
    cleared.tmux("rename-session", "-t", "=mcp-jobs", "renamed")
    assert server.call("status", job_id=job_id)["status"] == "running"
    assert server.call("interact", job_id=job_id, input="still")["stdout"] == "still\n"
    assert run_job(server, "exit 3")["exit_code"] == 3
    assert server.call("kill", job_id=job_id) == {"status": "killed"}


@pytest.mark.promise("pair-last-screen")
def test_finished_windows_stay_open_with_their_last_screen(server: Server, shared: Sandbox) -> None:
    # Several lines: tmux itself scrolls a dead pane by one, to say that it is dead.
    jobs = run_jobs(server, ["seq 1 9; echo the last screen; exit 3", "true"])
    for job in jobs:
        assert job["job_id"] in shared.windows()
    window = shared.window(jobs[0]["job_id"])
    wait_until(lambda: "the last screen" in shared.tmux("capture-pane", "-p", "-t", window))
    wait_until(lambda: shared.tmux("display-message", "-p", "-t", window, "#{pane_dead}") == "1")


@pytest.mark.slow
@pytest.mark.promise("cleanup-windows", "safe-own-windows")
def test_cleanup_closes_finished_windows_and_no_others(sandbox: Sandbox) -> None:
    server = sandbox.server(MCP_BG_CLEANUP_INTERVAL="10")
    job = run_job(server, "echo kept; exit 3")
    end = datetime.fromisoformat(job["ended"]).timestamp()
    running = server.call("execute", command="sleep 300")["job_id"]
    sandbox.tmux("new-window", "-d", "-t", "=mcp-jobs:", "-n", "foreign", "--", "sleep", "1000")
    sandbox.tmux(
        "new-window",
        "-d",
        "-t",
        "=mcp-jobs:",
        "-n",
        "dead",
        ";",
        "set-option",
        "-w",
        "-t",
        "=mcp-jobs:dead",
        "remain-on-exit",
        "on",
        ";",
        "respawn-window",
        "-k",
        "-t",
        "=mcp-jobs:dead",
        "--",
        "sh",
        "-c",
        "exit 0",
    )
    # Time is the promise: not before ten seconds after the end.
    stays_true(
        lambda: job["job_id"] in sandbox.windows() or time.time() > end + 10,
        end + 10 - time.time(),
        what="the finished window is open",
        every=0.5,
    )
    wait_until(lambda: job["job_id"] not in sandbox.windows(), what="the cleanup", every=0.2)
    wait_until(lambda: [one["job_id"] for one in server.call("list")["jobs"]] == [running])
    assert {one["job_id"] for one in server.call("list", all=True)["jobs"]} == {running, job["job_id"]}
    assert server.call("output", job_id=job["job_id"])["stdout"] == "kept\n"
    assert server.call("status", job_id=job["job_id"])["exit_code"] == 3
    names = sandbox.tmux("list-windows", "-t", "=mcp-jobs", "-F", "#{window_name}").split()
    assert {"foreign", "dead"} <= set(names)
    assert running in sandbox.windows()


@pytest.mark.promise("pair-size")
def test_a_small_terminal_that_attaches_does_not_shrink_a_jobs_window(server: Server, shared: Sandbox) -> None:
    job_id = server.call("execute", command="while read x; do stty size; done")["job_id"]
    person = Person(shared, server.call("status", job_id=job_id)["attach"], columns=60, rows=15)
    wait_until(lambda: "60" in shared.tmux("list-clients", "-F", "#{client_width}").split())
    answer = server.call("interact", job_id=job_id, input="go")
    assert answer["stdout"].split()[-1] == "200"
    person.detach()
    assert server.call("interact", job_id=job_id, input="go")["stdout"].split()[-1] == "200"


@pytest.mark.promise("pair-attach")
def test_a_person_who_attaches_to_the_session_sees_what_runs(server: Server, shared: Sandbox) -> None:
    job_id = server.call("execute", command="echo watch me $((6 * 7)); cat", name="watched")["job_id"]
    person = Person(shared, "tmux attach -t mcp-jobs", columns=160)
    shared.tmux("select-window", "-t", shared.window(job_id))
    person.sees("watch me 42")
    server.call("interact", job_id=job_id, input="typed by the agent")
    person.sees("typed by the agent")
    person.type("typed by the person")
    person.press("Enter")
    shows(server, job_id, "typed by the person\ntyped by the person\n")
    person.press("C-b", "d")
    person.sees("LEFT")
    assert server.call("status", job_id=job_id)["status"] == "running"
