"""Searching with patterns that nobody has looked at: compiled and run in worker processes with limits (worker.py).

Promises: a pattern means what Python's `re` makes of it, in one line at a time; none takes longer than MATCH_SECONDS of
a processor for one piece of text, nor more memory than a worker has, and the worker is all that it can end.
"""

from __future__ import annotations

import atexit
import marshal
import os
import select
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

from mcp_background_job.errors import InvalidInput

from .worker import HEAD, LIFE, SIZE

MAX_PATTERN = 10_000  # characters; a list of 500 test names has that many
MATCH_SECONDS = 1.0  # of a processor, for one piece of text
PATIENCE = 10.0  # seconds in which a worker gets its MATCH_SECONDS, however busy the machine is
SEARCH_SECONDS = 10.0  # for all of one search
WARM = 1  # workers that are kept for the next search
KEEP = LIFE / 2  # seconds after which a worker may be about to end by itself
PIPE = 1 << 20  # bytes that a pipe to a worker should take at once

Texts = TypeVar("Texts", bound=Sequence[str])


@dataclass(frozen=True)
class FoundLines:
    """The lines of a text that match, and how many lines it has in all."""

    numbers: array[int]  # four of each
    count: int

    def spans(self) -> Iterator[tuple[int, int, int, int]]:
        """Where a line begins and ends in the text, where its match begins in it, and how many lines are before it."""
        return zip(*(self.numbers[first::4] for first in range(4)), strict=True)


class WorkerEnded(Exception):
    """The worker has ended over a request: by its limit of time, or for want of memory."""


class Worker:
    """One worker process. Requests may be sent ahead of the answers, which come in order."""

    def __init__(self) -> None:
        argv = [sys.executable, "-I", "-S", "-W", "ignore", str(Path(__file__).with_name("worker.py"))]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(argv, bufsize=0, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
        assert self.process.stdin is not None and self.process.stdout is not None
        self.requests, self.answers = self.process.stdin.fileno(), self.process.stdout.fileno()
        os.set_blocking(self.requests, False)
        self._widen()
        self.unsent = memoryview(b"")
        self.received = bytearray()
        self.pending = 0
        self.used = time.monotonic()

    def _widen(self) -> None:
        # Linux: what fits in the pipe is searched while the next text is being rendered.
        with suppress(ImportError, OSError):
            from fcntl import F_SETPIPE_SZ, fcntl

            fcntl(self.requests, F_SETPIPE_SZ, PIPE)

    def send(self, *request: str | bool | list[str]) -> None:
        """Send what the pipe takes; the rest goes out while an answer is awaited."""
        message = marshal.dumps(request)
        self.unsent = memoryview(b"".join((self.unsent, HEAD.pack(len(message), MATCH_SECONDS), message)))
        self.pending += 1
        self._write()

    def receive(self) -> object:
        """The answer to the oldest request.

        Raises InvalidInput for what is not a regular expression, WorkerEnded.
        """
        deadline = time.monotonic() + PATIENCE
        size = SIZE.unpack(self._take(SIZE.size, deadline))[0]
        found, unusable = marshal.loads(self._take(size, deadline))
        self.pending -= 1
        if unusable is not None:
            pattern, why = unusable
            raise InvalidInput(f"{pattern[:80]!r} is not a regular expression for a line: {why}", "Give a Python regex")
        return found

    def _take(self, size: int, deadline: float) -> bytes:
        poll = select.poll()
        poll.register(self.answers, select.POLLIN)
        while len(self.received) < size:
            if self.unsent:
                poll.register(self.requests, select.POLLOUT)
            ready = poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
            if not ready:
                raise WorkerEnded
            if any(fd == self.requests for fd, _ in ready):
                self._write()
                if not self.unsent:
                    poll.unregister(self.requests)
            if any(fd == self.answers for fd, _ in ready):
                self._read()
        taken = bytes(self.received[:size])
        del self.received[:size]
        return taken

    def _write(self) -> None:
        try:
            self.unsent = self.unsent[os.write(self.requests, self.unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self.unsent = memoryview(b"")  # it has ended, which the next answer tells

    def _read(self) -> None:
        data = os.read(self.answers, PIPE)
        if not data:
            raise WorkerEnded
        self.received += data

    def close(self) -> None:
        self.process.kill()
        self.process.__exit__(None, None, None)


_warm: list[Worker] = []
_lock = threading.Lock()


def close_warm() -> None:
    """End the workers that are kept; the next search starts another."""
    with _lock:
        while _warm:
            _warm.pop().close()


atexit.register(close_warm)


@contextmanager
def a_worker() -> Iterator[Worker]:
    """A worker for one search.

    Raises InvalidInput where the search ended it.
    """
    with _lock:
        taken = _warm.pop() if _warm else None
    if taken is not None and time.monotonic() - taken.used > KEEP:
        taken.close()
        taken = None
    taken = taken or Worker()
    try:
        yield taken
    except WorkerEnded:
        raise runs_away() from None
    finally:
        taken.used = time.monotonic()
        with _lock:
            keep = not taken.pending and len(_warm) < WARM
            if keep:
                _warm.append(taken)
        if not keep:
            taken.close()


def runs_away() -> InvalidInput:
    return InvalidInput("The pattern takes too long on this output", "Use one without nested repeats such as (a+)+")


def check_patterns(patterns: Sequence[str]) -> None:
    """Raises InvalidInput for a pattern that is too long, or not a regular expression."""
    for pattern in patterns:
        if len(pattern) > MAX_PATTERN:
            problem = f"The pattern has {len(pattern)} characters, more than {MAX_PATTERN}"
            raise InvalidInput(problem, "Give a shorter one")
    with a_worker() as worker:
        worker.send("check", list(patterns))
        worker.receive()


def match_any(patterns: Sequence[str], texts: Sequence[str]) -> list[bool]:
    """For each text whether one of the patterns matches at its beginning.

    Raises InvalidInput where that takes too long.
    """
    with a_worker() as worker:
        worker.send("match_any", list(patterns), list(texts))
        return cast("list[bool]", worker.receive())


def match_spans(pattern: str, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
    """For each text where the pattern's matches begin and end.

    Raises InvalidInput where that takes too long.
    """
    with a_worker() as worker:
        worker.send("match_spans", pattern, list(texts))
        return cast("list[list[tuple[int, int]]]", worker.receive())


def first_line(pattern: str, text: str) -> str | None:
    """The first line of `text` in which `pattern` matches.

    Raises InvalidInput where that takes too long.
    """
    with a_worker() as worker:
        worker.send("find_lines", pattern, text, True)
        found = found_lines(worker.receive())
    return next((text[start:end] for start, end, *_ in found.spans()), None)


def matching_lines(pattern: str, blocks: Iterable[Texts]) -> Iterator[tuple[Texts, list[FoundLines]]]:
    """Each block of texts, all of whole lines, with the lines in each of its texts that `pattern` matches.

    A block is searched while the next one is made. Raises InvalidInput where that takes too long.
    """
    deadline = time.monotonic() + SEARCH_SECONDS
    with a_worker() as worker:
        before: Texts | None = None
        for texts in blocks:
            for text in texts:
                worker.send("find_lines", pattern, text, False)
            if before is not None:
                yield before, [found_lines(worker.receive()) for _ in before]
            if time.monotonic() > deadline:
                raise runs_away()
            before = texts
        if before is not None:
            yield before, [found_lines(worker.receive()) for _ in before]


def found_lines(answer: object) -> FoundLines:
    data, count = cast("tuple[bytes, int]", answer)
    numbers = array("q")
    numbers.frombytes(data)
    return FoundLines(numbers, count)
