"""`mcp-background-job demo`: the server on real work, as a client sees it; a newcomer's self-test too.

Promises: it drives a real server over stdio with the SDK's own client; every answer is checked, and a
check that fails makes the exit status 1; its session and its folder are gone afterwards.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import cast

import anyio
from mcp import Client, StdioServerParameters
from mcp_types import TextContent
from rich.console import Console
from rich.text import Text

from mcp_background_job.config import BackgroundJobConfig
from mcp_background_job.errors import JobError
from mcp_background_job.text import shorten
from mcp_background_job.tmux.session import JobsSession

SESSION = "mcp-jobs-demo"
SHOWN_LINES = 6
# Writes, compiles and tests 120 modules, with a progress bar as builds have it.
BUILD = r"""
import pathlib, py_compile, subprocess, sys, time
total = 120
for number in range(1, total + 1):
    module = pathlib.Path(f"part{number}.py")
    module.write_text(f"def value():\n    return {number} ** 2\n")
    py_compile.compile(str(module), doraise=True)
    done = number * 40 // total
    print(f"\rcompiling [{'#' * done}{'.' * (40 - done)}] {number}/{total}", end="", flush=True)
    time.sleep(0.01)
print("\nrunning the tests")
pathlib.Path("test_parts.py").write_text(
    "import unittest, importlib\n"
    "class Parts(unittest.TestCase):\n"
    "    def test_values(self):\n"
    "        for n in range(1, 121):\n"
    "            self.assertEqual(importlib.import_module(f'part{n}').value(), n * n)\n"
)
sys.exit(subprocess.run([sys.executable, "-m", "unittest", "-q", "test_parts"]).returncode)
"""


class Demo:
    """One run: a console, a client, and what went wrong so far."""

    def __init__(self, folder: Path) -> None:
        self.console = Console(highlight=False, soft_wrap=True)
        self.folder = folder
        self.failures: list[str] = []
        self.client: Client | None = None

    def server(self) -> StdioServerParameters:
        """The server as a client's configuration starts it, in a session and a folder of its own."""
        own = {"MCP_BG_SESSION": SESSION, "MCP_BG_STATE_DIR": str(self.folder / "state")}
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MCP_BG_")} | own
        return StdioServerParameters(command=sys.executable, args=["-m", "mcp_background_job"], env=environment)

    def say(self, text: str) -> None:
        self.console.print()
        self.console.print(Text(text, style="bold"))

    def check(self, holds: bool, what: str) -> None:
        """Show and keep in mind what does not hold."""
        if not holds:
            self.failures.append(what)
            self.console.print(Text(f"  ✗ FAILED: {what}", style="bold red"))

    async def call(self, tool: str, **arguments: object) -> dict[str, object]:
        """One tool call, shown with its answer and how long it took."""
        assert self.client is not None
        shown = ", ".join(f"{name}={short(value)}" for name, value in arguments.items())
        self.console.print(Text(f"→ {tool}({shown})", style="cyan"))
        begun = time.perf_counter()
        result = await self.client.call_tool(tool, arguments)
        took = (time.perf_counter() - begun) * 1000
        if result.is_error or result.structured_content is None:
            text = " ".join(part.text for part in result.content if isinstance(part, TextContent))
            self.check(False, text)
            return {}
        answer: dict[str, object] = result.structured_content
        self.print_answer(answer, took)
        return answer

    def print_answer(self, answer: dict[str, object], took: float) -> None:
        facts = ", ".join(
            f"{name}={value}" for name, value in answer.items() if name not in ("stdout", "stderr", "screen", "jobs")
        )
        self.console.print(Text(f"← {facts}  [{took:.0f} ms]", style="green"))
        for stream in ("stdout", "stderr", "screen"):
            lines = str(answer.get(stream, "")).rstrip("\n").splitlines()
            if len(lines) > SHOWN_LINES:
                lines = [*lines[:2], f"… {len(lines) - SHOWN_LINES + 1} more lines", *lines[3 - SHOWN_LINES :]]
            for line in lines:
                self.console.print(Text(f"    {stream}│ {line}", style="dim"))
        for job in listed(answer):
            self.console.print(Text("    " + "  ".join(f"{job.get(k, '')}" for k in LISTED), style="dim"))

    # -- the scenes -----------------------------------------------------------------------------------------

    async def build(self) -> None:
        self.say("A build with a progress bar: one call, the exit code, the bar in its last state only.")
        script = self.folder / "build.py"
        script.write_text(BUILD)
        answer = await self.call(
            "execute", command=f"{sys.executable} {script.name}", name="build", cwd=str(self.folder), wait=50
        )
        out = str(answer.get("stdout", ""))
        self.check(answer.get("status") == "completed" and answer.get("exit_code") == 0, "the build succeeds")
        self.check(out.count("compiling") == 1 and "120/120" in out, "the progress bar is folded to one line")
        self.check("OK" in out, "the tests of the build are in its output")

    async def repl(self) -> str:
        self.say("A Python REPL: it says that it waits for input; each answer comes when it is whole.")
        answer = await self.call("execute", command=f"{sys.executable} -q -i", name="repl", wait=20)
        job_id = str(answer.get("job_id", ""))
        self.check(answer.get("reason") == "input", "the REPL is seen to wait for input")
        answer = await self.call("interact", job_id=job_id, input="6 * 7")
        self.check("42" in str(answer.get("stdout", "")), "the REPL answers 42")
        answer = await self.call("interact", job_id=job_id, input="import time; time.sleep(1); print('slow', 'answer')")
        self.check("slow answer" in str(answer.get("stdout", "")), "an answer that takes a second is waited for")
        return job_id

    async def failing(self) -> None:
        self.say("A job that fails: its own exit code, stderr apart where that is asked for.")
        answer = await self.call(
            "execute", command="echo checking; echo 'no such target' >&2; exit 3", separate_stderr=True, wait=20
        )
        self.check(answer.get("status") == "failed" and answer.get("exit_code") == 3, "exit code 3 is reported")
        self.check("no such target" in str(answer.get("stderr", "")), "stderr comes on its own")

    async def waiting(self) -> str:
        self.say("A dev server: wait until it is ready, without polling.")
        command = f"{sys.executable} -u -m http.server 0 --bind 127.0.0.1"
        answer = await self.call("execute", command=command, name="web")
        job_id = str(answer.get("job_id", ""))
        answer = await self.call("wait", job_ids=[job_id], pattern="Serving HTTP", since=0, timeout=20)
        self.check(answer.get("reason") == "match", "the server is seen to be ready")
        return job_id

    async def survive(self, repl: str, web: str) -> None:
        self.say("That server process is gone. A new one sees the same jobs; they never noticed.")
        answer = await self.call("list")
        running = {job["job_id"] for job in listed(answer) if job["status"] == "running"}
        self.check({repl, web} <= running, "both jobs outlive their server")
        answer = await self.call("interact", job_id=repl, input="print('still', 'here')")
        self.check("still here" in str(answer.get("stdout", "")), "the REPL goes on")
        self.say("Ending a job takes everything it started with it.")
        for job_id in (web, repl):
            answer = await self.call("kill", job_id=job_id)
            self.check(answer.get("status") == "killed", "the job is killed")

    async def run(self) -> None:
        """All scenes, with a new server in between."""
        begun = time.perf_counter()
        async with Client(self.server()) as self.client:
            took = (time.perf_counter() - begun) * 1000
            self.console.print(Text(f"server started in {took:.0f} ms", style="green"))
            attach = BackgroundJobConfig(session_name=SESSION)
            line = JobsSession(attach, self.folder).attach_command()
            self.console.print(Text(f"watch it from another terminal:  {line}", style="bold yellow"))
            await self.build()
            repl = await self.repl()
            await self.failing()
            web = await self.waiting()
        async with Client(self.server()) as self.client:
            await self.survive(repl, web)


