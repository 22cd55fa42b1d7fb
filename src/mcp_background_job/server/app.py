"""The MCP server on stdio, on the official SDK.

Promises: nothing but protocol on stdout; the server can be killed at any moment and nothing is lost.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from string import Template

import anyio
import anyio.to_thread
from mcp.server import MCPServer
from mcp.server.mcpserver.tools import Tool

from mcp_background_job import __version__
from mcp_background_job.config import BackgroundJobConfig
from mcp_background_job.errors import JobError
from mcp_background_job.jobs.manager import JobManager
from mcp_background_job.system import TUNABLE
from mcp_background_job.text import shorten

from .channel import INSTRUCTIONS as CHANNEL_INSTRUCTIONS
from .channel import Channel
from .clients import Clients
from .greeting import Greeting
from .prompts import KnownPrompts, all_prompts
from .resources import add_resources
from .stdio import serve_stdio
from .subscriptions import Subscriptions
from .task_streams import TaskStreams
from .tools import Tools, all_tools

logger = logging.getLogger(__name__)

PIPE_BYTES = 1 << 20  # the most that Linux gives an ordinary user
M_ARENA_MAX = -8  # glibc's malloc.h
INSTRUCTIONS = Template("""\
Runs shell commands as background jobs, each in its own tmux window, which a person can watch and type into \
(`attach`). $lasting Commands run in $folder unless cwd says otherwise; more than $limit at a time are refused.

- Builds, tests: execute with wait=50 gives output and exit code in one call. Still running? wait.
- Several at once: execute each without wait, then wait with all=true.
- Servers, watchers: execute with wait=20 and pattern="(?i)ready|listening".
- REPLs, questions, editors: interact types and answers once the job waits for input again: awaiting_input is prompt, \
password (echo is off) or screen (a REPL or full-screen program, which the answer shows). Over ssh or docker exec \
give a pattern (the prompt): what is beyond can't be seen. Other agents: pattern="^ *[●⏺•✦] "; long answers: wait \
until=quiet.
- Secrets and decisions are the person's: handoff, then wait until=handback. Never type passwords.
- Don't poll or sleep: wait returns at once when something happens; `news` in any answer tells of other jobs.
- Long output: tail, output with grep or since (a cursor). Floods keep 10 MB: give a (narrow) pattern from the start.
- Nobody to answer? env={"CI":"1","GIT_EDITOR":"true","GIT_TERMINAL_PROMPT":"0","DEBIAN_FRONTEND":"noninteractive"}
- No & or nohup: every command is in the background already.""")


LONGEST_FOLDER = 115  # columns; the instructions stay within 1,500 bytes
LASTING = {
    "keep": "Jobs live on when this server or the client stops.",
    "kill": "Jobs end when this server stops, unless a person holds them.",
}


def make_server(manager: JobManager, with_channel: bool = False) -> MCPServer[None]:
    """The server with its tools, resources and prompts; `with_channel`: it wakes the one client that it has."""
    clients = Clients(manager.view, manager.events, Channel(manager.view) if with_channel else None)
    tools = Tools(manager, clients)
    more = CHANNEL_INSTRUCTIONS if with_channel else ""
    subscriptions = Subscriptions(manager.view, manager.events)
    prompts = all_prompts(manager)
    server: MCPServer[None] = MCPServer(
        "mcp-background-job",
        title="Background jobs in tmux",
        version=__version__,
        instructions=INSTRUCTIONS.substitute(
            lasting=LASTING[manager.config.on_disconnect],
            folder=shorten(str(manager.config.working_directory or Path.cwd()), LONGEST_FOLDER - len(more)),
            limit=manager.config.max_concurrent_jobs,
        )
        + more,
        log_level="WARNING",
        tools=list[Tool](all_tools(tools)),
        extensions=[tools.tasks],
        middleware=[Greeting(clients, subscriptions), TaskStreams(tools.tasks), KnownPrompts(prompts)],
    )
    add_resources(server, manager)
    subscriptions.serve(server)
    for prompt in prompts:
        server.add_prompt(prompt)
    return server


async def serve(manager: JobManager, with_channel: bool) -> None:
    """Answer on stdin and stdout until the input ends, tidying up now and then."""
    server = make_server(manager, with_channel)
    async with anyio.create_task_group() as group:
        group.start_soon(keep_tidy, manager)
        low = server._lowlevel_server
        await serve_stdio(lambda incoming, outgoing: low.run(incoming, outgoing, low.create_initialization_options()))
        group.cancel_scope.cancel()


async def keep_tidy(manager: JobManager) -> None:
    """Close windows and remove records whose time has come, while the server is there."""
    # The first job would wait for these imports; after the client's first calls nobody does.
    await anyio.sleep(1.0)
    manager.environment.begin()
    await anyio.to_thread.run_sync(preload)
    await tidy(lambda: warn_of_lacks(manager))
    await tidy(manager.view.store.remove_typed)
    while True:
        await tidy(manager.sweep)
        await anyio.sleep(min(60.0, manager.config.cleanup_interval_seconds / 4))


async def tidy(work: Callable[[], None]) -> None:
    """Do a part of it; what fails is said on stderr, and ends nothing."""
    try:
        await anyio.to_thread.run_sync(work)
    except (JobError, OSError):
        logger.warning("tidying up failed", exc_info=True)


def warn_of_lacks(manager: JobManager) -> None:
    """Say on stderr what jobs will need and this system lacks, a line for each; the clients keep it in their logs."""
    from mcp_background_job.jobs.surroundings import lacks

    for error in lacks(manager.view, manager.tmux.server):
        logger.warning("%s", error)


def preload() -> None:
    """Import what is imported late."""
    from mcp_background_job.tmux.client import preload as preload_tmux

    preload_tmux()


def keep_memory_flat() -> None:
    """Let glibc's threads share two heaps: with one each, ten jobs of 10 MB read whole left 11 MB behind, so 5 MB."""
    if TUNABLE:
        import ctypes

        with suppress(AttributeError):  # another C library has no mallopt
            ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)


def widen_stdout() -> None:
    """Let a page of output leave in a few pieces: where the client reads from a pipe, pages come 1.3 times as fast."""
    if TUNABLE:
        import fcntl

        with suppress(OSError):  # no pipe, or the user has no more room for them
            fcntl.fcntl(1, fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def run_stdio(config: BackgroundJobConfig, with_channel: bool = False) -> None:
    """Serve until the input ends; a signal ends the process at once, since there is nothing to save."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_DFL)
    keep_memory_flat()
    widen_stdout()
    anyio.run(serve, JobManager(config), with_channel)
    # Threads that wait for tmux must not hold up the end; there is nothing to save.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
