"""A server's lifeline as its jobs' runners hold it: a FIFO that the server keeps open for writing while it lives.

Part of the runner: the standard library alone. The runner's parent is tmux, so it can inherit no pipe; and the kernel
closes a FIFO whatever ends the server.

Promise: the end of the server wakes whoever polls `fd`; one that was over before is known from the start.
"""

import os


class Lifeline:
    """The lifeline at `path`; none, which never breaks, where that is empty."""

    def __init__(self, path: bytes | str) -> None:
        self.fd = -1  # to be polled; -1 where there is nothing to wait for
        self.broken = False  # the server has ended
        if path:
            try:
                self.fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            except OSError:
                self.broken = True  # it was tidied away behind its server
            else:
                self.look()

    def look(self) -> None:
        """Notice whether the server has ended."""
        try:
            self.broken = not os.read(self.fd, 1)
        except BlockingIOError:
            return
        if self.broken:
            self.close()

    def close(self) -> None:
        """Wait for it no more: a poll would find its end again and again."""
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1
