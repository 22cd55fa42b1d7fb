"""Arguments of any size and number are refused at once, in a sentence of few characters, and print nothing."""

from __future__ import annotations

from typing import Any

import psutil
import pytest

from support.rpc import Server, ToolError
from support.scale import slowness

LONG = "x" * 1_000_000
CALLS: dict[str, tuple[str, dict[str, Any], str]] = {
    "cwd": ("execute", {"command": "true", "cwd": "/" + LONG}, "is not a folder that can be entered"),
    "cwd of parts": ("execute", {"command": "true", "cwd": "a/" * 500_000}, "is not a folder that can be entered"),
    "unknown": ("status", {f"u{number}": 1 for number in range(200_000)}, "Unknown parameter 'u0'. Use only: job_id."),
    "unknown name": ("status", {LONG: 1}, "Unknown parameter 'xxx"),
    "id": ("output", {"job_id": LONG}, "not found"),
    "signal": ("kill", {"job_id": "x", "signal": LONG}, "is not a valid signal"),
    "keys": ("interact", {"keys": ["x"] * 100_000}, "100000 keys are more than 500"),
    "pattern": ("wait", {"pattern": LONG}, "has 1000000 characters, more than 10000"),
    "grep": ("output", {"grep": LONG}, "has 1000000 characters, more than 10000"),
}


@pytest.mark.parametrize(("tool", "arguments", "refusal"), CALLS.values(), ids=CALLS)
@pytest.mark.promise("server-arguments")
def test_what_is_too_much_is_refused_at_once(server: Server, tool: str, arguments: Any, refusal: str) -> None:
    if tool in ("interact", "wait", "output") and "job_id" not in arguments:
        job_id = server.call("execute", command="exec cat")["job_id"]
        arguments = {**arguments, **({"job_ids": [job_id]} if tool == "wait" else {"job_id": job_id})}
    printed = len(server.stderr)
    process = psutil.Process(server.process.pid)
    before = process.cpu_times()
    with pytest.raises(ToolError) as error:
        server.call(tool, **arguments)
    after = process.cpu_times()
    # Time is the promise, of the processor: a busy machine's clock says nothing of us.
    spent = after.user + after.system - before.user - before.system
    assert spent < 2 * slowness(), "200,000 unknown ones took seconds"
    assert refusal in str(error.value) and len(str(error.value)) < 500
    assert len(server.stderr) == printed


@pytest.mark.promise("since-seconds")
def test_seconds_beyond_all_time_are_all_of_it(server: Server) -> None:
    job_id = server.call("execute", command="echo all", wait=50)["job_id"]
    assert server.call("output", job_id=job_id, since_seconds=1e308)["stdout"] == "all\n"
