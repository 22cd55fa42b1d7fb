"""A job whose runner is late, as on a loaded machine, or will never come."""

from __future__ import annotations

import json
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.sandbox import Sandbox, ended
from support.waiting import wait_until

LATE = 2.0  # seconds; a reader used to ask tmux from 1.5 on


class SlowPython:
    """A server whose interpreter takes its time to become a job's runner: until `delay` ends."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.hint = sandbox.root / "late"
        venv = sandbox.root / "venv"
        (venv / "bin").mkdir(parents=True)
        own = Path(sys.prefix)
        (venv / "lib").symlink_to(own / "lib")
        (venv / "pyvenv.cfg").write_text((own / "pyvenv.cfg").read_text(encoding="utf-8"), encoding="utf-8")
        python = venv / "bin" / "python"
        waiting = f"while [ -e {shlex.quote(str(self.hint))} ]; do sleep 0.02; done"
        real = shlex.quote(str(Path(sys.executable).resolve()))
        # Under the name of the script, so that this is what the server takes its interpreter to be.
        lines = ["#!/bin/bash", f'case "$*" in *" runner "*) {waiting} ;; esac', f'exec -a "$0" {real} "$@"']
        python.write_text("\n".join(lines) + "\n", encoding="utf-8")
        python.chmod(0o700)
        self.server = sandbox.silent_server(program=[str(python), "-m", "mcp_background_job"]).open()
        ended(self.server, self.server.call("execute", command="true")["job_id"])  # the session is there

    @contextmanager
    def delay(self, command: str = "echo late; exit 3") -> Iterator[str]:
        """The id of a job whose runner starts when the block ends."""
        self.hint.touch()
        try:
            yield self.server.call("execute", command=command)["job_id"]
        finally:
            self.hint.unlink()


@pytest.fixture
def slow(sandbox: Sandbox) -> SlowPython:
    return SlowPython(sandbox)


@pytest.mark.promise("slow-start")
@pytest.mark.parametrize("elsewhere", ["MCP_BG_TMUX_SOCKET", "TMUX_TMPDIR"])
def test_a_late_job_lives_for_readers_with_another_tmux(sandbox: Sandbox, slow: SlowPython, elsewhere: str) -> None:
    other = sandbox.root / "o"
    other.mkdir(mode=0o700)
    if elsewhere == "MCP_BG_TMUX_SOCKET":
        reader = sandbox.server(MCP_BG_TMUX_SOCKET="other")
    else:
        reader = sandbox.server(TMUX_TMPDIR=str(other))
    with slow.delay() as job_id:
        time.sleep(LATE)  # the lateness is the promise
        assert reader.call("status", job_id=job_id)["status"] == "running"
        assert [job["status"] for job in reader.call("list")["jobs"] if job["job_id"] == job_id] == ["running"]
    assert ended(reader, job_id)["exit_code"] == 3
    record = json.loads((sandbox.state / "mcp-jobs" / job_id / "job.json").read_text(encoding="utf-8"))
    assert Path(record["socket"]).is_socket(), "the record names the tmux server that has the job"


@pytest.mark.promise("slow-start")
def test_a_late_job_is_read_at_once_while_tmux_is_stopped(sandbox: Sandbox, slow: SlowPython) -> None:
    tmux = sandbox.tmux_server()
    assert tmux is not None
    with slow.delay() as job_id:
        time.sleep(LATE)  # the lateness is the promise
        tmux.send_signal(signal.SIGSTOP)
        try:
            for tool, arguments in (
                ("status", {"job_id": job_id}),
                ("output", {"job_id": job_id}),
                ("tail", {"job_id": job_id}),
                ("wait", {"job_ids": [job_id], "timeout": 0}),
                ("list", {}),
            ):
                begun = time.monotonic()
                slow.server.call(tool, **arguments)
                # `status` waits a second for a job that is just being started; who asks tmux waits ten.
                assert time.monotonic() - begun < 10, f"{tool} has asked tmux"
        finally:
            tmux.send_signal(signal.SIGCONT)
    assert ended(slow.server, job_id)["exit_code"] == 3


@pytest.mark.promise("slow-start")
def test_a_runner_that_will_not_come_is_told_at_once(sandbox: Sandbox, slow: SlowPython) -> None:
    with slow.delay() as job_id:
        assert slow.server.call("status", job_id=job_id)["status"] == "running"
        sandbox.runner(job_id).kill()
        wait_until(lambda: slow.server.call("status", job_id=job_id)["status"] == "killed", 12)  # not the grace of 15 s
    assert slow.server.call("status", job_id=job_id)["reason"] == "lost"


@pytest.mark.promise("slow-start", "server-ends-kill")
@pytest.mark.parametrize("tidied", [False, True])
def test_a_late_job_whose_server_has_ended_meanwhile_ends_with_it(sandbox: Sandbox, tidied: bool) -> None:
    sandbox.environment["MCP_BG_ON_DISCONNECT"] = "kill"
    slow = SlowPython(sandbox)
    with slow.delay("sleep 300") as job_id:
        slow.server.kill9()
        [lifeline] = (sandbox.state / "mcp-jobs").glob(".server-*")
        if tidied:
            lifeline.unlink()
    job = ended(sandbox.server(), job_id)
    assert (job["status"], job["reason"], job["killed_by"]) == ("killed", "kill", "the end of its server")
