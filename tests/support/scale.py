"""How much a load test does: enough to fail where it must by default, everything with MCP_BG_LOAD=full."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

FULL = os.environ.get("MCP_BG_LOAD") == "full"


def scaled(small: int, full: int) -> int:
    """A size or a number of tries."""
    return full if FULL else small


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all are at most."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def seconds(action: Callable[[], object], tries: int) -> list[float]:
    """What each of `tries` calls took."""
    taken = []
    for _ in range(tries):
        begun = time.perf_counter()
        action()
        taken.append(time.perf_counter() - begun)
    return taken


def at_once(actions: Sequence[Callable[[], T]], timeout: float = 60.0) -> list[T]:
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
