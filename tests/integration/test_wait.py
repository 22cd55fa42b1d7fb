"""wait: nobody polls, nobody waits for a dead job, and a hundred waits are in nobody's way."""

from __future__ import annotations

import re
import shlex
import statistics
import time
from itertools import pairwise

import psutil
import pytest

from support.rpc import MODERN_ERA, Server, ToolError
from support.sandbox import PYTHON, Sandbox, alive, ended, run_job, shows
from support.scale import seconds, slowness
from support.waiting import stays_true, wait_until


@pytest.mark.promise("wait-exit")
def test_wait_answers_when_the_job_ends_with_all_about_it(server: Server) -> None:
    job_id = server.call("execute", command="echo one; sleep 0.3; echo two; exit 3")["job_id"]
    answer = server.call("wait", job_ids=[job_id])
    assert (answer["reason"], answer["job_id"]) == ("exit", job_id)
    assert (answer["status"], answer["exit_code"]) == ("failed", 3)
    assert answer["stdout"].endswith("two\n")
    assert "stderr" not in answer, "it was not asked for"
    assert answer["cursor"] == server.call("output", job_id=job_id)["cursor"]
    assert "effective_timeout" not in answer


@pytest.mark.promise("wait-exit")
def test_wait_on_an_ended_job_answers_at_once_whatever_it_waits_for(server: Server) -> None:
    job = run_job(server, "exit 3")
    begin = time.monotonic()
    for arguments in (
        {},
        {"until": "input"},
        {"until": "quiet"},
        {"until": "handback"},
        {"pattern": "never"},
    ):
        answer = server.call("wait", job_ids=[job["job_id"]], timeout=50, **arguments)
        assert (answer["reason"], answer["exit_code"]) == ("exit", 3), arguments
    assert time.monotonic() - begin < 50, "none has waited for its time"


@pytest.mark.promise("wait-exit")
def test_wait_for_input_ends_when_the_job_exits_instead(server: Server) -> None:
    job_id = server.call("execute", command="sleep 0.4; exit 5")["job_id"]
    answer = server.call("wait", job_ids=[job_id], until="input", pattern="never", timeout=50)
    assert (answer["reason"], answer["exit_code"]) == ("exit", 5)


@pytest.mark.promise("wait-any")
def test_wait_on_many_jobs_tells_the_first(server: Server) -> None:
    slow = [server.call("execute", command="sleep 300")["job_id"] for _ in range(3)]
    quick = server.call("execute", command="sleep 0.3; exit 7")["job_id"]
    answer = server.call("wait", job_ids=[*slow, quick])
    assert (answer["reason"], answer["job_id"], answer["exit_code"]) == ("exit", quick, 7)
    for job_id in slow:
        server.call("kill", job_id=job_id, signal="KILL")


@pytest.mark.promise("wait-pattern")
def test_wait_notices_a_pattern_in_new_output(server: Server) -> None:
    job_id = server.call("execute", command="sleep 0.3; echo Listening on port 8080; sleep 300")["job_id"]
    answer = server.call("wait", job_ids=[job_id], pattern=r"port (\d+)", timeout=50)
    assert (answer["reason"], answer["status"]) == ("match", "running")
    assert "Listening on port 8080" in answer["stdout"]
    assert "exit_code" not in answer


@pytest.mark.promise("wait-pattern")
def test_a_pattern_looks_at_what_came_since_the_cursor(server: Server) -> None:
    job_id = server.call("execute", command="echo ready; read x; sleep 0.2; echo ready again; sleep 300")["job_id"]
    shows(server, job_id, "ready\n")
    before = server.call("wait", job_ids=[job_id], pattern="ready", since=0, timeout=50)
    assert before["reason"] == "match", "from 0 on, what is there already counts"
    late = server.call("wait", job_ids=[job_id], pattern="ready", since=before["cursor"], timeout=1)
    assert late["reason"] == "timeout"
    server.call("interact", job_id=job_id, input="go", timeout=0.1)
    answer = server.call("wait", job_ids=[job_id], pattern="ready", since=before["cursor"], timeout=50)
    assert answer["reason"] == "match"
    assert "ready again" in answer["stdout"]


