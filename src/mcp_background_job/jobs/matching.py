"""Looking for a pattern in what a job prints: piece by piece as it comes, without what was typed into it.

Promises: the echo of an input is no match; a line that comes in pieces is searched whole; searches run in threads, so
that one that takes long delays no other call.
"""

from __future__ import annotations

import asyncio
from functools import cache
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from mcp_background_job.output.grep import compile_pattern, line_matched
from mcp_background_job.output.pages import Reader
from mcp_background_job.store.log import looking_again
from mcp_background_job.store.transcript import sent_since

from .view import JobView

if TYPE_CHECKING:
    import regex

AT_ONCE = 4  # searches for a pattern; more would keep other calls from the processor
SEARCH_BLOCK = 256 << 10  # bytes that are searched at a time
MATCH_CHARS = 500  # of a line that matched and is not in what is shown
OVERLAP = 64 << 10  # bytes of an unfinished line that are searched again with what follows


class OutputSearch:
    """One pattern, looked for in what one job prints from `start` on.

    Raises InvalidInput for a pattern that is not a regular expression.
    """

    def __init__(self, view: JobView, job_id: str, pattern: str, start: int) -> None:
        self.view = view
        self.job_id = job_id
        self.pattern: regex.Pattern[str] = compile_pattern(pattern)
        self.match = ""  # the line that the pattern matched
        self.restart(start)

    def restart(self, start: int) -> None:
        """Search what comes from `start` on."""
        self.start = self.scanned = start  # output up to `scanned` has been searched

    async def matches(self, end: int) -> bool:
        """Whether the pattern is in the output up to `end` that has not been searched yet.

        Raises InvalidInput where the pattern takes too long.
        """
        if self.scanned == end:
            return False
        return await anyio.to_thread.run_sync(self._search, limiter=searches_of(asyncio.get_running_loop()))

    @looking_again
    def _search(self) -> bool:
        reader = self.view.reader(self.view.job(self.job_id))
        while self.scanned < reader.log.end:
            stop = min(self.scanned + SEARCH_BLOCK, reader.log.end)
            found = line_matched(self.pattern, self._without_echo(reader, stop))
            if found is not None:
                self.match = found[:MATCH_CHARS]
                return True
            last = reader.log.read(self.scanned, stop).rfind(b"\n")
            # An unfinished line is searched again when more of it has come, with the newline before it.
            after = self.scanned + max(last, 0)
            self.scanned = max(after, stop - OVERLAP)
            if stop == reader.log.end:
                break
        return False

    def _without_echo(self, reader: Reader, stop: int) -> str:
        """The output from `scanned` to `stop` as text, less what agents typed."""
        sent = [item for item in sent_since(self.view.folder(self.job_id), self.start) if item.offset < stop]
        out: list[str] = []
        position = self.scanned
        for index, item in enumerate(sent):
            cut = max(item.offset, self.scanned)
            out.append("".join(reader.text(position, reader.log.read(position, cut))))
            following = sent[index + 1].offset if index + 1 < len(sent) else stop
            text = "".join(reader.text(cut, reader.log.read(cut, max(cut, following))))
            for line in filter(None, item.text.split("\n")):
                text = text.replace(line, "", 1)
            out.append(text)
            position = max(cut, following)
        out.append("".join(reader.text(position, reader.log.read(position, stop))))
        return "".join(out)


@cache
def searches_of(loop: asyncio.AbstractEventLoop) -> anyio.CapacityLimiter:
    """How many searches may run at once on this event loop."""
    return anyio.CapacityLimiter(AT_ONCE)
