"""`mcp-background-job setup --check`: whether the clients found here start this server, and which version answers.

Promises: each entry is started as its client starts it, asked for its tools, and ended, all of it within a time limit;
exit status 1 where one does not start.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import anyio
from mcp import Client as Connection
from mcp import MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client

from mcp_background_job import __version__
from mcp_background_job.cli.checks import Finding
from mcp_background_job.cli.doctor import print_findings
from mcp_background_job.errors import InvalidInput, WrongUsage
from mcp_background_job.text import shorten
from mcp_background_job.ui.console import progress

from .clients import CLIENTS, Client
from .entry import PACKAGE
from .formats import format_of
from .shapes import NAME, Start, starts
from .writing import read_file

PATIENCE = 30.0  # seconds for a start; uvx may have to build the package first
DESKTOP_PATH = "/usr/bin:/bin:/usr/sbin:/sbin"  # what macOS and most Linux desktops give


@dataclass(frozen=True)
class Answer:
    """What a started server said: who it is and how many tools it has, or what went wrong."""

    name: str = ""
    version: str = ""
    tools: int = 0
    problem: str = ""


def check(options: argparse.Namespace) -> int:
    if options.write or (options.file and options.client is None):
        raise WrongUsage("--check only looks", "Leave out --write, and give --file with its client")
    answers: dict[tuple[str, ...], Answer] = {}  # many clients have the same entry
    findings: list[Finding] = []
    for name, client in CLIENTS.items():
        if options.client not in (None, name):
            continue
        file = (options.file or client.place.path()).expanduser()
        with progress(f"asking the server of {client.title}"):
            found = list(look(name, client, file, answers, asked_for=options.client is not None))
        print_findings(found)
        findings += found
    if not findings:
        print(f"None of {', '.join(CLIENTS)} is found here.")
    return 1 if any(finding.level == "wrong" for finding in findings) else 0


def look(
    name: str, client: Client, file: Path, answers: dict[tuple[str, ...], Answer], asked_for: bool
) -> Iterator[Finding]:
    """What there is to say of one client; nothing where it is not here, unless it was asked for."""
    remedy = f"{PACKAGE} setup {name} --write"
    try:
        entry = format_of(file).entry(file, read_file(file), (client.key, NAME))
    except InvalidInput as error:
        yield Finding("wrong", client.title, f"{file} can't be read", str(error).rpartition("; ")[2])
        return
    if entry is None:
        if client.installed() or asked_for:
            yield Finding("note", client.title, f"{file} has no server called {NAME}", remedy)
        return
    start = starts(entry)
    if start is None:
        yield Finding("note", client.title, f"{file} has a server called {NAME} that is not started here")
        return
    environment = {"PATH": DESKTOP_PATH if client.desktop else os.environ.get("PATH", os.defpath)} | start.env
    key = (start.command, *start.args, *(f"{name}={value}" for name, value in sorted(environment.items())))
    if key not in answers:
        answers[key] = anyio.run(ask, start, environment)
    yield verdict(client, file, answers[key], remedy)


def verdict(client: Client, file: Path, answer: Answer, remedy: str) -> Finding:
    said = f"{answer.name} {answer.version}, {answer.tools} tools"
    if answer.problem:
        return Finding("wrong", client.title, f"the server in {file} does not start: {answer.problem}", remedy)
    if answer.name != PACKAGE:
        return Finding("wrong", client.title, f"what {file} starts is {said}", remedy)
    if answer.version != __version__:
        return Finding("note", client.title, f"starts {said}; this is {__version__} ({file})", remedy)
    return Finding("ok", client.title, f"starts {said} ({file})")


async def ask(start: Start, environment: dict[str, str]) -> Answer:
    """Start a server, say hello, ask for its tools, and end it."""
    with tempfile.TemporaryFile("w+", errors="replace") as stderr:
        try:
            with anyio.fail_after(PATIENCE):
                words = StdioServerParameters(command=start.command, args=start.args, env=environment)
                async with Connection(stdio_client(words, stderr), mode="legacy") as server:
                    tools = len((await server.list_tools()).tools)
                    info = server.server_info
                    return Answer(info.name if info else "", info.version if info else "", tools)
        except* TimeoutError:
            problem = f"no answer within {PATIENCE:.0f} s"
        except* FileNotFoundError:
            problem = f"{start.command} is not found with PATH={environment['PATH']}"
        except* OSError as errors:
            problem = f"{start.command}: {leaf(errors)}"
        except* (MCPError, ValueError) as errors:  # the connection is lost, or what comes is not the protocol
            problem = str(leaf(errors))
        stderr.seek(0)
        said = [line for line in stderr.read().splitlines() if line.strip()]
    return Answer(problem=shorten(said[-1], 200) if said else problem)


def leaf(errors: BaseExceptionGroup[Exception]) -> BaseException:
    """The first error of those that task groups have wrapped."""
    found: BaseException = errors
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
