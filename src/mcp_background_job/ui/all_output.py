"""All that a job printed: onto standard output, which may be the person's own pager.

Promises: what the log keeps is shown whatever became of the window; nothing but colours reaches the pager; a popup
stays until a key, also where the pager does not wait for one.
"""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from mcp_background_job.jobs.view import JobView
from mcp_background_job.output.dress import Dress
from mcp_background_job.responses import page
from mcp_background_job.store.models import Job

from .console import end_last_line, note, print_page
from .looks import Show, texts
from .units import size

PAGE = 1_000_000  # characters read at a time
QUICK = 2_000_000  # bytes of log that are drawn in two seconds, colours included
AT_ONCE = 0.3  # seconds from the end of its input in which a pager ends that waits for nobody


def print_all(view: JobView, job: Job, dress: Dress | None, since: int = 0) -> None:
    """Print all from a cursor on.

    Raises InvalidInput for a cursor beyond the end.
    """
    found = view.output(job, since, max_chars=PAGE if dress is None else 1)
    if found.dropped_bytes:
        note(f"the oldest {size(found.dropped_bytes)} of output are no longer kept")
    if dress is not None:
        show, last = Show(job, dress), ""
        for text in texts(view.reader(job, dress), since):
            last = show.text(text)
            print(last, end="", flush=True)
        end_last_line(last)
        return
    print_page(page(found, job))
    while found.truncated:
        found = view.output(job, found.cursor, max_chars=PAGE)
        print_page(page(found, job))
    end_last_line(found.stdout)


class PagerInput(io.TextIOWrapper):
    """A pipe that a person reads on a terminal: what is printed into it is cleaned and coloured as for one."""

    def isatty(self) -> bool:
        return True


@contextmanager
def pager(view: JobView, job: Job, stays: bool = False) -> Iterator[None]:
    """What is printed meanwhile goes to $PAGER, else to less; returns when that has ended.

    less begins at the end, where all is there soon, else at the beginning, which it shows at once.
    With `stays` a pager that ended by itself, such as cat, is followed by a wait for a key.
    """
    command = os.environ.get("PAGER") or ("less" if shutil.which("less") else "more")
    log = view.log(job.spec.job_id)
    first = "+G$" if log.end - log.next_kept(0) <= QUICK else ""  # a + ends at the $, and the person's own comes last
    given = {**os.environ, "LESS": f"-R {first} {os.environ.get('LESS', '')}"}
    with subprocess.Popen(["/bin/sh", "-c", command], stdin=subprocess.PIPE, env=given) as process:
        assert process.stdin is not None
        before = sys.stdout, sys.stderr, signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the pager's
        printed = PagerInput(process.stdin, encoding="utf-8", errors="replace")
        sys.stdout = sys.stderr = printed
        try:
            with suppress(BrokenPipeError):  # the person has seen enough
                yield
            with suppress(BrokenPipeError):
                printed.close()
            all_read = time.monotonic()
            process.wait()
        finally:
            sys.stdout, sys.stderr = before[:2]
            signal.signal(signal.SIGINT, before[2])
    if stays and time.monotonic() - all_read < AT_ONCE:
        wait_for_key()


def wait_for_key() -> None:
    """Until a key is pressed, said on the last line."""
    print("\r\n\x1b[7m any key closes \x1b[0m", end="", flush=True)
    before = termios.tcgetattr(0)
    tty.setraw(0, termios.TCSAFLUSH)
    try:
        os.read(0, 64)
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
