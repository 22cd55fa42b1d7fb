"""npm's own client for tasks drives ours: it polls, answers, cancels, and takes a task up again after kill -9."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.npm import installed
from support.rpc import Answer, Server
from support.sandbox import Sandbox
from support.tasks import PROGRAM

pytestmark = pytest.mark.promise("tasks")
PACKAGES = ("@modelcontextprotocol/ext-tasks@0.2.2", "@modelcontextprotocol/client@2.4.0")
SCRIPT = Path(__file__).parents[1] / "support" / "ext_tasks.mjs"


def run(sandbox: Sandbox, command: str, **wanted: Any) -> Answer:
    """How an `execute` went."""
    given = json.dumps({"server": PROGRAM, "command": command, **wanted})
    done = subprocess.run(
        ["node", str(SCRIPT), str(installed(*PACKAGES)), given],
        env=sandbox.environment,
        cwd=sandbox.work,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: Answer = json.loads(done.stdout)
    return found


def structured(found: Answer) -> Answer:
    assert found["outcome"]["status"] == "completed"
    answer: Answer = found["outcome"]["result"]["structuredContent"]
    return answer


def test_its_call_resolves_with_the_end_of_the_job(shared: Sandbox) -> None:
    found = run(shared, "sleep 1; echo over; exit 3")
    assert found["kind"] == "task" and found["lastTask"]["suggestedPollIntervalMs"] == 1000
    assert (structured(found)["stdout"], structured(found)["exit_code"]) == ("over\n", 3)


def test_what_ends_soon_is_no_task(shared: Sandbox) -> None:
    found = run(shared, "echo quick")
    assert found["kind"] == "immediate" and structured(found)["stdout"] == "quick\n"


def test_it_answers_each_question_once(shared: Sandbox) -> None:
    found = run(shared, "sleep 0.6; read -p 'First? ' a; sleep 1; read -p 'Then? ' b; echo \"$a $b\"", answer="yes")
    assert ["First? " in found["asked"][0], "Then? " in found["asked"][1], len(found["asked"])] == [True, True, 2]
    assert structured(found)["stdout"].endswith("yes yes\n")


def test_it_takes_a_task_up_after_its_server_was_killed(shared: Sandbox) -> None:
    found = run(shared, "sleep 3; echo survived", kill=True)
    assert structured(found)["stdout"] == "survived\n"


def test_its_cancel_kills_the_job(shared: Sandbox, server: Server) -> None:
    found = run(shared, "exec sleep 300", cancel=True)
    assert found["outcome"]["status"] == "cancelled"
    job_id = found["lastTask"]["taskId"].partition("-")[0]
    assert server.call("status", job_id=job_id)["reason"] == "kill"
