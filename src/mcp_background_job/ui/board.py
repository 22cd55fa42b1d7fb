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

from mcp_background_job.config import BackgroundJobConfig, ConfigError, load_config
from mcp_background_job.jobs.manager import JobManager
from mcp_background_job.process.usage import Meter
from mcp_background_job.store.models import RunningJob
from mcp_background_job.supervisor.naming import name_process

from .actions import Actions, split_keys
from .fullscreen import FullScreen
from .observer import Observer
from .painter import Painter
from .viewers import ASK_EVERY, Viewers

TICK = 1.0  # seconds between two drawings, for the clocks
DRAW_SHARE = 0.002  # of a core, for drawing those: a long list ticks more slowly
CALM = 0.2  # seconds between two looks at what a flood of events tells
USAGE_EVERY = 2.0  # seconds between two looks at the process table, at least
FIRST_USAGE = 1.0  # seconds from the first look at a job, which gives no rate yet, to the second
USAGE_SHARE = 0.002  # of a core, for those looks
MOST_ERRORS = 20  # in a row, after which a fresh start is better


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
        self.next_usage = 0.0
        self.next_draw = 0.0
        self.painter = Painter(self.manager, self.observer, self.actions)
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
            self.screen.use_mouse(self.viewers.mouse)
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
        usage = self.meter.look(runners) if runners else {}
        pause = max(USAGE_EVERY, self.meter.cost / USAGE_SHARE)
        if any(usage.cpu is None for usage in usage.values()):
            pause = FIRST_USAGE
        self.painter.histories.note(usage, pause)
        self.next_usage = now + pause

    def draw(self) -> None:
        columns, lines = self.screen.size()
        drawn = self.painter.frame(columns, lines)
        self.actions.drawn(drawn)
        self.screen.draw(drawn.lines, columns)


def run_board(config: BackgroundJobConfig, window: bool = False) -> int:
    """Show the board until the person quits; the exit status."""
    name_process("mcp-bg-board")
    if not (os.isatty(0) and os.isatty(1)):
        print("mcp-background-job: the board needs a terminal. Use `watch --plain` or `list`.", file=sys.stderr)
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
