"""How much a load test does: enough to fail where it must by default, everything with MCP_BG_LOAD=full."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from support.waiting import DEADLINE

T = TypeVar("T")

FULL = os.environ.get("MCP_BG_LOAD") == "full"


def scaled(small: int, full: int) -> int:
    """A size or a number of tries."""
    return full if FULL else small


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all are at most."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def slowness() -> float:
    """How many times as long as the machine of the promises this one's processor works for the same, at least 1.

    In processor time, as what is compared with it: an idle machine's neighbour may have slower cores, and two
    programs that share a core slow each other down.
    """

    def work() -> float:
        begun = time.thread_time()
        for _ in range(20):
            json.loads(json.dumps([{"name": str(number), "size": number} for number in range(500)]))
        return time.thread_time() - begun

    return max(1.0, min(work() for _ in range(3)) / 0.006)


def seconds(action: Callable[[], object], tries: int) -> list[float]:
    """What each of `tries` calls took."""
    taken = []
    for _ in range(tries):
        begun = time.perf_counter()
        action()
        taken.append(time.perf_counter() - begun)
    return taken


def at_once(actions: Sequence[Callable[[], T]], timeout: float = 4 * DEADLINE) -> list[T]:
    """Do all in threads that start at the same moment; their results in order.

    Raises the first failure.
    """
    gate = threading.Barrier(len(actions))
    results: dict[int, T] = {}
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            gate.wait()
            results[number] = actions[number]()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(len(actions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout)
    if failures:
        raise failures[0]
    assert len(results) == len(actions), f"{len(actions) - len(results)} of {len(actions)} not done in {timeout} s"
    return [results[number] for number in range(len(actions))]
