"""However a job ends, its status and reason are right, and never change again."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess

import psutil
import pytest

from support.rpc import Server
from support.sandbox import PYTHON, Sandbox, alive, ended, run_job, run_jobs, shows
from support.waiting import wait_until


@pytest.mark.promise("end-exit-code")
def test_every_exit_code_is_told_as_it_was(server: Server) -> None:
    codes = [0, 1, 2, 3, 64, 77, 100, 124, 125, 126, 127, 128, 129, 130, 137, 139, 143, 200, 254, 255]
    jobs = run_jobs(server, [f"exit {code}" for code in codes])
    assert [job["exit_code"] for job in jobs] == codes
    assert [job["status"] for job in jobs] == ["completed"] + ["failed"] * (len(codes) - 1)
    assert {job["reason"] for job in jobs} == {"exit"}
    assert not any("signal" in job for job in jobs)


@pytest.mark.promise("end-exit-code")
def test_an_instant_end_is_as_sure_as_a_slow_one(server: Server) -> None:
    jobs = run_jobs(server, ["exit 9"] * 10)
    assert [(job["status"], job["exit_code"]) for job in jobs] == [("failed", 9)] * 10


@pytest.mark.promise("end-signal")
@pytest.mark.parametrize("name", ["SEGV", "KILL", "TERM", "INT", "ABRT", "HUP", "PIPE", "USR1"])
@pytest.mark.promise("end-signal")
def test_a_death_by_signal_names_the_signal(server: Server, name: str) -> None:
    job = run_job(server, f"ulimit -c 0; kill -{name} $$; sleep 5")
    assert (job["status"], job["reason"], job["signal"]) == ("failed", "signal", name)
    assert "exit_code" not in job or job["exit_code"] == 128 + getattr(signal, f"SIG{name}")


@pytest.mark.promise("end-signal")
def test_a_signal_from_outside_is_a_failure_and_not_a_kill(server: Server) -> None:
    job_id = server.call("execute", command="exec sleep 60")["job_id"]
    pid = int(wait_until(lambda: server.call("status", job_id=job_id).get("pid") or 0))
    wait_until(lambda: psutil.Process(pid).name() == "sleep")
    os.kill(pid, signal.SIGTERM)
    job = ended(server, job_id)
    assert (job["status"], job["reason"], job["signal"]) == ("failed", "signal", "TERM")


@pytest.mark.promise("end-signal")
def test_a_child_that_dies_of_a_signal_leaves_the_shells_exit_code(server: Server) -> None:
    job = run_job(server, "sh -c 'kill -KILL $$'; exit $?")
    assert (job["status"], job["reason"], job["exit_code"]) == ("failed", "exit", 137)


@pytest.mark.promise("output-whole-at-end")
def test_the_end_comes_with_the_whole_output(server: Server) -> None:
    lines = [f"line {number}" for number in range(2000)]
    jobs = [
        server.call("execute", command="for i in $(seq 0 1999); do echo line $i; done; exit 3")["job_id"]
        for _ in range(5)
    ]
    for job_id in jobs:
        job = ended(server, job_id)
        assert job["exit_code"] == 3
        assert server.call("output", job_id=job_id)["stdout"].splitlines() == lines


@pytest.mark.promise("output-whole-at-end")
def test_the_last_word_without_a_newline_is_not_lost(server: Server) -> None:
    jobs = run_jobs(server, ["printf 'last word'"] * 10)
    texts = [server.call("output", job_id=job["job_id"])["stdout"] for job in jobs]
    assert texts == ["last word"] * 10


@pytest.mark.promise("end-main-process")
def test_a_background_child_does_not_keep_an_ended_job_running(server: Server) -> None:
    job = run_job(server, "sleep 300 & echo $!; exit 4")
    assert (job["status"], job["exit_code"]) == ("failed", 4)
    child = int(server.call("output", job_id=job["job_id"])["stdout"])
    wait_until(lambda: not alive(child), what="the hang-up of the background child")


@pytest.mark.promise("end-reason", "end-timeout")
def test_a_job_past_its_timeout_is_killed_with_its_children(server: Server) -> None:
    command = "setsid sleep 300 & echo $!; sleep 300; sleep 300"
    job_id = server.call("execute", command=command, timeout=1)["job_id"]
    job = ended(server, job_id)
    assert (job["status"], job["reason"]) == ("killed", "timeout")
    # The time is the promise: not before the second, and no longer after it than a grace.
    assert 1.0 <= job["duration"] < 1.0 + 5.0
    child = int(server.call("output", job_id=job_id)["stdout"].splitlines()[0])
    assert not alive(child)


def test_a_job_that_ends_in_time_has_nothing_of_its_timeout(server: Server) -> None:
    job = run_job(server, "exit 5", timeout=30)
    assert (job["status"], job["reason"], job["exit_code"]) == ("failed", "exit", 5)


@pytest.mark.promise("end-timeout")
def test_a_timeout_holds_though_every_server_is_gone(sandbox: Sandbox) -> None:
    server = sandbox.server()
    by_call = server.call("execute", command="echo $$; exec sleep 300", timeout=2)["job_id"]
    pid = int(shows(server, by_call, "\n"))
    server.kill9()
    wait_until(lambda: not alive(pid))
    job = ended(sandbox.server(), by_call)
    assert (job["status"], job["reason"]) == ("killed", "timeout")
    assert job["duration"] < 2.0 + 5.0


@pytest.mark.promise("end-timeout")
def test_the_default_timeout_of_the_configuration_is_for_jobs_without_their_own(shared: Sandbox) -> None:
    server = shared.server(MCP_BG_JOB_TIMEOUT="1")
    default, own = (
        server.call("execute", command="sleep 300")["job_id"],
        server.call("execute", command="sleep 2; exit 6", timeout=50)["job_id"],
    )
    job = ended(server, default)
    assert (job["status"], job["reason"]) == ("killed", "timeout")
    assert ended(server, own)["exit_code"] == 6


@pytest.mark.promise("end-reason", "window-closed")
def test_a_window_closed_by_hand_kills_the_job(server: Server, shared: Sandbox) -> None:
    job_id = server.call("execute", command="sleep 300 & setsid sleep 300 & echo up; sleep 300")["job_id"]
    shows(server, job_id, "up")
    tree = shared.runner(job_id).children(recursive=True)
    shared.tmux("kill-window", "-t", shared.window(job_id))
    job = ended(server, job_id)
    assert (job["status"], job["reason"]) == ("killed", "window_closed")
    assert server.call("output", job_id=job_id)["stdout"] == "up\n"
    wait_until(lambda: not any(alive(process.pid) for process in tree), what="the end of its processes")


@pytest.mark.promise("end-final")
def test_closing_the_window_of_a_finished_job_changes_nothing(server: Server, shared: Sandbox) -> None:
    job = run_job(server, "echo kept; exit 3")
    shared.tmux("kill-window", "-t", shared.window(job["job_id"]))
    assert server.call("status", job_id=job["job_id"]) == {**job, **_attach(server, job["job_id"])}
    assert server.call("output", job_id=job["job_id"])["stdout"] == "kept\n"


def _attach(server: Server, job_id: str) -> dict[str, object]:
    """The line to attach with is about the window, not about the job's end."""
    answer = server.call("status", job_id=job_id)
    return {"attach": answer["attach"]} if "attach" in answer else {}


