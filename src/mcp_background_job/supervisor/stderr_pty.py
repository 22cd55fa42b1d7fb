"""A second terminal for a job's stderr, whose bytes go on to the window between marks.

Part of the runner: the standard library alone. Promises: every byte of stderr reaches the window, in order, and no
byte of stdout comes between two marks.
"""

import fcntl
import os
import pty
import signal
import termios
import time

from .markers import end_mark, stderr_mark, stdout_mark

PIECE = 2048  # bytes passed on at a time
DRAIN_WAIT = 5.0  # seconds for the last bytes to come through
HELD = {signal.SIGCHLD, signal.SIGHUP, signal.SIGTERM}


class StderrTerminal:
    """The pair of terminal ends: the job writes to `slave`, the runner reads `master`."""

    def __init__(self, nonce: str) -> None:
        self.nonce = nonce
        self.master, self.slave = pty.openpty()
        attributes = termios.tcgetattr(self.slave)
        attributes[1] &= ~termios.OPOST  # the window's terminal treats the bytes once
        termios.tcsetattr(self.slave, termios.TCSANOW, attributes)
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8)))
        os.set_blocking(self.master, False)

    def relay(self) -> None:
        """Pass on what is there now."""
        try:
            self.show(os.read(self.master, PIECE))
        except BlockingIOError:
            return

    def drain(self) -> None:
        """Pass on everything up to the end; a pty hands bytes on late, so only a mark of ours shows the end."""
        mark = end_mark(self.nonce)
        os.set_blocking(self.slave, False)
        unsent, pending = mark, b""
        deadline = time.monotonic() + DRAIN_WAIT
        while mark not in pending and time.monotonic() < deadline:
            try:
                unsent = unsent[os.write(self.slave, unsent) :]
            except BlockingIOError:
                pass
            try:
                pending += os.read(self.master, PIECE)
            except BlockingIOError:
                time.sleep(0.001)
                continue
            if mark not in pending:
                shown = max(0, len(pending) - len(mark))
                self.show(pending[:shown])
                pending = pending[shown:]
        self.show(pending.partition(mark)[0])

    def show(self, data: bytes) -> None:
        """Write one piece to the window, between marks and in one write, which the kernel keeps whole."""
        if not data:
            return
        framed = stderr_mark(self.nonce) + data + stdout_mark(self.nonce)
        # A signal would end the write early, and the job's own output could come in between.
        signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
        try:
            while framed:
                framed = framed[os.write(0, framed) :]
        except OSError:
            return  # the window is gone
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD)
