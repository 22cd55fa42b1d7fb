"""Other agents' command lines, each set up to talk to a model of our own (model_server.py)."""

from __future__ import annotations

import json
from pathlib import Path


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


# How each is set up, what its screen shows once it is ready, and what ends it.
AGENTS = {
    "claude": (claude, r"\? for shortcuts", "/exit"),
    "codex": (codex, "for agents", "/quit"),
    "gemini": (gemini, "Type your message", "/quit"),
}
