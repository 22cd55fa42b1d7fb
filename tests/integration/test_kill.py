"""Kill takes the whole tree, answers only when nothing is left, and holds nobody up meanwhile."""

from __future__ import annotations

import os
import signal
import time

import psutil
import pytest

from support.rpc import Server, ToolError
from support.sandbox import PYTHON, Sandbox, alive, ended, run_job, shows
from support.waiting import wait_until

# Dies of TERM a while after it came, as a program with something to put away.
SLOW_TO_DIE = f"""exec {PYTHON} -I -S -c '
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (time.sleep(2), print("away"), sys.exit()))
print("up", flush=True)
while True: time.sleep(300)
'"""

FIVE_SHAPES = """
sleep 301 &                                      echo pid $!
setsid sh -c 'echo pid $$; exec sleep 302' &
nohup sleep 303 >/dev/null 2>&1 &                echo pid $!
sh -c 'trap "" TERM HUP; sleep 304; sleep 304; :' &     echo pid $!
setsid sh -c 'trap "" TERM HUP; while :; do sleep 305; done' & echo pid $!
sleep 306 & kill -STOP $!;                       echo pid $!
echo ready
wait
"""
LEADER_EXITS = "sh -c 'trap \"\" TERM HUP; echo child $$; while :; do sleep 1; done' & wait"


@pytest.mark.promise("end-reason")
def test_kill_answers_killed_and_the_job_is_killed(server: Server) -> None:
    job_id = server.call("execute", command="sleep 300")["job_id"]
    assert server.call("kill", job_id=job_id) == {"status": "killed"}
    job = server.call("status", job_id=job_id)
    assert (job["status"], job["reason"]) == ("killed", "kill")
    assert job["ended"] >= job["started"]


@pytest.mark.promise("kill-tree")
def test_kill_takes_a_tree_of_every_shape_before_it_answers(server: Server, shared: Sandbox) -> None:
    job_id = server.call("execute", command=FIVE_SHAPES)["job_id"]
    text = shows(server, job_id, "ready")
    told = [int(line.split()[1]) for line in text.splitlines() if line.startswith("pid ") and len(line.split()) == 2]
    tree = {process.pid for process in shared.runner(job_id).children(recursive=True)} | set(told)
    assert len(tree) >= 7, "a plain child, setsid, nohup, two that ignore TERM and HUP, a stopped one"
    # A leader that exits on TERM doesn't save a child that ignores it.
    orphaning = server.call("execute", command=LEADER_EXITS)["job_id"]
    tree.add(int(shows(server, orphaning, "\n").split()[1]))
    kills = [server.start("kill", job_id=one) for one in (job_id, orphaning)]
    assert [kill.answer() for kill in kills] == [{"status": "killed"}] * 2
    left = {pid for pid in tree if alive(pid)}
    assert not left
    assert server.call("status", job_id=job_id)["status"] == "killed"


@pytest.mark.promise("kill-tree")
def test_kill_takes_a_daemon_that_left_its_parents(server: Server, shared: Sandbox) -> None:
    daemon = (
        "import os, time\n"
        "if os.fork(): os._exit(0)\n"
        "os.setsid()\n"
        "if os.fork(): os._exit(0)\n"
        'open("daemon.pid", "w").write(str(os.getpid()))\n'
        "time.sleep(300)\n"
    )
    job_id = server.call("execute", command=f"rm -f daemon.pid; {PYTHON} -I -S -c '{daemon}'; echo left; cat")["job_id"]
    shows(server, job_id, "left")
    pid = int(wait_until(lambda: shared.path("daemon.pid").exists() and shared.path("daemon.pid").read_text()))
    assert alive(pid)
    server.call("kill", job_id=job_id)
    assert not alive(pid)


