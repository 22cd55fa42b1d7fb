"""The person's command line as a subprocess: on pipes, or on a terminal of its own."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from typing import Any

from support.sandbox import PYTHON, Sandbox
from support.waiting import DEADLINE

PROGRAM = [sys.executable, "-m", "mcp_background_job"]
COMMAND = f"{PYTHON} -m mcp_background_job"  # for a shell


def start(sandbox: Sandbox, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    # What is started with & from a script ignores Ctrl-C and passes that on, test runs included.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return subprocess.Popen(
        [*PROGRAM, *arguments],
        env={**sandbox.environment, **environment},
        cwd=sandbox.work,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def cli(
    sandbox: Sandbox, *arguments: str, status: int | None = 0, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, on pipes; `status` is what it must exit with, None for anything."""
    process = start(sandbox, *arguments, **environment)
    try:
        out, err = process.communicate(timeout=2 * DEADLINE)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert "Traceback" not in err, err
    assert status is None or process.returncode == status, f"{arguments}: exit {process.returncode}, {out!r}, {err!r}"
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def answer(sandbox: Sandbox, *arguments: str, status: int | None = 0, **environment: str) -> dict[str, Any]:
    """The JSON answer of a command."""
    found: dict[str, Any] = json.loads(
        cli(sandbox, arguments[0], "--json", *arguments[1:], status=status, **environment).stdout
    )
    return found


def on_a_terminal(
    sandbox: Sandbox,
    *arguments: str,
    columns: int = 80,
    watch: Callable[[str], object] = lambda shown: None,
    **environment: str,
) -> str:
    """All bytes that a command sends to a terminal, stdout and stderr together; `watch` gets those until now."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen(
        [*PROGRAM, *arguments],
        env={**sandbox.environment, "TERM": "xterm-256color", **environment},
        cwd=sandbox.work,
        stdin=slave,
        stdout=slave,
        stderr=slave,
    ):
        os.close(slave)
        parts = []
        with contextlib.suppress(OSError):  # EIO: the last one who had the terminal has gone
            while data := os.read(master, 65536):
                parts.append(data)
                watch(b"".join(parts).decode(errors="replace"))
        os.close(master)
    return b"".join(parts).decode(errors="replace")
