"""The panes of jobs: opened, typed into, marked, captured, closed.

Promises: only panes that carry a job's id are touched; a command never passes through tmux's or a shell's parser.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .client import TmuxServer, refusal, tmux_binary, version_of
from .quoting import join_commands, set_pane_options, window_name

ROWS, COLUMNS = 50, 200
BORDER = 1  # line above a job, which says how it is; the job has ROWS of its own
WINDOW_OPTIONS = {
    "automatic-rename": "off",
    "window-size": "manual",
    "monitor-bell": "on",
    "pane-border-status": "top",
    "pane-border-style": "default",
    "pane-active-border-style": "default",
    # The text is the session's, so that the tmux.conf decides; elsewhere (a window moved away) it is the id alone.
    "pane-border-format": "#{?@mcp_border,#{T:@mcp_border}, #{@mcp_job_id} }",
}
BATCH = 15  # commands in one invocation, each at most as long as a message of an agent: 16 KB is the limit
CLOSED_AT_ONCE = 100  # panes; the names of 800 fill the 16 KB that one invocation may have


@dataclass(frozen=True)
class OpenedPane:
    """The pane of a window that was just opened; tmux's own id, which stays while it lives."""

    pane: str
    pid: int  # of the process that it was opened with


@dataclass(frozen=True)
class Pane:
    """A pane that carries a job id."""

    pane: str
    job_id: str
    state: str  # the state folder of the servers that opened it
    dead: bool
    pid: int  # of the process that it was opened with, or respawned with


@dataclass(frozen=True)
class Capture:
    """What a person sees of a pane: `rows` lines of text, and the cursor from 0."""

    text: str
    row: int
    column: int
    rows: int
    columns: int
    alternate: bool


def new_window(session: str, state: Path, job_id: str, name: str, argv: Sequence[str], pipe: str) -> list[str]:
    """One invocation that runs `argv` in a new window of `session`, and its output through `pipe`.

    All of it is one, so that no first byte is lost; it prints the pane's id and the pid of its process.
    """
    # Named by the job's id for as long as it takes to address it; the session finds a free index itself.
    new = f"={session}:={job_id}"
    pane_options = {
        "@mcp_job_id": job_id,
        "@mcp_state": str(state),
        "@mcp_status": "running",
        "@mcp_started": str(int(time.time())),
        "@mcp_since": time.strftime("%H:%M:%S"),
        "remain-on-exit": "on",
        "allow-rename": "off",
    }
    commands = [
        ["new-window", "-d", "-P", "-F", "#{pane_id} #{pane_pid}", "-t", f"={session}:", "-n", job_id, "--", *argv],
        *set_pane_options(new, pane_options),
        # Its "Pane is dead" would push the first line of the output away; the border says it better.
        *(
            [["set-option", "-p", "-t", new, "remain-on-exit-format", ""]]
            if version_of(tmux_binary()) >= (3, 3)
            else []
        ),
        *(["set-option", "-w", "-t", new, key, value] for key, value in WINDOW_OPTIONS.items()),
        # A person's own hook that closes the windows of dead panes would close ours before they are read.
        ["set-hook", "-p", "-t", new, "pane-died", ""],
        ["resize-window", "-t", new, "-x", str(COLUMNS), "-y", str(ROWS + BORDER)],
        ["pipe-pane", "-t", new, pipe],
        ["rename-window", "-t", new, "--", window_name(name)],
    ]
    return join_commands(commands)


def list_panes(server: TmuxServer) -> list[Pane]:
    """Every pane that carries a job id, in whatever session a person has moved it to."""
    facts = "#{pane_id} #{pane_dead} #{pane_pid} #{@mcp_job_id} #{@mcp_state}"
    # A window that is linked into several sessions is listed for each.
    lines = dict.fromkeys(server.run("list-panes", "-a", "-F", facts).stdout)
    rows = (line.split(" ", 4) for line in lines)
    return [Pane(r[0], r[3], r[4], r[1] == "1", int(r[2] or 0)) for r in rows if len(r) == 5 and r[3]]


def close_panes(server: TmuxServer, panes: Sequence[str]) -> None:
    """Close panes; a window goes with its last one.

    What another server has closed in between ends the rest of a batch; the next sweep has it.
    """
    for start in range(0, len(panes), CLOSED_AT_ONCE):
        batch = panes[start : start + CLOSED_AT_ONCE]
        server.run(*join_commands([["kill-pane", "-t", pane] for pane in batch]))


