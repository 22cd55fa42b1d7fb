"""`mcp-background-job setup`: this server in the configuration of an MCP client.

Promises: what is in the file stays, comments and order too; an entry called `jobs` is replaced; a file that can't be
parsed is left alone; before a change the file is copied, and the change appears whole.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from mcp_background_job.errors import WrongUsage

from .clients import CLIENTS, Client
from .entry import PACKAGE, this_server
from .formats import format_of
from .shapes import NAME, Start, starts
from .writing import change_file


def setup(options: argparse.Namespace) -> int:
    if options.check:
        from .check import check

        return check(options)
    if options.client is None:
        raise WrongUsage("setup needs a client", f"Choose one of {', '.join(CLIENTS)}, or give --check")
    client = CLIENTS[options.client]
    file = (options.file or client.place.path()).expanduser()
    start = this_server(client.desktop)
    if options.write:
        return write(client, file, start)
    show(options.client, client, file, start)
    return 0


def show(name: str, client: Client, file: Path, start: Start) -> None:
    """What to type or to add; remarks go to stderr, so that the rest can be piped."""
    if name == "claude":
        print(f"# Type this, or let `{PACKAGE} setup claude --write` change {file}:", file=sys.stderr)
        env = [word for key, value in start.env.items() for word in ("--env", f"{key}={value}")]
        # The name comes first: --env takes several values and would swallow it.
        print(shlex.join(["claude", "mcp", "add", "--scope", "user", NAME, *env, "--", start.command, *start.args]))
        return
    print(f"# In {file}; `{PACKAGE} setup {name} --write` puts it there:", file=sys.stderr)
    print(format_of(file).shown((client.key, NAME), client.shape(start)), end="")


def write(client: Client, file: Path, start: Start) -> int:
    """Put our entry into the file, in the place of one that starts something else."""
    made, path, form = client.shape(start), (client.key, NAME), format_of(file)

    def change(text: str) -> str:
        there = form.entry(file, text, path)
        if isinstance(there, dict) and starts(there) == start and made.items() <= there.items():
            return text  # a person may have added to it
        return form.put(file, text, path, made)

    done = change_file(file, change)
    if done.changed:
        print(f"Wrote {file}{f' (backup: {done.backup})' if done.backup else ''}. {client.then}")
    else:
        print(f"{client.title} already has it: {file}")
    return 0