@pytest.mark.promise("kill-grace")
def test_a_term_handler_gets_its_grace(server: Server) -> None:
    job_id = server.call(
        "execute",
        command="trap 'echo cleaning; sleep .7 && echo clean; exit' TERM; echo up; while :; do read x; done",
    )["job_id"]
    shows(server, job_id, "up")
    server.call("kill", job_id=job_id)
    job = server.call("status", job_id=job_id)
    assert (job["status"], job["reason"]) == ("killed", "kill"), "an exit 0 on our TERM is still a kill"
    text = server.call("output", job_id=job_id)["stdout"]
    assert text == "up\ncleaning\nclean\n", "what the handler starts is not sent TERM in its turn"


@pytest.mark.promise("kill-stopped", "stopped-job")
def test_a_stopped_job_is_killed_without_waiting_for_someone_to_continue_it(server: Server) -> None:
    job_id = server.call("execute", command="trap 'echo woke; exit 0' TERM; echo up; kill -STOP $$; sleep 300")[
        "job_id"
    ]
    shows(server, job_id, "up")
    pid = server.call("status", job_id=job_id)["pid"]
    wait_until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    assert server.call("kill", job_id=job_id) == {"status": "killed"}
    assert "woke" in server.call("output", job_id=job_id)["stdout"]


@pytest.mark.promise("kill-grace")
def test_other_calls_go_on_while_a_kill_waits_for_its_grace(server: Server) -> None:
    stubborn = server.call("execute", command=SLOW_TO_DIE)["job_id"]
    other = server.call("execute", command="echo up; cat")["job_id"]
    shows(server, stubborn, "up")
    shows(server, other, "up")
    kill = server.start("kill", job_id=stubborn)
    assert server.call("status", job_id=other)["status"] == "running"
    assert server.call("tail", job_id=other)["stdout"] == "up\n"
    assert not kill.done, "both were answered before the grace was over"
    assert server.call("interact", job_id=other, input="still here")["stdout"].endswith("still here\n")
    assert kill.answer() == {"status": "killed"}


@pytest.mark.parametrize("name", ["KILL", "SIGKILL", "9", 9, "INT", "sigint", "TERM", "SIGTERM", "15", 15])
def test_kill_accepts_a_signal_by_name_or_number(server: Server, name: str | int) -> None:
    job_id = server.call("execute", command="echo up; exec sleep 300")["job_id"]
    shows(server, job_id, "up")
    assert server.call("kill", job_id=job_id, signal=str(name)) == {"status": "killed"}
    job = server.call("status", job_id=job_id)
    assert (job["status"], job["reason"]) == ("killed", "kill")


def test_kill_sends_the_signal_that_was_asked_for(server: Server) -> None:
    job_id = server.call(
        "execute",
        command="trap 'echo INT; exit' INT; trap 'echo TERM; exit' TERM; echo up; while sleep .1; do :; done",
    )["job_id"]
    shows(server, job_id, "up")
    server.call("kill", job_id=job_id, signal="INT")
    assert server.call("output", job_id=job_id)["stdout"].endswith("up\nINT\n")


@pytest.mark.parametrize("name", ["BOGUS", "0", "-9", "999", "TERM; true", "SIGSIG"])
def test_an_unknown_signal_is_refused_by_name_and_harms_nothing(server: Server, name: str) -> None:
    job_id = server.call("execute", command="sleep 300")["job_id"]
    with pytest.raises(ToolError, match="signal"):
        server.call("kill", job_id=job_id, signal=name)
    assert server.call("status", job_id=job_id)["status"] == "running"
    server.call("kill", job_id=job_id, signal="KILL")


@pytest.mark.promise("end-final", "kill-one-truth")
def test_a_second_kill_says_already_terminated(server: Server) -> None:
    job_id = server.call("execute", command="sleep 300")["job_id"]
    assert server.call("kill", job_id=job_id) == {"status": "killed"}
    first = server.call("status", job_id=job_id)
    assert server.call("kill", job_id=job_id) == {"status": "already_terminated"}
    assert server.call("status", job_id=job_id) == first


@pytest.mark.promise("end-final")
def test_kill_of_a_finished_job_says_already_terminated_and_changes_nothing(server: Server) -> None:
    job = run_job(server, "exit 3")
    assert server.call("kill", job_id=job["job_id"]) == {"status": "already_terminated"}
    assert server.call("status", job_id=job["job_id"]) == job


