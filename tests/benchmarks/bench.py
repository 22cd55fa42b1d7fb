"""What every suite gets: the contenders, a place for each, and how many tries."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
from figures import Figures
from hands import HANDS, Hands
from peers import Contender, Place
from stdio import Client, ServerFault


class Bench:
    """One run. Servers and places that are opened in it are gone at its end."""

    def __init__(self, figures: Figures, contenders: dict[str, Contender], quick: bool, stack: contextlib.ExitStack):
        self.figures, self.contenders, self.quick, self._stack = figures, contenders, quick, stack

    @contextlib.contextmanager
    def apart(self) -> Iterator[Bench]:
        """The same, for one try: what is opened in it is gone right after it."""
        with contextlib.ExitStack() as stack:
            yield Bench(self.figures, self.contenders, self.quick, stack)

    def n(self, full: int, quick: int) -> int:
        return quick if self.quick else full

    @property
    def peers(self) -> list[str]:
        return [who for who in self.contenders if who not in ("ours", "bare")]

    @property
    def handy(self) -> list[str]:
        """Ours and the peers: who can run commands."""
        return [who for who in self.contenders if who in HANDS]

    def place(self) -> Place:
        return self._stack.enter_context(Place())

    def client(self, who: str, place: Place | None = None, **environment: str) -> Client:
        client = self.contenders[who].start(place or self.place(), **environment)
        self._stack.callback(client.close)
        return client

    def hands(self, who: str, place: Place | None = None, **environment: str) -> Hands:
        return HANDS[who](self.client(who, place, **(HANDS[who].many | environment)))

    def all_hands(self) -> dict[str, Hands]:
        return {who: self.hands(who) for who in self.handy}

    def interleaved(
        self, what: str, actions: dict[str, Callable[[], float]], rounds: int, rest: float = 0.0, unit: str = "ms"
    ) -> None:
        """Each contender's action in turn, `rounds` times; who fails is noted and left out from then on.

        `rest` is a pause of that many seconds before each.
        """
        taken: dict[str, list[float]] = {who: [] for who in actions}
        failed: set[str] = set()
        for _ in range(rounds):
            for who, action in actions.items():
                if who not in failed:
                    time.sleep(rest)
                    try:
                        taken[who].append(action())
                    except (ServerFault, AssertionError, KeyError) as error:
                        failed.add(who)
                        reason = (str(error) or type(error).__name__).splitlines()[0][:60]
                        self.figures.say(f"  {what}: {who} failed: {reason}")
        for who, values in taken.items():
            if who in failed:
                self.figures.note(what, who, "failed", unit)
            else:
                self.figures.add(what, who, values, unit)


class BareTmux:
    """A tmux server with nothing of ours, in a place of its own."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.indexes = itertools.count(1000)
        self.run("-f", "/dev/null", "new-session", "-d", "-s", "bare", "-x", "200", "-y", "50", "sleep 100000")

    def run(self, *words: str) -> None:
        subprocess.run(["tmux", *words], env=self.place.environment, check=True, stdout=subprocess.DEVNULL)

    def piped(self, command: str, log: Path) -> str:
        """A window that runs a command, its output piped into a file by cat, in one invocation as it must be.

        Returns the window's name for tmux. The index is given, as tmux would fill a gap and `$` be another window.
        """
        window = f"bare:{next(self.indexes)}"
        pipe = f"exec cat >'{log}'"
        self.run("new-window", "-d", "-t", window, "sh", "-c", command, ";", "pipe-pane", "-t", window, pipe)
        return window


def spin(there: Callable[[], bool], seconds: float = 20.0) -> None:
    """Look without a pause: for what is timed to a fraction of a millisecond."""
    deadline = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.0002)


def has_bytes(file: Path) -> bool:
    try:
        return file.stat().st_size > 0
    except FileNotFoundError:
        return False


def memory(pid: int, key: str = "Rss", children: bool = False) -> float:
    """MB of a process by /proc (Rss or Pss), with its children if asked; by psutil (Rss) where there is no /proc."""
    process = psutil.Process(pid)
    family = [process, *(process.children(recursive=True) if children else ())]
    total = 0.0
    for member in family:
        try:
            lines = Path(f"/proc/{member.pid}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) / 1024 for line in lines if line.startswith(key + ":"))
        except OSError:
            with contextlib.suppress(psutil.Error):
                total += member.memory_info().rss / 2**20
    return total


def cpu_seconds(processes: list[psutil.Process]) -> float:
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def helpers(place: Place) -> list[psutil.Process]:
    """The runners and log writers of the jobs in a place."""
    found = []
    for process in place.processes():
        with contextlib.suppress(psutil.Error):
            words = process.cmdline()
            if "-I" in words and {"runner", "logwriter"} & set(words):
                found.append(process)
    return found


def descriptors(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208
    except OSError:
        return psutil.Process(pid).num_fds()
