"""The live board of all jobs: window 0 of the session, and `mcp-background-job watch` in any terminal.

Promises: it draws what has changed and nothing else; nobody looking, it costs next to nothing; it goes on whatever
happens to a record, the state folder or tmux. As window 0 it is also who tells tmux that a job waits for input.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from rich.color import ColorSystem
from rich.console import Console
from rich.text import Text

from mcp_background_job.config import BackgroundJobConfig, ConfigError, load_config
from mcp_background_job.errors import JobError, TmuxError
from mcp_background_job.jobs.launch import GRACE
from mcp_background_job.jobs.manager import JobManager
from mcp_background_job.process.usage import Meter, Usage
from mcp_background_job.store.models import EndedJob
from mcp_background_job.tmux.client import tmux_binary
from mcp_background_job.tmux.people import go_to, people, viewers
from mcp_background_job.tmux.quoting import own_socket
from mcp_background_job.tmux.session import apply_session_options

from . import board_view
from .board_view import Row
from .observer import Observer, Seen

TICK = 1.0  # seconds between two drawings, for the clocks
DRAW_SHARE = 0.002  # of a core, for drawing those: a long list ticks more slowly
CALM = 0.2  # seconds between two looks at what a flood of events tells
LOOKERS, STILL_LOOKING = 3.0, 5.0  # seconds between two questions whether anybody looks, and still does
USAGE_EVERY = 2.0  # seconds between two looks at the process table, at least
FIRST_USAGE = 1.0  # seconds from the first look at a job, which gives no rate yet, to the second
USAGE_SHARE = 0.002  # of a core, for those looks
NOTE_SECONDS = 4.0
MOST_ERRORS = 20  # in a row, after which a fresh start is better
KEYS = {
    "\x1b[A": "up", "\x1bOA": "up", "k": "up", "\x1b[B": "down", "\x1bOB": "down", "j": "down",
    "\x1b[5~": "page up", "\x1b[6~": "page down", "g": "first", "\x1b[H": "first", "\x1b[1~": "first",
    "G": "last", "\x1b[F": "last", "\x1b[4~": "last", "\r": "enter", "\n": "enter",
}  # fmt: skip


class Screen:
    """The terminal: raw, on its other screen, and given back as it was."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, markup=False, emoji=False)
        self.colours = None if os.environ.get("NO_COLOR") else ColorSystem.STANDARD
        self.shown: list[Text] = []

    @contextmanager
    def taken(self) -> Iterator[None]:
        self.take()
        try:
            yield
        finally:
            self.give()

    @contextmanager
    def lent(self) -> Iterator[None]:
        self.give()
        try:
            yield
        finally:
            self.take()

    def take(self) -> None:
        self.cooked = termios.tcgetattr(0)
        tty.setraw(0)
        self.write("\x1b[?1049h\x1b[?25l\x1b[2J")
        self.shown = []

    def give(self) -> None:
        # The terminal may be gone; then there is nothing to give back.
        with suppress(OSError, termios.error):
            self.write("\x1b[?25h\x1b[?1049l")
            termios.tcsetattr(0, termios.TCSADRAIN, self.cooked)

    def write(self, text: str) -> None:
        data = text.encode(errors="replace")
        while data:
            data = data[os.write(1, data) :]

    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        try:
            columns, lines = os.get_terminal_size(1)
        except OSError:
            columns, lines = 0, 0
        return columns or 80, lines or 24

    def draw(self, lines: Sequence[Text], columns: int) -> None:
        """Show `lines`, of which only those that differ are written."""
        out: list[str] = []
        for number, line in enumerate(lines):
            if number >= len(self.shown) or (line is not self.shown[number] and line != self.shown[number]):
                out.append(f"\x1b[{number + 1};1H{self.ansi(line, columns)}")
        self.shown = list(lines)
        if out:
            self.write("".join(out))

    def ansi(self, line: Text, columns: int) -> str:
        """One line as the terminal takes it; what is right of it is erased."""
        if line.cell_len > columns:
            line = line.copy()
            line.truncate(columns)
        parts = [
            segment.style.render(segment.text, color_system=self.colours) if segment.style else segment.text
            for segment in line.render(self.console)
        ]
        # Behind the last column there is nothing to erase, and the cursor still stands on it.
        return "".join(parts) + ("\x1b[K" if line.cell_len < columns else "")


