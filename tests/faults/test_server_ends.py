"""MCP_BG_ON_DISCONNECT=kill: a server's jobs end with it however it ends, but for those that a person holds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import psutil
import pytest

from support.faults import all_gone, killed_with, seeded, strike_after, tries
from support.rpc import Answer, Server
from support.sandbox import SESSION, Sandbox, alive, ended, shows
from support.terminal import answer, cli
from support.waiting import stays_true, wait_until

TREE = "trap '' HUP; setsid sleep 300 & nohup sleep 300 >/dev/null 2>&1 & echo up; sleep 300"
BY = "the end of its server"

ENDS: dict[str, Callable[[Server], object]] = {
    "input-closed": Server.hang_up,
    "TERM": Server.terminate,
    "KILL": Server.kill9,
}


def killing(sandbox: Sandbox) -> Server:
    return sandbox.server(MCP_BG_ON_DISCONNECT="kill")


def begun(server: Server, command: str = "echo up; exec cat") -> str:
    job_id: str = server.call("execute", command=command)["job_id"]
    shows(server, job_id, "up")
    return job_id


def sleeps(runner: psutil.Process) -> None:
    """Wait until a runner is seen asleep for half a second: it looks at its log each second or more."""
    seen = [(time.monotonic(), runner.num_ctx_switches().voluntary)]

    def still() -> bool:
        looks = runner.num_ctx_switches().voluntary
        if looks != seen[-1][1]:
            seen.append((time.monotonic(), looks))
        return time.monotonic() - seen[-1][0] > 0.5

    wait_until(still)


def ended_with_its_server(heir: Server, job_id: str) -> Answer:
    job = ended(heir, job_id)
    assert (job["status"], job["reason"], job["killed_by"]) == ("killed", "kill", BY)
    return job


@pytest.mark.promise("server-ends-kill")
def test_an_agent_is_told_how_long_its_jobs_last(sandbox: Sandbox) -> None:
    assert "Jobs live on when this server" in sandbox.server().hello["instructions"]
    assert "Jobs end when this server stops" in killing(sandbox).hello["instructions"]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.promise("server-ends-kill")
def test_jobs_end_with_their_server_and_no_others_do(sandbox: Sandbox, end: str) -> None:
    keeping, other, server = sandbox.server(), killing(sandbox), killing(sandbox)
    kept, others = begun(keeping), begun(other)
    job_id = begun(server, TREE)
    tree = [process.pid for process in sandbox.runner(job_id).children(recursive=True)]
    assert len(tree) >= 3
    ENDS[end](server)
    assert ended_with_its_server(keeping, job_id)["signal"] == "TERM"
    assert all_gone(tree)
    keeping.kill9()
    assert [other.call("status", job_id=one)["status"] for one in (kept, others)] == ["running"] * 2
    other.kill9()
    heir = sandbox.server()
    ended_with_its_server(heir, others)
    assert heir.call("status", job_id=kept)["status"] == "running"


@pytest.mark.promise("server-ends-kill")
def test_a_job_that_ignores_the_signal_is_killed_after_its_grace(sandbox: Sandbox) -> None:
    server = killing(sandbox)
    job_id = begun(server, "trap '' TERM HUP; echo up; while :; do sleep 0.2; done")
    server.kill9()
    assert ended_with_its_server(sandbox.server(), job_id)["signal"] == "KILL"


@pytest.mark.promise("server-ends-kill")
def test_what_has_ended_by_itself_stays_as_it_ended(sandbox: Sandbox) -> None:
    server = killing(sandbox)
    done = ended(server, server.call("execute", command="exit 3")["job_id"])
    server.kill9()
    assert sandbox.server().call("status", job_id=done["job_id"]) == done


@pytest.mark.promise("server-ends-kill")
def test_a_server_that_is_stopped_has_not_ended(sandbox: Sandbox) -> None:
    server = killing(sandbox)
    job_id = begun(server)
    runner = sandbox.runner(job_id)
    os.kill(server.process.pid, signal.SIGSTOP)
    stays_true(lambda: alive(runner.pid), 0.5)
    sleeps(runner)
    os.kill(server.process.pid, signal.SIGCONT)
    assert server.call("status", job_id=job_id)["status"] == "running"


@pytest.mark.parametrize("back", ["give", "menu"])
@pytest.mark.promise("server-ends-held")
def test_a_job_that_a_person_holds_ends_when_they_hand_it_back(sandbox: Sandbox, back: str) -> None:
    server = killing(sandbox)
    held, free = begun(server), begun(server)
    cli(sandbox, "take", held)
    server.kill9()
    heir = sandbox.server()
    ended_with_its_server(heir, free)
    assert heir.call("status", job_id=held)["holder"] == "human"
    sleeps(sandbox.runner(held))
    if back == "give":
        cli(sandbox, "give", held)
    else:
        # What the menu runs for its key.
        options = ["--state", str(sandbox.state / SESSION), "--job", held, "--pane", sandbox.ask(held, "#{pane_id}")]
        command = [sys.executable, "-m", "mcp_background_job.ui.menu", *options, "give"]
        subprocess.run(command, env=sandbox.environment, check=True, timeout=20)
    ended_with_its_server(heir, held)


@pytest.mark.timeout(1200)
@pytest.mark.promise("server-ends-kill")
def test_no_job_runs_on_at_whatever_moment_of_its_start_its_server_is_killed(sandbox: Sandbox) -> None:
    random = seeded()
    for _ in range(tries(3)):
        server = sandbox.server(MCP_BG_ON_DISCONNECT="kill", MCP_BG_MAX_JOBS="1000")
        pending = [server.start("execute", command="setsid sleep 300 & sleep 300") for _ in range(3)]
        strike_after(random, 0.3)
        killed_with(server, pending)
    heir = sandbox.server()
    for job in heir.call("list", all=True)["jobs"]:
        told = ended(heir, job["job_id"], 40)
        assert (told["status"], told["reason"]) in (("killed", "kill"), ("killed", "lost")), told
    wait_until(lambda: not [one for one in sandbox.processes() if one.name() == "sleep"])


@pytest.mark.promise("server-ends-kill")
def test_a_command_of_the_persons_is_no_server(sandbox: Sandbox) -> None:
    job_id = answer(sandbox, "run", "echo up; exec cat", MCP_BG_ON_DISCONNECT="kill")["job_id"]
    heir = sandbox.server()
    shows(heir, job_id, "up")
    stays_true(lambda: heir.call("status", job_id=job_id)["status"] == "running", 0.5)


@pytest.mark.promise("server-ends-kill", "cleanup-by-the-next")
def test_an_ended_servers_lifeline_is_tidied_away_and_a_living_ones_is_not(sandbox: Sandbox) -> None:
    def lifelines() -> int:
        return len(list((sandbox.state / "mcp-jobs").glob(".server-*")))

    gone, lives = killing(sandbox), killing(sandbox)
    begun(gone)
    job_id = begun(lives)
    gone.kill9()
    assert lifelines() == 2
    cli(sandbox, "clean")
    wait_until(lambda: cli(sandbox, "clean") and lifelines() == 1)
    assert lives.call("status", job_id=job_id)["status"] == "running"
    begun(lives)
    assert lifelines() == 1, "a server has one"
    lives.kill9()
    ended_with_its_server(sandbox.server(), job_id)
