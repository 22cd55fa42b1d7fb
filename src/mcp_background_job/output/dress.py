"""Output with its colours and the times of its lines, for a person.

They ride through the emulator on the characters they belong to, as marks of no width, and so go wherever those go:
characters of a private use area that terminals show nothing of, and that are taken out of what a job prints.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence

from mcp_background_job.store.sizes import Size
from mcp_background_job.store.timing import Timing

from .emulator.parser import SINGLE
from .emulator.render import split_point, strip_strings
from .emulator.row import WIDTHS

FIRST_STYLE, STYLES = 0x10F000, 0xF00
FIRST_TIME, TIMES = 0x100000, 0xF000
_STYLE = f"[{chr(FIRST_STYLE)}-{chr(FIRST_STYLE + STYLES - 1)}]"
_TIME = f"[{chr(FIRST_TIME)}-{chr(FIRST_TIME + TIMES - 1)}]"
_MARKS = re.compile(f"{_STYLE}|{_TIME}")
_SHOWN = re.compile(f"([^{_STYLE[1:-1]}{_TIME[1:-1]}]+)({_STYLE}?)")
_TOKEN = re.compile(f"{SINGLE.pattern}|\n|[^\0-\x1f\x7f]+")
_COLOUR = re.compile("\x1b\\[([0-9;:]*)m")
# A character with what is drawn into the same cell.
_CLUSTER = re.compile("[^\u200d](?:\u200d.|[\u0300-\u036f\u20d0-\u20ff\ufe00-\ufe0f\U0001f3fb-\U0001f3ff])*")
_OFF = {22: (1, 2), 23: (3,), 24: (4,), 25: (5,), 27: (7,), 28: (8,), 29: (9,)}


class Style:
    """What SGR sequences (ECMA-48) have made of the colours so far."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.attributes: set[int] = set()
        self.foreground = self.background = ""

    def obey(self, parameters: str) -> None:
        """Take the parameters of one sequence."""
        codes: list[int] = []
        for value in parameters.split(";"):
            head, *parts = value.split(":")
            if head in ("38", "48", "58") and parts:  # with colons: a colour space may stand before red
                parts = [parts[0], *parts[2 if parts[0] == "2" and len(parts) > 4 else 1 :]]
                codes += [as_number(part) for part in (head, *parts)]
            else:
                codes.append(as_number(head))  # 4:3 is an underline, too
        rest = iter(codes)
        for code in rest:
            if code == 0:
                self.reset()
            elif code in (38, 48, 58):
                colour = _extended(code, rest)
                if code != 58:  # of an underline, which few terminals show
                    self._set(code, colour)
            elif 30 <= code <= 37 or 90 <= code <= 97 or code == 39:
                self._set(38, "" if code == 39 else str(code))
            elif 40 <= code <= 47 or 100 <= code <= 107 or code == 49:
                self._set(48, "" if code == 49 else str(code))
            elif code in _OFF:
                self.attributes -= set(_OFF[code])
            elif code < 10:
                self.attributes.add(code)

    def _set(self, which: int, colour: str) -> None:
        if which == 38:
            self.foreground = colour
        else:
            self.background = colour

    def __str__(self) -> str:
        """The parameters that make it; empty for none."""
        codes = [*map(str, sorted(self.attributes)), self.foreground, self.background]
        return ";".join(filter(None, codes))


def as_number(text: str) -> int:
    return int(text) if text.isdigit() else 0


def _extended(code: int, rest: Iterator[int]) -> str:
    kind = next(rest, 0)
    count = {5: 1, 2: 3}.get(kind, 0)
    values = [min(next(rest, 0), 255) for _ in range(count)]
    return ";".join(map(str, (code, kind, *values))) if count else ""


