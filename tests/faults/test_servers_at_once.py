"""Many servers at the same moment: one session, one limit, everybody's job."""

from __future__ import annotations

import fcntl
import threading
import time
from functools import partial

import psutil
import pytest

from support.rpc import Answer, Server, ToolError
from support.sandbox import SESSION, Sandbox, ended
from support.scale import at_once, scaled
from support.waiting import wait_until

SERVERS = 8


@pytest.mark.slow
@pytest.mark.promise("servers-start-at-once")
def test_eight_servers_that_start_at_the_same_moment_share_one_session() -> None:
    for _ in range(scaled(1, 20)):
        world = Sandbox()
        try:

            def begin(number: int, world: Sandbox = world) -> Answer:
                server = world.silent_server().open()
                answer = server.call("execute", command=f"echo from {number}; exit {number}", wait=50)
                assert (answer["exit_code"], answer["stdout"]) == (number, f"from {number}\n")
                return answer

            answers = at_once([partial(begin, number) for number in range(SERVERS)])
            job_ids = {answer["job_id"] for answer in answers}
            assert len(job_ids) == SERVERS
            for number, server in enumerate(world.servers):
                other = answers[number - 1]
                assert server.call("output", job_id=other["job_id"])["stdout"] == other["stdout"]
                assert {job["job_id"] for job in server.call("list")["jobs"]} == job_ids
                assert server.stderr == ""
            assert world.tmux("list-sessions", "-F", "#{session_name}") == SESSION
            assert set(world.windows()) == job_ids
        finally:
            world.close()


def running_now(sandbox: Sandbox) -> int:
    """Jobs without an end, counted while nobody can add one; taking the lock is what a server does too."""
    folder = sandbox.state / SESSION
    with (folder / "lock").open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ids = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
        return sum(not (path / "exit.json").exists() for path in ids)


@pytest.mark.slow
@pytest.mark.promise("limit-jobs-all-servers")
def test_eight_servers_racing_for_the_job_limit_never_exceed_it(sandbox: Sandbox) -> None:
    limit = 5
    silent = [sandbox.silent_server(MCP_BG_MAX_JOBS=str(limit)) for _ in range(SERVERS)]
    servers = [server.open() for server in silent]
    begun, lasts = time.monotonic(), scaled(3, 60)
    started: list[str] = []
    refused: list[str] = []
    counts: list[int] = []
    racing = threading.Event()

    def raced() -> bool:
        return bool(refused) and max(counts, default=0) >= limit

    def race(server: Server) -> None:
        number = 0
        # On a busy machine it takes longer until there are so many.
        while (passed := time.monotonic() - begun) < lasts or (passed < lasts + 60 and not raced()):
            number += 1
            # Some end by themselves at once, some stay until they are killed: room comes and goes.
            command = "sleep 0.05" if number % 3 else "sleep 1000"
            try:
                started.append(server.call("execute", command=command)["job_id"])
            except ToolError as refusal:
                refused.append(str(refusal))
            if number % 3 == 0 and started:
                server.call("kill", job_id=started[-1], signal="KILL")

    def watch() -> None:
        while not racing.is_set():
            if (sandbox.state / SESSION / "lock").exists():
                counts.append(running_now(sandbox))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        at_once([partial(race, server) for server in servers], 200)
    finally:
        racing.set()
        watcher.join(60)
    print(f"{len(started)} started, {len(refused)} refused, counted {len(counts)} times, at most {max(counts)}")
    assert max(counts) == limit, "never more, and the limit was reached"
    assert len(started) > limit
    assert refused
    assert all("MCP_BG_MAX_JOBS" in text for text in refused)
    for job in servers[0].call("list", all=True)["jobs"]:
        if job["status"] == "running":
            servers[0].call("kill", job_id=job["job_id"], signal="KILL")
    assert sandbox.records() == set(started), "each has its record, and no refusal left one"
    assert {ended(servers[0], job_id)["status"] for job_id in started} <= {"completed", "killed"}
    wait_until(lambda: running_now(sandbox) == 0)
    assert not [process for process in sandbox.processes() if is_sleep(process)]


def is_sleep(process: psutil.Process) -> bool:
    try:
        return process.name() == "sleep" and "1000" in process.cmdline()
    except psutil.Error:
        return False
