"""Long work in threads that lets a short call in between.

Python changes threads each 5 ms, and each look at a file waits that long for each thread that draws. A shorter interval
for good would cost every call a tenth of its time (measured), so it is short only while something long is drawn.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SHORT = 0.0005  # seconds; a `status` beside three drawings then takes 50 ms

_lock = threading.Lock()
_at_work = 0
_usual = sys.getswitchinterval()


@contextmanager
def giving_way() -> Iterator[None]:
    """For as long as something long is done, in this thread or others."""
    global _at_work
    with _lock:
        _at_work += 1
        sys.setswitchinterval(SHORT)
    try:
        yield
    finally:
        with _lock:
            _at_work -= 1
            if not _at_work:
                sys.setswitchinterval(_usual)
