"""replay: a job's output on the person's terminal, at the pace at which it came.

Promises: it shows what the job drew and nothing else that a terminal obeys, and says where the job's window was
resized; however it ends, in the middle of an image, by a key or a signal too, the terminal is as before; a job that
still runs is followed to its end.
"""

from __future__ import annotations

import argparse
import os
import select
import shutil
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from mcp_background_job.cli.lookup import find_job
from mcp_background_job.cli.settings import settings
from mcp_background_job.jobs.manager import JobManager
from mcp_background_job.output.emulator.render import split_point
from mcp_background_job.output.recording import Frame, Recording
from mcp_background_job.store.models import EndedJob, Job
from mcp_background_job.store.sizes import Size
from mcp_background_job.ui.console import note
from mcp_background_job.ui.wording import ending_line

from .endings import end_by_exception
from .export import note_what_is_missing, note_what_was_lost
from .resize_sign import resize_sign
from .terminal_modes import Modes

OUT = 1  # the descriptor: a terminal is given bytes, not text
PIECE = 4096  # bytes written at a time, so that a key is heard in the middle of a flood
LOOK_AGAIN = 0.03  # seconds between looks at a job that still runs
SIGN_STAYS, SHORTEST = 1.5, 0.25  # seconds of the person's
FASTER, SLOWER, PAUSE, SKIP, QUIT = b"+", b"-", b" ", b"\r\n", b"q"
KEYS_HELP = "space pauses, Enter skips a pause, + and - change the speed, q ends"


class Quit(Exception):
    """The person has seen enough."""


class Keys:
    """What the person presses meanwhile; nothing where nobody can."""

    def __init__(self, listens: bool) -> None:
        self.listens = listens

    def next_key(self, seconds: float) -> bytes:
        """The next key within `seconds`, or none."""
        if not self.listens:
            if seconds > 0:
                time.sleep(seconds)
            return b""
        ready, _, _ = select.select([0], [], [], max(0.0, seconds))
        key = os.read(0, 1) if ready else b""
        if ready and not key:
            self.listens = False  # the terminal's other end has gone
            return self.next_key(seconds)
        return key


class Player:
    """Shows frames when their time has come."""

    def __init__(self, speed: float, max_idle: float | None, keys: Keys, terminal: bool) -> None:
        self.speed = speed
        self.max_idle = float("inf") if max_idle is None else max_idle
        self.keys = keys
        self.terminal = terminal
        self.modes = Modes()
        self.at = 0.0  # seconds of the recording
        self.resized_at = float("-inf")  # the last time
        self.due = time.monotonic()  # when the present frame is to be shown
        self.line_ended = True

    def play(self, frames: Iterator[Frame]) -> None:
        for frame in frames:
            gap = min(max(0.0, frame.time - self.at), self.max_idle)
            self.at = max(self.at, frame.time)
            self.pass_time(gap)
            if frame.size is None:
                self.draw(frame.text)
            else:
                self.tell_size(frame.size)

    def tell_size(self, size: Size) -> None:
        """Say that the job's window has got another size from here on."""
        if not self.terminal:
            note(f"the window was resized: {size.columns}x{size.rows}")
            return
        full_screen, line_ended = self.modes.alternate, self.line_ended
        self.write(resize_sign(size, shutil.get_terminal_size().columns, full_screen, line_ended))
        self.line_ended = line_ended or not full_screen
        if full_screen and self.speed < float("inf"):
            # The program draws itself anew at once, and hides it. While a window is dragged they come in dozens.
            self.pass_time(min(SIGN_STAYS, max(SHORTEST, self.at - self.resized_at)) * self.speed)
        self.resized_at = self.at

    def pass_time(self, gap: float) -> None:
        """Let `gap` seconds of the recording pass.

        Raises Quit.
        """
        begun = self.due
        while True:
            # Worked out anew each time, as the speed may change in the middle of a pause.
            self.due = begun + gap / self.speed
            key = self.keys.next_key(self.due - time.monotonic())
            if not key:
                return
            if key in SKIP:
                self.due = time.monotonic()
                return
            before = self.speed
            begun += self.obey(key)
            now = time.monotonic()
            if self.speed != before and now < self.due:
                gap, begun = (self.due - now) * before, now

    def obey(self, key: bytes) -> float:
        """Do what a key asks for; seconds that it took.

        Raises Quit.
        """
        if key == QUIT:
            raise Quit
        if key in (FASTER, SLOWER):
            self.speed *= 2 if key == FASTER else 0.5
        if key != PAUSE:
            return 0.0
        begun = time.monotonic()
        while (key := self.keys.next_key(3600.0)) != PAUSE and (self.keys.listens or key):
            if key == QUIT:
                raise Quit
        return time.monotonic() - begun

    def catch_up(self, seconds: float) -> None:
        """Wait for more to be printed: what comes then is shown as it comes."""
        key = self.keys.next_key(seconds)
        if key:
            self.obey(key)
        self.due = time.monotonic()

    def draw(self, text: str) -> None:
        data = text.encode()
        position = 0
        while piece := data[position : position + PIECE]:
            # Whole sequences, so that what is shown when a key ends it is what `modes` has seen.
            piece = piece[: split_point(piece)]
            position += len(piece)
            self.write(piece)
            if self.keys.listens and (key := self.keys.next_key(0)):
                self.due += self.obey(key)

    def write(self, piece: bytes) -> None:
        """Send to the terminal what ends outside of any sequence."""
        self.modes.feed(piece.decode())
        self.line_ended = piece.endswith(b"\n")
        write_out(piece)
        self.modes.shown()


