"""The command line: the server for agents, and what a person needs beside it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from . import __version__
from .config import ConfigError, load_config, unknown_variables


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    top = argparse.ArgumentParser(
        prog="mcp-background-job",
        description="Runs an agent's shell commands as jobs in tmux windows. Without a command: serves on stdio.",
    )
    top.add_argument("--version", action="version", version=f"mcp-background-job {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("demo", help="show the whole thing on real work, and check it; cleans up after itself")
    return top


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; a bad setting is one line on stderr and exit status 2."""
    options = parser().parse_args(arguments)
    if options.command == "demo":
        from .demo import run_demo

        sys.exit(run_demo())
    try:
        config = load_config()
    except ConfigError as error:
        sys.exit(stop(str(error)))
    for name in unknown_variables():
        print(f"mcp-background-job: {name} is no setting of this program", file=sys.stderr)
    from .server import run_stdio

    run_stdio(config)


def stop(message: str) -> int:
    print(f"mcp-background-job: {message}", file=sys.stderr)
    return 2
