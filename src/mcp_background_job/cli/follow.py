"""Showing what a job prints while it prints it.

Promises: each byte is shown once; on a terminal the unfinished last line, such as a progress bar, is drawn over until
it is whole; elsewhere only whole lines are written.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import TypeVar

from mcp_background_job.jobs.view import JobView
from mcp_background_job.output.dress import Dress
from mcp_background_job.output.pages import Reader
from mcp_background_job.store.inotify import FolderEvents
from mcp_background_job.store.log import Log, looking_again
from mcp_background_job.store.models import EndedJob, Job
from mcp_background_job.text import clip, direction_shown
from mcp_background_job.ui.console import note, print_page
from mcp_background_job.ui.looks import Show
from mcp_background_job.ui.units import size

T = TypeVar("T")

BLOCK = 1 << 20  # bytes shown at a time
LONGEST_LINE = 64 << 10  # bytes of an unfinished line that are drawn again and again
LOOK_AGAIN = 1.0  # seconds; a killed runner changes no file
DRAW_PAUSE = 0.03  # seconds between two looks at a job that floods


class Follower:
    """Shows what one job prints from `cursor` on."""

    def __init__(self, view: JobView, job: Job, cursor: int = 0, dress: Dress | None = None) -> None:
        self.view = view
        self.job = job
        self.dress = dress
        self.show = Show(job, dress)
        self.cursor = cursor  # behind the last byte that is shown for good
        self.drawn = False  # whether a part of a line stands on the screen
        self.live = sys.stdout.isatty() and not job.spec.separate_stderr

    @looking_again
    def show_new(self, ended: bool) -> None:
        """What has come since; all of it where the job has ended."""
        reader = self.view.reader(self.job, self.dress)
        kept = reader.log.next_kept(self.cursor)
        if kept > self.cursor:
            self.erase()
            note(f"{size(kept - self.cursor)} of output are no longer kept")
            self.cursor = kept
        while self.cursor < reader.log.end:
            data = reader.log.read(self.cursor, self.cursor + BLOCK)
            whole = self.whole(reader, data)
            if whole:
                self.erase()
                out, err = reader.text(self.cursor, data[:whole])
                if self.dress is None:
                    print_page({"stdout": out, "stderr": err})
                else:
                    print(self.show.text(out), end="", flush=True)
                self.cursor += whole
                continue
            if self.live:
                plain = self.view.reader(self.job)
                self.draw(plain.text(self.cursor, data[: plain.cuts.unbroken(self.cursor, data)])[0])
            break
        if ended and self.drawn:
            print()

    def whole(self, reader: Reader, data: bytes) -> int:
        """How many bytes of `data` can be shown for good."""
        length = reader.cuts.unbroken(self.cursor, data)
        all_of_it = reader.ended and self.cursor + length >= reader.log.end
        if all_of_it or self.job.spec.separate_stderr or length >= LONGEST_LINE:
            return length
        lines = reader.cuts.unbroken_lines(self.cursor, data)
        return lines if data[:lines].endswith(b"\n") else 0

    def draw(self, text: str) -> None:
        """The unfinished line, over what stood there; cut to one row, or it could not be drawn over."""
        row = direction_shown(text.rpartition("\n")[2])
        sys.stdout.write("\r\x1b[K" + clip(row.expandtabs(), shutil.get_terminal_size().columns - 1).rstrip())
        sys.stdout.flush()
        self.drawn = True

    def erase(self) -> None:
        if self.drawn:
            sys.stdout.write("\r\x1b[K")
            self.drawn = False


def run_to_end(work: Callable[[], Coroutine[object, object, T]]) -> T:
    """As asyncio.run, but quiet when Ctrl-C comes while the event loop is being made."""

    async def inside() -> T:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        return await work()

    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    return asyncio.run(inside())


async def follow(follower: Follower) -> EndedJob:
    """Show what comes until the job has ended."""
    job_id = follower.job.spec.job_id
    folder = follower.view.folder(job_id)
    told = False
    with FolderEvents([folder, folder / "log"]) as events:
        while True:
            job = follower.view.job(job_id)
            follower.job = job
            follower.show_new(isinstance(job, EndedJob))
            if isinstance(job, EndedJob):
                return job
            if await stays_quiet(events) and not told and sys.stderr.isatty() and follower.view.awaiting(job):
                told = True
                follower.erase()
                note(f"it waits for input: mcp-background-job attach {job_id}")
            await asyncio.sleep(DRAW_PAUSE)


async def stays_quiet(events: FolderEvents) -> bool:
    """Wait for the job's files to change; whether a second has passed instead."""
    begun = asyncio.get_running_loop().time()
    await events.wait(LOOK_AGAIN)
    return asyncio.get_running_loop().time() - begun >= LOOK_AGAIN


def line_begins(log: Log, offset: int) -> int:
    """Where the line that `offset` is in begins."""
    data = log.read(max(log.start, offset - LONGEST_LINE), offset)
    return offset - len(data) + data.rfind(b"\n") + 1
