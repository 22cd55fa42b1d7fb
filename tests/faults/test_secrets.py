"""A secret typed in every way that agents have, with the server killed at any moment: found nowhere afterwards."""

from __future__ import annotations

import contextlib
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from support.rpc import Answer, Server, ServerGone, ToolError
from support.sandbox import PYTHON, Sandbox, shows
from support.scale import FULL
from support.sshd import MISSING, another_machine
from support.waiting import wait_until

SECRET = "s3cr3t-Zq7"
# Seconds from the request to the kill; a call reaches tmux after some 15 ms.
MOMENTS = [None, *(milliseconds / 1000 for milliseconds in (range(0, 60, 2) if FULL else (4, 12)))]
ASK = "stty -echo; printf 'Secret: '; read -r word; stty echo; echo; echo got ${#word}; exec sleep 100"
RAW = "printf 'Secret: '; read -rs -n 10 word; echo; echo got ${#word}; exec sleep 100"
MASKED = """
import os, tty
tty.setraw(0)
os.write(1, b"Secret: ")
count = 0
while (key := os.read(0, 1)) not in (b"\\r", b"\\n"):
    count += 1
    os.write(1, b"*")
os.write(1, b"\\r\\ngot %d\\r\\n" % count)
import time; time.sleep(100)
"""
GETPASS = "import getpass, time; print('got', len(getpass.getpass('Secret: ')), flush=True); time.sleep(100)"

WAYS = {
    "text, canonical": (ASK, {"input": SECRET}),
    "keys, canonical": (ASK, {"keys": [*SECRET, "Enter"]}),
    "text, raw": (RAW, {"input": SECRET, "enter": False}),
    "keys, raw": (RAW, {"keys": list(SECRET)}),
    "masked prompt": (f"{PYTHON} -c {shlex.quote(MASKED)}", {"input": SECRET}),
    "keys, masked prompt": (f"{PYTHON} -c {shlex.quote(MASKED)}", {"keys": [*SECRET, "Enter"]}),
    "getpass": (f"{PYTHON} -c {shlex.quote(GETPASS)}", {"input": SECRET}),
    "in parts": (RAW, {"input": SECRET[:5], "enter": False, "keys": list(SECRET[5:])}),
}


def places(sandbox: Sandbox) -> Iterator[tuple[str, bytes]]:
    """All that is kept of a job: files, tmux's buffers and options, what each process was started with."""
    for path in sandbox.root.rglob("*"):
        with contextlib.suppress(OSError):
            if path.is_file():
                yield str(path), path.read_bytes()
    for name in sandbox.tmux("list-buffers", "-F", "#{buffer_name}", check=False).split():
        yield f"buffer {name}", sandbox.tmux("show-buffer", "-b", name, check=False).encode()
    yield "options", sandbox.tmux("show-options", "-g", check=False).encode()
    for process in sandbox.processes():
        for name in ("cmdline", "environ"):
            with contextlib.suppress(OSError):
                yield f"{process} {name}", Path(f"/proc/{process.pid}/{name}").read_bytes()


def started(sandbox: Sandbox) -> Server:
    """A server whose temporary files are in the sandbox, too, and who tidies each 2.5 s."""
    temporary = sandbox.path("tmp")
    temporary.mkdir(exist_ok=True)
    return sandbox.server(TMPDIR=str(temporary), MCP_BG_CLEANUP_INTERVAL="10")


def found_at(sandbox: Sandbox) -> list[str]:
    as_keys = '", "'.join(SECRET)
    return [place for place, data in places(sandbox) if SECRET.encode() in data or as_keys.encode() in data]


def type_secret(sandbox: Sandbox, job_id: str, arguments: Answer, moment: float | None) -> None:
    """Type it, and kill the server `moment` seconds after it was asked for."""
    server = started(sandbox)
    shows(server, job_id, "Secret: ")
    if moment is None:
        server.call("interact", job_id=job_id, timeout=50, pattern="got", **arguments)
        shows(server, job_id, f"got {len(SECRET)}")
        return
    call = server.start("interact", job_id=job_id, timeout=50, pattern="got", **arguments)
    time.sleep(moment)  # the moment is what is tried
    server.kill9()
    with contextlib.suppress(ToolError, ServerGone):
        call.answer()


@pytest.mark.parametrize(("command", "arguments"), WAYS.values(), ids=WAYS)
@pytest.mark.promise("no-secret-on-disk")
def test_a_secret_is_nowhere_however_it_is_typed(sandbox: Sandbox, command: str, arguments: Answer) -> None:
    starter = started(sandbox)
    for moment in MOMENTS:
        job_id = starter.call("execute", command=command)["job_id"]
        type_secret(sandbox, job_id, arguments, moment)
        # A paste that was under way when its client was killed is done at once, or not at all.
        wait_until(lambda: not found_at(sandbox), what=f"the end of all traces, killed after {moment}")
        starter.call("kill", job_id=job_id, signal="KILL")
        assert found_at(sandbox) == []


@pytest.mark.skipif(bool(MISSING), reason=MISSING)
@pytest.mark.promise("no-secret-on-disk")
def test_a_secret_typed_through_ssh_is_nowhere(sandbox: Sandbox) -> None:
    with another_machine(sandbox) as machine:
        server = started(sandbox)
        for inner in (ASK, RAW):
            job_id = server.call(
                "execute", command=shlex.join(machine.ssh("-tt", "box", f"bash -c {shlex.quote(inner)}"))
            )["job_id"]
            shows(server, job_id, "Secret: ")
            server.call("interact", job_id=job_id, input=SECRET, timeout=50, pattern="got 10")
            shows(server, job_id, "got 10")
            assert found_at(sandbox) == []
            server.call("kill", job_id=job_id, signal="KILL")


@pytest.mark.promise("no-secret-on-disk")
def test_an_environment_that_no_runner_has_read_goes_with_the_next_start(sandbox: Sandbox) -> None:
    for moment in MOMENTS[1:]:
        server = started(sandbox)
        server.start("execute", command="sleep 100", env={"TOKEN": SECRET})
        assert moment is not None
        time.sleep(moment)  # the moment is what is tried
        server.kill9()
    started(sandbox).call("list")
    # A job that was recorded has 15 s to be started; the sweep comes every 2.5 s.
    wait_until(
        lambda: not [path for path, data in sandbox.stored_bytes() if SECRET.encode() in data],
        40,
        what="the sweep of what was left",
    )


def test_what_a_release_before_left_is_swept(sandbox: Sandbox) -> None:
    server = started(sandbox)
    job_id = server.call("execute", command="sleep 100")["job_id"]
    left = sandbox.state / "mcp-jobs" / job_id / "typed-0a1b2c3d"
    left.write_text(SECRET)
    server.kill9()
    started(sandbox).call("list")
    wait_until(lambda: not left.exists(), what="the sweep")


def test_a_process_is_no_place(sandbox: Sandbox) -> None:
    """The search itself finds what is there."""
    server = started(sandbox)
    job_id = server.call("execute", command=f"echo {SECRET}")["job_id"]
    shows(server, job_id, SECRET)
    assert any("log/" in place for place in found_at(sandbox))
    assert psutil.pid_exists(server.process.pid)
