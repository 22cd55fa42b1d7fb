"""A signal or a key that ends a command ends it by an exception, so that it puts right what it has changed."""

from __future__ import annotations

import signal
import sys

ENDS = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP)


def end_by_exception() -> None:
    """From now on each of these signals is a SystemExit, once."""
    for number in ENDS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, end_by_signal)


def end_by_signal(number: int, _frame: object) -> None:
    # A second one, by an impatient person, must not break off what puts things right.
    for each in ENDS:
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)
