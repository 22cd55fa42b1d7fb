"""The twelve errands in terms of what a server can do: run to the end, open, say, see.

A server's agent gives these four, and does an errand in its own way where its tools have a shorter one.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from hands import Hands
from tasks import SSH, World

LOOK = 1.5  # seconds until who can't wait looks again, and the thought before each call: a quick model's turn

# For who knows that the output is long: only what is asked for is read.
TESTS = "set -o pipefail; make test | grep ^FAILED"
NOISY = "python3 noisy.py > log"
GREP = "grep ERROR log"

# What is typed into the REPL, one after the other, and what the answer has to show.
STEPS = (
    ("import math, time; n = 42", ""),
    ("math.factorial(20)", "^2432902008176640000"),
    ("time.sleep(1); n - 6", r"^36\b"),
    ("n * n", "^1764"),
)


class Missing(Exception):
    """What an errand needs and the server doesn't have."""


class Agent(Hands):
    """Each errand ends when the agent has read what it was asked for."""

    def finish(self, command: str) -> None:
        """Run a command to its end; read its output and its exit code."""
        raise NotImplementedError

    def open(self, command: str, until: str) -> str:
        """Start a command and read until a line matches; returns what names the job."""
        raise NotImplementedError

    def say(self, job: str, text: str, until: str) -> str:
        """Type a line and Enter; returns what was read, once a line matches."""
        raise NotImplementedError

    def see(self, job: str, until: str) -> str:
        """Read a job's output until a line matches; returns what was read."""
        raise NotImplementedError

    @contextlib.contextmanager
    def one_turn(self) -> Iterator[None]:
        """Several calls in one turn of the model, without thought between them."""
        thinking, self.client.pause = self.client.pause, 0.0
        yield
        self.client.pause = thinking

    def build(self, world: World) -> None:
        """Run make: the exit code, and what it says is wrong."""
        self.finish("make")

    def test(self, world: World) -> None:
        """Run `make test`, which takes long and prints much: its exit code, and the failing tests."""
        self.finish(TESTS)

    def serve(self, world: World) -> None:
        """Start the server: its address. A person then looks at some pages: what does the log say since?"""
        job = self.open(f"python3 serve.py {world.port}", "http://")
        world.visited()
        self.see(job, " 500 ")

    def compute(self, world: World) -> None:
        """A Python REPL, four steps, the third of which takes a second."""
        job = self.open("python3 -q", "^>>>")
        for step, until in STEPS:
            self.say(job, step, until)

    def install(self, world: World) -> None:
        """Run the installer: the folder that it proposes, replace the settings, the first port that is free."""
        job = self.open("python3 install.py", "Folder")
        self.say(job, "", "Replace")
        seen = self.say(job, "y", "Port")
        port = re.search(r"free ones: (\d+)", seen)
        assert port is not None, "the question was not read"
        self.say(job, port[1], "receipt")

    def log_in(self, world: World) -> None:
        """Run login.py; the person types the password, which is none of the agent's business: the ticket."""
        raise Missing("no terminal for a person")

    def edit(self, world: World) -> None:
        """In vi, as if it were the editor that git opens: the port of config.ini one higher."""
        job = self.open("vi config.ini", r"^port = ")
        self.say(job, f":%s/{world.number}/{world.number + 1}/|wq", "")

    def go_there(self, world: World) -> None:
        """A shell on another machine: what is in the folder, how many lines it has (that takes a second); leave."""
        job = self.open(SSH, r"bash\S*[$#]")
        self.say(job, f"cd {world.place.root}/far; ls", r"^ledger-\d+")
        self.say(job, f"sleep 1; wc -l < ledger-{world.number}", rf"^{world.number * 3}")
        self.say(job, "exit", "")

    def ten(self, world: World) -> list[int]:
        """Ten jobs at once, each of which can be looked at and ended alone: their exit codes."""
        raise NotImplementedError

    def hang(self, world: World) -> None:
        """Run hang.sh, which should take 3 s: where does it stop? End it and all that it has started."""
        self.finish("timeout -k 1 6 bash hang.sh")

    def search(self, world: World) -> None:
        """Start noisy.py, which logs 100 MB and goes on running. Later: what was the error?"""
        raise NotImplementedError

    def ask_agent(self, world: World) -> None:
        """Start claude, with its screen, as there will be more to ask; ask it for a bird: its answer."""
        job = self.open("claude", r"\? for shortcuts")
        self.say(job, "Tell me a bird", "^. PELICAN")
