"""What the keys of the menu in a job's window do; tmux runs it as `python -m mcp_background_job.ui.menu`.

Promises: it acts on a job only, by its id and folder; a key has acted within a fifth of a second, so nothing slow is
imported before `again`; whatever goes wrong is said on the person's status line.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mcp_background_job.store.files import write_whole
from mcp_background_job.store.requests import request_kill, wake
from mcp_background_job.text import escaped, one_line, padding_shown, wrap
from mcp_background_job.tmux.quoting import carries, command_line, key_label, set_pane_options

from .states import STATES

LATELY = 200  # inputs of agents that are shown
NOTHING_TYPED = "No agent has typed into this job."
# As wide and high as the popup in a terminal of 80 columns and 24 lines.
HELP = """\
Each job of an agent has a window of its own; window 0 lists them all.

{running} runs    {prompt} waits for input    {screen} waits for a key
{completed} done    {failed} failed    {killed} killed    {held} you hold the keys

t   take over: agents still read the job, but can't type into it or
    kill it until you press t again
k   kill it and everything it started; asks first
i   what agents typed into it lately, and what they ask you for
r   run the same command in the same folder as a new job
f   as wide as your terminal while you look, and back
d   detach: the jobs keep running

You can type without taking over, too: agents wait for your pauses.
{key} opens the menu. tmux's own keys still work: {prefix} 0 all jobs,
{prefix} n / p next and previous, {prefix} [ scrolls, {prefix} d detaches.""".format_map(
    {name: state.sign for name, state in STATES.items()} | {"key": "{key}", "prefix": "{prefix}"}
)
# For a terminal that tmux's own menu doesn't fit into: each letter and what it does.
ENTRIES = {"t": "take over", "k": "kill", "i": "sent", "r": "run again", "0": "jobs", "d": "detach", "?": "help"}


def take(options: Namespace) -> None:
    """Give the keys to the person."""
    try:
        folder = job_folder(options)
        if (folder / "exit.json").exists():
            raise NoJob("This job has ended.")
        (folder / "declined").unlink(missing_ok=True)
        write_whole(folder / "holder", json.dumps({"since": time.time(), "message": ""}).encode())
    except (NoJob, OSError):
        show_holder(options, "")  # tmux has marked the pane already
        raise
    show_holder(options, "human")


def give(options: Namespace) -> None:
    """Give the keys back to the agents."""
    folder = job_folder(options)
    (folder / "holder").unlink(missing_ok=True)
    wake(folder)  # its server may have ended meanwhile, and the job with it
    show_holder(options, "")


def kill(options: Namespace) -> None:
    """Ask the job's runner to end it, as every kill is asked for: by a file, and a byte that wakes it."""
    folder = job_folder(options)
    if (folder / "exit.json").exists():
        say(options, "This job has ended.")
        return
    request_kill(folder, signal.SIGTERM, "a person")


def ask_kill(options: Namespace) -> None:
    """Ask whether to kill it, in a popup that shows the whole command."""
    job_folder(options)
    popup(options, "show-kill")


def show_kill(options: Namespace) -> None:
    folder = job_folder(options)
    command = (folder / "command").read_bytes().decode(errors="replace")
    if page(command, question=f"Kill job {options.job} and everything it started? y or n", asks=True) in (b"y", b"Y"):
        kill(options)


def sent(options: Namespace) -> None:
    """Show what agents typed, in a popup."""
    job_folder(options)
    popup(options, "show-sent")


def show_sent(options: Namespace) -> None:
    folder = job_folder(options)
    lines: list[str] = []
    message = read_json(folder / "holder").get("message")
    if message:
        lines += ["An agent asks you:", f"  {message}", ""]
    inputs = inputs_of(folder)
    lines.append("What agents typed, latest last:" if inputs else NOTHING_TYPED)
    for facts in inputs:
        lines += sent_lines(facts)
    page("\n".join(lines))


def inputs_of(folder: Path) -> list[dict[str, object]]:
    """The latest inputs of agents into the job with this folder."""
    try:
        entries = (folder / "input.jsonl").read_text(encoding="utf-8", errors="replace").splitlines()[-LATELY:]
    except FileNotFoundError:
        entries = []
    return sent_inputs(entries)


def sent_inputs(entries: Sequence[str]) -> list[dict[str, object]]:
    """The inputs of a transcript, each with its text where a later entry tells that it was shown."""
    found: list[dict[str, object]] = []
    for entry in entries:
        try:
            facts = json.loads(entry)
        except ValueError:
            continue
        if not isinstance(facts, dict):
            continue
        if "time" in facts:
            found.append(facts)
        for earlier in found:
            if earlier.get("offset") == facts.get("offset") and "text" in facts:
                earlier["text"] = facts["text"]
    return found


def sent_lines(facts: Mapping[str, object]) -> list[str]:
    """One input: when, who, then what, line by line; of what was not shown the length."""
    when, who = str(facts.get("time", ""))[11:19], facts.get("who", "")
    text = str(facts.get("text", ""))
    what = [f"  {line}" for line in text.splitlines()]
    hidden = facts.get("characters", 0)
    if isinstance(hidden, int) and hidden > len(text):
        what.append(f"  ({hidden - len(text)} characters that the terminal has not shown: not recorded)")
    keys = facts.get("keys")
    if isinstance(keys, list) and keys:
        what.append("  keys: " + " ".join(map(str, keys)))
    return [f"{when} UTC  {who}", *what]


def again(options: Namespace) -> None:
    """Run the job's command once more, as a new job, and go to its window."""
    job_folder(options)
    from mcp_background_job.config import load_config
    from mcp_background_job.errors import JobError
    from mcp_background_job.jobs.manager import JobManager

    manager = JobManager(load_config())
    try:
        started = manager.start_again(manager.view.job(options.job), "you")
    except JobError as error:
        say(options, str(error))
        return
    target = started.attach.rpartition(" ")[2].rpartition(".")[2]
    tmux("switch-client", "-c", options.client, "-t", f"{session_of(options)}:.{target}")
    say(options, f"Started as {started.job_id}, with tmux's environment: that of the first run is not kept.")


def show_help(options: Namespace) -> None:
    prefix, _, key = tmux("display-message", "-p", "-c", options.client, "#{prefix} #{@mcp_key}").partition(" ")
    page(HELP.format(prefix=key_label(prefix), key=key_label(key)), at_end=False)


def show_menu(options: Namespace) -> None:
    """The menu where tmux's own does not fit: as many entries as there is room for, the arrows scroll."""
    entries = dict(ENTRIES)
    if not options.job:
        entries = {key: entries[key] for key in "0d?"}
    elif (Path(str(options.state)) / str(options.job) / "holder").exists():
        entries["t"] = "give back"
    shown = "  ".join(f"{key} {name}" for key, name in entries.items())
    key = page(shown, at_end=False, question="Esc closes", keys="".join(entries)).decode(errors="replace")
    actions: dict[str, Callable[[Namespace], None]] = {
        "t": give if entries.get("t") == "give back" else take, "k": show_kill, "i": show_sent, "r": again,
        "0": go_to_board, "d": detach, "?": show_help,
    }  # fmt: skip
    if key in entries:
        actions[key](options)


def go_to_board(options: Namespace) -> None:
    board = tmux("display-message", "-p", "-c", options.client, "#{session_id}:#{E:@mcp_board_window}")
    tmux("switch-client", "-c", options.client, "-t", board)


def detach(options: Namespace) -> None:
    tmux("detach-client", "-t", options.client)


def help_(options: Namespace) -> None:
    popup(options, "show-help")


# -- tmux ---------------------------------------------------------------------------------------------------


def tmux(*arguments: str) -> str:
    """One tmux command on the server that the menu was opened in."""
    binary = shutil.which("tmux") or "tmux"
    done = subprocess.run(
        [binary, "-u", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=10
    )
    return done.stdout.strip()


def show_holder(options: Namespace, holder: str) -> None:
    """Have the window show who holds the job; what an agent asked for is over in either case."""
    marks = set_pane_options(options.pane, {"@mcp_holder": holder, "@mcp_message": ""})
    tmux("if-shell", "-F", "-t", options.pane, carries(options.job), command_line(marks))


def say(options: Namespace, text: str) -> None:
    """A message on the person's status line."""
    shown = one_line(text).replace("#", "##").replace("%", "%%")
    tmux("display-message", "-d", "6000", *(["-c", options.client] if options.client else []), shown)


def session_of(options: Namespace) -> str:
    """The session that the person looks at, which may be one of a group."""
    return tmux("display-message", "-p", "-c", options.client, "#{session_id}")


def popup(options: Namespace, verb: str) -> None:
    """Run one of our own commands in a popup over the person's screen."""
    # tmux starts it with its own environment, in which a checkout's PYTHONPATH isn't.
    argv = ["env", f"PYTHONPATH={os.environ.get('PYTHONPATH', '')}", sys.executable, "-P", "-X", "utf8"]
    argv += ["-m", "mcp_background_job.ui.menu", f"--state={options.state}", f"--job={options.job}", verb]
    client = ["-c", options.client] if options.client else []
    tmux("display-popup", *client, "-E", "-w", "90%", "-h", "80%", "--", *argv)


def page(
    text: str, at_end: bool = True, question: str = "any other key closes", asks: bool = False, keys: str = ""
) -> bytes:
    """Show text until a key is pressed, which is returned; the arrows, k and j scroll, but for those in `keys`."""
    import termios
    import tty

    columns, height = shutil.get_terminal_size()
    asked = wrap(question, max(1, columns - 2))[-max(1, height - 1) :]
    lines: list[str] = []
    for line in text.split("\n"):
        clean = escaped(padding_shown(line.expandtabs()))
        indent = " " * (len(clean) - len(clean.lstrip()))
        lines += [indent + part for part in wrap(clean.lstrip(), columns - 1 - len(indent))]
    room = max(1, height - len(asked))
    if len(lines) > room and len(asked) == 1 and len(asked[0]) + 14 < columns:
        asked = [f"↑ ↓ scroll, {asked[0]}"]
    top = max(0, len(lines) - room) if at_end else 0
    before = termios.tcgetattr(0)
    # Keys that were pressed while this started count, but for the answer to a question that was not there yet.
    tty.setraw(0, termios.TCSAFLUSH if asks else termios.TCSADRAIN)
    try:
        while True:
            shown = lines[top : top + room]
            body = "".join(f"{line}\x1b[K\r\n" for line in shown)
            ends = "\r\n".join(f"\x1b[7m {line} \x1b[0m" for line in asked)
            sys.stdout.write(f"\x1b[H{body}\x1b[J\x1b[{height - len(asked) + 1};1H{ends}")
            sys.stdout.flush()
            key = os.read(0, 1)
            if key == b"\x1b" and select.select([0], [], [], 0.02)[0]:
                key += os.read(0, 63)
            step = {b"\x1b[A": -1, b"\x1bOA": -1, b"k": -1, b"\x1b[B": 1, b"\x1bOB": 1, b"j": 1}.get(key, 0)
            step = step or {b"\x1b[5~": -room, b"\x1b[6~": room}.get(key, 0)
            if not step or key in keys.encode():
                return key
            top = max(0, min(len(lines) - room, top + step))
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


# -- the command line ---------------------------------------------------------------------------------------


class NoJob(Exception):
    """The menu was opened where there is no job."""


def job_folder(options: Namespace) -> Path:
    """The job's folder.

    Raises NoJob where there is none.
    """
    folder = Path(str(options.state)) / str(options.job)
    if not options.state or not options.job.isalnum() or not (folder / "job.json").exists():
        raise NoJob(f"Job {options.job} has no record any more.")
    return folder


def read_json(path: Path) -> dict[str, object]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


VERBS = {
    "take": take, "give": give, "kill": kill, "ask-kill": ask_kill, "show-kill": show_kill, "sent": sent,
    "show-sent": show_sent, "again": again, "help": help_,
    "show-help": show_help, "show-menu": show_menu,
}  # fmt: skip


def main() -> None:
    parser = ArgumentParser(prog="menu")
    for name in ("state", "job", "pane", "client"):
        parser.add_argument(f"--{name}", default="")
    parser.add_argument("verb", choices=VERBS)
    options = parser.parse_args()
    try:
        VERBS[options.verb](options)
    except (NoJob, OSError, subprocess.SubprocessError) as error:
        say(options, f"{error}")


if __name__ == "__main__":
    main()
