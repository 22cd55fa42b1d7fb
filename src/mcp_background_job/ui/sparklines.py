"""What jobs have used lately, drawn as one character a look.

Promise: a job has at most LOOKS samples, and those of a time in which nobody looked are not drawn beside newer ones.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence

from mcp_background_job.process.usage import Usage

LOOKS = 60  # samples that are kept of a job
GAP = 3  # times as long as it should be between two looks, after which the samples begin anew
BARS = "▁▂▃▄▅▆▇█"


class Histories:
    """The last samples of each job, oldest first."""

    def __init__(self) -> None:
        self.samples: dict[str, deque[Usage]] = {}
        self.next_at = 0.0
        self.pause = 0.0  # seconds from one look to the next

    def note(self, usage: Mapping[str, Usage], pause: float) -> None:
        """Take up a look at all running jobs; the next is due in `pause` seconds."""
        now = time.monotonic()
        before = self.samples if now - self.next_at < GAP * self.pause else {}
        self.samples = {job_id: before.get(job_id) or deque(maxlen=LOOKS) for job_id in usage}
        for job_id, one in usage.items():
            self.samples[job_id].append(one)
        self.next_at, self.pause = now + pause, pause

    def last(self, job_id: str) -> Usage | None:
        """What the job used at the last look."""
        found = self.samples.get(job_id)
        return found[-1] if found else None

    def cpu(self, job_id: str) -> tuple[float, ...]:
        """Percent of a core at each look; the first look at a job tells none."""
        return tuple(one.cpu for one in self.samples.get(job_id, ()) if one.cpu is not None)

    def memory(self, job_id: str) -> tuple[float, ...]:
        """Bytes at each look."""
        return tuple(float(one.memory) for one in self.samples.get(job_id, ()))


def sparkline(values: Sequence[float], columns: int, full: float = 0.0) -> str:
    """The last `columns` values, where the highest bar is `full`, or the highest value if that is more."""
    shown = values[-columns:] if columns > 0 else ()
    top = max(full, *shown) if len(shown) > 1 else max(full, sum(shown))
    return "".join(BARS[min(len(BARS) - 1, int(value / top * len(BARS)))] if top > 0 else BARS[0] for value in shown)
