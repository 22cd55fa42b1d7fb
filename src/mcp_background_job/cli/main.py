"""The command line: the server for agents, and what a person needs beside it.

Promises: nothing is imported before it is needed; a refusal is one line on stderr; the exit status says what happened.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import cast

from mcp_background_job.errors import JobError, WrongUsage
from mcp_background_job.supervisor.naming import name_process

from .parser import DEFAULT_HOST, DEFAULT_PORT, HANDLERS, PROGRAM, parser

USAGE, INTERRUPTED, BROKEN_PIPE = 2, 130, 141


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its status."""
    # A locale of another encoding: names, folders and commands are UTF-8 here, as agents send them.
    if arguments is None and (fill_standard_descriptors() or sys.getfilesystemencoding() != "utf-8"):
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])
    try:
        status = dispatch(arguments)
        sys.stdout.flush()
    except JobError as error:
        status = complain(str(error), USAGE if isinstance(error, WrongUsage) else 1)
    except KeyboardInterrupt:
        status = INTERRUPTED
    except BrokenPipeError:
        status = BROKEN_PIPE  # the reader has exited, as head does
        drop_output()
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        status = complain(f"{error.strerror or error}{where}. Run `{PROGRAM} doctor` to see what is wrong.", 1)
        drop_output()
    sys.exit(status)


def drop_output() -> None:
    """What can't be printed is dropped, or the interpreter's last flush would complain too."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def fill_standard_descriptors() -> bool:
    """Was stdin, stdout or stderr closed? The next file opened would have its number, and what is printed in it."""
    streams = (sys.stdin, sys.stdout, sys.stderr)
    for stream, mode in zip(streams, (os.O_RDONLY, os.O_RDONLY, os.O_WRONLY), strict=True):  # printing has to fail
        if stream is None:
            os.set_inheritable(os.open(os.devnull, mode), True)  # the lowest number that is free: its own
    return None in streams


def dispatch(arguments: Sequence[str] | None) -> int:
    top = parser()
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(top)
    options, unknown = top.parse_known_args(arguments)
    if unknown:
        commands = next(action for action in top._actions if action.dest == "command").choices or {}
        of = dict(commands).get(options.command, top)
        of.error(f"unrecognized arguments: {' '.join(unknown)}")
    http_only = [name for name in ("host", "port", "token_file", "allowed_host") if getattr(options, name) is not None]
    if options.command is not None:
        if http_only or options.channel or options.transport != "stdio":
            top.error(f"the server's options can't be used with {options.command}")
        # A job may print what this terminal's encoding lacks.
        sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
        module, function = HANDLERS[options.command].split(":")
        handler = getattr(importlib.import_module(f".{module}", __package__), function)
        return cast(Callable[[argparse.Namespace], int], handler)(options)
    if http_only and options.transport == "stdio":
        top.error(f"--{http_only[0].replace('_', '-')} is for --transport http")
    if options.channel and options.transport != "stdio":
        top.error("--channel is for --transport stdio")
    return serve(options)


def serve(options: argparse.Namespace) -> int:
    """The MCP server; a bad setting is one line on stderr and exit status 2."""
    # Of what these imports allocate nothing is garbage; looking for it takes an eighth of the start.
    gc.disable()
    name_process("mcp-bg-server")
    from .settings import settings

    config = settings()
    if options.transport == "stdio":
        from mcp_background_job.server.app import run_stdio

        collect_again()
        run_stdio(config, options.channel)
        return 0
    from mcp_background_job.config import ConfigError
    from mcp_background_job.server.access import check_token, read_token
    from mcp_background_job.server.http import run_http

    collect_again()
    try:
        if options.token_file is not None:
            token = read_token(options.token_file)
        else:
            token = check_token(config.http_token.get_secret_value() if config.http_token else "")
        port = DEFAULT_PORT if options.port is None else options.port
        run_http(config, options.host or DEFAULT_HOST, port, token, list(options.allowed_host or ()))
    except ConfigError as error:
        return complain(str(error), USAGE)
    return 0


def collect_again() -> None:
    """Collect garbage from now on, and never look at what there is already."""
    gc.freeze()
    gc.enable()


def complain(message: str, status: int) -> int:
    """One line on stderr; the status to exit with."""
    print(f"{PROGRAM}: {message}", file=sys.stderr)
    return status