@pytest.mark.promise("wait-pattern")
def test_a_pattern_never_matches_the_echo_of_the_command_or_of_an_input(server: Server) -> None:
    job_id = server.call("execute", command=": needle; echo up; read x; sleep 0.8; echo the real needle; sleep 300")[
        "job_id"
    ]
    shows(server, job_id, "up\n")
    cursor = server.call("output", job_id=job_id)["cursor"]
    server.call("interact", job_id=job_id, input="needle typed by the agent", timeout=0.2)
    answer = server.call("wait", job_ids=[job_id], pattern="needle", since=cursor, timeout=50)
    assert answer["reason"] == "match"
    assert "the real needle" in answer["stdout"]


@pytest.mark.parametrize(
    "pattern", ["^BUILD (SUCCESS|FAILED)", "^BUILD (SUCCESS|FAILED)$", "SUCCESS$", "^(?!resolving).*S$"]
)
@pytest.mark.promise("one-regex")
def test_a_pattern_is_searched_in_lines_as_grep_does(server: Server, pattern: str) -> None:
    command = "echo resolving; sleep 0.5; echo 'BUILD SUCCESS'; sleep 100"
    answer = server.call("execute", command=command, wait=50, pattern=pattern)
    assert (answer["reason"], answer["stdout"]) == ("match", "resolving\nBUILD SUCCESS\n")
    assert server.call("output", job_id=answer["job_id"], grep=pattern)["stdout"] == "2:BUILD SUCCESS\n"
    again = server.call("wait", job_ids=[answer["job_id"]], pattern=pattern, since=0)
    assert again["reason"] == "match"
    server.call("kill", job_id=answer["job_id"], signal="KILL")


@pytest.mark.promise("wait-pattern")
def test_a_pattern_may_span_two_writes(server: Server) -> None:
    job_id = server.call("execute", command="printf 'half '; sleep 0.3; printf 'whole'; sleep 300")["job_id"]
    assert server.call("wait", job_ids=[job_id], pattern="half whole", since=0, timeout=50)["reason"] == "match"


@pytest.mark.linux("prompt is not told elsewhere")
def test_wait_until_input_ends_when_the_job_asks(server: Server) -> None:
    job_id = server.call("execute", command='sleep 0.4; read -p "Sure? " x')["job_id"]
    answer = server.call("wait", job_ids=[job_id], until="input", timeout=50)
    assert answer["reason"] == "input"
    assert answer["stdout"].endswith("Sure? ")


def test_wait_until_quiet_ends_when_the_output_pauses(server: Server) -> None:
    job_id = server.call("execute", command="for i in 1 2 3 4 5; do echo $i; sleep 0.1; done; sleep 300")["job_id"]
    answer = server.call("wait", job_ids=[job_id], until="quiet", timeout=50)
    assert answer["reason"] == "quiet"
    assert server.call("output", job_id=job_id)["stdout"] == "1\n2\n3\n4\n5\n"


@pytest.mark.promise("wait-bounded")
def test_wait_comes_back_after_its_timeout_and_the_job_goes_on(server: Server) -> None:
    job_id = server.call("execute", command="echo up; sleep 300")["job_id"]
    begin = time.monotonic()
    answer = server.call("wait", job_ids=[job_id], timeout=1)
    # Time is the promise; the job would go on for 300 s.
    assert 0.9 <= time.monotonic() - begin < 30
    assert (answer["reason"], answer["status"]) == ("timeout", "running")
    assert "effective_timeout" not in answer


@pytest.mark.promise("wait-bounded")
def test_a_long_timeout_is_clamped_to_50_seconds_and_says_so(server: Server) -> None:
    job_id = server.call("execute", command="sleep 0.3; exit 3")["job_id"]
    answer = server.call("wait", job_ids=[job_id], timeout=3600)
    assert (answer["reason"], answer["effective_timeout"]) == ("exit", 50)


def test_wait_zero_looks_once(server: Server) -> None:
    job_id = server.call("execute", command="echo up; sleep 300")["job_id"]
    shows(server, job_id, "up")
    begin = time.monotonic()
    assert server.call("wait", job_ids=[job_id], timeout=0)["reason"] == "timeout"
    assert time.monotonic() - begin < 25, "a wait of its own time would be 30 s"


