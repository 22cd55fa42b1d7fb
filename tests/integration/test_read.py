"""output, tail and list on plain text: what was printed, from where it was read last, newest job first."""

from __future__ import annotations

import pytest

from support.rpc import Server, ToolError
from support.sandbox import ended, run_job, run_jobs, shows
from support.waiting import wait_until


def test_output_gives_text_cursor_and_status(server: Server) -> None:
    job = run_job(server, "echo one; echo two >&2; exit 3")
    answer = server.call("output", job_id=job["job_id"])
    # A terminal makes \r\n of a newline, and a cursor counts what the job printed: 2 x 5 bytes.
    assert answer == {"stdout": "one\ntwo\n", "stderr": "", "cursor": 10, "status": "failed"}


def test_since_reads_what_came_after(server: Server) -> None:
    job_id = server.call("execute", command="echo one; read x; echo two; read x; echo three")["job_id"]
    shows(server, job_id, "one\n")
    first = server.call("output", job_id=job_id)
    assert first["status"] == "running"
    server.call("interact", job_id=job_id, input="")
    server.call("interact", job_id=job_id, keys=["Enter"])
    shows(server, job_id, "two\n")
    second = server.call("output", job_id=job_id, since=first["cursor"])
    assert second["stdout"].strip().startswith("two")
    assert "one" not in second["stdout"]
    assert second["cursor"] > first["cursor"]


def test_reading_from_the_end_gives_nothing_and_the_same_cursor(server: Server) -> None:
    job = run_job(server, "echo one")
    cursor = server.call("output", job_id=job["job_id"])["cursor"]
    answer = server.call("output", job_id=job["job_id"], since=cursor)
    assert answer == {"stdout": "", "stderr": "", "cursor": cursor, "status": "completed"}


def test_since_zero_reads_from_the_beginning(server: Server) -> None:
    job = run_job(server, "echo one; echo two")
    assert server.call("output", job_id=job["job_id"], since=0)["stdout"] == "one\ntwo\n"


def test_a_cursor_past_the_end_or_below_zero_is_refused_or_reads_nothing(server: Server) -> None:
    job = run_job(server, "echo one")
    with pytest.raises(Exception, match="since"):
        server.call("output", job_id=job["job_id"], since=-1)


def test_output_of_a_silent_job_is_empty(server: Server) -> None:
    job = run_job(server, "true")
    assert server.call("output", job_id=job["job_id"]) == {
        "stdout": "",
        "stderr": "",
        "cursor": 0,
        "status": "completed",
    }
    assert server.call("tail", job_id=job["job_id"]) == {
        "stdout": "",
        "stderr": "",
        "cursor": 0,
        "status": "completed",
    }


@pytest.mark.promise("tail-exact")
def test_tail_gives_the_last_fifty_lines_unless_told_otherwise(server: Server) -> None:
    job = run_job(server, "seq 1 200")
    lines = [str(number) for number in range(1, 201)]
    answer = server.call("tail", job_id=job["job_id"])
    assert answer["stdout"].splitlines() == lines[-50:]
    assert answer["stderr"] == "" and answer["status"] == "completed"
    assert answer["cursor"] == server.call("output", job_id=job["job_id"])["cursor"]
    for count in (1, 7, 200, 1000):
        assert server.call("tail", job_id=job["job_id"], lines=count)["stdout"].splitlines() == lines[-count:]


@pytest.mark.promise("tail-exact")
def test_tail_counts_a_line_that_has_not_ended_yet(server: Server) -> None:
    job = run_job(server, "echo one; echo two; printf thr")
    assert server.call("tail", job_id=job["job_id"], lines=2)["stdout"] == "two\nthr"


def test_tails_cursor_is_where_to_read_on(server: Server) -> None:
    job_id = server.call("execute", command="seq 1 100; read x; echo more")["job_id"]
    shows(server, job_id, "100\n")
    cursor = server.call("tail", job_id=job_id, lines=3)["cursor"]
    server.call("interact", job_id=job_id, input="go")
    ended(server, job_id)
    assert server.call("output", job_id=job_id, since=cursor)["stdout"] == "go\nmore\n"


def test_long_lines_come_whole(server: Server) -> None:
    job = run_job(server, "printf '%0900d\\n' 7; echo end")
    assert server.call("output", job_id=job["job_id"])["stdout"] == "7".rjust(900, "0") + "\nend\n"
    assert server.call("tail", job_id=job["job_id"], lines=2)["stdout"] == "7".rjust(900, "0") + "\nend\n"


@pytest.mark.usefixtures("cleared")
def test_list_shows_the_newest_job_first_with_what_is_known(server: Server) -> None:
    assert server.call("list") == {"jobs": []}
    assert server.call("list", all=True) == {"jobs": []}
    failed = run_job(server, "exit 3", name="first")
    shot = run_job(server, "kill -KILL $$")
    long = server.call("execute", command="sleep 300 # " + "x" * 300)["job_id"]
    jobs = server.call("list")["jobs"]
    assert [job["job_id"] for job in jobs] == [long, shot["job_id"], failed["job_id"]]
    newest, middle, oldest = jobs
    assert oldest["name"] == "first"
    assert (oldest["status"], oldest["exit_code"], oldest["command"]) == ("failed", 3, "exit 3")
    assert (middle["status"], middle["signal"]) == ("failed", "KILL")
    assert newest["status"] == "running"
    assert not {"exit_code", "signal", "holder"} & set(newest)
    assert newest["command"].endswith("…") and len(newest["command"]) <= 201
    assert newest["command"].startswith("sleep 300 # xxx")
    assert all(job["started"].endswith("Z") for job in jobs)
    assert [job["started"] for job in jobs] == sorted((job["started"] for job in jobs), reverse=True)
    assert not any(None in job.values() for job in jobs)


def test_list_order_holds_for_jobs_of_one_moment(server: Server) -> None:
    job_ids = [server.call("execute", command=f"exit {number}")["job_id"] for number in range(6)]
    server.call("wait", job_ids=job_ids, all=True, timeout=50)  # those that run come first
    listed = [job["job_id"] for job in server.call("list")["jobs"] if job["job_id"] in job_ids]
    assert listed == job_ids[::-1]


def test_every_read_of_an_unknown_job_says_so_and_what_to_do(server: Server) -> None:
    for tool in ("status", "output", "tail"):
        with pytest.raises(ToolError) as refusal:
            server.call(tool, job_id="x1")
        assert str(refusal.value) == "Job 'x1' not found. Call list to see the jobs."


@pytest.mark.promise("output-reads-in-flood")
def test_reads_go_on_while_jobs_flood(server: Server) -> None:
    flood = server.call("execute", command="yes 'a line of a flood'")["job_id"]
    wait_until(lambda: server.call("tail", job_id=flood, lines=1)["cursor"] > 100_000)
    quiet = run_jobs(server, ["echo calm"] * 3)
    assert [server.call("output", job_id=job["job_id"])["stdout"] for job in quiet] == ["calm\n"] * 3
    assert server.call("tail", job_id=flood, lines=5)["stdout"].count("a line of a flood") >= 4
    assert server.call("kill", job_id=flood) == {"status": "killed"}
