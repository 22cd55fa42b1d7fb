"""What becomes of ended jobs: kept as long as promised, then tidied up by whichever server is there."""

from __future__ import annotations

import json
import os
import shutil
import time
from functools import partial

import pytest

from support.rpc import Server
from support.sandbox import SESSION, Sandbox, ended, run_job, run_jobs
from support.scale import at_once, scaled
from support.waiting import stays_true, wait_until


def tidying(sandbox: Sandbox) -> Server:
    """A server that tidies up all that ended ten seconds ago, beginning a second after its start."""
    return sandbox.server(MCP_BG_CLEANUP_INTERVAL="10", MCP_BG_RETENTION="10", MCP_BG_MAX_JOBS="100")


def let_time_pass(sandbox: Sandbox, job_id: str, seconds: float) -> None:
    """Make a job's end lie further back, as it will after that time."""
    record = sandbox.state / SESSION / job_id / "exit.json"
    end = json.loads(record.read_text())
    clocks = {clock: end[clock] - seconds for clock in ("ended", "uptime") if clock in end}
    record.write_text(json.dumps(end | clocks))


@pytest.mark.slow
@pytest.mark.promise("cleanup-windows", "cleanup-records")
def test_a_window_stays_for_its_interval_and_a_record_for_its_retention(sandbox: Sandbox) -> None:
    server = sandbox.server(MCP_BG_CLEANUP_INTERVAL="10", MCP_BG_RETENTION="20")
    running = server.call("execute", command="echo up; cat")["job_id"]
    job_id = run_job(server, "echo kept; exit 3")["job_id"]
    end = float(json.loads((sandbox.state / SESSION / job_id / "exit.json").read_text())["ended"])

    def age() -> float:
        return time.time() - end

    # Time is the promise: neither before its time, nor later than a sweep and a busy machine explain.
    stays_true(lambda: job_id in sandbox.windows() or age() >= 10, 10 - age(), every=0.3)
    wait_until(lambda: job_id not in sandbox.windows(), every=0.1)
    assert 10 <= age() < 60
    assert server.call("output", job_id=job_id)["stdout"] == "kept\n"
    stays_true(lambda: job_id in sandbox.records() or age() >= 20, 20 - age(), every=0.3)
    wait_until(lambda: job_id not in sandbox.records(), every=0.1)
    assert 20 <= age() < 80
    assert [job["job_id"] for job in server.call("list", all=True)["jobs"]] == [running]
    assert set(sandbox.windows()) == sandbox.records() == {running}


@pytest.mark.slow
@pytest.mark.promise("cleanup-by-the-next")
def test_the_next_server_tidies_up_what_none_was_there_for(sandbox: Sandbox) -> None:
    server = sandbox.server(MCP_BG_MAX_JOBS="100")
    job_ids = [
        server.call("execute", command=f"until [ -e go ]; do sleep .1; done; exit {number}")["job_id"]
        for number in range(5)
    ]
    keeps = server.call("execute", command="cat")["job_id"]
    forgotten, lost, early = (server.call("execute", command="cat")["job_id"] for _ in range(3))
    server.kill9()

    # All ends while nobody is there: by themselves, with their runner, and with their record gone.
    sandbox.path("go").touch()
    folder = sandbox.state / SESSION
    for job_id in job_ids:
        wait_until((folder / job_id / "exit.json").exists)
    sandbox.runner(lost).kill()
    sandbox.runner(early).kill()
    (folder / early / "run.json").unlink(missing_ok=True)  # as if it had been killed before it wrote that
    shutil.rmtree(folder / forgotten)
    for name in (".new-abc234", ".new-abc235-gone"):
        (folder / name / "log").mkdir(parents=True)
        os.utime(folder / name, (time.time() - 120,) * 2)
    looks = sandbox.server()
    for job_id in (lost, early):
        assert looks.call("status", job_id=job_id)["reason"] == "lost"
    for job_id in (*job_ids, lost, early):
        let_time_pass(sandbox, job_id, 3600)

    tidying(sandbox)
    wait_until(lambda: sandbox.records() == {keeps}, what="only what runs is left on disk")
    wait_until(lambda: set(sandbox.windows()) == {keeps}, what="only what runs has a window")
    left = {path.name for path in folder.iterdir()}
    assert left <= {keeps, "lock", "sweep.lock", "tmux.conf", "keys.conf"}, left