def write_out(data: bytes) -> None:
    while data:
        data = data[os.write(OUT, data) :]


@contextmanager
def plain_terminal(listens: bool) -> Iterator[None]:
    """Bytes reach the terminal as they are, keys come one by one and aren't shown; afterwards all is as before."""
    before = termios.tcgetattr(OUT)
    attributes = termios.tcgetattr(OUT)
    attributes[1] &= ~termios.OPOST
    attributes[3] |= termios.NOFLSH  # or Ctrl-C would throw away what is written and not shown yet
    # Nobody could put the terminal right for the shell while we are stopped.
    attributes[6][termios.VSUSP] = b"\0"
    if listens:
        attributes[3] &= ~(termios.ICANON | termios.ECHO)
    termios.tcsetattr(OUT, termios.TCSADRAIN, attributes)
    try:
        yield
    finally:
        with suppress(termios.error):  # it may have been closed
            termios.tcsetattr(OUT, termios.TCSAFLUSH if listens else termios.TCSADRAIN, before)


@contextmanager
def undone(player: Player) -> Iterator[None]:
    """Switch back what the job has switched."""
    try:
        yield
    finally:
        with suppress(OSError):
            write_out(player.modes.undo(shutil.get_terminal_size().columns) + (b"" if player.line_ended else b"\r\n"))


def replay(options: argparse.Namespace) -> int:
    manager = JobManager(settings())
    job = find_job(manager, options.job)
    recording = Recording(manager.view.folder(job.spec.job_id), job.spec)
    terminal = os.isatty(OUT)
    keys = Keys(terminal and os.isatty(0))
    note_what_is_missing(recording)
    if terminal:
        note_how_it_plays(recording, job, keys)
    player = Player(options.speed, options.max_idle, keys, terminal)
    end_by_exception()
    with ExitStack() as stack:
        if terminal:
            stack.enter_context(plain_terminal(keys.listens))
            stack.enter_context(undone(player))
        try:
            ended = play_to_end(manager, recording, player)
        except Quit:
            return 0
    note_what_was_lost(recording)
    if terminal and sys.stderr.isatty():
        note(ending_line(ended))
    return 0


def note_how_it_plays(recording: Recording, job: Job, keys: Keys) -> None:
    """Before it begins: what may look wrong, and the keys."""
    columns, rows = shutil.get_terminal_size()
    sizes = recording.sizes()
    widest, highest = max(size.columns for size in sizes), max(size.rows for size in sizes)
    if columns < widest or rows < highest:
        note(f"the job's window is {widest}x{highest}, this terminal {columns}x{rows}: the layout may differ")
    if keys.listens and sys.stderr.isatty():
        live = "" if isinstance(job, EndedJob) else "; the job still runs and is followed until it ends"
        note(f"{KEYS_HELP}{live}")


def play_to_end(manager: JobManager, recording: Recording, player: Player) -> EndedJob:
    """Play what there is, then what comes, until the job ends."""
    while True:
        job = manager.view.job(recording.spec.job_id)
        before = recording.position
        player.play(recording.more())
        if isinstance(job, EndedJob):
            player.draw(recording.cleaner.finish())
            return job
        if recording.position == before:
            player.catch_up(LOOK_AGAIN)