class Board:
    """What is shown, what is chosen, and what the keys do."""

    def __init__(self, config: BackgroundJobConfig, window: bool) -> None:
        self.manager = JobManager(config)
        self.window = window  # it is window 0, which nobody quits and not always somebody looks at
        self.pane = os.environ.get("TMUX_PANE", "")
        self.server = self.manager.tmux.server_at(own_socket())
        self.screen = Screen()
        self.wake = asyncio.Event()
        self.observer = Observer(self.manager, self.wake)
        self.meter = Meter()
        self.usage: dict[str, Usage] = {}
        self.next_usage = 0.0
        self.looked_at = True
        self.sessions: frozenset[str] = frozenset()  # those that have this window, ours and its group's
        self.next_lookers = 0.0
        self.next_draw = 0.0
        self.last_lines: dict[str, tuple[int, str]] = {}
        self.rows: list[Row] = []
        self.chosen = ""
        self.panel = ""  # "", "help" or "command"
        self.to_kill = ""
        self.note = ("", 0.0)
        self.keys: list[str] = []
        self.done = False
        self.errors = 0

    # -- the loop -------------------------------------------------------------------------------------------

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        loop.add_reader(0, self.read_keys)
        for signum in (signal.SIGWINCH, signal.SIGCONT):
            loop.add_signal_handler(signum, self.redraw)
        for signum in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(signum, self.quit)
        with self.screen.taken():
            while not self.done:
                pause = self.turn()
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self.wake.wait()
                if not self.keys:
                    await asyncio.sleep(CALM / 10 if self.looked_at else CALM)
                self.wake.clear()
        return 0

    def turn(self) -> float:
        """Look, act, draw; the seconds until the next turn, unless something happens before."""
        try:
            fresh = bool(self.keys) or not self.screen.shown
            while self.keys and not self.done:
                self.press(self.keys.pop(0))
            changed, pause = self.observer.look()
            self.ask_whether_looked_at()
            if self.looked_at:
                self.measure()
                left = self.next_draw - time.monotonic()
                if changed or fresh or left <= 0:
                    begun = time.thread_time()
                    self.draw()
                    left = max(TICK, (time.thread_time() - begun) / DRAW_SHARE)
                    self.next_draw = time.monotonic() + left
                pause = min(pause, left)
            else:
                if changed:
                    self.draw()  # for whoever comes back: the next question whether anybody looks may be seconds away
                pause = min(pause, LOOKERS)
            self.errors = 0
        except Exception as error:
            # Whatever it was, the jobs go on, and so does whoever shows them.
            self.errors += 1
            if self.errors >= MOST_ERRORS:
                raise
            self.say(f"{type(error).__name__}: {error}"[:200])
            return TICK
        return pause

    def quit(self) -> None:
        self.done = True
        self.wake.set()

    def redraw(self) -> None:
        self.screen.shown = []
        self.looked_at = True
        self.wake.set()

    def ask_whether_looked_at(self) -> None:
        now = time.monotonic()
        if not self.window or not self.pane or now < self.next_lookers:
            return
        before = self.looked_at
        with suppress(TmuxError, ValueError):
            count, sessions = viewers(self.server, self.pane)
            self.looked_at = count > 0
            if sessions != self.sessions:
                apply_session_options(self.server, self.manager.tmux.target, sessions)
                self.sessions = sessions
        self.next_lookers = now + (STILL_LOOKING if self.looked_at else LOOKERS)
        if self.looked_at and not before:
            self.next_usage = self.next_draw = 0.0

    def measure(self) -> None:
        """CPU and memory, as often as their cost allows."""
        now = time.monotonic()
        if now < self.next_usage:
            return
        runners = {
            seen.job_id: seen.job.run.runner
            for seen in self.observer.seen.values()
            if seen.running and seen.job is not None and seen.job.run is not None
        }
        self.usage = self.meter.look(runners) if runners else {}
        pause = max(USAGE_EVERY, self.meter.cost / USAGE_SHARE)
        if any(usage.cpu is None for usage in self.usage.values()):
            pause = FIRST_USAGE
        self.next_usage = now + pause

    # -- drawing --------------------------------------------------------------------------------------------

    def draw(self) -> None:
        columns, lines = self.screen.size()
        now = time.time()
        shown = sorted(self.observer.seen.values(), key=board_view.order)
        self.rows = [board_view.row_of(seen, self.last_line(seen), self.usage.get(seen.job_id), now) for seen in shown]
        self.last_lines = {job_id: line for job_id, line in self.last_lines.items() if job_id in self.observer.seen}
        if self.chosen not in self.observer.seen:
            self.chosen = ""
        panel = self.panel_lines(columns, max(2, lines // 2))
        note = Text(f" {self.note[0]}", "bold reverse") if time.monotonic() < self.note[1] else None
        if self.to_kill:
            note = Text(f" Kill {self.name_of(self.to_kill)} and all that it started? y or n", "bold white on red")
        session = self.manager.config.session_name
        self.screen.draw(board_view.frame(self.rows, self.current(), panel, note, session, columns, lines), columns)

    def current(self) -> str:
        """The job that keys act on: the first one, until a person has chosen another."""
        return self.chosen or (self.rows[0].job_id if self.rows else "")

    def last_line(self, seen: Seen) -> str:
        """The last line that the job printed, read again only where there is more."""
        if seen.job is None:
            return ""
        known = self.last_lines.get(seen.job_id)
        if known is None or known[0] != seen.log_end:
            page = self.manager.view.tail(seen.job, 1)
            known = self.last_lines[seen.job_id] = (seen.log_end, page.stdout.strip() or page.stderr.strip())
        return known[1]

    def panel_lines(self, columns: int, most: int) -> list[Text]:
        if self.panel == "help":
            return board_view.boxed("keys", board_view.HELP, columns, most)
        seen = self.observer.seen.get(self.current())
        if self.panel != "command" or seen is None or seen.job is None:
            return []
        spec = seen.job.spec
        facts = f"in {spec.cwd}" + (f", for {spec.client}" if spec.client else "")
        try:
            command = self.manager.view.command(seen.job_id)
        except (JobError, OSError):
            command = spec.summary
        body = [board_view.plain(line.expandtabs()) for line in (*command.rstrip("\n").split("\n"), facts)]
        return board_view.boxed(f"{board_view.plain(spec.name)} {seen.job_id}", body, columns, most)

    def name_of(self, job_id: str) -> str:
        return next((f"{row.name} ({job_id})" for row in self.rows if row.job_id == job_id), job_id)

    def say(self, text: str) -> None:
        self.note = (board_view.plain(text), time.monotonic() + NOTE_SECONDS)

    # -- keys -----------------------------------------------------------------------------------------------

    def read_keys(self) -> None:
        try:
            data = os.read(0, 4096)
        except OSError:
            data = b""
        if not data:
            self.quit()
        self.keys += split_keys(data.decode(errors="replace"))
        self.looked_at = True
        self.wake.set()

    def press(self, key: str) -> None:
        if self.to_kill:
            if key in ("y", "Y"):
                self.kill(self.to_kill)
            self.to_kill = ""
            return
        actions: dict[str, Callable[[], None]] = {
            "enter": self.enter, "x": self.ask_to_kill, "K": self.ask_to_kill, "t": self.take_or_give,
            "c": lambda: self.toggle("command"), "?": lambda: self.toggle("help"), "q": self.leave, "\x03": self.leave,
            "\x0c": self.redraw, "\x1b": lambda: self.toggle(""),
        }  # fmt: skip
        name = KEYS.get(key, key)
        if name in actions:
            try:
                actions[name]()
            except (JobError, OSError) as error:
                self.say(str(error))
        else:
            self.move(name)

    def move(self, name: str) -> None:
        ids = [row.job_id for row in self.rows]
        if not ids:
            return
        here = ids.index(self.current()) if self.current() in ids else 0
        steps = {"up": -1, "down": 1, "page up": -10, "page down": 10, "first": -len(ids), "last": len(ids)}
        self.chosen = ids[max(0, min(len(ids) - 1, here + steps.get(name, 0)))]

    def toggle(self, panel: str) -> None:
        self.panel = "" if self.panel == panel else panel

    def leave(self) -> None:
        if self.window:
            self.say("This board keeps the session of jobs: Ctrl-b d leaves tmux, Ctrl-b n goes to a job.")
        else:
            self.done = True

    def ask_to_kill(self) -> None:
        seen = self.observer.seen.get(self.current())
        if seen is not None and seen.running:
            self.to_kill = self.chosen = seen.job_id

    def kill(self, job_id: str) -> None:
        # A person's kill counts though a person holds the job: an agent's is what is refused then.
        self.manager.view.running(job_id)
        self.manager.store.request_kill(job_id, signal.SIGTERM)
        self.say(f"Killing {self.name_of(job_id)}: TERM, and KILL after {GRACE:.0f} seconds.")

    def take_or_give(self) -> None:
        seen = self.observer.seen.get(self.current())
        if seen is None or not seen.running:
            return
        # It may move to another line now.
        self.chosen = seen.job_id
        if seen.hold:
            self.manager.control.give(seen.job_id)
            self.say(f"Agents have the keys of {self.name_of(seen.job_id)} again.")
        else:
            self.manager.control.take(seen.job_id)
            self.say(f"You hold {self.name_of(seen.job_id)}: agents can read it, not type or kill. t hands it back.")
        seen.next_look = 0.0

    # -- going to a job -------------------------------------------------------------------------------------

    def enter(self) -> None:
        """Show the chosen job's window to whoever looks at this board."""
        seen = self.observer.seen.get(self.current())
        job = seen.job if seen else None
        if job is None or job.run is None:
            return
        if isinstance(job, EndedJob) and not self.manager.pane_is_open(job):
            self.say("Its window is closed; the log is kept.")
            return
        socket, pane = job.run.socket, job.run.pane
        if own_socket() == socket and self.pane:
            here = [person for person in people(self.server) if person.pane == self.pane]
            if here:
                go_to(self.server, pane, max(here, key=lambda person: person.active), self.manager.tmux.name)
                self.looked_at, self.next_lookers = True, 0.0
                return
        self.attach(socket, pane)

    def attach(self, socket: str, pane: str) -> None:
        """From a terminal outside: become a tmux client until the person detaches."""
        environment = {name: value for name, value in os.environ.items() if name not in ("TMUX", "TMUX_PANE")}
        target = f"={self.manager.config.session_name}:.{pane}"
        command = [tmux_binary(), "-S", socket, "attach", "-t", target]
        with self.screen.lent():
            subprocess.run(command, env=environment, check=False)


def split_keys(text: str) -> list[str]:
    """What was typed, key by key; an escape sequence is one."""
    return re.findall(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1bO.|.", text, re.DOTALL)


def run_board(config: BackgroundJobConfig, window: bool = False) -> int:
    """Show the board until somebody quits; the exit status."""
    if not (os.isatty(0) and os.isatty(1)):
        print("mcp-background-job: the board needs a terminal. Use `list` in a script.", file=sys.stderr)
        return 1

    async def show() -> int:
        return await Board(config, window).run()

    return asyncio.run(show())


def main() -> int:
    """Window 0 of the session."""
    try:
        config = load_config()
    except ConfigError as error:
        print(f"mcp-background-job: {error}", file=sys.stderr)
        return 2
    return run_board(config, "--window" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