@pytest.mark.promise("end-not-false", "runner-killed")
def test_a_killed_runner_is_a_lost_job_and_never_a_running_one(server: Server, shared: Sandbox) -> None:
    job_id = server.call("execute", command="echo up; sleep 300")["job_id"]
    shows(server, job_id, "up")
    shared.runner(job_id).send_signal(signal.SIGKILL)
    job = ended(server, job_id)
    assert (job["status"], job["reason"]) == ("killed", "lost")
    assert "exit_code" not in job
    assert server.call("status", job_id=job_id)["reason"] == "lost"


@pytest.mark.promise("end-not-false", "runner-killed")
def test_a_runner_killed_within_a_jobs_last_moment_is_never_a_false_success(server: Server, shared: Sandbox) -> None:
    for command in ("true", "sleep 300"):
        job_id = server.call("execute", command=command)["job_id"]
        try:
            shared.runner(job_id).send_signal(signal.SIGKILL)
        except (KeyError, psutil.Error, ValueError):
            continue
        job = ended(server, job_id)
        assert (job["status"], job["reason"]) in (("completed", "exit"), ("killed", "lost"))


@pytest.mark.promise("tmux-killed")
@pytest.mark.parametrize("how", ["kill-server", "SIGKILL"])
@pytest.mark.promise("end-reason", "end-not-false")
def test_a_lost_tmux_server_makes_its_jobs_lost_and_the_next_job_runs(
    server: Server, cleared: Sandbox, how: str
) -> None:
    finished = run_job(server, "echo before; exit 3")
    commands = ["echo up; sleep 300", "echo up; cat"]
    if how == "SIGKILL":
        commands.append("trap '' HUP; echo up; sleep 300; sleep 300")
    job_ids = [server.call("execute", command=command)["job_id"] for command in commands]
    for job_id in job_ids:
        shows(server, job_id, "up")
    trees = [process for job_id in job_ids for process in cleared.runner(job_id).children(recursive=True)]
    tmux_server = cleared.tmux_server()
    assert tmux_server is not None
    if how == "SIGKILL":
        tmux_server.kill()
    else:
        cleared.tmux("kill-server")

    for job_id in job_ids:
        job = ended(server, job_id)
        assert (job["status"], job["reason"]) == ("killed", "lost")
        assert server.call("output", job_id=job_id)["stdout"] == "up\n"
    assert server.call("status", job_id=finished["job_id"])["exit_code"] == 3
    assert {job["status"] for job in server.call("list", all=True)["jobs"]} == {"killed", "failed"}
    wait_until(lambda: not any(alive(process.pid) for process in trees), what="the end of their processes")

    assert run_job(server, "exit 8")["exit_code"] == 8


