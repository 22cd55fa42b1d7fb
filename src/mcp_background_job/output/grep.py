"""Regular expressions over a job's output: fast on large logs, stopped when they run away.

Promises: a line is found exactly if the pattern matches within it; no pattern holds up the server's other calls or
runs for longer than SEARCH_SECONDS.
"""

from __future__ import annotations

import re
import time
from collections import deque
from typing import TYPE_CHECKING

from mcp_background_job.errors import InvalidInput

if TYPE_CHECKING:
    import regex

SEARCH_SECONDS = 10.0  # for all of one search
MATCH_SECONDS = 1.0  # for one piece of text: what takes longer is a pattern that runs away
# Patterns that may match a line but not the block it is in: they look around or at the text's ends, or never give back.
LINE_ONLY = re.compile(r"\(\?(?!:|i\))|\\[AZzGKRX]|[*+?}]\+")


def compile_pattern(pattern: str) -> regex.Pattern[str]:
    """A Python regular expression, in the engine that can be stopped.

    Raises InvalidInput.
    """
    import regex

    try:
        return regex.compile(pattern)
    except (regex.error, RecursionError, OverflowError) as error:
        raise InvalidInput(f"{pattern[:80]!r} is not a regular expression: {error}", "Give a Python regex") from None


def line_matched(pattern: regex.Pattern[str], text: str) -> str | None:
    """The line, or lines, of `text` in which `pattern` matches first; other threads run meanwhile.

    Raises InvalidInput where it takes too long.
    """
    try:
        found = pattern.search(text, timeout=MATCH_SECONDS, concurrent=True)
    except TimeoutError:
        raise runs_away() from None
    if found is None:
        return None
    end = text.find("\n", found.end())
    return text[text.rfind("\n", 0, found.start()) + 1 : end if end >= 0 else len(text)]


def runs_away() -> InvalidInput:
    return InvalidInput("The pattern takes too long on this output", "Use one without nested repeats such as (a+)+")


class LineSearch:
    """Finds the lines that a pattern matches, block by block."""

    def __init__(self, pattern: str) -> None:
        self.line = compile_pattern(pattern)
        # Over a whole block at once, which is ten times as fast; what it finds is looked at line by line.
        self.block: regex.Pattern[str] | None = None
        if not LINE_ONLY.search(pattern):
            import regex

            self.block = regex.compile(pattern, regex.MULTILINE)
        self.deadline = time.monotonic() + SEARCH_SECONDS

    def feed(self, text: str, matches: Matches) -> None:
        """Look through a block of whole lines.

        Raises InvalidInput where the pattern runs away.
        """
        position = 0
        while position < len(text):
            start, stop = self.candidates(text, position)
            matches.skip(text, position, start)
            if start < stop:
                for line in text[start : stop - (text[stop - 1] == "\n")].split("\n"):
                    matches.add(line, self.hit(line))
            position = stop

    def candidates(self, text: str, position: int) -> tuple[int, int]:
        """The next lines, from `position` on, that may match: where they begin and end."""
        if self.block is None:
            return position, len(text)
        try:
            found = self.block.search(text, position, timeout=self.budget(), concurrent=True)
        except TimeoutError:
            self.block = None  # too slow over many lines; it may not be over one
            return position, len(text)
        if found is None:
            return len(text), len(text)
        first, last = found.span()
        start = text.rfind("\n", position, first) + 1 or position
        end = text.find("\n", last - (last > first))
        return start, len(text) if end < 0 else end + 1

    def hit(self, line: str) -> bool:
        try:
            return self.line.search(line, timeout=self.budget(), concurrent=len(line) > 1000) is not None
        except TimeoutError:
            raise runs_away() from None

    def budget(self) -> float:
        """Seconds that the next look may take.

        Raises InvalidInput where none are left.
        """
        left = min(MATCH_SECONDS, self.deadline - time.monotonic())
        if left <= 0:
            raise runs_away()
        return left


class Matches:
    """Collects matching lines with their context, as grep -n -C shows them."""

    def __init__(self, context: int, max_chars: int) -> None:
        self.context = context
        self.room = max_chars
        self.shown: list[str] = []
        self.before: deque[str] = deque(maxlen=context)
        self.line = 0
        self.last_shown = 0
        self.after = 0
        self.left_out = 0

    def add(self, text: str, match: bool) -> None:
        """The next line of the output."""
        self.line += 1
        if match:
            first = self.line - len(self.before)
            if self.context and self.last_shown and first > self.last_shown + 1:
                self.add_line("--")
            for number, line in enumerate(self.before, first):
                self.add_line(f"{number}-{line}")
            self.before.clear()
            self.add_line(f"{self.line}:{text}", counts=True)
            self.last_shown = self.line
            self.after = self.context
        elif self.after:
            self.add_line(f"{self.line}-{text}")
            self.last_shown = self.line
            self.after -= 1
        else:
            self.before.append(text)

    def skip(self, text: str, start: int, stop: int) -> None:
        """The whole lines of `text` from `start` to `stop`, none of which matches."""
        while self.after and start < stop:
            end = text.find("\n", start, stop)
            end = stop if end < 0 else end
            self.add(text[start:end], False)
            start = end + 1
        if start >= stop:
            return
        count = text.count("\n", start, stop) + (text[stop - 1] != "\n")
        if self.context:
            first = stop - (text[stop - 1] == "\n")
            for _ in range(min(self.context, count)):
                first = text.rfind("\n", start, first)
                if first < 0:
                    break
            lines = text[max(start, first + 1) : stop].split("\n")
            self.before.extend(lines[:-1] if lines[-1] == "" else lines)
        self.line += count

    def add_line(self, line: str, counts: bool = False) -> None:
        if self.room < len(line) + 1:
            self.room = 0
            self.left_out += counts
            return
        self.room -= len(line) + 1
        self.shown.append(line)

    def text(self) -> str:
        """All of it, with a last line that says how much there was no room for."""
        lines = list(self.shown)
        if self.left_out:
            lines.append(f"[… {self.left_out} more matching lines: narrow the pattern or raise max_chars …]")
        return "".join(line + "\n" for line in lines)
