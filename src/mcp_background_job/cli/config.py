"""The commands about this program itself: config and completion."""

from __future__ import annotations

import argparse
import os

from mcp_background_job.config import BackgroundJobConfig
from mcp_background_job.responses.fields import Fields
from mcp_background_job.ui.console import print_facts, print_json

from .settings import settings

UNSET = {
    "MCP_BG_WORKING_DIR": "none: the server's own folder",
    "MCP_BG_ALLOWED_COMMANDS": "none: any command",
    "MCP_BG_TMUX_SOCKET": "none: your default tmux server",
}


def show_config(options: argparse.Namespace) -> int:
    """Each setting with its value and where that comes from."""
    config = settings()
    rows: list[Fields] = []
    for name, field in BackgroundJobConfig.model_fields.items():
        variable = str(field.validation_alias)
        source = "environment" if variable in os.environ else "default"
        rows.append({"variable": variable, "value": value_of(config, name), "from": source})
    if options.json:
        print_json({"settings": rows})
    else:
        print_facts({str(row["variable"]): in_words(row) for row in rows})
    return 0


def in_words(row: Fields) -> str:
    variable, value = str(row["variable"]), row["value"]
    text = UNSET.get(variable, "none") if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    return f"{text}  ← environment" if row["from"] == "environment" else text


def value_of(config: BackgroundJobConfig, name: str) -> str | int | float | None:
    """A setting's value as its variable takes it; a secret only as being there."""
    value: object = getattr(config, name)
    if name == "http_token":
        return None if value is None else "(hidden)"
    if name == "allowed_command_patterns":
        return ",".join(config.allowed_command_patterns) or None
    return value if value is None or isinstance(value, (int, float)) else str(value)


def completion(options: argparse.Namespace) -> int:
    """The script that lets a shell ask this program; argcomplete's own."""
    from argcomplete.shell_integration import shellcode

    print(shellcode(["mcp-background-job"], shell=options.shell))
    return 0
