"""A time limit for what a library waits for without one."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")


class Bounded(Generic[T]):
    """Runs a function in a thread, which is left to itself where it takes too long: 0.1 ms a call."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._result: T | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            self._result = self._function()
        except BaseException as error:
            self._error = error

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def result(self, seconds: float) -> T:
        """What the function gives or raises; to be asked for once.

        Raises TimeoutError where that takes longer than `seconds`.
        """
        self.start()
        self._thread.join(seconds)
        if self.running:
            raise TimeoutError
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]  # the function has returned


def answers_again(path: str) -> None:
    """Wait until the server at a unix socket takes note of its clients, or has ended: without a process of its own."""
    with socket.socket(socket.AF_UNIX) as probe, suppress(OSError):
        probe.connect(path)
        probe.shutdown(socket.SHUT_WR)
        probe.recv(1)  # it hangs up on a client that has
