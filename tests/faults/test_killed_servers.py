"""A server killed at any moment loses no job and leaves nothing that the next one doesn't tidy."""

from __future__ import annotations

from functools import partial
from subprocess import Popen

import pytest

from support.faults import killed_with, listed, nothing_is_left_by, seeded, strike_after, tries
from support.rpc import Server
from support.sandbox import Sandbox, alive, ended, shows
from support.terminal import start
from support.waiting import wait_until

WHOLE = "echo whole; exit 7"
TREES = (
    "echo up; exec sleep 300",
    "setsid sleep 300 & nohup sleep 300 >/dev/null 2>&1 & echo up; sh -c 'sleep 300; :'",
    "trap 'sleep .3; exit 0' TERM; echo up; while :; do sleep .1; done",
)


def is_whole(server: Server, job_id: str) -> bool:
    job = ended(server, job_id)
    if (job["status"], job.get("exit_code")) == ("failed", 7):
        assert server.call("output", job_id=job_id)["stdout"] == "whole\n"
        return True
    assert (job["status"], job["reason"]) == ("killed", "lost"), job
    return False


@pytest.mark.timeout(1200)
@pytest.mark.promise("server-killed-in-execute")
def test_a_server_killed_in_execute_leaves_whole_jobs_or_none(sandbox: Sandbox) -> None:
    random = seeded()
    told: set[str] = set()
    for _ in range(tries(3)):
        server = sandbox.server(MCP_BG_MAX_JOBS="1000")
        pending = [server.start("execute", command=WHOLE) for _ in range(3)]
        strike_after(random, 0.15)
        told |= {answer["job_id"] for answer in killed_with(server, pending)}
    heir = sandbox.server()
    jobs = listed(heir)
    assert told <= jobs.keys()
    lost = {job_id for job_id in jobs if not is_whole(heir, job_id)}
    assert not lost & told, "a job that was answered is never lost"
    assert sandbox.windows().keys() <= jobs.keys()
    nothing_is_left_by(sandbox)


@pytest.mark.timeout(1200)
@pytest.mark.promise("server-killed-in-kill")
def test_a_server_killed_in_kill_leaves_jobs_that_run_or_are_killed(sandbox: Sandbox) -> None:
    random = seeded()
    keeper = sandbox.server(MCP_BG_MAX_JOBS="1000")
    for _ in range(tries(3)):
        job_ids = [keeper.call("execute", command=command)["job_id"] for command in TREES]
        for job_id in job_ids:
            shows(keeper, job_id, "up")
        trees = [process.pid for job_id in job_ids for process in sandbox.runner(job_id).children(recursive=True)]
        assert len(trees) >= 5
        server = sandbox.server()
        pending = [server.start("kill", job_id=job_id) for job_id in job_ids]
        strike_after(random, 0.4)
        assert all(answer == {"status": "killed"} for answer in killed_with(server, pending))
        for job_id in job_ids:
            # The request was written down, or it never was: then the job runs on and can be killed.
            assert keeper.call("kill", job_id=job_id)["status"] in ("killed", "already_terminated")
            job = ended(keeper, job_id)
            assert (job["status"], job["reason"]) == ("killed", "kill"), job
        assert not [pid for pid in trees if alive(pid)]
    nothing_is_left_by(sandbox)


def begun(cleaning: Popen[str], sandbox: Sandbox, records: set[str], windows: int) -> bool:
    return cleaning.poll() is not None or sandbox.records() != records or len(sandbox.windows()) < windows


@pytest.mark.timeout(1200)
@pytest.mark.promise("server-killed-in-cleanup")
def test_a_cleanup_that_is_killed_leaves_whole_records_or_none(sandbox: Sandbox) -> None:
    random = seeded()
    keeper = sandbox.server(MCP_BG_MAX_JOBS="1000")
    interrupted = 0
    for number in range(40):
        if number >= tries(3) and interrupted:
            break  # on a busy machine most cleanups are over before they can be killed
        job_ids = {keeper.call("execute", command=WHOLE)["job_id"] for _ in range(12)}
        for job_id in job_ids:
            ended(keeper, job_id)
        records, windows = sandbox.records(), len(sandbox.windows())
        cleaning = start(sandbox, "clean", "--all")
        wait_until(partial(begun, cleaning, sandbox, records, windows), what="the cleanup", every=0.001)
        strike_after(random, 0.01)
        interrupted += cleaning.poll() is None
        cleaning.kill()
        cleaning.communicate()
        left = sandbox.server()
        found = listed(left)
        assert all(is_whole(left, job_id) for job_id in found)
        assert "unreadable" not in left.call("list", all=True)
        assert found.keys() == {name for name in sandbox.records() if not name.startswith(".")}
        left.close()
    assert interrupted, "no cleanup was killed on its way"
    nothing_is_left_by(sandbox)
