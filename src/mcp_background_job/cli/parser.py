"""The commands of the command line, their options and their help.

Promise: nothing slow is imported, so that `--help` and a shell's completion cost little.
"""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NoReturn

from mcp_background_job import __version__

PROGRAM = "mcp-background-job"
HOW_NAMED = "its id, the beginning of its id, or its name"
EPILOG = """\
A JOB is named by its id, by the beginning of its id, or by its name.

exit status:
  0    success
  1    the job or the command failed, nothing was found, or doctor found a problem
  2    wrong usage, or a setting that can't be used
  124  wait --timeout expired; the job keeps running
  125  the job ended without an exit code of its own (its tmux server was killed)
  130  interrupted by Ctrl-C; jobs keep running
  wait and run --wait: the job's own exit code, or 128+n where signal n ended it
"""
DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8765

# Each command's module and function; the module is imported when the command is run.
HANDLERS = {
    "list": "read:list_jobs",
    "status": "read:status",
    "tail": "read:tail",
    "output": "read:output",
    "replay": "recordings.replay:replay",
    "export": "recordings.export:export",
    "run": "run:run",
    "send": "run:send",
    "interact": "run:send",
    "restart": "restart:restart_job",
    "history": "read:history",
    "copy": "read:copy",
    "kill": "control:kill",
    "wait": "run:wait",
    "wake": "wake:wake",
    "stop-hook": "stop_hook:stop_hook",
    "notify": "notify:notify",
    "notify-me": "notify:notify_me",
    "attach": "attach:attach",
    "shell": "attach:shell",
    "watch": "control:watch",
    "fit": "control:fit",
    "take": "control:take",
    "give": "control:give",
    "clean": "control:clean",
    "doctor": "doctor:doctor",
    "demo": "demo:demo",
    "config": "config:show_config",
    "setup": "setup.command:setup",
    "completion": "config:completion",
}
# A row each in setup/clients.py.
SETUP_CLIENTS = (
    "claude", "claude-desktop", "codex", "vscode", "cursor", "gemini", "copilot",
    "opencode", "qwen", "cline", "windsurf", "zed", "goose", "amp",
)  # fmt: skip


