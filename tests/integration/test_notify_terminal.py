"""`notify` as MCP_BG_NOTIFY: a notification on the terminal of a person who looks at something else."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from support.readme import TOP
from support.sandbox import SESSION, Sandbox
from support.terminal import COMMAND
from support.waiting import wait_until

XTVERSION = (b"\x1b[>q", b"\x1b[>0q")


class Screenless:
    """A terminal that calls itself `kind`, and keeps what is written to it."""

    def __init__(self, sandbox: Sandbox, kind: bytes) -> None:
        self.kind = kind
        self.written = b""
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 120, 0, 0))
        self.tty = os.ttyname(slave)
        environment = {**sandbox.environment, "TERM": "xterm-256color"}
        self.client = subprocess.Popen(
            ["tmux", "attach", "-t", SESSION],
            env=environment,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self) -> None:
        while True:
            try:
                data = os.read(self.master, 65536)
            except OSError:
                return
            if any(query in data for query in XTVERSION):
                os.write(self.master, b"\x1bP>|" + self.kind + b"\x1b\\")
            self.written += data

    def close(self) -> None:
        self.client.terminate()
        self.client.wait(20)
        self.thread.join(20)
        os.close(self.master)


@contextmanager
def attached(sandbox: Sandbox, kind: bytes) -> Iterator[Screenless]:
    terminal = Screenless(sandbox, kind)
    try:
        listed = ("list-clients", "-F", "#{client_termtype}")
        wait_until(lambda: kind.decode() in sandbox.tmux(*listed, check=False), what="tmux to know the terminal")
        yield terminal
    finally:
        terminal.close()


@pytest.mark.promise("notify-terminal")
def test_a_person_who_looks_elsewhere_is_notified_and_one_who_looks_at_the_job_is_not(sandbox: Sandbox) -> None:
    assert "MCP_BG_NOTIFY='mcp-background-job notify'" in (TOP / ".github/docs/told.md").read_text()
    server = sandbox.server(MCP_BG_NOTIFY=f"{COMMAND} notify")
    server.call("execute", command="exec sleep 99")
    with attached(sandbox, b"WezTerm 20240203") as terminal:
        first = server.call("execute", command="read -r x; exit 3", name="build")["job_id"]
        wait_until(lambda: b"\x1b]9;build needs your input\a" in terminal.written)
        sandbox.tmux("select-window", "-t", sandbox.window(first))
        server.call("interact", job_id=first, input="go")
        other = server.call("execute", command="exit 4", name="other", wait=20)["job_id"]
        wait_until(lambda: b"\x1b]9;other has ended: failed, exit 4\a" in terminal.written, what=other)
        assert b"build has ended" not in terminal.written, "it was told in turn, and is looked at"
