"""Other agents as jobs: started, asked and ended in three calls, against a model of our own.

`./.ci/everywhere agents` installs the programs and runs this; `.ci/run` takes those in PATH.
"""

from __future__ import annotations

import psutil
import pytest

from support.agents import AGENTS, at_hand
from support.model_server import ANSWER, model_server
from support.sandbox import Sandbox


@pytest.mark.parametrize("name", AGENTS)
@pytest.mark.promise("enter-alone")
def test_another_agent_is_started_asked_and_ended_in_three_calls(sandbox: Sandbox, name: str) -> None:
    at_hand(sandbox, name)
    prepare, ready, leave = AGENTS[name]
    with model_server() as model:
        environment = prepare(sandbox.home, sandbox.work, f"http://127.0.0.1:{model.server_address[1]}")
        server = sandbox.server()
        started = server.call("execute", command=name, env=environment, wait=50, pattern=ready)
        assert started["reason"] == "match", started
        question = {"job_id": started["job_id"], "input": "Tell me a bird", "pattern": ANSWER, "timeout": 40}
        answer = server.call("interact", **question)
        assert answer["reason"] == "match" and ANSWER in answer["stdout"] + answer.get("screen", ""), answer
        ended = server.call("interact", job_id=started["job_id"], input=leave, timeout=50)
        assert (ended["reason"], ended["exit_code"]) == ("exit", 0), ended
    for left in sandbox.processes():  # Codex leaves a daemon
        if "codex" in left.name():
            left.kill()
            psutil.wait_procs([left], 10)
