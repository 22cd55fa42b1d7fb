"""Output as a person asked for it: with colours, the times of its lines, as a page of HTML.

Promises: colours go to a terminal that has not NO_COLOR, or where they were asked for; nothing else that a terminal
obeys gets through.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import time
from collections.abc import Iterator

from mcp_background_job.jobs.view import JobView
from mcp_background_job.output.dress import Dress
from mcp_background_job.output.pages import Reader
from mcp_background_job.store.models import Job
from mcp_background_job.text import direction_shown, one_line

BLOCK = 1 << 20  # bytes drawn at a time
NO_TIME = " " * 23  # of a line that nobody knows the time of
FOUND = "1;31"  # SGR: a match, as grep shows it


def colours_wanted(color: str) -> bool:
    """Whether `--color` asks for colours: auto, always or never; NO_COLOR (no-color.org) is heeded by auto."""
    return color == "always" or (color == "auto" and sys.stdout.isatty() and not os.environ.get("NO_COLOR"))


def dress_for(view: JobView, job: Job, options: argparse.Namespace) -> Dress | None:
    """What output is to keep; None for text alone. Streams that are kept apart have none."""
    colours = colours_wanted(options.color) or bool(getattr(options, "html", None))
    times = getattr(options, "timestamps", False)
    if job.spec.separate_stderr or not (colours or times):
        return None
    return Dress(colours, (lambda: view.timing(job)) if times else None)


class Show:
    """Turns a job's text, drawn with a dress or without, into what goes to standard output."""

    def __init__(self, job: Job, dress: Dress | None) -> None:
        self.job = job
        self.dress = dress

    def text(self, text: str) -> str:
        clean = direction_shown if sys.stdout.isatty() else str
        return clean(text) if self.dress is None else self.dress.shown(text, clean, self.stamp)

    def stamp(self, at: int) -> str:
        """The local time of a line, from milliseconds of the monotonic clock, and a blank."""
        if at <= 0 or self.job.spec.started_monotonic is None:
            return NO_TIME + " "
        seconds = self.job.spec.started + at / 1000 - self.job.spec.started_monotonic
        return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(seconds))}.{int(seconds % 1 * 1000):03d} "


def texts(reader: Reader, since: int) -> Iterator[str]:
    """All that there is from an offset on, in texts that end at a line's end."""
    position = reader.log.next_kept(since)
    while position < reader.log.end:
        data = reader.log.read(position, min(position + BLOCK, reader.log.run_end(position, BLOCK)))
        length = reader.cuts.unbroken_lines(position, data)
        if not length:
            return
        yield reader.text(position, data[:length])[0]
        position = reader.log.next_kept(position + length)


def html(job: Job, lines: Iterator[str]) -> str:
    """A page of HTML of lines with SGR sequences, made by rich."""
    from rich.console import Console
    from rich.terminal_theme import DEFAULT_TERMINAL_THEME
    from rich.text import Text

    texts = [Text.from_ansi(line) for line in lines]
    widest = max((text.cell_len for text in texts), default=1)
    console = Console(
        record=True, file=io.StringIO(), force_terminal=True, color_system="truecolor", width=max(widest, 1)
    )
    for text in texts:
        console.print(text, soft_wrap=True, highlight=False)
    page = console.export_html(inline_styles=True, theme=DEFAULT_TERMINAL_THEME)
    title = one_line(f"{job.spec.name} {job.spec.job_id}").replace("&", "&amp;").replace("<", "&lt;")
    return page.replace("<head>", f"<head>\n<title>{title}</title>", 1)


def with_matches(text: str, pattern: str) -> str:
    """Lines that a search has found, with each match marked in those that have one."""
    from mcp_background_job.regexes.search import match_spans

    lines = text.split("\n")
    heads = [line.find(":") + 1 if line[:1].isdigit() and ":" in line else -1 for line in lines]
    found = match_spans(pattern, [line[head:] if head > 0 else "" for line, head in zip(lines, heads, strict=True)])
    out: list[str] = []
    for line, head, spans in zip(lines, heads, found, strict=True):
        if head <= 0:
            out.append(line)
            continue
        parts, position = [line[:head]], head
        for start, stop in spans:
            parts += [line[position : head + start], f"\x1b[{FOUND}m{line[head + start : head + stop]}\x1b[m"]
            position = head + stop
        out.append("".join([*parts, line[position:]]))
    return "\n".join(out)
