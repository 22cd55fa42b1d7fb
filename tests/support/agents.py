"""Other agents' command lines, each set up to talk to a model of our own (model_server.py).

They are installed by npm (2 GB in all) where MCP_BG_TEST_AGENTS is set, as `./.ci/everywhere agents` does; else those
in PATH are taken.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from support.npm import installed, node
from support.sandbox import Sandbox
from support.terminal import cli

ASKED = "MCP_BG_TEST_AGENTS"
PACKAGES = {
    "claude": "@anthropic-ai/claude-code@2.1.332",
    "codex": "@openai/codex@0.171.0",
    "gemini": "@google/gemini-cli@0.61.0",
    "copilot": "@github/copilot@1.0.102",
    "opencode": "opencode-ai@1.18.33",
    "qwen": "@qwen-code/qwen-code@0.24.4",
    "cline": "cline@3.0.65",
}
# Its HOME, the folder that it works in, the model's address; what it needs in its environment.
Prepare: TypeAlias = Callable[[Path, Path, str], dict[str, str]]


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


def copilot(home: Path, work: Path, url: str) -> dict[str, str]:
    (home / ".copilot").mkdir()
    return {
        "COPILOT_PROVIDER_BASE_URL": f"{url}/v1",
        "COPILOT_PROVIDER_API_KEY": "key",
        "COPILOT_MODEL": "model",
        "COPILOT_OFFLINE": "true",
    }


def opencode(home: Path, work: Path, url: str) -> dict[str, str]:
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "options": {"baseURL": f"{url}/v1", "apiKey": "key"},
        "models": {"model": {"limit": {"context": 100_000, "output": 8000}}},
    }
    settings = {"model": "local/model", "provider": {"local": provider}, "autoupdate": False, "share": "disabled"}
    file = home / ".config/opencode/opencode.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(settings))
    return {"OPENCODE_DISABLE_AUTOUPDATE": "1", "OPENCODE_DISABLE_MODELS_FETCH": "1"}


def qwen(home: Path, work: Path, url: str) -> dict[str, str]:
    settings = {
        "security": {"auth": {"selectedType": "openai"}},
        "general": {"enableAutoUpdate": False},
        "telemetry": {"enabled": False},
        "privacy": {"usageStatisticsEnabled": False},
    }
    (home / ".qwen").mkdir()
    (home / ".qwen/settings.json").write_text(json.dumps(settings))
    return {"OPENAI_API_KEY": "key", "OPENAI_BASE_URL": f"{url}/v1", "OPENAI_MODEL": "model"}


PREPARE: dict[str, Prepare] = {
    "claude": claude,
    "codex": codex,
    "gemini": gemini,
    "copilot": copilot,
    "opencode": opencode,
    "qwen": qwen,
}
# How each does one errand without a person, and ends.
ERRANDS = {
    "claude": ("--allowedTools", "mcp__jobs", "-p", "go"),
    "codex": ("exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "go"),
    "gemini": ("--yolo", "-p", "go"),
    "copilot": ("--allow-all-tools", "--disable-builtin-mcps", "-p", "go"),
    "opencode": ("run", "go"),
    "qwen": ("--yolo", "-p", "go"),
}


def at_hand(sandbox: Sandbox, name: str) -> str:
    """The path of an agent's program, which comes into the sandbox's PATH; the test is skipped where there is none."""
    if ASKED in os.environ:
        folders = f"{installed(PACKAGES[name]) / 'node_modules/.bin'}:{node()}"
        sandbox.environment["PATH"] = f"{folders}:{sandbox.environment['PATH']}"
    path = shutil.which(name, path=sandbox.environment["PATH"])
    if path is None:
        pytest.skip(f"{name} is not here; ./.ci/everywhere agents runs it")
    return path


def set_up(sandbox: Sandbox, name: str, url: str) -> dict[str, str]:
    """Prepare an agent, with our server in its configuration; the environment that it is started with."""
    given = PREPARE[name](sandbox.home, sandbox.work, url)
    cli(sandbox, "setup", name, "--write")
    return {**sandbox.environment, **given}


# How those that tests talk to on a terminal are set up, what the screen shows once it is ready, and what ends it.
AGENTS = {
    "claude": (claude, r"\? for shortcuts|shift\+tab to cycle", "/exit"),
    "codex": (codex, "for agents", "/quit"),
    "gemini": (gemini, "Type your message", "/quit"),
}