def test_kill_of_an_unknown_job_says_not_found(server: Server) -> None:
    assert server.call("kill", job_id="nosuchjob") == {"status": "not_found"}


@pytest.mark.promise("kill-one-truth")
def test_two_kills_at_once_from_two_servers_both_come_true(shared: Sandbox, server: Server) -> None:
    other = shared.server()
    job_id = server.call("execute", command=SLOW_TO_DIE)["job_id"]
    shows(server, job_id, "up")
    pending = [server.start("kill", job_id=job_id), other.start("kill", job_id=job_id)]
    answers = {one.answer()["status"] for one in pending}
    assert "killed" in answers
    assert answers <= {"killed", "already_terminated"}
    assert server.call("status", job_id=job_id)["reason"] == "kill"
    other.close()


@pytest.mark.promise("kill-one-truth")
def test_a_kill_that_meets_the_jobs_own_end_tells_one_truth(server: Server) -> None:
    for _ in range(5):
        job_id = server.call("execute", command="sleep 0.05; exit 7")["job_id"]
        answer = server.call("kill", job_id=job_id)["status"]
        job = ended(server, job_id)
        if answer == "killed":
            assert (job["status"], job["reason"]) in (("killed", "kill"), ("failed", "exit"))
        else:
            assert (answer, job["status"], job["exit_code"]) == ("already_terminated", "failed", 7)


@pytest.mark.promise("kill-at-once")
def test_a_kill_at_once_after_execute_leaves_nothing(server: Server, shared: Sandbox) -> None:
    for _ in range(5):
        job_id = server.call("execute", command="echo $$ > early.pid; sleep 300")["job_id"]
        assert server.call("kill", job_id=job_id) == {"status": "killed"}
        job = server.call("status", job_id=job_id)
        assert (job["status"], job["reason"]) == ("killed", "kill")
        if shared.path("early.pid").exists() and shared.path("early.pid").read_text().strip():
            assert not alive(int(shared.path("early.pid").read_text()))


@pytest.mark.promise("kill-outlives-server", "server-killed-in-kill")
def test_killing_the_server_during_a_kill_loses_neither_the_kill_nor_its_cause(server: Server, shared: Sandbox) -> None:
    victim = shared.server()
    job_id = victim.call("execute", command=SLOW_TO_DIE)["job_id"]
    shows(victim, job_id, "up")
    pid = victim.call("status", job_id=job_id)["pid"]
    victim.start("kill", job_id=job_id)
    # The request is on its way once the next call, sent after it, is answered.
    victim.call("status", job_id=job_id)
    os.kill(victim.process.pid, signal.SIGKILL)
    victim.process.wait(60)
    if server.call("status", job_id=job_id)["status"] == "running" and alive(pid):
        assert server.call("kill", job_id=job_id)["status"] in ("killed", "already_terminated")
    job = ended(server, job_id)
    assert (job["status"], job["reason"]) == ("killed", "kill")
    assert not alive(pid)


@pytest.mark.promise("kill-only-that")
def test_the_windows_of_other_jobs_survive_a_kill(server: Server, shared: Sandbox) -> None:
    victim = server.call("execute", command="sleep 300")["job_id"]
    bystander = server.call("execute", command="echo up; cat")["job_id"]
    server.call("kill", job_id=victim)
    assert server.call("status", job_id=bystander)["status"] == "running"
    assert bystander in shared.windows()


@pytest.mark.parametrize("shell", ["bash --norc -i", "sh -i"])
@pytest.mark.promise("kill-tree")
def test_an_interactive_shell_that_ignores_term_ends_at_once(server: Server, shell: str) -> None:
    job_id = server.call("execute", command=f"exec {shell}")["job_id"]
    server.call("wait", job_ids=[job_id], until="input", timeout=50)
    begun = time.monotonic()
    assert server.call("kill", job_id=job_id) == {"status": "killed"}
    assert time.monotonic() - begun < 5, "time is the promise: the grace before KILL is 5 s"
