"""A tmux client that is started before it is needed: an answer comes 3 ms sooner than from one that must start first.

`tmux source-file -` connects to its server and then waits for commands on its stdin. Such a client is attached to
nothing and shows in no list; but a tmux server outlives its last session until its clients have gone, so one that is
not used is let go of after LIFE.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from mcp_background_job.supervisor.pane import quoted

PAUSE = 0.01  # seconds after a call, whose answer goes first, until the next client is started
LIFE = 60.0  # seconds that a client waits for its commands
DONE = "mcp-background-job-done"  # what a client prints when it has done all
LAST = 1.0  # seconds until one that should go is killed: a tmux server that is stopped keeps it


@dataclass(frozen=True)
class Answer:
    """What tmux said, as libtmux gives it: lines, without the empty ones at the end."""

    stdout: list[str]
    stderr: list[str]
    returncode: int


class WarmClient:
    """For one tmux server at most one client that waits for its commands; threads may share it."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._command = [*command, "source-file", "-"]
        self._environment = environment
        self._client: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._called = threading.Event()
        self._keeper: threading.Thread | None = None

    def take(self) -> subprocess.Popen[bytes] | None:
        """The client, if there is one whose tmux server is alive."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None and client.poll() is not None:
            end(client)
            return None
        return client

    def prepare(self) -> None:
        """Have a client ready soon: there was a call, and there may be another."""
        self._called.set()
        with self._lock:
            if self._keeper is None:
                self._keeper = threading.Thread(target=self._keep, daemon=True)
                self._keeper.start()

    def _keep(self) -> None:
        while self._called.wait():
            self._called.clear()
            time.sleep(PAUSE)
            if self._client is None:
                pipe = subprocess.PIPE
                with suppress(OSError):  # without it, calls start a client of their own
                    self._client = subprocess.Popen(
                        self._command,
                        stdin=pipe,
                        stdout=pipe,
                        stderr=pipe,
                        env=self._environment,
                        start_new_session=True,
                    )
            if not self._called.wait(LIFE) and (unused := self.take()) is not None:
                end(unused)


def end(client: subprocess.Popen[bytes]) -> None:
    """Let a client go; by force where its tmux server is stopped, which then keeps the other ends of the pipes open."""
    for pipe in (client.stdin, client.stdout, client.stderr):
        if pipe is not None:
            pipe.close()
    try:
        client.wait(LAST)
    except subprocess.TimeoutExpired:
        client.kill()
        client.wait()


def answer_of(client: subprocess.Popen[bytes], script: bytes, patience: float) -> Answer | None:
    """What a client gets for `script`; None where its tmux server ended instead of doing it.

    Raises subprocess.TimeoutExpired where it has no answer within `patience` seconds.
    """
    stdout, stderr = lines_of(client.communicate(script, timeout=patience))
    done = stdout[-1:] == [DONE]
    if done:
        stdout.pop()
        strip_empty(stdout)
    elif not client.returncode:
        return None  # a client whose server ends says that all is well
    if client.returncode and not stderr:
        # A line that can't be read as commands is told on stdout, and nothing of it was done.
        stdout, stderr = [], [line.removeprefix("-:1: ") for line in stdout]
    return Answer(stdout, stderr, client.returncode)


def lines_of(output: tuple[bytes, bytes]) -> tuple[list[str], list[str]]:
    """stdout without the empty lines at its end, stderr without any."""
    stdout, stderr = (text.decode(errors="backslashreplace").split("\n") for text in output)
    strip_empty(stdout)
    return stdout, [line for line in stderr if line]


def strip_empty(lines: list[str]) -> None:
    while lines and not lines[-1]:
        lines.pop()


def script_of(arguments: Sequence[str]) -> bytes:
    """The arguments of an invocation as a line of a tmux.conf."""
    words: list[str] = []
    for word in arguments:
        if word == ";":
            words.append(word)
            continue
        # In arguments a `;` at the end separates, unless it has a backslash.
        words.append(quoted(word[:-2] + ";" if word.endswith("\\;") else word))
    return f"{' '.join(words)} ; display-message -p {DONE}\n".encode("utf-8", "surrogateescape")