LISTED = ("job_id", "status", "name", "command")


def listed(answer: dict[str, object]) -> list[dict[str, str]]:
    """The jobs of a `list` answer."""
    return cast("list[dict[str, str]]", answer.get("jobs", []))


def short(value: object) -> str:
    return shorten(repr(value), 90)


def close_session(folder: Path) -> None:
    """End whatever still runs in the demo's session, and the session."""
    tmux = JobsSession(BackgroundJobConfig(session_name=SESSION), folder)
    tmux.server.run("kill-session", "-t", f"={SESSION}")


def demo(options: argparse.Namespace) -> int:
    folder = Path(tempfile.mkdtemp(prefix="mcp-demo-"))
    shown = Demo(folder)
    try:
        # An interrupted demo may have left its session.
        close_session(folder)
        anyio.run(shown.run)
    except JobError as error:
        shown.check(False, str(error))
    except Exception as error:  # the SDK's client raises many kinds: the demo has failed, and says with what
        shown.check(False, f"{type(error).__name__}: {error}")
    finally:
        with suppress(JobError):
            close_session(folder)
        shutil.rmtree(folder, ignore_errors=True)
    shown.console.print()
    if shown.failures:
        shown.console.print(Text(f"{len(shown.failures)} checks failed.", style="bold red"))
        return 1
    shown.console.print(Text("All checks passed.", style="bold green"))
    return 0