class Dress:
    """Dresses bytes in marks before they are drawn, and text in colours and times after it."""

    def __init__(self, colours: bool, timing: Callable[[], Timing] | None = None) -> None:
        self.colours = colours
        self.timing = timing  # a look at the job's, where times are wanted
        self.style = Style()
        self.end = -1  # behind what was dressed last, whose style goes on there
        self.line_begins = True
        self._styles: dict[str, int] = {}
        self._times: list[int] = []  # of what was dressed last

    # -- before it is drawn ---------------------------------------------------------------------------------

    def dressed(self, start: int, data: bytes, sizes: Sequence[Size]) -> tuple[bytes, list[Size]]:
        """`data`, which begins at offset `start`, with marks, and the places of `sizes` in it."""
        if start != self.end:
            self.style, self.line_begins = Style(), True
        self.end = start + len(data)
        self._times.clear()
        parts: list[bytes] = []
        moved: list[Size] = []
        edges = [0, *(size.offset for size in sizes), len(data)]
        for number, (begins, ends) in enumerate(itertools.pairwise(edges)):
            parts.append(b"".join(self._segment(start + begins, data[begins:ends])))
            if number < len(sizes):
                moved.append(sizes[number]._replace(offset=sum(map(len, parts))))
        return b"".join(parts), moved

    def _segment(self, start: int, data: bytes) -> Iterator[bytes]:
        pieces = self.timing().pieces(start, start + len(data)) if self.timing else ()
        rest, time = b"", 0
        for piece in pieces:
            rest += data[piece.start - start : piece.stop - start]
            whole = split_point(rest)
            yield self._marked(rest[:whole], piece.time)
            rest, time = rest[whole:], piece.time
        yield self._marked(rest if self.timing else data, time)

    def _marked(self, data: bytes, time: int) -> bytes:
        text = strip_strings(data).decode(errors="surrogateescape")
        return _TOKEN.sub(lambda token: self._token(token[0], time), text).encode(errors="surrogateescape")

    def _token(self, token: str, time: int) -> str:
        if token in ("\n", "\r"):
            self.line_begins = True
            return token
        if token < " ":
            if (colour := _COLOUR.fullmatch(token)) is not None:
                self.style.obey(colour[1])
            return token
        token = _MARKS.sub("", token)
        mark = self._style_mark(str(self.style)) if self.colours else ""
        if mark:
            token = mark.join(token) + mark if token.isascii() else _CLUSTER.sub(lambda one: one[0] + mark, token)
        if self.line_begins and self.timing and token:
            self.line_begins = False
            token = token[0] + self._time_mark(time) + token[1:]
        return token

    def _style_mark(self, style: str) -> str:
        """The character that stands for a style; none for no style, nor for more of them than there are."""
        if not style or (style not in self._styles and len(self._styles) == STYLES):
            return ""
        mark = chr(FIRST_STYLE + self._styles.setdefault(style, len(self._styles)))
        WIDTHS[mark] = 0
        return mark

    def _time_mark(self, time: int) -> str:
        if not self._times or self._times[-1] != time:
            if len(self._times) == TIMES:
                return ""
            self._times.append(time)
        mark = chr(FIRST_TIME + len(self._times) - 1)
        WIDTHS[mark] = 0
        return mark

    # -- after it -------------------------------------------------------------------------------------------

    def plain(self, text: str) -> str:
        """Text without marks."""
        return _MARKS.sub("", text)

    def shown(self, text: str, clean: Callable[[str], str], stamp: Callable[[int], str]) -> str:
        """Text for a terminal, with SGR sequences and each line's `stamp` before it, and `clean` done to the rest."""
        *lines, last = text.split("\n")
        shown = [self._line(line, clean, stamp) for line in lines]
        return "\n".join([*shown, self._line(last, clean, stamp) if last else ""])

    def _line(self, line: str, clean: Callable[[str], str], stamp: Callable[[int], str]) -> str:
        out: list[str] = []
        if self.timing:
            found = re.search(_TIME, line)
            out.append(stamp(self._times[ord(found[0]) - FIRST_TIME] if found else -1))
            line = re.sub(_TIME, "", line)
        style = run = ""
        styles = list(self._styles)
        for characters, mark in _SHOWN.findall(line):
            # All but the last have no style of their own.
            own = styles[ord(mark) - FIRST_STYLE] if mark else ""
            last = [one.start() for one in _CLUSTER.finditer(characters)][-1:] or [0]
            for part, its in ((characters[: last[0]], ""), (characters[last[0] :], own)):
                if part and its != style:
                    out.append(coloured(clean(run), style))
                    style, run = its, ""
                run += part
        out.append(coloured(clean(run), style))
        return "".join(out)


def coloured(text: str, style: str) -> str:
    return f"\x1b[{style}m{text}\x1b[m" if style and text else text
