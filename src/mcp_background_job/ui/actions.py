"""What the board's keys and clicks do: choose a job, find it, take it over, kill it, go to its window.

Promises: a job is killed only after the question was answered with y; a key acts on a job that is in sight; a refusal
is a note on the board, not an end.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable

from mcp_background_job.errors import JobError
from mcp_background_job.jobs.launch import GRACE
from mcp_background_job.jobs.manager import JobManager
from mcp_background_job.store.models import EndedJob, run_of
from mcp_background_job.store.requests import request_kill
from mcp_background_job.text import one_line
from mcp_background_job.tmux.client import tmux_binary
from mcp_background_job.tmux.look import Keys
from mcp_background_job.tmux.people import go_to, people

from .board_rows import JobRow
from .board_view import Frame
from .filter import Filter
from .fullscreen import FullScreen
from .mouse import Mouse, mouse_report
from .observer import Observer
from .viewers import Viewers

NOTE_SECONDS = 4.0
PAGE = 10  # jobs that page up and page down move
WHEEL = 3  # jobs that a notch of the wheel moves
AFTER_CLICK = 0.5  # seconds after a double click in which tmux tells of it once more
KEYS = {
    "\x1b[A": "up", "\x1bOA": "up", "k": "up", "\x1b[B": "down", "\x1bOB": "down", "j": "down",
    "\x1b[5~": "page up", "\x1b[6~": "page down", "g": "first", "\x1b[H": "first", "\x1b[1~": "first",
    "G": "last", "\x1b[F": "last", "\x1b[4~": "last", "\r": "enter", "\n": "enter",
}  # fmt: skip


class Actions:
    """What a person has chosen on the board, and what their keys do with it."""

    def __init__(
        self, manager: JobManager, observer: Observer, screen: FullScreen, viewers: Viewers, window: bool
    ) -> None:
        self.manager = manager
        self.observer = observer
        self.screen = screen
        self.viewers = viewers
        self.window = window  # it is window 0, which nobody quits
        self.rows: list[JobRow] = []  # as they were drawn last
        self.chosen = ""
        self.panel = ""  # "", "help", "command" or "details"
        self.keys = Keys()  # as they were when help was asked for
        self.filter = Filter()
        self.grouped = False
        self.lines: list[str] = []  # which job was drawn in which line
        self.clicked = ""  # the job of the last click, until a key is pressed
        self.deaf_until = 0.0  # to clicks
        self.to_kill = ""
        self.note = ("", 0.0)
        self.done = False

    def press(self, key: str) -> None:
        if self.to_kill:
            if key in ("y", "Y"):
                self.kill(self.to_kill)
            self.to_kill = ""
            return
        report = mouse_report(key)
        if report is None:
            self.clicked = ""
            if self.filter.take(key):
                return
        actions: dict[str, Callable[[], None]] = {
            "enter": self.enter, "x": self.ask_to_kill, "K": self.ask_to_kill, "t": self.take_or_give,
            "c": lambda: self.toggle("command"), "?": lambda: self.toggle("help"), "q": self.leave, "\x03": self.leave,
            "d": lambda: self.toggle("details"), "/": self.filter.begin, "a": self.group,
            "\x0c": self.screen.forget, "\x1b": lambda: self.toggle(""),
        }  # fmt: skip
        name = KEYS.get(key, key)
        try:
            if report is not None:
                self.use_mouse(report)
            elif name in actions:
                actions[name]()
            else:
                self.move(name)
        except (JobError, OSError) as error:
            self.say(str(error))

    def current(self) -> str:
        """The job that keys act on: the first one, until a person has chosen another."""
        return self.chosen or (self.rows[0].job_id if self.rows else "")

    def take_up(self, rows: list[JobRow]) -> None:
        """What is to be drawn now; a chosen job that is not among them is none any more."""
        self.rows = rows
        if all(row.job_id != self.chosen for row in rows):
            self.chosen = ""

    def drawn(self, frame: Frame) -> None:
        """What is on the screen now, for clicks."""
        self.lines = frame.jobs

    def say(self, text: str) -> None:
        self.note = (one_line(text), time.monotonic() + NOTE_SECONDS)

    def name_of(self, job_id: str) -> str:
        return next((f"{row.name} ({job_id})" for row in self.rows if row.job_id == job_id), job_id)

    def move(self, name: str) -> None:
        ids = [row.job_id for row in self.rows]
        if not ids:
            return
        here = ids.index(self.current()) if self.current() in ids else 0
        steps = {"up": -1, "down": 1, "page up": -PAGE, "page down": PAGE, "first": -len(ids), "last": len(ids)}
        steps |= {"wheel up": -WHEEL, "wheel down": WHEEL}
        self.chosen = ids[max(0, min(len(ids) - 1, here + steps.get(name, 0)))]

    def use_mouse(self, report: Mouse) -> None:
        """A click chooses the job in its line, another one on the same job goes to its window; the wheel moves."""
        if report.action != "click":
            self.move(report.action)
            return
        job_id = self.lines[report.line] if 0 <= report.line < len(self.lines) else ""
        if not job_id or time.monotonic() < self.deaf_until:
            return
        self.chosen = job_id
        if self.clicked == job_id:
            self.clicked, self.deaf_until = "", time.monotonic() + AFTER_CLICK
            self.enter()
        else:
            self.clicked = job_id

    def group(self) -> None:
        self.grouped = not self.grouped

    def toggle(self, panel: str) -> None:
        if panel == "help":
            self.keys = self.manager.tmux.look.keys()
        self.panel = "" if self.panel == panel else panel

    def leave(self) -> None:
        if self.window:
            prefix = self.manager.tmux.look.keys().prefix
            self.say(f"Window 0 keeps the session of jobs: {prefix} d detaches, {prefix} n goes to the next window.")
        else:
            self.done = True

    def ask_to_kill(self) -> None:
        seen = self.observer.seen.get(self.current())
        if seen is not None and seen.running:
            self.to_kill = self.chosen = seen.job_id

    def kill(self, job_id: str) -> None:
        # A person's kill counts though a person holds the job: an agent's is what is refused then.
        self.manager.view.running(job_id)
        request_kill(self.manager.view.folder(job_id), signal.SIGTERM, "a person")
        self.say(f"Killing {self.name_of(job_id)}: TERM now, KILL after {GRACE:.0f} seconds.")

    def take_or_give(self) -> None:
        seen = self.observer.seen.get(self.current())
        if seen is None or not seen.running:
            return
        # It may move to another line now.
        self.chosen = seen.job_id
        if seen.hold:
            self.manager.control.give(seen.job_id)
            self.say(f"You handed {self.name_of(seen.job_id)} back to the agents.")
        else:
            self.manager.control.take(seen.job_id)
            self.say(f"You hold {self.name_of(seen.job_id)}: agents can only read it. t hands it back.")
        seen.next_look = 0.0

    def enter(self) -> None:
        """Show the chosen job's window to the person at this board."""
        seen = self.observer.seen.get(self.current())
        job = seen.job if seen else None
        run = None if job is None else run_of(job)
        if job is None or run is None:
            return
        if isinstance(job, EndedJob) and not self.manager.pane_is_open(job):
            self.say("Its window is closed; the log is kept.")
            return
        socket, pane = run.socket, run.pane
        if self.viewers.socket == socket and self.viewers.pane:
            here = [person for person in people(self.viewers.server) if person.pane == self.viewers.pane]
            if here:
                go_to(self.viewers.server, pane, max(here, key=lambda person: person.active), self.manager.tmux.name)
                self.viewers.left()
                return
        self.attach(socket, pane)

    def attach(self, socket: str, pane: str) -> None:
        """From a terminal outside: become a tmux client until the person detaches."""
        environment = {name: value for name, value in os.environ.items() if name not in ("TMUX", "TMUX_PANE")}
        command = [tmux_binary(), "-S", socket, "attach", "-t", pane]
        with self.screen.lent():
            subprocess.run(command, env=environment, check=False)


def split_keys(text: str) -> list[str]:
    """What was typed, key by key; an escape sequence is one."""
    return re.findall(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1bO.|.", text, re.DOTALL)
