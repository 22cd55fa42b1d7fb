"""Looking for a pattern in what a job prints: piece by piece as it comes, without what was typed into it.

Promises: the echo of an input is no match; a line that comes in pieces is searched whole; searches run in threads, so
that one that takes long delays no other call.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import SequenceMatcher
from functools import cache, partial
from typing import TypeVar

import anyio
import anyio.to_thread

from mcp_background_job.errors import JobError
from mcp_background_job.output.drawing import ALTERNATE_LOOKBACK
from mcp_background_job.output.pages import Reader
from mcp_background_job.regexes.search import check_patterns, first_line
from mcp_background_job.store.inotify import FolderEvents
from mcp_background_job.store.log import HeldLog, looking_again
from mcp_background_job.store.models import RunningJob

from .inputs import holds, without_echo
from .view import JobView

Result = TypeVar("Result")

AT_ONCE = 8  # searches with a pattern, each with a process of up to 256 MB
SEARCH_BLOCK = 128 << 10  # bytes that are searched at a time
MATCH_CHARS = 500  # of a line that matched and is not in what is shown
HOLD_AT_LEAST, HOLD_AT_MOST = 1.0, 0.005  # seconds between two looks at what a flood has brought
AT_A_TIME = 0.5  # seconds of search, between which a wait may end
OVERLAP = 64 << 10  # bytes of an unfinished line that are searched again with what follows


class OutputSearch:
    """One pattern, looked for in what one job prints from `start` on."""

    log: HeldLog  # while searching

    def __init__(self, view: JobView, job_id: str, pattern: str, start: int) -> None:
        self.view = view
        self.job_id = job_id
        self.pattern = pattern
        self.match = ""  # the line that the pattern matched
        self.matched_until = 0  # offset behind that line, as far as it is found as it was printed
        self.unsearched = 0  # bytes that were gone before they could be searched
        self.restart(start)

    def restart(self, start: int) -> None:
        """Search what comes from `start` on."""
        self.start = self.scanned = start  # output up to `scanned` has been searched
        self.to_echo: dict[int, list[str]] = {}  # lines of each input, by its offset, whose echo has not been seen

    @contextmanager
    def searching(self) -> Iterator[None]:
        """While it is searched, what the job prints is kept until it has been, though the log's limit drops it."""
        self.log = HeldLog(self.view.folder(self.job_id) / "log", self.scanned)
        task = asyncio.get_running_loop().create_task(self._hold(self.log))
        try:
            yield
        finally:
            task.cancel()
            self.log.close()

    async def _hold(self, log: HeldLog) -> None:
        with FolderEvents([log.folder]) as events:
            while True:
                log.hold()
                await events.wait(HOLD_AT_LEAST)
                await asyncio.sleep(HOLD_AT_MOST)

    def is_behind(self) -> bool:
        """Whether there is more to search, as far as was seen."""
        return self.scanned < self.log.end - OVERLAP

    async def matches(self, end: int) -> bool:
        """Whether the pattern is in the output up to `end` that has not been searched yet, in the next AT_A_TIME of it.

        Raises InvalidInput where the pattern takes too long.
        """
        if self.scanned == end:
            return False
        return await in_search_thread(self._search)

    @looking_again
    def _search(self) -> bool:
        log = self.log
        log.look()
        reader = self.view.reader(self.view.job(self.job_id), log=log)
        until = time.monotonic() + AT_A_TIME
        while self.scanned < log.end and time.monotonic() < until:
            kept = log.next_kept(self.scanned)
            self.unsearched += kept - self.scanned
            self.scanned = kept
            stop = min(self.scanned + SEARCH_BLOCK, log.run_end(self.scanned, SEARCH_BLOCK), log.end)
            found = first_line(self.pattern, self._without_echo(reader, stop))
            if found is not None:
                self.match = found[:MATCH_CHARS]
                block = log.read(self.scanned, stop)
                line_end = block.find(b"\n", block.find(found.encode()))
                self.matched_until = self.scanned + line_end + 1 if line_end >= 0 else stop
                return True
            last = log.read(self.scanned, stop).rfind(b"\n")
            # An unfinished line is searched again when more of it has come, with the newline before it.
            after = self.scanned + max(last, 0)
            self.scanned = max(after, stop - OVERLAP)
            if stop == log.end:
                break
            # A flood may come faster than it is searched.
            log.let_go(self.scanned - ALTERNATE_LOOKBACK)
            log.look()
        return False

    def _without_echo(self, reader: Reader, stop: int) -> str:
        """The output from `scanned` to `stop` as text, less what agents typed."""
        typed = self.view.inputs.since(self.job_id, self.view.folder(self.job_id), self.start)
        sent = [item for item in typed if item.offset < stop]
        out: list[str] = []
        position = self.scanned
        for index, item in enumerate(sent):
            cut = max(item.offset, self.scanned)
            out.append("".join(reader.text(position, reader.log.read(position, cut))))
            following = sent[index + 1].offset if index + 1 < len(sent) else stop
            text = "".join(reader.text(cut, reader.log.read(cut, max(cut, following))))
            lines = self.to_echo.setdefault(item.offset, [line for line in item.text.split("\n") if line])
            shown, ends = without_echo(text, lines, cut == item.offset)
            # An unfinished line is looked at again, with its echo.
            done = len(text) if following < stop else text.rfind("\n")
            del lines[: sum(end <= done + 1 for end in ends)]
            if not ends and cut == item.offset and done >= 0:
                lines.clear()
            out.append(shown)
            position = max(cut, following)
        out.append("".join(reader.text(position, reader.log.read(position, stop))))
        return "".join(out)


class ScreenSearch:
    """Patterns, looked for in what full-screen programs show; `screen` gives what a person sees of a job."""

    def __init__(self, view: JobView, screen: Callable[[RunningJob], str] | None) -> None:
        self.view = view
        self.screen = screen

    async def lines(self, job: RunningJob) -> list[str]:
        """The lines of a full-screen program; none where the job's output has the screen."""
        if self.screen is None or not self.view.modes(job).full_screen:
            return []
        try:
            return (await anyio.to_thread.run_sync(self.screen, job)).split("\n")
        except JobError:
            return []

    async def find(self, pattern: str, job: RunningJob, start: int, before: list[str]) -> str | None:
        """The first line that matches, is new on the screen, and does not echo what was typed since offset `start`."""
        now = await self.lines(job)
        steps = SequenceMatcher(None, before, now, autojunk=False).get_opcodes()
        lines = [line for step, _, _, first, stop in steps if step != "equal" for line in now[first:stop]]
        if not lines:
            return None
        job_id = job.spec.job_id
        typed = self.view.inputs.since(job_id, self.view.folder(job_id), start)
        echoes = [part for sent in typed for part in sent.text.split("\n") if part]
        text = "\n".join(line for line in lines if not any(holds(line, echo) for echo in echoes))
        return await in_search_thread(partial(first_line, pattern, text))


async def check_pattern(pattern: str) -> None:
    """Raises InvalidInput for a pattern that is given and not a regular expression."""
    if pattern:
        await in_search_thread(partial(check_patterns, [pattern]))


async def in_search_thread(search: Callable[[], Result]) -> Result:
    """Run what searches with a pattern: beside all other calls, and AT_ONCE at a time."""
    return await anyio.to_thread.run_sync(search, limiter=searches_of(asyncio.get_running_loop()))


@cache
def searches_of(loop: asyncio.AbstractEventLoop) -> anyio.CapacityLimiter:
    """How many searches may run at once on this event loop."""
    return anyio.CapacityLimiter(AT_ONCE)