def mark(server: TmuxServer, pane: str, options: dict[str, str]) -> None:
    """Set user options of a pane, which the status line and the border show; an empty value takes one away."""
    server.run(*join_commands(set_pane_options(pane, options)))


def mark_jobs(server: TmuxServer, state: Path, wanted: Mapping[str, Mapping[str, str]]) -> None:
    """Make the panes of jobs say what `wanted` (job id → options) has for them, where they don't yet.

    Raises TmuxError.
    """
    names = sorted({name for options in wanted.values() for name in options})
    facts = "\t".join(["#{pane_id}", "#{@mcp_job_id}", "#{@mcp_state}", *(f"#{{{name}}}" for name in names)])
    commands: list[list[str]] = []
    for line in server.run("list-panes", "-a", "-F", facts).stdout:
        pane, job_id, of_state, *values = line.split("\t")
        if job_id not in wanted or of_state != str(state):
            continue
        present = dict(zip(names, values, strict=False))
        changed = {name: value for name, value in wanted[job_id].items() if present.get(name, "") != value}
        commands += set_pane_options(pane, changed)
    for start in range(0, len(commands), BATCH):
        server.run(*join_commands(commands[start : start + BATCH]))


def paste(server: TmuxServer, pane: str, text: Path | None, enters: Path | None, keys: Sequence[str]) -> None:
    """Type the content of `text`, then Enter as often as `enters` has lines, then named keys.

    Pastes are byte-exact, have no limit and pass a person's copy mode by. Several lines go in brackets to a program
    that asked for that; one line goes as if typed, or vim would insert a command as text. tmux reads the files while
    others are served, so all are read before the first byte is typed.

    Raises TmuxError where the pane no longer exists.
    """
    name = f"mcp-{os.urandom(4).hex()}"
    several = text is not None and b"\n" in text.read_bytes()
    loads: list[list[str]] = []
    commands: list[list[str]] = []
    for buffer, file, brackets in ((f"{name}-text", text, several), (f"{name}-enter", enters, False)):
        if file is not None:
            loads.append(["load-buffer", "-b", buffer, str(file)])
            options = ["-d", "-p"] if brackets else ["-d"]
            commands.append(["paste-buffer", *options, "-b", buffer, "-t", pane])
    if keys:
        commands.extend(press(server, pane, keys))
    server.ask(*join_commands([*loads, *commands]))


def press(server: TmuxServer, pane: str, keys: Sequence[str]) -> list[list[str]]:
    """Commands that send named keys.

    send-keys types into copy mode and says nothing, so a person's copy mode is left and entered again at the same
    place, all before tmux draws.
    """
    send = ["send-keys", "-t", pane, "--", *keys]
    facts = "#{pane_mode} #{scroll_position}"
    mode, _, scrolled = server.ask("display-message", "-p", "-t", pane, facts)[0].partition(" ")
    if not mode:
        return [send]
    commands = [["send-keys", "-t", pane, "-X", "cancel"], send]
    if mode == "copy-mode":
        commands.append(["copy-mode", "-t", pane])
        if scrolled.isdigit() and int(scrolled):
            commands.append(["send-keys", "-t", pane, "-X", "goto-line", scrolled])
    return commands


def capture(server: TmuxServer, pane: str) -> Capture:
    """The visible grid of a pane.

    Raises TmuxError where the pane no longer exists.
    """
    facts = "#{cursor_y} #{cursor_x} #{pane_height} #{pane_width} #{alternate_on}"
    lines = server.ask("display-message", "-p", "-t", pane, facts, ";", "capture-pane", "-p", "-t", pane)
    row, column, rows, columns, alternate = (int(value or 0) for value in lines[0].split(" "))
    return Capture("\n".join(lines[1:]), row, column, rows, columns, bool(alternate))


def opened(server: TmuxServer, stdout: Sequence[str], stderr: Sequence[str], failed: bool) -> OpenedPane:
    """The pane that `new_window` has opened.

    Raises TmuxError where it has not done all; then there is no window.
    """
    if failed or not stdout:
        if stdout:
            close_panes(server, [stdout[0].split(" ")[0]])
        raise refusal(stderr)
    pane, pid = stdout[0].split(" ")
    return OpenedPane(pane, int(pid))
