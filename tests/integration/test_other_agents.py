"""Other agents as jobs: started, asked and ended in three calls, against a model of our own.

Theirs are not installed by `.ci/run` (400 MB): `npm install --prefix /some/folder @openai/codex @google/gemini-cli
@anthropic-ai/claude-code`, with `/some/folder/node_modules/.bin` in PATH, runs these tests.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import psutil
import pytest

from support.model_server import ANSWER, model_server
from support.sandbox import Sandbox


def claude(home: Path, work: Path, url: str) -> dict[str, str]:
    key = "k" * 20
    settings = {
        "hasCompletedOnboarding": True,
        "customApiKeyResponses": {"approved": [key], "rejected": []},
        "projects": {str(work): {"hasTrustDialogAccepted": True, "hasCompletedProjectOnboarding": True}},
    }
    (home / ".claude.json").write_text(json.dumps(settings))
    return {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": key, "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}


def codex(home: Path, work: Path, url: str) -> dict[str, str]:
    (home / ".codex").mkdir()
    (home / ".codex/config.toml").write_text(
        'model = "model"\nmodel_provider = "local"\ncheck_for_update_on_startup = false\n'
        f'[model_providers.local]\nname = "local"\nbase_url = "{url}/v1"\nwire_api = "responses"\nenv_key = "KEY"\n'
        f'[projects."{work}"]\ntrust_level = "trusted"\n'
    )
    return {"KEY": "key"}


def gemini(home: Path, work: Path, url: str) -> dict[str, str]:
    (home / ".gemini").mkdir()
    settings = {
        "security": {"auth": {"selectedType": "gemini-api-key"}, "folderTrust": {"enabled": False}},
        "general": {"enableAutoUpdate": False},
        "telemetry": {"enabled": False},
        "privacy": {"usageStatisticsEnabled": False},
    }
    (home / ".gemini/settings.json").write_text(json.dumps(settings))
    return {"GEMINI_API_KEY": "key", "GOOGLE_GEMINI_BASE_URL": url, "GEMINI_MODEL": "gemini-2.5-flash"}


AGENTS = {
    "claude": (claude, r"\? for shortcuts", "/exit"),
    "codex": (codex, "for agents", "/quit"),
    "gemini": (gemini, "Type your message", "/quit"),
}


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
