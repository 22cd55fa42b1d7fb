"""What is typed into jobs, byte for byte, and as a person's fingers would bring it.

Promise: input that can't arrive whole is refused before anything is sent; nobody else's comes between its parts.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mcp_background_job.errors import InvalidInput
from mcp_background_job.output.modes import Modes
from mcp_background_job.store.models import RunningJob
from mcp_background_job.store.transcript import Sent
from mcp_background_job.supervisor.locks import try_lock
from mcp_background_job.tmux.panes import JobPane, capture, type_text
from mcp_background_job.tmux.quoting import is_key

from .view import JobView

if TYPE_CHECKING:
    from mcp_background_job.process.input_state import Terminal

MAX_KEYS = 500  # in one call; tmux's parser takes a few thousand words
TEXT_SENT = "the text was typed, Enter was not"
QUOTE = "\x16"  # before a TAB that is to be text: readline's and zsh's quoted-insert
OTHERS_PATIENCE = 30.0  # seconds for which another input may be under way
# Seconds from a text to its Enter. Who takes both at once for a paste adds a line instead of sending it: Codex for
# 0.12 s after fast typing, Gemini for 0.2 s after a paste in brackets; of all others no case over 0.06 s is known.
AFTER_TEXT, AFTER_PASTE, AFTER_KEYS = 0.15, 0.25, 0.07
READ_PATIENCE = 2.0  # seconds in which a program that is busy reads it; Gemini takes 0.2 while it starts
ECHO_PATIENCE = 0.1  # seconds in which a text is shown, where it is at all
LOG_PATIENCE = 2.0  # seconds in which what tmux has drawn is in the log, on a machine that is busy
LOOK = 0.002  # seconds between looks for it


def check_input(terminal: Terminal | None, text: str, keys: Sequence[str]) -> None:
    """Refuse what can't arrive.

    Raises InvalidInput for a key without a name, text that is no Unicode, or a line longer than the terminal takes.
    """
    from mcp_background_job.system import LINE_LIMIT

    if len(keys) > MAX_KEYS:
        raise InvalidInput(f"{len(keys)} keys are more than {MAX_KEYS}", "Send fewer at a time; text goes into input")
    for key in keys:
        if not is_key(key):
            raise InvalidInput(
                f"{key[:40]!r} is not a key name that terminals have a sequence for",
                "Use tmux names such as C-c, Up, Escape, Enter, S-Tab, F1, M-x; text goes into input",
            )
    try:
        data = text.encode()
    except UnicodeEncodeError:
        raise InvalidInput("The input is not valid Unicode", "Send it as plain text") from None
    longest = max(map(len, data.split(b"\n")))
    if terminal is not None and terminal.canonical and longest > LINE_LIMIT:
        raise InvalidInput(
            f"A line of the input is {longest} bytes long, the limit of the job's terminal in line mode is "
            f"{LINE_LIMIT}",
            "Send shorter lines, or write the data to a file",
        )


class Input:
    """One input on its way into a job: a text, Enter if asked for, and named keys."""

    def __init__(
        self,
        view: JobView,
        pane: JobPane,
        job: RunningJob,
        text: str,
        keys: Sequence[str],
        enter: bool,
        who: str,
        *,
        by_agent: bool,  # who may not while a person has the keys
    ) -> None:
        self.view = view
        self.pane = pane
        self.job = job
        self.text = text.replace("\r\n", "\n")
        self.keys = keys
        self.body = self.text.rstrip("\n")
        # What is pressed behind the text: Enter, or the TABs of one who wants it completed.
        self.ending = self.text[len(self.body) :] or ("\n" if enter and text else "")
        if not self.ending and not keys:
            self.body = self.text.rstrip("\t")
            self.ending = self.text[len(self.body) :]
        self.who = who
        self.by_agent = by_agent
        self.text_sent = False
        self.sent: Sent | None = None  # as noted; once, though it may be tried twice

    @property
    def folder(self) -> str:
        return str(self.view.folder(self.job.spec.job_id))

    def send(self) -> Sent | None:
        """Type it; what was noted of it before, or None where there is nothing to type.

        Raises InvalidInput, HumanHolds where a person has the keys, or TmuxError; then nothing was sent, or the text
        without its Enter, which the error says.
        """
        from mcp_background_job.process.input_state import terminal_of

        terminal = terminal_of(self.job.run.tty)
        check_input(terminal, self.text, self.keys)
        if not self.text and not self.keys:
            return None
        with self.alone():
            # A REPL's terminal doesn't echo either, but it is not in line mode, and shows what is typed by itself.
            hidden = terminal is not None and terminal.canonical and not terminal.echo
            job_id = self.job.spec.job_id
            sent = self.sent = self.sent or self.view.inputs.note(
                job_id, self.view.folder(job_id), self.text, self.keys, self.who, hidden=hidden
            )
            modes = self.modes() if terminal is not None and not terminal.canonical else Modes()
            body, brackets = quoted_tabs(self.body, terminal, modes)
            if not body or not self.parts(terminal, modes):
                type_text(self.pane, body.encode(), brackets, self.ending, self.keys, self.by_agent)
                return sent
            end = self.view.log(job_id).end
            type_text(self.pane, body.encode(), brackets, "", (), self.by_agent)
            self.text_sent = True
            self.pause(terminal is not None and terminal.signals, end)
            type_text(self.pane, b"", False, self.ending, self.keys, self.by_agent, TEXT_SENT)
            return sent

    def modes(self) -> Modes:
        """What the program has switched on; for several lines also what is still on its way to the log."""
        modes = self.view.modes(self.job)
        if "\n" in self.body and not modes.full_screen and capture(self.pane).alternate:
            deadline = time.monotonic() + LOG_PATIENCE
            while not modes.full_screen and time.monotonic() < deadline:
                time.sleep(LOOK)
                modes = self.view.modes(self.job)
        return modes

    def parts(self, terminal: Terminal | None, modes: Modes) -> bool:
        """Whether Enter and keys come by themselves: into a program that takes every key itself, C-c included.

        A line editor leaves C-c to the terminal or asks for brackets, and takes all at once for what it is.
        """
        if terminal is None or terminal.canonical or not (self.ending or self.keys):
            return False
        signals = terminal.signals
        return modes.edits_prose(signals) or not (signals or modes.edits_line(signals))

    def pause(self, signals: bool, end: int) -> None:
        """Until the text has been read, and shown as far as output from offset `end` on tells, or it is late enough.

        One that is busy finds Enter with the text and takes both for a paste; what it is may show only once it reads.
        """
        from mcp_background_job.process.input_state import unread

        began = read = time.monotonic()
        prose: bool | None = None
        while (now := time.monotonic()) - began < READ_PATIENCE:
            if unread(self.job.run.tty):
                read, prose = now, None
            elif (passed := now - read) >= AFTER_KEYS:
                if prose is None:
                    prose = self.view.modes(self.job).edits_prose(signals)
                if prose and passed >= (AFTER_PASTE if "\n" in self.body else AFTER_TEXT):
                    return
                if not prose and (passed >= ECHO_PATIENCE or self.view.log(self.job.spec.job_id).end > end):
                    return
            time.sleep(LOOK)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While no other server types into this job."""
        try:
            fd = os.open(f"{self.folder}/typing.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:  # a disk that takes nothing is no reason to type nothing
            yield
            return
        try:
            try_lock(fd, OTHERS_PATIENCE)
            yield
        finally:
            os.close(fd)


def quoted_tabs(text: str, terminal: Terminal | None, modes: Modes) -> tuple[str, bool]:
    """`text` as it is to be pasted into such a terminal, and whether in brackets where the program asked for them.

    A line editor completes at a TAB; as text it comes in brackets, or quoted where the editor has taken the
    terminal's own character for that (termios: VLNEXT) for itself, as readline does.
    """
    several = "\n" in text and not modes.takes_lines_as_keys
    if "\t" not in text or terminal is None or terminal.canonical or modes.full_screen:
        return text, several
    if modes.is_on(b"2004"):
        return text, True
    if terminal.signals and terminal.quotes_itself:
        return text.replace("\t", QUOTE + "\t"), several
    return text, several