@pytest.mark.promise("end-reason", "window-closed")
def test_the_whole_session_closed_by_hand_ends_its_jobs(server: Server, cleared: Sandbox) -> None:
    cleared.tmux("new-session", "-d", "-s", "mine", "--", "sleep", "1000")
    job_id = server.call("execute", command="echo up; sleep 300")["job_id"]
    shows(server, job_id, "up")
    cleared.tmux("kill-session", "-t", "=mcp-jobs")
    job = ended(server, job_id)
    assert job["status"] == "killed"
    assert job["reason"] in ("window_closed", "lost")
    assert run_job(server, "exit 8")["exit_code"] == 8
    assert cleared.tmux("has-session", "-t", "=mine") == ""


@pytest.mark.promise("log-writer-killed")
def test_a_killed_log_writer_ends_no_job_and_hides_no_exit_code(server: Server, shared: Sandbox) -> None:
    job_id = server.call("execute", command="echo first; read x; echo second; exit 5")["job_id"]
    shows(server, job_id, "first")
    window = shared.window(job_id)
    before = set(shared.processes())
    assert shared.tmux("display-message", "-p", "-t", window, "#{pane_pipe}") == "1"
    tmux_server = shared.tmux_server()
    assert tmux_server is not None
    job_dir = next(path for path in shared.state.rglob(job_id) if path.is_dir())
    writers = [
        process
        for process in before
        if _writes_below(process, str(job_dir)) and process.pid != shared.runner(job_id).pid
    ]
    if not writers:
        pytest.skip("can't tell the log writer on this platform")
    for writer in writers:
        writer.kill()
    server.call("interact", job_id=job_id, input="go", timeout=2)
    job = ended(server, job_id)
    assert (job["status"], job["reason"], job["exit_code"]) == ("failed", "exit", 5)
    assert server.call("output", job_id=job_id)["stdout"].startswith("first\n")


def _writes_below(process: psutil.Process, folder: str) -> bool:
    """Whether a process holds a log segment open."""
    try:
        return any(
            str(opened.path).startswith(folder) and "lock" not in str(opened.path) for opened in process.open_files()
        )
    except psutil.Error:
        return False


@pytest.mark.promise("full-disk")
def test_a_log_that_can_not_be_written_ends_no_job_and_hides_no_exit_code(sandbox: Sandbox) -> None:
    # A limit on file sizes, inherited from tmux, makes the log writer's writes fail as a full disk does.
    subprocess.run(
        ["tmux", "new-session", "-d", "-s", "mine", "--", "sleep", "1000"],
        env=sandbox.environment,
        check=True,
        timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )
    server = sandbox.server()
    job = run_job(server, "echo first; seq 1 100000; echo last; exit 5")
    assert (job["status"], job["reason"], job["exit_code"]) == ("failed", "exit", 5)
    assert server.call("output", job_id=job["job_id"])["stdout"].startswith("first\n1\n2\n3\n")
    assert run_job(server, "exit 6")["exit_code"] == 6


@pytest.mark.promise("full-disk")
@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("mount") is None, reason="needs to mount a small disk")
def test_a_full_disk_leaves_no_job_running_and_no_false_success(sandbox: Sandbox) -> None:
    sandbox.state.mkdir(mode=0o700)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "none", str(sandbox.state)], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("may not mount a small disk here")
    try:
        server = sandbox.server()
        job_id = server.call("execute", command="echo first; seq 1 1000000; echo last; exit 5")["job_id"]
        job = ended(server, job_id)
        assert (job["status"], job.get("exit_code")) in (("failed", 5), ("killed", None))
        assert server.call("output", job_id=job_id)["stdout"].startswith("first\n1\n2\n")
        server.close()
    finally:
        sandbox.tmux("kill-server", check=False)
        wait_until(lambda: not sandbox.processes())
        subprocess.run(["umount", "-l", str(sandbox.state)], check=True)


@pytest.mark.promise("output-whole-at-end")
def test_a_flood_of_output_ends_with_its_last_line(server: Server) -> None:
    command = f"{PYTHON} -I -S -c '[print(i) for i in range(200000)]'; echo last; exit 2"
    job = run_job(server, command)
    assert job["exit_code"] == 2
    tail = server.call("tail", job_id=job["job_id"], lines=3)["stdout"]
    assert tail == "199998\n199999\nlast\n"
