"""Things that hang: a tmux server that is stopped, a pattern that runs away."""

from __future__ import annotations

import re
import shlex
import signal
import time

import psutil
import pytest

from support.rpc import Server, ToolError
from support.sandbox import PYTHON, Sandbox, alive, ended, run_job, shows
from support.scale import slowness
from support.waiting import wait_until
from unit.regexes.test_search import HOSTILE

RUNS_AWAY = "(a|a)+$"


def living_children(server: Server) -> list[psutil.Process]:
    return [one for one in psutil.Process(server.process.pid).children() if alive(one.pid)]


def answers_again(server: Server) -> bool:
    try:
        return bool(run_job(server, "true")["status"] == "completed")
    except ToolError:
        return False


@pytest.mark.slow
@pytest.mark.promise("stopped-tmux")
def test_a_stopped_tmux_server_holds_nobody_up_for_ever(sandbox: Sandbox) -> None:
    server = sandbox.server()
    job_id = server.call("execute", command="echo up; read -r x; echo got $x")["job_id"]
    shows(server, job_id, "up")
    tmux = sandbox.tmux_server()
    assert tmux is not None
    tmux.send_signal(signal.SIGSTOP)
    try:
        begun = time.monotonic()
        refused = server.start("execute", command="touch never")
        typed = server.start("interact", job_id=job_id, input="early")
        # Reads ask no tmux.
        assert server.call("status", job_id=job_id)["status"] == "running"
        assert "up" in server.call("tail", job_id=job_id)["stdout"]
        for call in (refused, typed):
            with pytest.raises(ToolError, match="gave no answer within 10 seconds"):
                call.answer()
        assert time.monotonic() - begun > 8, "the limit is 10 s"
        assert sandbox.records() == {job_id}, "a refused execute leaves no record"
        begun = time.monotonic()
        for _ in range(5):
            with pytest.raises(ToolError, match="gave no answer"):
                server.call("interact", job_id=job_id, input="early")
        assert time.monotonic() - begun < 5 * 10, "who has waited once need not wait again"
        wait_until(lambda: not living_children(server), what="the end of the last client of tmux")
    finally:
        tmux.send_signal(signal.SIGCONT)
    # What tmux had been asked before comes to nothing now.
    wait_until(lambda: answers_again(server))
    wait_until(lambda: set(sandbox.windows()) <= sandbox.records() | {""})
    assert not sandbox.path("never").exists()
    server.call("kill", job_id=job_id)
    assert ended(server, job_id)["reason"] == "kill"


@pytest.mark.promise("runaway-pattern")
def test_patterns_that_run_away_hold_up_no_other_call(sandbox: Sandbox) -> None:
    server = sandbox.server()
    command = "printf '%s' " + "a" * 60 + "b; sleep 100"
    job_id = server.call("execute", command=command)["job_id"]
    shows(server, job_id, "ab")
    waits = [server.start("wait", job_ids=[job_id], pattern=RUNS_AWAY, since=0, timeout=50) for _ in range(8)]
    for _ in range(5):
        server.call("status", job_id=job_id)
    assert not all(call.done for call in waits), "each of these patterns takes a second of processor time"
    for call in waits:
        with pytest.raises(ToolError, match="takes too long"):
            call.answer()


@pytest.mark.parametrize("pattern", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.promise("hostile-pattern")
def test_a_hostile_pattern_holds_up_no_other_call(sandbox: Sandbox, pattern: str) -> None:
    server = sandbox.server()
    job_id = server.call("execute", command="printf '%05000d!\\n' 0 | tr 0 a; sleep 100")["job_id"]
    shows(server, job_id, "!")
    process = psutil.Process(server.process.pid)
    before = process.cpu_times()
    calls = [
        server.start("output", job_id=job_id, grep=pattern),
        server.start("wait", job_ids=[job_id], pattern=pattern, since=0, timeout=1),
        server.start("interact", job_id=job_id, pattern=pattern, timeout=1),
        server.start("execute", command="true", wait=1, pattern=pattern),
    ]
    for _ in range(20):
        server.call("status", job_id=job_id)
    for call in calls:
        try:
            call.answer()
        except ToolError as refusal:
            assert re.search("too long|not a regular expression|characters, more than", str(refusal))
    after = process.cpu_times()
    spent = after.user + after.system - before.user - before.system
    assert spent < 1.0 * slowness(), "up to four seconds of processor time are spent in another process"
    assert server.call("output", job_id=job_id, grep="!$")["stdout"].startswith("1:…aaa")


@pytest.mark.promise("hostile-output")
def test_output_that_costs_much_to_draw_holds_up_no_other_call(sandbox: Sandbox) -> None:
    server = sandbox.server()
    code = "print((chr(27) + '[99T') * 60_000 + 'end')"
    job_id = server.call("execute", command=f"{PYTHON} -c {shlex.quote(code)}; cat")["job_id"]
    server.call("wait", job_ids=[job_id], until="input", timeout=50)
    quiet = server.call("execute", command="sleep 100")["job_id"]
    calls = [
        server.start("tail", job_id=job_id),
        server.start("output", job_id=job_id),
        server.start("output", job_id=job_id, grep="end"),
        server.start("wait", job_ids=[job_id], since=0, timeout=1, pattern="nowhere"),
        server.start("interact", job_id=job_id, input="more", timeout=1),
    ]
    server.call("status", job_id=quiet)
    assert not any(call.done for call in calls[:3]), "the drawings take longer"
    for call in calls[:2]:
        assert "end" in call.answer()["stdout"]
    for call in calls[2:]:
        call.answer()