@pytest.mark.promise("output-bounded")
def test_the_output_of_a_wait_is_bounded(server: Server) -> None:
    job_id = server.call("execute", command="seq 1 100000")["job_id"]
    answer = server.call("wait", job_ids=[job_id], since=0)
    assert len(answer["stdout"]) <= 45_000


@pytest.mark.promise("wait-prompt")
def test_an_end_is_noticed_at_once(server: Server, shared: Sandbox) -> None:
    delays = []
    for number in range(9):
        script = f'import time; open("end{number}", "w").write(str(time.time()))'
        command = f"sleep 0.2; exec {PYTHON} -I -S -c '{script}'"
        job_id = server.call("execute", command=command)["job_id"]
        assert server.call("wait", job_ids=[job_id])["reason"] == "exit"
        answered = time.time()
        delays.append(answered - float(shared.path(f"end{number}").read_text()))
    # Time is the promise: 15 ms and the exit of the interpreter on an idle machine, by the benchmarks. A look a second,
    # which is what is there without the wake-up, would take half of one, and never a quarter nine times.
    assert statistics.median(delays) < 0.25, delays


def test_execute_with_wait_answers_as_interact_does_and_with_the_exit_code(server: Server) -> None:
    answer = server.call("execute", command="echo quick; exit 3", wait=50)
    assert (answer["status"], answer["reason"], answer["exit_code"]) == ("failed", "exit", 3)
    assert answer["stdout"] == "quick\n" and "stderr" not in answer
    assert {"job_id", "cursor"} <= set(answer)
    assert answer["cursor"] == server.call("output", job_id=answer["job_id"])["cursor"]


def test_execute_with_wait_comes_back_from_a_job_that_goes_on(server: Server) -> None:
    answer = server.call("execute", command="echo up; while :; do :; done", wait=1)
    assert (answer["status"], answer["reason"]) == ("running", "timeout")
    assert "exit_code" not in answer
    # A second is enough for the first word of a job, but on a machine that is very busy.
    assert "up\n".startswith(answer["stdout"])
    shows(server, answer["job_id"], "up\n")
    server.call("kill", job_id=answer["job_id"], signal="KILL")


@pytest.mark.linux("prompt is not told elsewhere")
def test_execute_with_wait_stops_at_a_question(server: Server) -> None:
    answer = server.call("execute", command='read -p "Sure? " x; echo $x', wait=50)
    assert (answer["status"], answer["reason"], answer["awaiting_input"]) == ("running", "input", "prompt")
    assert answer["stdout"] == "Sure? "
    assert server.call("interact", job_id=answer["job_id"], input="yes")["stdout"] == "yes\n"


@pytest.mark.slow
@pytest.mark.promise("wait-bounded")
def test_a_wait_sends_progress_in_both_eras_so_that_clients_do_not_give_up(shared: Sandbox, server: Server) -> None:
    modern = shared.server(protocol=MODERN_ERA)
    job_id = server.call("execute", command="sleep 300")["job_id"]
    waits = [one.start("wait", progress=True, job_ids=[job_id], timeout=50) for one in (server, modern)]
    silent = server.start("wait", job_ids=[job_id], timeout=50)
    wait_until(lambda: all(len(pending.progress) >= 2 for pending in waits), what="progress notifications")
    for pending in waits:
        values = [one["progress"] for one in pending.progress]
        assert values == sorted(set(values)), "progress must rise"
    assert not silent.progress, "nobody asked for it"
    server.call("kill", job_id=job_id)
    assert {pending.answer()["reason"] for pending in (*waits, silent)} == {"exit"}
    modern.close()


