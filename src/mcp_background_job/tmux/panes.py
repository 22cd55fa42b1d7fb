"""The panes of jobs: opened, typed into, marked, captured, closed.

Promises: only panes that carry a job's id are touched; a command never passes through tmux's or a shell's parser.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcp_background_job.errors import NOTHING_SENT, HumanHolds, InputOff, JobError, PaneLost

from .client import TmuxServer, is_unreachable, refusal, tmux_binary, version_of
from .quoting import carries, command_line, join_commands, key_name, set_pane_options, window_name

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
BATCH_BYTES = 12_000  # of one invocation; tmux refuses more than 16 KB
OPENED = "mcp-opened"  # the last line of an invocation that has opened a window
# What a guarded invocation prints: that it was done, or the facts that kept it from being done.
DONE = "mcp-done"
FACTS = "mcp-not-done #{pane_dead} #{pane_input_off} #{@mcp_job_id} #{@mcp_holder}"


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


def new_window(
    session: str,
    state: Path,
    job_id: str,
    name: str,
    argv: Sequence[str],
    pipe: str,
    then: Sequence[Sequence[str]] = (),
) -> list[str]:
    """One invocation that runs `argv` in a new window of `session`, and its output through `pipe`.

    All of it is one, so that no first byte is lost; it prints the pane's id, the pid of its process, and what `then`
    prints.
    """
    # Named by the job's id for as long as it takes to address it; the session finds a free index itself.
    new = f"={session}:={job_id}"
    pane_options = {
        "remain-on-exit": "on",
        "@mcp_job_id": job_id,
        "@mcp_state": str(state),
        "@mcp_status": "running",
        "@mcp_started": str(int(time.time())),
        "@mcp_since": time.strftime("%H:%M:%S"),
        "allow-rename": "off",
    }
    if version_of(tmux_binary()) >= (3, 3):
        # Its "Pane is dead" would push the first line of the output away; the border says it better.
        pane_options["remain-on-exit-format"] = ""
        # A person who lets it through for their own programs does not mean an agent's.
        pane_options["allow-passthrough"] = "off"
    commands = [
        [
            "new-window",
            "-d",
            "-P",
            "-F",
            "#{pane_id} #{pane_pid}",
            "-t",
            f"={session}:",
            "-n",
            job_id,
            "--",
            *argv,
        ],
        # Right behind it: a person's hook on one of the others (run-shell) would have tmux read the pane before.
        ["pipe-pane", "-t", new, pipe],
        *(["set-option", "-p", "-t", new, name, value] for name, value in pane_options.items()),
        *(["set-option", "-w", "-t", new, key, value] for key, value in WINDOW_OPTIONS.items()),
        # A person's own hook that closes the windows of dead panes would close ours before they are read.
        ["set-hook", "-p", "-t", new, "pane-died", ""],
        ["resize-window", "-t", new, "-x", str(COLUMNS), "-y", str(ROWS + BORDER)],
        ["rename-window", "-t", new, "--", window_name(name)],
        ["display-message", "-p", OPENED],
        *then,
    ]
    return join_commands(commands)


def list_panes(server: TmuxServer) -> list[Pane]:
    """Every pane that carries a job id, in whatever session a person has moved it to."""
    facts = "#{pane_id} #{pane_dead} #{pane_pid} #{@mcp_job_id} #{@mcp_state}"
    # A window that is linked into several sessions is listed for each.
    lines = dict.fromkeys(server.run("list-panes", "-a", "-F", facts).stdout)
    rows = (line.split(" ", 4) for line in lines)
    return [Pane(r[0], r[3], r[4], r[1] == "1", int(r[2] or 0)) for r in rows if len(r) == 5 and r[3]]


@dataclass(frozen=True)
class PaneFacts:
    """Why a guarded invocation was not done, as tmux told it in that very invocation."""

    job_id: str  # that the pane carries; empty for one that is not ours, or no longer exists
    dead: bool
    input_off: bool  # by `select-pane -d`
    held: bool  # a person has the keys


@dataclass(frozen=True)
class JobPane:
    """The pane of one job: (tmux server, %N, job id), never a socket and a number alone.

    `%N` begins anew on each tmux server, and another may have taken the socket's path. So whatever is done to the pane
    is done by an invocation that first looks whether it carries the job's id, on the server that carries it out.
    """

    server: TmuxServer
    pane: str
    job_id: str
    server_pid: int = 0  # of the tmux server that the job was started on, where it is known

    def perform(
        self,
        commands: Sequence[Sequence[str]],
        *,
        only_if: str = "",
        before: Sequence[Sequence[str]] = (),
        after: Sequence[Sequence[str]] = (),
        data: bytes = b"",
    ) -> PaneFacts | None:
        """Run `commands` if the pane is the job's and the format `only_if` is true; None if they were run.

        `before` and `after` are run in either case; `data` is what `-` stands for in a load-buffer.

        Raises TmuxError where a command fails, or the server does not answer.
        """
        guarded = self.guarded([*commands, ["display-message", "-p", DONE]], only_if)
        guarded.append(command_line([["display-message", "-p", "-t", self.pane, FACTS]]))
        answer = self.server.run(*join_commands([*before, guarded, *after]), data=data)
        last = next((line for line in reversed(answer.stdout) if line.startswith("mcp-")), "")
        if last == DONE:
            return None
        if not last:
            raise self.lost() if is_unreachable(answer.stderr) else refusal(answer.stderr)
        _, dead, input_off, job_id, holder = last.split(" ", 4)
        return PaneFacts(job_id, dead == "1", input_off == "1", holder != "")

    def guarded(self, commands: Sequence[Sequence[str]], only_if: str = "") -> list[str]:
        """One command that runs `commands` if the pane is the job's and the format `only_if` is true."""
        return ["if-shell", "-F", "-t", self.pane, carries(self.job_id, only_if), command_line(commands)]

    def lost(self, sent: str = NOTHING_SENT) -> PaneLost:
        """The error of a pane that is not where it should be; `sent` is what had been sent before."""
        return PaneLost(self.job_id, self.server.socket, self.server_pid, sent)


