"""The live board of all jobs: window 0 of the session, and `mcp-background-job watch` in any terminal.

Promises: it draws what has changed and nothing else; while nobody looks, it costs next to nothing; it goes on whatever
happens to a record, the state folder or tmux. In window 0 it also tells tmux which jobs wait for input.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from contextlib import suppress
from typing import NamedTuple

from rich.text import Text

from mcp_background_job.config import BackgroundJobConfig, ConfigError, load_config
from mcp_background_job.errors import JobError
from mcp_background_job.jobs.manager import JobManager
from mcp_background_job.process.usage import Meter, Usage
from mcp_background_job.store.models import RunningJob
from mcp_background_job.supervisor.naming import name_process
from mcp_background_job.text import escaped, one_line, padding_shown

from . import board_view
from .actions import Actions, split_keys
from .fullscreen import FullScreen
from .observer import Observer, Seen
from .viewers import ASK_EVERY, Viewers

REST = 20  # times as long as a job's last line took to draw, until it is drawn again
TICK = 1.0  # seconds between two drawings, for the clocks
DRAW_SHARE = 0.002  # of a core, for drawing those: a long list ticks more slowly
CALM = 0.2  # seconds between two looks at what a flood of events tells
USAGE_EVERY = 2.0  # seconds between two looks at the process table, at least
FIRST_USAGE = 1.0  # seconds from the first look at a job, which gives no rate yet, to the second
USAGE_SHARE = 0.002  # of a core, for those looks
MOST_ERRORS = 20  # in a row, after which a fresh start is better


class LastLine(NamedTuple):
    """What a job printed last, when its log ended at `log_end`; it is not drawn anew before `until`."""

    log_end: int
    text: str
    until: float


class Board:
    """The loop: notice what has changed, do what the keys say, draw."""

    def __init__(self, config: BackgroundJobConfig, window: bool) -> None:
        self.manager = JobManager(config)
        self.screen = FullScreen()
        self.wake = asyncio.Event()
        self.observer = Observer(self.manager.view, self.manager.tmux, self.wake)
        self.viewers = Viewers(self.manager.tmux, window)
        self.actions = Actions(self.manager, self.observer, self.screen, self.viewers, window)
        self.meter = Meter()
        self.usage: dict[str, Usage] = {}
        self.next_usage = 0.0
        self.next_draw = 0.0
        self.last_lines: dict[str, LastLine] = {}
        self.keys: list[str] = []
        self.errors = 0

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        loop.add_reader(0, self.read_keys)
        for signum in (signal.SIGWINCH, signal.SIGCONT):
            loop.add_signal_handler(signum, self.redraw)
        for signum in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(signum, self.quit)
        with self.screen.taken():
            while not self.actions.done:
                pause = self.turn()
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self.wake.wait()
                if not self.keys:
                    await asyncio.sleep(CALM / 10 if self.viewers.looking else CALM)
                self.wake.clear()
        return 0

    def turn(self) -> float:
        """Notice, act, draw; the seconds until the next turn, unless something happens before."""
        try:
            fresh = bool(self.keys) or not self.screen.shown
            while self.keys and not self.actions.done:
                self.actions.press(self.keys.pop(0))
            changed, pause = self.observer.update()
            if self.viewers.ask():
                self.next_usage = self.next_draw = 0.0
            if self.viewers.looking:
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
                    self.draw()  # a person who comes back sees it at once, though tmux is asked for viewers later
                pause = min(pause, ASK_EVERY)
            self.errors = 0
        except Exception as error:
            # Whatever it was, the jobs go on, and so does the board.
            self.errors += 1
            if self.errors >= MOST_ERRORS:
                raise
            self.actions.say(f"{type(error).__name__}: {error}"[:200])
            return TICK
        return pause

    def read_keys(self) -> None:
        try:
            data = os.read(0, 4096)
        except OSError:
            data = b""
        if not data:
            self.quit()
        self.keys += split_keys(data.decode(errors="replace"))
        self.viewers.pressed()
        self.wake.set()

    def quit(self) -> None:
        self.actions.done = True
        self.wake.set()

    def redraw(self) -> None:
        self.screen.forget()
        self.viewers.pressed()
        self.wake.set()

    def measure(self) -> None:
        """CPU and memory, as often as their cost allows."""
        now = time.monotonic()
        if now < self.next_usage:
            return
        runners = {
            seen.job_id: seen.job.run.runner for seen in self.observer.seen.values() if isinstance(seen.job, RunningJob)
        }
        self.usage = self.meter.look(runners) if runners else {}
        pause = max(USAGE_EVERY, self.meter.cost / USAGE_SHARE)
        if any(usage.cpu is None for usage in self.usage.values()):
            pause = FIRST_USAGE
        self.next_usage = now + pause

    # -- drawing --------------------------------------------------------------------------------------------

    def draw(self) -> None:
        columns, lines = self.screen.size()
        shown = sorted(self.observer.seen.values(), key=board_view.order)
        rows = [board_view.row_of(seen, self.last_line(seen), self.usage.get(seen.job_id)) for seen in shown]
        self.last_lines = {job_id: line for job_id, line in self.last_lines.items() if job_id in self.observer.seen}
        self.actions.shown(rows)
        # Whoever is asked whether to kill a job sees all of its command that there is room for.
        panel = self.panel_lines(columns, max(2, lines - 6 if self.actions.to_kill else lines // 2))
        session = self.manager.config.session_name
        drawn = board_view.frame(rows, self.actions.current(), panel, self.note(), session, columns, lines)
        self.screen.draw(drawn, columns)

    def note(self) -> Text | None:
        """The question or the remark at the bottom."""
        if self.actions.to_kill:
            asked = f" Kill {self.actions.name_of(self.actions.to_kill)} and everything it started? y or n"
            return Text(asked, "bold white on red")
        text, until = self.actions.note
        return Text(f" {text}", "bold reverse") if time.monotonic() < until else None

    def last_line(self, seen: Seen) -> str:
        """The last line that the job printed, read again only where there is more."""
        if seen.job is None:
            return ""
        known = self.last_lines.get(seen.job_id)
        begun = time.monotonic()
        if known is None or (known.log_end != seen.log_end and begun >= known.until):
            page = self.manager.view.tail(seen.job, 1)
            text = page.stdout.strip() or page.stderr.strip()
            now = time.monotonic()
            known = self.last_lines[seen.job_id] = LastLine(seen.log_end, text, now + REST * (now - begun))
        return known.text

    def panel_lines(self, columns: int, most: int) -> list[Text]:
        if self.actions.panel == "help":
            keys = self.actions.keys
            body = [line.format(menu=keys.menu, prefix=keys.prefix) for line in board_view.HELP]
            return board_view.boxed("keys", body, columns, most)
        seen = self.observer.seen.get(self.actions.current())
        if not (self.actions.panel == "command" or self.actions.to_kill) or seen is None or seen.job is None:
            return []
        spec = seen.job.spec
        facts = f"in {spec.cwd}" + (f", for {spec.client}" if spec.client else "")
        try:
            command = self.manager.view.command(seen.job_id)
        except (JobError, OSError):
            command = spec.summary
        body = [escaped(padding_shown(line.expandtabs())) for line in command.rstrip("\n").split("\n")]
        return board_view.boxed(f"{one_line(spec.name)} {seen.job_id}", [*body, one_line(facts)], columns, most)


def run_board(config: BackgroundJobConfig, window: bool = False) -> int:
    """Show the board until the person quits; the exit status."""
    name_process("mcp-bg-board")
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