@pytest.mark.promise("progress")
@pytest.mark.parametrize("call", ["wait", "execute", "interact"])
def test_progress_has_the_last_line_that_was_printed(server: Server, call: str) -> None:
    line = r"\033[31mstep %d %0200d\033[0m\r\n\n"
    steps = f"for n in $(seq 40); do printf '{line}' $n 0; sleep 0.1; done"
    command = f"stty -echo; read -rs go; {steps}"
    if call == "execute":
        pending = server.start("execute", progress=True, command=steps, wait=50)
    else:
        job_id = server.call("execute", command=command, name="steps", wait=20)["job_id"]
        if call == "interact":
            pending = server.start("interact", progress=True, job_id=job_id, input="my secret", timeout=50)
        else:
            pending = server.start("wait", progress=True, job_ids=[job_id], timeout=50)
            server.call("interact", job_id=job_id, input="my secret", timeout=0)
    assert pending.answer()["reason"] == "exit"
    told = list(pending.progress)
    assert len(told) >= 2
    for earlier, later in pairwise(told):
        assert later["progress"] - earlier["progress"] > 0.95, "not more than once a second, and rising"
    assert 2.0 <= told[0]["progress"] < 4.0
    for one in told:
        assert re.fullmatch(r"waiting for \d+ s: step \d+ 0+…", one["message"]), one["message"]
        assert len(one["message"]) < 150
    assert len({one["message"].split()[5] for one in told}) == len(told), "each tells another line"
    server.call("status", job_id=server.call("list")["jobs"][0]["job_id"])
    assert pending.progress == told, "none comes behind the answer"


@pytest.mark.promise("progress")
def test_progress_of_a_wait_for_several_names_the_one_that_printed_last(server: Server) -> None:
    jobs = [
        server.call("execute", command=f"sleep {n}; echo here; sleep 300", name=f"job {n}")["job_id"] for n in (0.1, 1)
    ]
    pending = server.start("wait", progress=True, job_ids=jobs, timeout=50)
    wait_until(lambda: pending.progress, 20)
    assert pending.progress[0]["message"].endswith(": job 1: here")
    for job_id in jobs:
        server.call("kill", job_id=job_id)
    pending.answer()


@pytest.mark.promise("wait-cancelled")
def test_a_cancelled_wait_leaves_the_job_and_the_server_as_they_were(server: Server) -> None:
    job_id = server.call("execute", command="echo up; cat")["job_id"]
    shows(server, job_id, "up")
    process = psutil.Process(server.process.pid)
    opened, threads = process.num_fds(), process.num_threads()
    for _ in range(10):
        pending = server.start("wait", job_ids=[job_id], timeout=50)
        server.call("status", job_id=job_id)
        server.cancel(pending)
    assert server.call("status", job_id=job_id)["status"] == "running"
    assert server.call("interact", job_id=job_id, input="still")["stdout"] == "still\n"
    wait_until(lambda: process.num_fds() <= opened + 3, what="the files of cancelled waits closed")
    wait_until(lambda: process.num_threads() <= threads + 8, what="the end of their threads")


@pytest.mark.promise("wait-cancelled")
def test_a_client_that_leaves_in_the_middle_of_a_wait_leaves_no_process(sandbox: Sandbox) -> None:
    server = sandbox.server()
    job_id = server.call("execute", command="echo $$; exec sleep 300")["job_id"]
    pid = int(shows(server, job_id, "\n"))
    for _ in range(5):
        server.start("wait", job_ids=[job_id], timeout=50)
    server.call("status", job_id=job_id)
    process = psutil.Process(server.process.pid)
    its_own = {process.pid, *(child.pid for child in process.children())}
    before = {process.pid for process in sandbox.processes()}
    begin = time.monotonic()
    server.hang_up()
    assert time.monotonic() - begin < 30, "the waits would have gone on for 50 s"
    # Others of those before may end too: the board has a tmux client now and then.
    wait_until(lambda: {process.pid for process in sandbox.processes()} <= before - its_own)
    assert alive(pid)