def positive(text: str) -> float:
    """A number of seconds above 0."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds above 0")
    return value


def seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds of at least 0")
    return value


def speed(text: str) -> float:
    """How many times as fast; `max` for no pauses at all."""
    value = float("inf") if text == "max" else float(text)
    if not value > 0 or (value == float("inf") and text != "max"):
        raise argparse.ArgumentTypeError(f"{text} is neither a number above 0 nor max")
    return value


def count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return value


def wake_events(text: str) -> list[str]:
    """`end,input` → both."""
    names = text.split(",")
    if not set(names) <= {"end", "input"}:
        raise argparse.ArgumentTypeError(f"{text} is not end, input or both with a comma between")
    return names


def lines(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 100_000:
        raise argparse.ArgumentTypeError(f"{text} is not between 1 and 100000")
    return value


def complete_job(prefix: str, **_: object) -> Iterable[str]:
    """The ids and names that begin with `prefix`, for the shell."""
    from .lookup import names_for_completion

    return names_for_completion(prefix)


def add_job(parser: argparse.ArgumentParser, nargs: str | None = None, many: bool = False) -> None:
    """The argument that names a job, or several."""
    if many:
        action = parser.add_argument("jobs", metavar="JOB", nargs=nargs or "+", help=HOW_NAMED)
    else:
        action = parser.add_argument("job", metavar="JOB", nargs=nargs, help=HOW_NAMED)
    action.completer = complete_job  # type: ignore[attr-defined]  # argcomplete's own convention


class Parser(argparse.ArgumentParser):
    """argparse, which names the command that was most likely meant instead of all there are."""

    def error(self, message: str) -> NoReturn:
        typed = re.match(r"argument COMMAND: invalid choice: '([^']*)'", message)
        if typed is not None:
            close = difflib.get_close_matches(typed[1], HANDLERS, 1)
            meant = f"did you mean {close[0]}?" if close else f"see {PROGRAM} --help"
            message = f"there is no command {typed[1]!r}; {meant}"
        super().error(message)


def parser() -> Parser:
    """The commands and their options."""
    top = Parser(
        prog=PROGRAM,
        description="Runs an agent's shell commands as jobs in tmux windows. Without a command: the MCP server.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    add_server_options(top)
    commands = top.add_subparsers(dest="command", metavar="COMMAND")

    def add(name: str, text: str, json: bool = False, aliases: Sequence[str] = ()) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", aliases=aliases)
        if json:
            made.add_argument("--json", action="store_true", help="one JSON object, for scripts")
        return made

    add_reading(add)
    add_acting(add)
    add_housekeeping(add)
    return top


def add_server_options(top: argparse.ArgumentParser) -> None:
    group = top.add_argument_group("the server (without a command)")
    group.add_argument("--transport", choices=["stdio", "http"], default="stdio", help="default: stdio")
    group.add_argument("--channel", action="store_true", help="stdio: wake an idle session of Claude Code")
    group.add_argument("--host", help=f"http: the address to listen on, default {DEFAULT_HOST}")
    group.add_argument("--port", type=count, help=f"http: default {DEFAULT_PORT}")
    group.add_argument("--token-file", type=Path, metavar="FILE", help="http: default: MCP_BG_HTTP_TOKEN")
    group.add_argument(
        "--allowed-host", action="append", metavar="HOST", help="http: another Host to answer to; repeatable"
    )


Adder = Callable[..., argparse.ArgumentParser]


def add_reading(add: Adder) -> None:
    made = add("list", "show running jobs and those that ended recently", json=True)
    made.add_argument("-a", "--all", action="store_true", help="all jobs on record")
    made = add("status", "show everything known about a job", json=True)
    add_job(made)
    made = add("tail", "show the last lines of a job's output", json=True)
    made.add_argument("-n", "--lines", type=lines, default=50, metavar="N", help="default: 50")
    made.add_argument("-f", "--follow", action="store_true", help="keep showing until the job ends or Ctrl-C")
    add_looks(made)
    add_job(made)
    made = add("output", "show what a job printed", json=True)
    made.add_argument("--since", type=count, metavar="CURSOR", help="start at this cursor of an earlier answer")
    made.add_argument("--last", type=seconds, metavar="SECONDS", help="only what was printed in the last SECONDS")
    made.add_argument(
        "-g", "--grep", default="", metavar="REGEX", help="only matching lines, numbered; exit with 1 if none"
    )
    made.add_argument("-C", "--context", type=count, default=0, metavar="N", help="lines around each match")
    made.add_argument("--html", action="store_true", help="as a page of HTML, for a bug report")
    made.add_argument("--pager", action="store_true", help="in $PAGER, else less")
    add_looks(made)
    add_job(made)
    made = add("history", "show what agents typed into a job lately", json=True)
    add_job(made)
    made = add("copy", "put a job's command onto your clipboard")
    add_job(made)
    add_recordings(add)
    made = add("wait", "wait until a job ends; of several, the first to end", json=True)
    made.add_argument("-p", "--pattern", default="", metavar="REGEX", help="or until its output matches")
    made.add_argument("--since", type=count, metavar="CURSOR", help="match from this cursor; default: from now on")
    made.add_argument(
        "-u", "--until", choices=["exit", "input", "quiet", "handback"], default="exit", help="or until this"
    )
    made.add_argument("-t", "--timeout", type=positive, metavar="SECONDS", help="exit with 124 after this")
    made.add_argument("--any", action="store_true", help="whichever is first; without a JOB, of all that run now")
    add_job(made, nargs="*", many=True)


def add_looks(made: argparse.ArgumentParser, times: bool = True) -> None:
    made.add_argument(
        "--color", choices=["auto", "always", "never"], default="auto", help="auto: on a terminal without NO_COLOR"
    )
    if times:
        made.add_argument("--timestamps", action="store_true", help="when each line was printed, before it")


def add_recordings(add: Adder) -> None:
    made = add("replay", "play a job's output at its own pace; a running job is followed until it ends")
    made.add_argument(
        "-s", "--speed", type=speed, default=1.0, metavar="N", help="2: twice as fast; max: without pauses"
    )
    made.add_argument("-i", "--max-idle", type=positive, metavar="SECONDS", help="shorten longer pauses to this")
    add_job(made)
    made = add("export", "write a job's output with its timing: for asciinema, as a page that plays it, as a picture")
    made.usage = f"{PROGRAM} export [-h] [-i SECONDS] JOB (--cast [FILE] [--format 2|3] | --html [FILE] | --gif FILE)"
    kinds = made.add_mutually_exclusive_group(required=True)
    kinds.add_argument("--cast", nargs="?", const="-", metavar="FILE", help="asciicast; default: stdout")
    kinds.add_argument(
        "--html", nargs="?", const="-", metavar="FILE", help="a page that plays offline; default: stdout"
    )
    kinds.add_argument("--gif", metavar="FILE", help="an animated picture, drawn by agg, which has to be installed")
    made.add_argument("--format", type=int, choices=(2, 3), help="asciicast's version: 2, which all read, or 3")
    made.add_argument(
        "-i", "--max-idle", type=positive, metavar="SECONDS", help="have players shorten longer pauses to this"
    )
    add_job(made)


def add_acting(add: Adder) -> None:
    made = add("run", "start a command as a job that agents see too", json=True)
    made.add_argument("--name", default="", help="a short name for its window")
    made.add_argument("--cwd", default="", metavar="DIR", help="default: this folder")
    made.add_argument("-e", "--env", action="append", default=[], metavar="K=V", help="added to this environment")
    made.add_argument("-t", "--timeout", type=positive, metavar="SECONDS", help="kill it after this")
    made.add_argument("--separate-stderr", action="store_true", help="keep stderr apart from stdout")
    made.add_argument("-w", "--wait", action="store_true", help="show its output and exit with its status")
    add_looks(made, times=False)
    text = "one word: a shell command line; several: a program and its arguments"
    made.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND", help=text)
    made = add("restart", "run a job's command once more, in its folder and its window's place", json=True)
    made.add_argument("-k", "--kill", action="store_true", help="end it first, if it runs")
    made.add_argument("-e", "--env", action="append", default=[], metavar="K=V", help="what an agent gave it, not kept")
    add_job(made)
    made = add("send", "type into a job and show its answer", json=True, aliases=["interact"])
    made.add_argument("-k", "--key", action="append", default=[], metavar="KEY", help="C-c, Up, …, after the text")
    made.add_argument("--no-enter", action="store_true", help="don't press Enter after the text")
    made.add_argument(
        "-t", "--timeout", type=seconds, default=10.0, metavar="SECONDS", help="for the answer, default 10"
    )
    add_job(made)
    made.add_argument("text", nargs="?", default="", metavar="TEXT")
    made = add("kill", "end jobs and everything they started", json=True)
    made.add_argument("-s", "--signal", default="TERM", help="the first signal, default TERM; KILL follows after 5 s")
    add_job(made, many=True)
    made = add("attach", "go to a job's window, or to the session of all jobs")
    made.add_argument("-r", "--read-only", action="store_true", help="watch without typing")
    add_job(made, nargs="?")
    made = add("shell", "open a shell in a job's folder: in a new window inside tmux, else here")
    add_job(made)
    made = add("watch", "show a live board of all jobs")
    made.add_argument(
        "--plain", action="store_true", help="a line for each change, for screen readers; also: ACCESSIBLE=1"
    )
    made = add("fit", "make a job's window as large as your terminal, while you look at it")
    made.add_argument("--undo", action="store_true", help="as it was before")
    add_job(made)
    made = add("wake", "tell the agent in a tmux pane what its jobs do, by a line typed while it is at rest")
    made.add_argument("--pane", default="", metavar="%N", help="the agent's pane; default: this one")
    made.add_argument("--on", type=wake_events, default=["end", "input"], metavar="EVENTS", help="default: end,input")
    add_job(made, nargs="*", many=True)
    made = add("stop-hook", "tell an agent that ends its turn of its jobs that run; for its client's hook")
    made.add_argument("--cursor", action="store_true", help="as Cursor takes it: JSON with followup_message")
    add("notify", "as MCP_BG_NOTIFY: show the event on the terminals that are attached, by OSC 9 or 777, or a bell")
    made = add("notify-me", "be told on your terminal when a job ends, by a notification or a bell")
    made.add_argument("--undo", action="store_true", help="be told no more")
    add_job(made)
    made = add("take", "take over a job: agents can only read it then", json=True)
    add_job(made)
    made = add("give", "hand a job back to the agents", json=True)
    add_job(made)


def add_housekeeping(add: Adder) -> None:
    made = add("clean", "remove finished jobs and their logs", json=True)
    made.add_argument("-a", "--all", action="store_true", help="also those that list still shows")
    add("doctor", "check tmux, folders and settings, and say what to fix", json=True)
    add("demo", "run a demonstration that checks itself")
    add("config", "show the settings in force and where each comes from", json=True)
    made = add("setup", "show what to put into a client's configuration")
    made.add_argument("client", nargs="?", choices=SETUP_CLIENTS)
    made.add_argument("--write", action="store_true", help="write it, keeping what is there, with a backup")
    made.add_argument(
        "--check", action="store_true", help="start the server of each client found here, and say how it is"
    )
    made.add_argument("--file", type=Path, help="another file, such as a project's .vscode/mcp.json")
    made = add("completion", "print a shell's completion script")
    made.add_argument("shell", choices=["bash", "zsh", "fish"])
