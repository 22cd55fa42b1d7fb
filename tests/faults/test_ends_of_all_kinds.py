"""Every exit code and signal is told as it was; a kill tells one truth, whoever else is ending the job."""

from __future__ import annotations

import signal
from datetime import datetime

import psutil
import pytest

from support.faults import seeded, strike_after, tries
from support.rpc import Server
from support.sandbox import PYTHON, Sandbox, alive, ended, run_jobs, shows
from support.scale import scaled
from support.waiting import stays_true, wait_until

AT_ONCE = scaled(16, 32)
SIGNALS = "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM XCPU XFSZ VTALRM PROF SYS"


@pytest.mark.slow
@pytest.mark.promise("end-exit-code")
def test_exit_codes_from_0_to_255_are_told(server: Server) -> None:
    # All 256 with MCP_BG_LOAD=full; else the first and the last, with those that shells give a meaning among them.
    for first in range(0, 256, scaled(256 - AT_ONCE, AT_ONCE)):
        codes = range(first, first + AT_ONCE)
        jobs = run_jobs(server, [f"exit {code}" for code in codes])
        assert [job["exit_code"] for job in jobs] == list(codes)
        assert {job["status"] for job in jobs if job["exit_code"]} == {"failed"}
        assert not any("signal" in job for job in jobs)
        if first == 0:
            assert jobs[0]["status"] == "completed"


@pytest.mark.promise("end-signal")
def test_every_common_signal_is_told_by_its_name(server: Server) -> None:
    commands = {name: f"ulimit -c 0; kill -{name} $$; sleep 5" for name in SIGNALS.split()}
    # bash ignores it whatever it is told.
    commands["QUIT"] = f"ulimit -c 0; exec {PYTHON} -I -S -c 'import os, time; os.kill(os.getpid(), 3); time.sleep(5)'"
    jobs = run_jobs(server, list(commands.values()))
    assert [(job["status"], job["reason"], job["signal"]) for job in jobs] == [
        ("failed", "signal", name) for name in SIGNALS.split()
    ]


@pytest.mark.promise("kill-grace")
@pytest.mark.slow
def test_a_term_handler_that_needs_most_of_the_grace_finishes(server: Server) -> None:
    command = "trap 'sleep 3; echo put away; exit 0' TERM; echo up; while :; do sleep .1; done"
    job_id = server.call("execute", command=command)["job_id"]
    shows(server, job_id, "up\n")
    assert server.call("kill", job_id=job_id) == {"status": "killed"}
    assert server.call("output", job_id=job_id)["stdout"].endswith("\nput away\n")
    job = server.call("status", job_id=job_id)
    assert (job["status"], job["reason"]) == ("killed", "kill")


@pytest.mark.promise("kill-one-truth")
def test_a_second_kill_with_KILL_shortens_the_grace(server: Server) -> None:
    command = "trap 'echo asked at $(date +%s.%N)' TERM; echo up; while :; do sleep .1; done"
    job_id = server.call("execute", command=command)["job_id"]
    shows(server, job_id, "up\n")
    first = server.start("kill", job_id=job_id)
    shows(server, job_id, "asked at ")
    second = server.start("kill", job_id=job_id, signal="KILL")
    assert [first.answer(), second.answer()] == [{"status": "killed"}] * 2
    text = server.call("output", job_id=job_id)["stdout"]
    # Time is the promise: less than the grace of five seconds.
    asked = float(text.split("asked at ")[1].split()[0])
    assert datetime.fromisoformat(server.call("status", job_id=job_id)["ended"]).timestamp() - asked < 5
    assert server.call("kill", job_id=job_id) == {"status": "already_terminated"}


@pytest.mark.promise("kill-one-truth")
@pytest.mark.timeout(1200)
def test_kills_from_two_servers_that_meet_the_jobs_own_end_tell_one_truth(server: Server, shared: Sandbox) -> None:
    random = seeded()
    other = shared.server()
    seen: dict[str, int] = {}
    for _ in range(tries(12)):
        job_id = server.call("execute", command="echo whole; sleep 0.08; exit 7")["job_id"]
        strike_after(random, 0.12)
        pending = [one.start("kill", job_id=job_id) for one in (server, other)]
        strike_after(random, 0.01)
        pending.append(server.start("kill", job_id=job_id, signal="KILL"))
        answers = {one.answer()["status"] for one in pending}
        first = ended(other, job_id)
        truth = (first["status"], first["reason"])
        assert truth in (("killed", "kill"), ("failed", "exit")), first
        assert answers <= {"killed", "already_terminated"}
        assert ("killed" in answers) == (truth == ("killed", "kill"))
        if truth == ("failed", "exit"):
            assert first["exit_code"] == 7
            assert other.call("output", job_id=job_id)["stdout"] == "whole\n"
        assert server.call("status", job_id=job_id) == first
        seen[truth[0]] = seen.get(truth[0], 0) + 1
    # Never both, and never another one later.
    assert {job["status"] for job in server.call("list", all=True)["jobs"]} <= {"killed", "failed", "completed"}
    assert sum(seen.values()) == tries(12)
    other.close()


@pytest.mark.promise("stopped-job")
def test_a_stopped_job_runs_asks_for_nothing_and_can_be_killed(server: Server, shared: Sandbox) -> None:
    job_id = server.call("execute", command="sleep 300 & echo up; cat")["job_id"]
    shows(server, job_id, "up\n")
    tree = shared.runner(job_id).children(recursive=True)
    for process in tree:
        process.suspend()
    wait_until(lambda: all(process.status() == psutil.STATUS_STOPPED for process in tree))
    job = server.call("status", job_id=job_id)
    assert job["status"] == "running"
    assert "awaiting_input" not in job
    stays_true(lambda: server.call("status", job_id=job_id)["status"] == "running", 0.5)
    assert server.call("kill", job_id=job_id) == {"status": "killed"}
    assert not [process for process in tree if alive(process.pid)]


@pytest.mark.promise("stopped-job")
def test_a_supervisor_that_was_stopped_ends_its_job_all_the_same(server: Server, shared: Sandbox) -> None:
    job_id = server.call("execute", command="echo up; exec sleep 300")["job_id"]
    shows(server, job_id, "up\n")
    # tmux wakes it, where the signal does not come again and again.
    for _ in range(20):
        shared.runner(job_id).send_signal(signal.SIGSTOP)
    assert server.call("kill", job_id=job_id) == {"status": "killed"}
    assert server.call("status", job_id=job_id)["reason"] == "kill"
