"""What the keys of the menu in a job's window do; tmux runs it as `python -m mcp_background_job.ui.menu`.

Promises: it acts on a job only, by its id and folder; a key has acted within a fifth of a second, so nothing slow is
imported before `again`; whatever goes wrong is said on the person's status line.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path

from mcp_background_job.store.files import write_whole
from mcp_background_job.store.requests import request_kill, wake
from mcp_background_job.text import one_line
from mcp_background_job.tmux.quoting import carries, command_line, key_label, set_pane_options

from .menu_tmux import session_of, tmux
from .pager import page
from .sent import NOTHING_TYPED, inputs_of, sent_lines
from .small_menu import show_menu
from .states import STATES

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


def show_kill(options: Namespace) -> None:
    folder = job_folder(options)
    command = (folder / "command").read_bytes().decode(errors="replace")
    if page(command, question=f"Kill job {options.job} and everything it started? y or n", asks=True) in (b"y", b"Y"):
        kill(options)


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
    tmux("switch-client", "-c", options.client, "-t", f"{session_of(options.client)}:.{target}")
    say(options, f"Started as {started.job_id}, with tmux's environment: that of the first run is not kept.")


def show_help(options: Namespace) -> None:
    target = f"{session_of(options.client)}:"
    prefix, _, key = tmux("display-message", "-p", "-t", target, "#{prefix} #{@mcp_key}").partition(" ")
    page(HELP.format(prefix=key_label(prefix), key=key_label(key)), at_end=False)


def fit(options: Namespace) -> None:
    """The job's window as large as the person's terminal while they look, or as it was."""
    from mcp_background_job.errors import JobError
    from mcp_background_job.tmux import fitting
    from mcp_background_job.tmux.client import TmuxServer
    from mcp_background_job.tmux.panes import JobPane
    from mcp_background_job.tmux.quoting import own_socket

    pane = JobPane(TmuxServer(socket=own_socket()), options.pane, options.job)
    try:
        if not fitting.as_it_was(pane):
            fitting.fit(pane)
    except JobError as error:
        say(options, str(error))


# -- tmux ---------------------------------------------------------------------------------------------------


def show_holder(options: Namespace, holder: str) -> None:
    """Have the window show who holds the job; what an agent asked for is over in either case."""
    marks = set_pane_options(options.pane, {"@mcp_holder": holder, "@mcp_message": ""})
    tmux("if-shell", "-F", "-t", options.pane, carries(options.job), command_line(marks))


def say(options: Namespace, text: str) -> None:
    """A message on the person's status line."""
    shown = one_line(text).replace("#", "##").replace("%", "%%")
    tmux("display-message", "-d", "6000", *(["-c", options.client] if options.client else []), shown)


def popup(options: Namespace, verb: str) -> None:
    """Run one of our own commands in a popup over the person's screen."""
    # tmux starts it with its own environment, in which a checkout's PYTHONPATH isn't.
    argv = ["env", f"PYTHONPATH={os.environ.get('PYTHONPATH', '')}", sys.executable, "-P", "-X", "utf8"]
    argv += ["-m", "mcp_background_job.ui.menu", f"--state={options.state}", f"--job={options.job}", verb]
    client = ["-c", options.client] if options.client else []
    tmux("display-popup", *client, "-E", "-w", "90%", "-h", "80%", "--", *argv)


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
    "take": take, "give": give, "kill": kill, "show-kill": show_kill, "show-sent": show_sent, "again": again,
    "fit": fit, "show-help": show_help, "show-menu": show_menu,
}  # fmt: skip
# Of menus from before 0.3, in sessions that go on and in copies of tmux.conf: each opens its popup itself.
EARLIER = {"ask-kill": "show-kill", "sent": "show-sent", "help": "show-help"}


def main() -> None:
    parser = ArgumentParser(prog="menu")
    for name in ("state", "job", "pane", "client"):
        parser.add_argument(f"--{name}", default="")
    parser.add_argument("verb", choices=[*VERBS, *EARLIER])
    options = parser.parse_args()
    try:
        if options.verb in EARLIER:
            popup(options, EARLIER[options.verb])
        else:
            VERBS[options.verb](options)
    except (NoJob, OSError, subprocess.SubprocessError) as error:
        say(options, f"{error}")


if __name__ == "__main__":
    main()
