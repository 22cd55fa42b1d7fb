"""The last lines that jobs printed, as the board shows them.

Promise: a job's are drawn anew only where it has printed more, and in at most a twentieth of the time.
"""

from __future__ import annotations

import time
from collections.abc import Container
from typing import NamedTuple

from mcp_background_job.jobs.view import JobView
from mcp_background_job.text import escaped, one_line

from .observer import Seen

REST = 20  # times as long as a job's last lines took to draw, until they are drawn again


class Drawn(NamedTuple):
    """What a job printed last, when its log ended at `log_end`; it is not drawn anew before `until`."""

    log_end: int
    lines: list[str]
    until: float


class LastLines:
    """Remembers them by the job and how many are shown."""

    def __init__(self, view: JobView) -> None:
        self.view = view
        self.drawn: dict[tuple[str, int], Drawn] = {}

    def last(self, seen: Seen) -> str:
        """The last line."""
        return self.of(seen, 1)[0] if seen.job is not None else ""

    def of(self, seen: Seen, count: int) -> list[str]:
        """The last `count` lines, without blank ones at the end."""
        if seen.job is None:
            return []
        known = self.drawn.get((seen.job_id, count))
        begun = time.monotonic()
        if known is None or (known.log_end != seen.log_end and begun >= known.until):
            page = self.view.tail(seen.job, count)
            if count == 1:
                lines = [one_line(page.stdout.strip() or page.stderr.strip())]
            else:
                text = (page.stdout + page.stderr).rstrip().expandtabs()
                lines = [escaped(line) for line in text.split("\n")][-count:]
            now = time.monotonic()
            known = self.drawn[seen.job_id, count] = Drawn(seen.log_end, lines, now + REST * (now - begun))
        return known.lines

    def forget_others(self, job_ids: Container[str], count: int) -> None:
        """Forget jobs that are not shown any more, and numbers of lines but 1 and `count`."""
        self.drawn = {key: drawn for key, drawn in self.drawn.items() if key[0] in job_ids and key[1] in (1, count)}
