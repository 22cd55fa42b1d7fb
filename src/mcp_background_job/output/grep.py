"""The lines that a search found, as an agent reads them: numbered, with context, as many as there is room for."""

from __future__ import annotations

from collections import deque

from mcp_background_job.regexes.search import FoundLines


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

    def add_block(self, text: str, found: FoundLines) -> None:
        """Whole lines of the output, and which of them match."""
        position, first = 0, self.line
        for start, end, before in found.spans():
            self.skip(text, position, start, first + before - self.line)
            self.add(text[start:end], True)
            position = end + 1
        self.skip(text, position, len(text), first + found.count - self.line)

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

    def skip(self, text: str, start: int, stop: int, count: int) -> None:
        """The whole lines of `text` from `start` to `stop`, `count` of them, none of which matches."""
        while self.after and start < stop:
            end = text.find("\n", start, stop)
            end = stop if end < 0 else end
            self.add(text[start:end], False)
            start = end + 1
            count -= 1
        if self.context and count:
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