@pytest.mark.slow
@pytest.mark.promise("cleanup-by-the-next")
def test_a_lone_window_of_a_job_that_never_said_where_it_is_is_closed(sandbox: Sandbox) -> None:
    server = sandbox.server()
    job_id = server.call("execute", command="cat")["job_id"]
    wait_until((sandbox.state / SESSION / job_id / "run.json").exists)
    sandbox.runner(job_id).kill()
    (sandbox.state / SESSION / job_id / "run.json").unlink()
    assert sandbox.server().call("status", job_id=job_id)["reason"] == "lost"
    let_time_pass(sandbox, job_id, 3600)
    tidying(sandbox)
    wait_until(lambda: not sandbox.records() and not sandbox.windows())


@pytest.mark.slow
@pytest.mark.promise("cleanup-together")
def test_servers_that_tidy_up_together_remove_what_is_due_and_nothing_else(sandbox: Sandbox) -> None:
    server = sandbox.server(MCP_BG_MAX_JOBS="100")
    due = [job["job_id"] for job in run_jobs(server, ["exit 1"] * scaled(20, 90))]
    recent = [job["job_id"] for job in run_jobs(server, ["echo recent"] * 3)]
    running = [server.call("execute", command="cat")["job_id"] for _ in range(3)]
    sandbox.tmux("new-window", "-d", "-t", "=mcp-jobs:", "-n", "foreign", "--", "sleep", "1000")
    for job_id in due:
        let_time_pass(sandbox, job_id, 7200)
    servers = at_once(
        [
            partial(sandbox.server, MCP_BG_CLEANUP_INTERVAL="3600", MCP_BG_RETENTION="3600", MCP_BG_MAX_JOBS="100")
            for _ in range(scaled(4, 8))
        ]
    )
    wait_until(lambda: sandbox.records() == {*recent, *running})
    wait_until(lambda: set(sandbox.windows()) == {*recent, *running})
    assert "foreign" in sandbox.tmux("list-windows", "-t", "=mcp-jobs", "-F", "#{window_name}").split()
    for one in servers:
        listed = {job["job_id"] for job in one.call("list", all=True)["jobs"]}
        assert listed == {*recent, *running}
        assert one.stderr == ""
    assert server.call("output", job_id=recent[0])["stdout"] == "recent\n"


@pytest.mark.slow
@pytest.mark.promise("cleanup-many")
def test_hundreds_of_windows_that_are_due_are_closed(sandbox: Sandbox) -> None:
    count = scaled(240, 1000)  # a thousand were once more than one command of tmux can name
    server = sandbox.server()
    keeps = server.call("execute", command="cat")["job_id"]
    ended(server, server.call("execute", command="true")["job_id"])
    server.kill9()
    # Windows as ours are, whose records are gone: a thousand real jobs would take a minute.
    sandbox.tmux("new-session", "-d", "-s", "many", "--", "sleep", "1000")
    state = str(sandbox.state / SESSION)
    for start in range(0, count, 20):
        commands: list[str] = []
        for number in range(start, start + 20):
            commands += [";", "new-window", "-d", "-t", f"many:{number + 10}", "--", "true"]
            commands += [";", "set-option", "-w", "-t", f"many:{number + 10}", "remain-on-exit", "on"]
            commands += [";", "set-option", "-p", "-t", f"many:{number + 10}", "@mcp_job_id", f"zz{number:04d}"]
            commands += [";", "set-option", "-p", "-t", f"many:{number + 10}", "@mcp_state", state]
        sandbox.tmux(*commands[1:])
    assert len(sandbox.windows()) == count + 2
    tidying(sandbox)
    wait_until(lambda: len(sandbox.windows()) <= 2, every=0.5)
    assert keeps in sandbox.windows()
