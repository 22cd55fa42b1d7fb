"""What the runner does for its job's log: another writer where one has died, and a whole log at the end.

Part of the runner: the standard library alone. Promise: a log whose writer was killed says that something may be
missing, and one that ends without saying so is whole.
"""

import os
import termios
import time

from mcp_background_job.system import PIDFD

from .launch import LaunchFile
from .locks import is_held
from .markers import INTERRUPTED, end_mark
from .pane import Pane
from .segments import append_to_log, log_size

LOG_WAIT = 5.0  # seconds that a started log writer may take to catch up without finishing anything
LOG_START = 10.0  # seconds that a loaded machine may take to start it
LOG_CHECK = 1.0  # seconds between looks whether the log writer is still there, until its end can wake us
WATCHED_CHECK = 600.0  # the same from then on: each look of each job costs 0.2 ms
LOG_WRITERS = 3  # log writers that are started at the end, should one after the other be killed

ABSENT, RUNNING, DONE, DEAD = "absent", "running", "done", "dead"  # `done` has the end mark


class LogGuard:
    """Watches the log writer of one job."""

    def __init__(self, job: str, launch: LaunchFile, pane: Pane) -> None:
        self.job = job
        self.launch = launch
        self.pane = pane
        self.writer = -1  # the log writer's pidfd, readable once it has ended
        self.started = self.looked = time.monotonic()

    def path(self, name: str) -> str:
        return os.path.join(self.job, name)

    # -- while the job runs ---------------------------------------------------------------------------------

    @property
    def interval(self) -> float:
        """Seconds until the next look is due."""
        return LOG_CHECK if self.writer < 0 else WATCHED_CHECK

    def look(self) -> None:
        """Start the log writer again where it has died while the window is open."""
        now = time.monotonic()
        if self.writer >= 0 or now - self.looked < LOG_CHECK:
            return
        self.looked = now
        if self.writer_is_dead():
            self.start_writer()
            self.looked = now + LOG_WAIT
        else:
            self.watch_writer()

    def writer_ended(self) -> None:
        """Its pidfd says so: have the next look taken at once."""
        os.close(self.writer)
        self.writer, self.looked = -1, 0.0

    def watch_writer(self) -> None:
        """Be woken by the log writer's end, where the platform can."""
        if not PIDFD:
            return
        try:
            with open(self.path("logwriter.pid")) as file:
                fd = os.pidfd_open(int(file.read()))
        except (OSError, ValueError):
            return
        # Still there behind the opening: it is no other process that has got its pid.
        if writer_state(self.job) == RUNNING:
            self.writer = fd
        else:
            os.close(fd)

    def writer_is_dead(self) -> bool:
        """Whether the log writer was killed, or has not come within LOG_START."""
        state = writer_state(self.job)
        if state == ABSENT and time.monotonic() - self.started > LOG_START:
            return os.path.exists(self.path("launch"))  # without its folder there is nothing to log to
        return state == DEAD

    def start_writer(self) -> None:
        """Have tmux start another log writer, which notes in the log that something may be missing."""
        try:
            os.unlink(self.path("logwriter.pid"))
        except OSError:
            pass
        self.pane.pipe_to(self.launch.tmux, self.launch.pipe)

    # -- the end --------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Send the end mark and wait until the log writer has it.

        One that has died is replaced, so that the log says so.
        """
        for _ in range(LOG_WRITERS):
            if self.writer_is_dead() and not self.pane.closed:
                self.start_writer()
                self.await_writer()
            if not self.pane.closed:
                self.mark_end()
            self.await_log()
            if self.pane.closed or not self.writer_is_dead():
                return

    def note_interruption(self) -> None:
        """Say in a log whose writer went with tmux that what tmux had not passed on yet is missing."""
        if writer_state(self.job) in (DEAD, ABSENT):
            append_to_log(self.path("log"), INTERRUPTED)

    def await_writer(self) -> None:
        """Until a new log writer has begun, which has its pipe by then."""
        deadline = time.monotonic() + LOG_WAIT
        while writer_state(self.job) != RUNNING and not self.pane.closed and time.monotonic() < deadline:
            time.sleep(0.002)

    def mark_end(self) -> None:
        """Write the end mark to the terminal, also one that a person has stopped with C-s."""
        try:
            termios.tcflow(0, termios.TCOON)
            # Its own description: non-blocking mode on fd 0 would be the job's survivors' too.
            tty = os.open(os.ttyname(0), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
        except (OSError, termios.error):
            return
        data = end_mark(self.launch.nonce)
        deadline = time.monotonic() + LOG_WAIT
        while data and time.monotonic() < deadline and not self.pane.closed:
            try:
                data = data[os.write(tty, data) :]
            except BlockingIOError:
                time.sleep(0.01)
            except OSError:
                break
        os.close(tty)

    def await_log(self) -> None:
        """Until the log writer is done: it has the end mark, its window is gone, or it has died."""
        begun = time.monotonic()
        size, moved = -1, begun
        while writer_state(self.job) not in (DONE, DEAD):
            now = time.monotonic()
            present = log_size(self.path("log"))
            if present != size:
                size, moved = present, now
            if now - moved > LOG_WAIT:
                return
            time.sleep(0.001 if now - begun < 0.5 else 0.02)


def writer_state(job: str) -> str:
    """What has become of a job's log writer: ABSENT (not there yet), RUNNING, DONE or DEAD."""
    path = os.path.join(job, "logwriter.lock")
    try:
        if is_held(path):
            return RUNNING
        return DONE if os.stat(path).st_size else DEAD
    except FileNotFoundError:
        return ABSENT
    except OSError:
        return RUNNING  # what can't be told is not started a second time
