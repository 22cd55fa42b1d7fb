"""From a log's bytes to what an agent reads: a page, head and tail, the last lines, matching lines.

Every function reads a bounded part of the log, except `grep`, which goes through it block by block.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from mcp_background_job.regexes.search import check_patterns, matching_lines
from mcp_background_job.store.log import SegmentGone

from .cuts import Cuts
from .drawing import Drawing
from .grep import Matches

DEFAULT_CHARS = 40_000
# What a wait answers unasked: all of it, or where it is more the ends: after a build of 50,000 lines an agent needs to
# know how it ended, and a search costs a hundredth of reading 40,000 characters.
WAIT_CHARS = 10_000
WAIT_ENDS = (300, 1_500)
MATCH_CHARS, MATCH_ENDS = 600, (100, 400)  # the same up to what a pattern has matched
MAX_BLOCK = 4 << 20  # bytes that are rendered at a time
LEAST_BLOCK = 32 << 10  # the same of what costs too much to be drawn at once
SCREEN_LINES = 60  # how far up a program can redraw: the window's height and some
PRINTED = re.compile(rb"[\n !-~]")  # what surely shows, where no sequence is near
LEAST_LOOK = 4 << 10  # bytes looked at first for whether they draw anything
FRAME_LOOKBACK = 16 << 10  # bytes; one piece of stderr and its marks are far smaller
GREP_BLOCK = 1 << 19  # bytes; with its text a pipe's whole buffer is not exceeded


@dataclass(frozen=True)
class Page:
    """Rendered output; `cursor` is the offset behind the last byte of it."""

    stdout: str
    stderr: str
    cursor: int
    truncated: bool = False
    dropped_bytes: int = 0

    @property
    def size(self) -> int:
        return len(self.stdout) + len(self.stderr)


def was_cut(page: Page) -> bool:
    """Whether the drawing of a page was given up, since its control sequences cost too much."""
    from mcp_background_job.output.emulator.render import was_cut as text_was_cut

    return text_was_cut(page.stdout) or text_was_cut(page.stderr)


class Reader(Drawing):
    """Reads one job's log as text, page by page."""

    @cached_property
    def cuts(self) -> Cuts:
        """Where its pages can end."""
        return Cuts(self.log, self.streams, self.separate, self.ended)

    def page(self, since: int, max_chars: int) -> Page:
        """What was printed from offset `since` on, at most `max_chars` characters of it."""
        start = self.log.next_kept(since)
        found = self.fill(start, max_chars)
        hole = self.log.next_kept(found.cursor) - found.cursor
        room = max_chars - found.size
        if hole and room > 0 and found.cursor > start:
            note = f"[{hole} bytes were not logged here]\n"
            rest = self.page(found.cursor, room)
            stdout, stderr = found.stdout + note + rest.stdout, found.stderr + rest.stderr
            return Page(stdout, stderr, rest.cursor, rest.truncated, start - since + rest.dropped_bytes)
        return replace(found, dropped_bytes=start - since)

    def fill(self, start: int, max_chars: int) -> Page:
        """The largest page from `start` on that has at most `max_chars` characters and no hole in it."""
        high = self.log.run_end(start, MAX_BLOCK) - start
        best, low, size = Page("", "", start), 0, max_chars
        while low < high:
            size = min(max(size, low + 1), high, MAX_BLOCK)
            page = self.cut(start, size)
            if best.cursor > start and was_cut(page):
                break
            if page.size > max_chars and size > 1:
                high = size - 1
                size = low + (size - low) * max_chars // page.size
                continue
            best, low = page, size
            if size >= min(high, MAX_BLOCK) or page.size > max_chars * 3 // 4:
                break
            size *= 3
        if best.cursor == start and self.log.end > start:
            best = self.smallest(start)
        return self.told(best)

    def told(self, page: Page) -> Page:
        """The page with `truncated` where there is more to read behind it; behind it go sequences that draw nothing."""
        from mcp_background_job.output.emulator.render import ALTERNATE_NOTE

        cursor, end, size = page.cursor, self.cuts.readable, LEAST_LOOK
        following_bytes = self.log.read(cursor, min(cursor + size, end))
        if b"\x1b" not in following_bytes and PRINTED.search(following_bytes):
            return replace(page, truncated=True)
        while cursor < end:
            size = min(size, end - cursor)
            following = self.cut(cursor, size) if self.log.run_end(cursor, size) >= cursor + size else page
            drawn = following.stdout.replace(ALTERNATE_NOTE + "\n", "") or following.stderr
            if drawn or (following.cursor == cursor and size == end - cursor) or cursor - page.cursor > MAX_BLOCK * 4:
                return replace(page, truncated=True)
            cursor = following.cursor
            size *= 4
        return replace(page, cursor=cursor)

    def cut(self, start: int, size: int) -> Page:
        """The page of at most `size` bytes from `start`, ended at a line's end where more comes."""
        data = self.log.read(start, start + size)
        length = (
            self.cuts.unbroken_lines(start, data) if start + size < self.log.end else self.cuts.unbroken(start, data)
        )
        out, err = self.text(start, data[:length])
        return Page(out, err, start + length)

    def smallest(self, start: int) -> Page:
        """A page that moves on though not one character fits; an empty one where the log ends in a sequence."""
        from mcp_background_job.output.emulator.render import STRING_LIMIT

        for size in (16, 256, FRAME_LOOKBACK, STRING_LIMIT + FRAME_LOOKBACK):
            page = self.cut(start, min(size, self.log.end - start))
            if page.cursor > start:
                return page
        return Page("", "", start)

    def whole(self, max_chars: int) -> Page:
        """All that is kept, as `between` shows it."""
        return self.between(0, max_chars)

    def between(self, since: int, max_chars: int, ends: tuple[int, int] | None = None) -> Page:
        """What was printed since `since`; if more than `max_chars`, its head and tail with a line between them.

        `ends`: the characters of the two, where they are to be fewer than `max_chars` together.
        """
        page = self.page(since, max_chars)
        if page.truncated and page.size < max_chars:
            # A page is filled to three quarters at least; what is left may fit into the rest.
            rest = self.page(page.cursor, max_chars - page.size)
            page = Page(
                page.stdout + rest.stdout, page.stderr + rest.stderr, rest.cursor, rest.truncated, page.dropped_bytes
            )
        if not page.truncated:
            return page
        head = self.page(since, ends[0] if ends else max(1, max_chars // 2))
        tail_start, tail = self.last(ends[1] if ends else max(1, max_chars - head.size), head.cursor)
        left_out = max(0, tail_start - head.cursor)
        what = "read them, or grep to search" if ends else "read them"
        note = f"[… {left_out} bytes left out: call output with since={head.cursor} to {what} …]\n"
        if head.stdout and not head.stdout.endswith("\n"):
            note = "\n" + note
        return Page(head.stdout + note + tail.stdout, head.stderr + tail.stderr, tail.cursor, True, head.dropped_bytes)

    def last(self, max_chars: int, after: int) -> tuple[int, Page]:
        """The end of the log, from `after` on, in at most `max_chars` characters, and where it begins."""
        size = max(max_chars, 1)
        while True:
            start = max(after, self.line_start(max(self.log.start, self.log.end - size)))
            page = self.to_end(start)
            if page.size <= max_chars or size <= 1:
                return start, page
            size = min(size - 1, size * max_chars // page.size)

    def safe_start(self, offset: int) -> int:
        """The last offset up to `offset` at which no character and no escape sequence is cut."""
        start = min(max(self.log.start, offset - FRAME_LOOKBACK), offset)
        return start + self.cuts.unbroken(start, self.log.read(start, offset))

    def line_start(self, offset: int) -> int:
        """The first offset from `offset` on at which a line begins; `offset` where most of what follows is one line."""
        if offset <= self.log.start:
            return self.log.start
        half = (self.log.end - offset) // 2
        found = self.log.read(offset - 1, offset + min(half, 64 << 10)).find(b"\n")
        return offset + found if found >= 0 else self.safe_start(offset)

    def to_end(self, start: int) -> Page:
        data = self.log.read(start, self.log.end)
        length = self.cuts.unbroken(start, data)
        out, err = self.text(start, data[:length])
        return Page(out, err, self.log.end - (len(data) - length))

    def tail_is_quick(self, lines: int) -> bool:
        """Whether the last lines are plain text, which is drawn in less time than a thread takes to begin."""
        start = max(self.log.start, self.log.end - tail_size(lines))
        data = self.log.read(start, self.log.end)
        return b"\x1b" not in data and (start == self.log.start or data.count(b"\n") > lines + SCREEN_LINES)

    def tail(self, lines: int) -> Page:
        """The last `lines` lines of each stream."""
        size = tail_size(lines)
        given_up = False
        while True:
            start = max(self.log.start, self.log.end - size)
            at_start = start == self.log.start
            enough = given_up or at_start or size >= MAX_BLOCK * 4
            if enough or self.log.read(start, self.log.end).count(b"\n") > lines + SCREEN_LINES:
                page = self.to_end(self.line_start(start))
                if was_cut(page) and size > LEAST_BLOCK:
                    size, given_up = max(size // 64, LEAST_BLOCK), True
                    continue
                if enough or page.stdout.count("\n") > lines:
                    return bounded(Page(last_lines(page.stdout, lines), last_lines(page.stderr, lines), page.cursor))
            size *= 4

    # -- search ---------------------------------------------------------------------------------------------

    def blocks(self, since: int) -> Iterator[tuple[str, str]]:
        """All that is kept from `since` on, as text, in blocks that end at a line's end."""
        position, size = since, GREP_BLOCK
        while True:
            try:
                position = self.log.next_kept(position)
                data = self.log.read(position, min(position + size, self.log.run_end(position, size)))
                if not data:
                    return
                length = self.cuts.unbroken_lines(position, data) or len(data)
                texts = self.text(position, data[:length])
            except SegmentGone:
                self.log.look()
                continue
            if size > LEAST_BLOCK and was_cut(Page(*texts, position)):
                size = LEAST_BLOCK
                continue
            yield texts
            position += length

    def lines_before(self, offset: int) -> int:
        """How many lines are kept before `offset`."""
        starts = range(self.log.start, min(offset, self.log.end), MAX_BLOCK)
        return sum(self.log.read(start, min(start + MAX_BLOCK, offset)).count(b"\n") for start in starts)

    def grep(self, pattern: str, context: int, max_chars: int, since: int = 0) -> Page:
        """The lines from `since` on that `pattern` matches, with `context` lines around each.

        They are numbered from the oldest kept one.

        Raises InvalidInput for a pattern that is none, or that takes too long on this output.
        """
        check_patterns([pattern])
        found = (Matches(context, max_chars), Matches(context, max_chars))
        found[0].line = self.lines_before(since)
        for texts, found_lines in matching_lines(pattern, self.blocks(since)):
            for matches, text, lines in zip(found, texts, found_lines, strict=True):
                matches.add_block(text, lines)
        out, err = found
        return Page(out.text(), err.text(), self.log.end, out.left_out + err.left_out > 0, self.log.start)


def tail_size(lines: int) -> int:
    """Bytes in which a log's last lines are looked for first."""
    return max(8 << 10, lines * 256)


def bounded(page: Page) -> Page:
    """A page of lines so long that even a few are too much, cut to its end."""
    if page.size <= DEFAULT_CHARS:
        return page
    keep = DEFAULT_CHARS // 2 if page.stdout and page.stderr else DEFAULT_CHARS
    note = "[… lines cut here: ask for fewer, or call output …]\n"
    parts = (note + text[-keep:] if len(text) > keep else text for text in (page.stdout, page.stderr))
    out, err = parts
    return replace(page, stdout=out, stderr=err, truncated=True)


def last_lines(text: str, count: int) -> str:
    """The last `count` lines of `text`."""
    position = len(text) - text.endswith("\n")
    for _ in range(count):
        position = text.rfind("\n", 0, position)
        if position < 0:
            return text
    return text[position + 1 :]
