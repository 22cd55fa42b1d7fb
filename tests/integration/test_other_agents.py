"""Other agents as jobs: started, asked and ended in three calls, against a model of our own.

Theirs are not installed by `.ci/run` (400 MB): `npm install --prefix /some/folder @openai/codex @google/gemini-cli
@anthropic-ai/claude-code`, with `/some/folder/node_modules/.bin` in PATH, runs these tests.
"""

from __future__ import annotations

import shutil

import psutil
import pytest

from support.agents import AGENTS
from support.model_server import ANSWER, model_server
from support.sandbox import Sandbox


@pytest.mark.parametrize("name", AGENTS)
@pytest.mark.promise("enter-alone")
def test_another_agent_is_started_asked_and_ended_in_three_calls(sandbox: Sandbox, name: str) -> None:
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not here")
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
