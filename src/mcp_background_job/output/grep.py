"""The lines that a search found, as an agent reads them: numbered, with context, as many as there is room for."""

from __future__ import annotations

from collections import deque

from mcp_background_job.regexes.search import FoundLines

WIDEST, MOST_NARROW = 800, 80  # characters that are shown of one line, by how many there is room for


class Matches:
    """Collects matching lines with their context, as grep -n -C shows them; beyond the room the first and the last."""

    def __init__(self, context: int, max_chars: int) -> None:
        self.context = context
        self.room = max_chars
        self.room_of_last = max_chars // 2
        self.widest = min(WIDEST, max(MOST_NARROW, max_chars // 4))
        self.shown: list[str] = []
        # What has come since there was no room for all: a match with the lines before it, or a line behind one.
        self.last: deque[tuple[str, bool]] = deque()
        self.last_size = 0
        self.gap = False  # no room among the first any more
        self.before: deque[str] = deque(maxlen=context)
        self.line = 0
        self.last_shown = 0
        self.after = 0
        self.count = 0  # matching lines
        self.left_out = 0  # of them

    def add_block(self, text: str, found: FoundLines) -> None:
        """Whole lines of the output, and which of them match."""
        position, first = 0, self.line
        for start, end, match, before in found.spans():
            self.skip(text, position, start, first + before - self.line)
            self.add(text[start:end], match)
            position = end + 1
        self.skip(text, position, len(text), first + found.count - self.line)

    def add(self, text: str, match: int = -1) -> None:
        """The next line of the output, and where a match begins in it."""
        self.line += 1
        if match >= 0:
            self.count += 1
            first = self.line - len(self.before)
            lines = ["--"] if self.context and self.last_shown and first > self.last_shown + 1 else []
            lines += [f"{number}-{around(line, 0, self.widest)}" for number, line in enumerate(self.before, first)]
            self.before.clear()
            lines.append(f"{self.line}:{around(text, match, self.widest)}")
            self.add_line("\n".join(lines), counts=True)
            self.last_shown = self.line
            self.after = self.context
        elif self.after:
            self.add_line(f"{self.line}-{around(text, 0, self.widest)}")
            self.last_shown = self.line
            self.after -= 1
        else:
            self.before.append(text)

    def skip(self, text: str, start: int, stop: int, count: int) -> None:
        """The whole lines of `text` from `start` to `stop`, `count` of them, none of which matches."""
        while self.after and start < stop:
            end = text.find("\n", start, stop)
            end = stop if end < 0 else end
            self.add(text[start:end])
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
        """Half of the room is the first lines', the other the last ones'; what is behind a match goes with it."""
        size = len(line) + 1
        if not self.gap and self.room - size >= self.room_of_last:
            self.room -= size
            self.shown.append(line)
            return
        self.gap = True
        if not counts and not self.last:
            return  # its match is not shown
        self.last.append((line, counts))
        self.last_size += size
        while self.last_size > self.room:
            gone, counted = self.last.popleft()
            self.last_size -= len(gone) + 1
            self.left_out += counted
            while self.last and not self.last[0][1]:
                self.last_size -= len(self.last.popleft()[0]) + 1

    def text(self) -> str:
        """All of it, with a line between the first and the last where there was no room for what is between."""
        lines = [*self.shown, *(line for line, _ in self.last)]
        if self.left_out:
            left_out = f"{self.left_out} of {self.count} matching lines left out"
            lines.insert(len(self.shown), f"[… {left_out}: narrow the pattern or raise max_chars …]")
        return "".join(line + "\n" for line in lines)


def around(line: str, match: int, widest: int) -> str:
    """A line, or what is around its match where it is longer than `widest` characters: a third of them before it."""
    if len(line) <= widest:
        return line
    start = max(0, min(match - widest // 3, len(line) - widest))
    return ("…" if start else "") + line[start : start + widest] + ("…" if start + widest < len(line) else "")