def run_in_batches(server: TmuxServer, commands: Sequence[Sequence[str]]) -> None:
    """Run commands, as many at a time as one invocation may have."""
    batch: list[Sequence[str]] = []
    size = 0
    for command in commands:
        length = sum(len(word.encode(errors="replace")) + 1 for word in command)
        if batch and size + length > BATCH_BYTES:
            server.run(*join_commands(batch))
            batch, size = [], 0
        batch.append(command)
        size += length
    if batch:
        server.run(*join_commands(batch))


def close_panes(server: TmuxServer, panes: Sequence[Pane]) -> None:
    """Close panes while each is still as it was listed; a window goes with its last one."""
    run_in_batches(
        server,
        [
            JobPane(server, one.pane, one.job_id).guarded(
                [["kill-pane", "-t", one.pane]], f"#{{==:#{{pane_pid}},{one.pid}}}"
            )
            for one in panes
        ],
    )


def mark(pane: JobPane, options: Mapping[str, str]) -> None:
    """Set user options of a pane, which the status line and the border show; an empty value takes one away."""
    pane.perform(set_pane_options(pane.pane, options))


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
        if changed:
            commands.append(JobPane(server, pane, job_id).guarded(set_pane_options(pane, changed)))
    run_in_batches(server, commands)


def type_text(
    pane: JobPane,
    text: bytes,
    brackets: bool,
    ending: str,
    keys: Sequence[str],
    by_agent: bool,
    sent: str = NOTHING_SENT,
) -> None:
    """Type `text`, then a few newlines or TABs, then named keys, in one go.

    Pastes are byte-exact, have no limit and pass a person's mode (copy mode, a tree) by. With `brackets` the text goes
    in brackets to a program that asked for that; else as if typed, or vim would insert a command as text. The text
    comes last into tmux's buffers and leaves them in the same turn of its loop, whatever became of the paste.

    Raises HumanHolds where a person has taken the keys meanwhile, PaneLost, InputOff or TmuxError; then nothing was
    sent, but for what `sent` says that had been sent before.
    """
    name = f"mcp-{os.urandom(4).hex()}"
    before: list[list[str]] = []
    commands: list[list[str]] = []
    after: list[list[str]] = []
    if text:
        before.append(["load-buffer", "-b", f"{name}-text", "-"])
        commands.append(["paste-buffer", *(["-p"] if brackets else []), "-b", f"{name}-text", "-t", pane.pane])
        after.append(["delete-buffer", "-b", f"{name}-text"])
    if ending:
        before.append(["set-buffer", "-b", f"{name}-enter", ending])
        commands.append(["paste-buffer", "-b", f"{name}-enter", "-t", pane.pane])
        after.append(["delete-buffer", "-b", f"{name}-enter"])
    if keys:
        commands += press(pane, keys)
    open_for_input = "#{&&:#{!=:#{pane_dead},1},#{!=:#{pane_input_off},1}}"
    only_if = f"#{{&&:{open_for_input},#{{==:#{{@mcp_holder}},}}}}" if by_agent else open_for_input
    facts = pane.perform(commands, only_if=only_if, before=before, after=after, data=text)
    if facts is not None:
        raise refusal_of(pane, facts, sent)


