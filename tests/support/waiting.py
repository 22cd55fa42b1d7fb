"""The only place of the tests that sleeps: every other wait is a condition with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

DEADLINE = 60.0  # seconds after which what must come does not come: far more than a slow and busy machine takes


def wait_until(condition: Callable[[], T], timeout: float = DEADLINE, *, what: str = "", every: float = 0.02) -> T:
    """Return the condition's first true value.

    Raises AssertionError once `timeout` seconds have passed, with the last value seen.
    """
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            name = what or getattr(condition, "__name__", "the condition")
            raise AssertionError(f"not within {timeout} s: {name} (last value: {str(value)[:500]})")
        time.sleep(every)


def stays_true(condition: Callable[[], object], seconds: float, *, what: str = "", every: float = 0.05) -> None:
    """Fail as soon as the condition isn't true within the next `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert condition(), f"ceased to hold: {what or getattr(condition, '__name__', 'the condition')}"
        time.sleep(every)