@pytest.mark.promise("wait-cheap")
def test_a_hundred_waits_do_not_slow_other_calls(server: Server) -> None:
    job_id = server.call("execute", command="echo up; cat")["job_id"]
    shows(server, job_id, "up")

    def status() -> float:
        """The quickest of many: a busy machine slows single ones down, polling on the server's one thread all."""
        return min(seconds(lambda: server.call("status", job_id=job_id), 30))

    alone = status()
    waits = [server.start("wait", job_ids=[job_id], timeout=50, pattern="never") for _ in range(100)]
    server.call("status", job_id=job_id)
    # Wide bounds: the point is that waiting isn't polling on the server's one thread.
    assert status() < 3 * alone + 0.02
    other = server.call("execute", command="sleep 0.2; exit 4")["job_id"]
    assert server.call("wait", job_ids=[other])["exit_code"] == 4
    assert not any(wait.done for wait in waits)
    assert server.call("kill", job_id=job_id) == {"status": "killed"}
    assert {wait.answer()["reason"] for wait in waits} == {"exit"}


@pytest.mark.linux("files wake nobody elsewhere")
@pytest.mark.promise("wait-cheap")
def test_waiting_costs_next_to_no_cpu(server: Server) -> None:
    job_id = server.call("execute", command="sleep 300")["job_id"]
    process = psutil.Process(server.process.pid)
    waits = [server.start("wait", job_ids=[job_id], timeout=50, until="exit") for _ in range(10)]
    server.call("status", job_id=job_id)
    begin = process.cpu_times()
    stays_true(lambda: process.is_running(), 3, what="the server runs", every=1)
    end = process.cpu_times()
    used = (end.user - begin.user) + (end.system - begin.system)
    # The promise is one percent of a core; the clock ticks in steps of 10 ms.
    assert used <= (0.03 + 0.02) * slowness()
    assert not any(wait.done for wait in waits)
    server.call("kill", job_id=job_id)


def test_wait_refuses_a_since_for_several_jobs(server: Server) -> None:
    jobs = [run_job(server, "true")["job_id"] for _ in range(2)]
    with pytest.raises(ToolError, match="since"):
        server.call("wait", job_ids=jobs, since=1)


@pytest.mark.promise("wait-prompt")
def test_a_wait_sees_an_end_that_another_server_caused(server: Server, shared: Sandbox) -> None:
    other = shared.server()
    job_id = server.call("execute", command="sleep 300")["job_id"]
    pending = server.start("wait", job_ids=[job_id], timeout=50)
    server.call("status", job_id=job_id)
    assert other.call("kill", job_id=job_id) == {"status": "killed"}
    answer = pending.answer()
    assert (answer["reason"], answer["status"]) == ("exit", "killed")
    other.close()


@pytest.mark.promise("wait-prompt")
def test_a_wait_sees_a_window_that_a_person_closed(server: Server, shared: Sandbox) -> None:
    job_id = server.call("execute", command="echo up; sleep 300")["job_id"]
    shows(server, job_id, "up")
    pending = server.start("wait", job_ids=[job_id], timeout=50)
    server.call("status", job_id=job_id)
    shared.tmux("kill-window", "-t", shared.window(job_id))
    answer = pending.answer()
    assert (answer["reason"], answer["status"]) == ("exit", "killed")
    assert ended(server, job_id)["reason"] == "window_closed"


FLOOD = """
import sys
for block in range(60):
    if block == 20:
        print("the order L77 was lost")
    print("\\n".join(f"worker {number} of block {block}: all is well" for number in range(20_000)))
print("done")
"""


@pytest.mark.promise("wait-flood")
@pytest.mark.parametrize("pattern", [r"(?i)^.*\b(lost|lose)\b.*$", "was lost$"])
def test_a_pattern_sees_every_line_of_a_flood_that_the_log_drops(shared: Sandbox, pattern: str) -> None:
    server = shared.server(MCP_BG_MAX_OUTPUT_SIZE="4MB")
    command = shlex.join([str(PYTHON), "-c", FLOOD]) + "; exec sleep 300"
    answer = server.call("execute", command=command, wait=50, pattern=pattern)
    assert answer["reason"] == "match", answer
    assert answer["stdout"].endswith("worker 19999 of block 19: all is well\nthe order L77 was lost\n"), answer
    assert "match" not in answer
    process = psutil.Process(server.process.pid)
    server.call("kill", job_id=answer["job_id"], signal="KILL")
    assert not [file.path for file in process.open_files() if file.path.endswith(".log")], "nothing is held any more"
