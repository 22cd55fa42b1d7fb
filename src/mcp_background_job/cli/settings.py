"""The settings in force, for every command."""

from __future__ import annotations

import sys

from mcp_background_job.config import BackgroundJobConfig, ConfigError, load_config, unknown_variables


def settings() -> BackgroundJobConfig:
    """The settings in force; a bad one ends the program with one line and exit status 2."""
    try:
        config = load_config()
    except ConfigError as error:
        print(f"mcp-background-job: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    for name in unknown_variables():
        print(f"mcp-background-job: {name} is not a setting of this program", file=sys.stderr)
    return config