def refusal_of(pane: JobPane, facts: PaneFacts, sent: str) -> JobError:
    """Why nothing was typed, or no more than `sent` says."""
    if facts.job_id != pane.job_id or facts.dead:
        return pane.lost(sent)
    if facts.input_off:
        return InputOff(pane.job_id, pane.pane, sent)
    return HumanHolds(pane.job_id, sent=sent)


def press(pane: JobPane, keys: Sequence[str]) -> list[list[str]]:
    """Commands that send named keys.

    send-keys types into a mode and says nothing, so a person's mode is left, and copy mode entered again at the same
    place, all before tmux draws.
    """
    facts = "#{pane_mode} #{scroll_position}"
    shown = pane.server.run("display-message", "-p", "-t", pane.pane, facts).stdout
    mode, _, scrolled = shown[0].partition(" ") if shown else ("", "", "")
    commands = [["copy-mode", "-q", "-t", pane.pane], ["send-keys", "-t", pane.pane, "--", *map(key_name, keys)]]
    if mode == "copy-mode":
        commands.append(["copy-mode", "-t", pane.pane])
        if scrolled.isdigit() and int(scrolled):
            commands.append(["send-keys", "-t", pane.pane, "-X", "goto-line", scrolled])
    return commands


def capture(pane: JobPane) -> Capture:
    """The visible grid of a pane.

    Raises PaneLost or TmuxError.
    """
    facts = "#{cursor_y} #{cursor_x} #{pane_height} #{pane_width} #{alternate_on} #{@mcp_job_id}"
    shown = ["display-message", "-p", "-t", pane.pane, facts, ";", "capture-pane", "-p", "-t", pane.pane]
    answer = pane.server.run(*shown)
    lines = answer.stdout or [""]
    *numbers, job_id = lines[0].split(" ")
    if job_id != pane.job_id:
        raise pane.lost()
    row, column, rows, columns, alternate = (int(value or 0) for value in numbers)
    return Capture("\n".join(lines[1:]), row, column, rows, columns, bool(alternate))


def opened(server: TmuxServer, stdout: Sequence[str], stderr: Sequence[str]) -> OpenedPane:
    """The pane that `new_window` has opened.

    Raises TmuxError where it has not done all; then there is no window.
    """
    if OPENED not in stdout:
        if stdout:  # a moment ago, and on this server: nobody else has this id yet
            server.run("kill-pane", "-t", stdout[0].split(" ")[0])
        raise refusal(stderr)
    pane, pid = stdout[0].split(" ")
    return OpenedPane(pane, int(pid))
