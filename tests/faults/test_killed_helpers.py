"""What stands around a job is killed: its supervisor, its log writer, tmux itself."""

from __future__ import annotations

import re
from functools import partial

import psutil
import pytest

from support.faults import all_gone, log_writers, seeded, strike_after, tries
from support.rpc import Server
from support.sandbox import Sandbox, ended, run_job, shows
from support.waiting import wait_until

NOTE = "[log interrupted here: some output may be missing]"
SHAPES = """
sleep 301 & setsid sleep 302 & nohup sleep 303 >/dev/null 2>&1 &
sh -c 'trap "" TERM HUP; sleep 304; sleep 304' &
setsid sh -c 'trap "" TERM HUP; while :; do sleep 305; done' &
echo up; wait
"""
SLOWLY = "for i in $(seq 1 40); do echo line $i end; sleep .04; done; exit 5"


@pytest.mark.promise("runner-killed")
@pytest.mark.timeout(600)
def test_a_runner_killed_at_any_moment_leaves_no_job_running_and_no_false_end(server: Server, shared: Sandbox) -> None:
    random = seeded()
    for _ in range(tries(5)):
        job_id = server.call("execute", command="echo whole; sleep .05; exit 7")["job_id"]
        try:
            runner = shared.runner(job_id)
            strike_after(random, 0.2)
            runner.kill()
        except psutil.Error:
            pass  # it has left already
        job = ended(server, job_id)
        if job["status"] == "failed":
            assert job["exit_code"] == 7 and server.call("output", job_id=job_id)["stdout"] == "whole\n"
        else:
            assert (job["status"], job["reason"]) == ("killed", "lost")
            assert "exit_code" not in job
        assert server.call("status", job_id=job_id) == job


@pytest.mark.promise("runner-killed")
def test_a_killed_runner_leaves_no_process_of_its_tree(server: Server, shared: Sandbox) -> None:
    job_id = server.call("execute", command=SHAPES)["job_id"]
    shows(server, job_id, "up")
    # Two of the shells start their own sleep some time after the last word.
    wait_until(lambda: len(shared.runner(job_id).children(recursive=True)) >= 8)
    tree = [process.pid for process in shared.runner(job_id).children(recursive=True)]
    shared.runner(job_id).kill()
    assert ended(server, job_id)["reason"] == "lost"
    wait_until(partial(all_gone, tree), what="the end of the tree")


@pytest.mark.promise("log-writer-killed")
def test_a_killed_log_writer_is_replaced_and_the_gap_is_said(server: Server, shared: Sandbox) -> None:
    job_id = server.call("execute", command="echo up; while read x; do echo got $x; done; exit 5")["job_id"]
    shows(server, job_id, "up\n")
    for number in range(2):
        (writer,) = log_writers(shared, job_id)
        writer.kill()
        wait_until(partial(log_writers, shared, job_id, but=writer), what="another one")
        wait_until(lambda: server.call("output", job_id=job_id)["stdout"].count(NOTE) == number + 1)  # noqa: B023
        server.call("interact", job_id=job_id, input=f"word{number}")
        shows(server, job_id, f"got word{number}\n")
    server.call("interact", job_id=job_id, keys=["C-d"])
    job = ended(server, job_id)
    assert (job["status"], job["exit_code"]) == ("failed", 5)
    text = server.call("output", job_id=job_id)["stdout"]
    assert text.count(NOTE) == 2
    assert text.endswith("got word1\n")


@pytest.mark.promise("log-writer-killed")
@pytest.mark.timeout(1800)
def test_a_log_writer_killed_at_any_moment_loses_nothing_in_silence(server: Server, shared: Sandbox) -> None:
    random = seeded()
    gaps = 0
    for _ in range(tries(4)):
        job_id = server.call("execute", command=SLOWLY)["job_id"]
        wait_until(partial(log_writers, shared, job_id), what="the log writer")
        strike_after(random, 1.0)
        for writer in log_writers(shared, job_id):
            writer.kill()
        job = ended(server, job_id)
        assert (job["status"], job["reason"], job["exit_code"]) == ("failed", "exit", 5)
        text = server.call("output", job_id=job_id)["stdout"]
        missing = {str(number) for number in range(1, 41)} - set(re.findall(r"^line (\d+) end$", text, re.MULTILINE))
        assert not missing or NOTE in text, f"{sorted(missing)} are missing and nobody says so"
        gaps += NOTE in text
    assert gaps, "no log writer was killed in time"


@pytest.mark.promise("log-writer-killed")
def test_a_log_writer_killed_right_before_the_end_leaves_its_note(server: Server, shared: Sandbox) -> None:
    job_id = server.call("execute", command="echo up; read x; echo lost words; exit 5")["job_id"]
    shows(server, job_id, "up\n")
    (writer,) = log_writers(shared, job_id)
    writer.kill()
    # Straight into the terminal: the answer to interact would wait for what no longer comes.
    shared.tmux("send-keys", "-t", shared.window(job_id), "go", "Enter")
    assert ended(server, job_id)["exit_code"] == 5
    text = server.call("output", job_id=job_id)["stdout"]
    assert text.startswith("up\n")
    assert NOTE in text or "lost words" in text


@pytest.mark.promise("tmux-killed")
@pytest.mark.timeout(1200)
def test_a_tmux_server_killed_at_any_moment_makes_its_jobs_lost_and_none_false(sandbox: Sandbox) -> None:
    random = seeded()
    server = sandbox.server(MCP_BG_MAX_JOBS="300")
    for _ in range(tries(2)):
        long = server.call("execute", command=SHAPES)["job_id"]
        shows(server, long, "up")
        tree = [process.pid for process in sandbox.runner(long).children(recursive=True)]
        brief = [server.call("execute", command="echo whole; exit 7")["job_id"] for _ in range(4)]
        strike_after(random, 0.1)
        tmux = sandbox.tmux_server()
        assert tmux is not None
        tmux.kill()
        job = ended(server, long)
        assert (job["status"], job["reason"]) == ("killed", "lost")
        for job_id in brief:
            job = ended(server, job_id)
            if job["status"] == "killed":
                assert job["reason"] == "lost"
            else:
                text = server.call("output", job_id=job_id)["stdout"]
                assert job["exit_code"] == 7
                assert text == "whole\n" or NOTE in text
        wait_until(partial(all_gone, tree), what="the end of the tree")
        assert run_job(server, "exit 8")["exit_code"] == 8
