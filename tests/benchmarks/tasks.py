"""The twelve errands: what is there at first, what happens meanwhile, and what is right.

An answer is right where the agent has read it (it stands in what the server told) and where the world is as it should
be. Numbers and names are other ones in each try, so nobody knows them without having looked.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import socket
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import programs
import psutil
from peers import NotToBeHad, Place
from stdio import Client
from workloads import BUILD, CONFIG, HANG, INSTALL, JOB, LOGIN, MAKEFILE, NOISY, SERVE, TESTS

from support.model_server import ANSWER, model_server
from support.person import Person
from support.sshd import MISSING, another_machine
from support.waiting import wait_until

SSH = "ssh -F box.conf -tt box bash --norc -i"


class World:
    """One try of an errand: a place with its files, and the people around it."""

    def __init__(self, place: Place, stack: contextlib.ExitStack) -> None:
        self.place, self.work, self.stack = place, place.work, stack
        self.number = random.randrange(4100, 4900)
        self.secret = f"hush-{self.number}"
        self.port = 0
        self.codes: list[int] = []
        self.set_path(f"{Path(sys.executable).parent}:{os.environ['PATH']}")

    def set_path(self, path: str) -> None:
        """For jobs and, as a shell in tmux is a login shell here, for it too; with a prompt that costs nobody much."""
        self.place.environment["PATH"] = path
        (self.place.home / ".bash_profile").write_text(f"PATH='{path}' PS1='$ '\n")

    def write(self, name: str, text: str) -> None:
        (self.work / name).write_text(text)

    def visited(self) -> None:
        """A person's browser: one page that is there, one that is broken."""
        for page in ("", f"orders/{self.number}"):
            with contextlib.suppress(urllib.error.HTTPError):
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{page}", timeout=10).close()

    def logged(self) -> None:
        """The time that it takes until the whole log is written."""
        wait_until((self.work / "written").exists, 60, what="100 MB of log")

    def person_types(self, attach: str) -> None:
        """The person reads the agent's words, attaches with this command and types the password, in a second or so."""

        def act() -> None:
            person = Person(self.place, attach)
            self.stack.callback(person.close)
            person.sees("Password for the vault:")
            person.type(self.secret)
            person.press("Enter")

        later = threading.Timer(1.0, act)
        later.start()
        self.stack.callback(later.join)


@dataclass(frozen=True)
class Task:
    """An errand: `prepare` lays it out, `check` raises AssertionError where the answer is wrong."""

    name: str
    act: str  # the method of Agent
    prepare: Callable[[World], None]
    check: Callable[[World, Client, Any], None]


def reads(client: Client, *patterns: str) -> None:
    heard = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", client.heard)  # a model reads past colours
    for pattern in patterns:
        assert re.search(pattern, heard, re.M), f"not read: {pattern}"


def exit_code(client: Client, code: int) -> None:
    reads(client, rf"(?i)(exit_code|exit_status|EXIT|exit code)\W{{1,4}}{code}\b")


def lay_build(world: World) -> None:
    world.write("Makefile", MAKEFILE)
    world.write("build.py", BUILD)


def built(world: World, client: Client, _: Any) -> None:
    reads(client, "bundle too large: 812 kB")
    exit_code(client, 2)


def lay_tests(world: World) -> None:
    world.write("Makefile", MAKEFILE)
    world.write("test_orders.py", TESTS.format(failing={7, world.number // 20, world.number % 100 + 260}))


def tested(world: World, client: Client, _: Any) -> None:
    for cart in (7, world.number // 20, world.number % 100 + 260):
        reads(client, rf"FAILED test_orders\.py::test_total\[{cart}\]")
    exit_code(client, 2)


def lay_server(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        world.port = listener.getsockname()[1]
    world.write("serve.py", SERVE)


def served(world: World, client: Client, _: Any) -> None:
    reads(client, rf"http://127\.0\.0\.1:{world.port}/", rf'"GET /orders/{world.number} HTTP/1\.1" 500')


def computed(world: World, client: Client, _: Any) -> None:
    reads(client, "2432902008176640000", r"(?<!\d)36(?!\d)", r"(?<!\d)1764(?!\d)")


def lay_installer(world: World) -> None:
    free = str(world.number)
    world.write("install.py", INSTALL.format(free=free, other=world.number + 1, receipt=f"R{world.number * 7}"))


def installed(world: World, client: Client, _: Any) -> None:
    assert (world.work / "installed").exists(), "not installed"
    told = (world.work / "installed").read_text()
    assert told == f"/opt/widget {world.number}", f"installed as {told!r}"
    reads(client, "Replace the settings", f"receipt R{world.number * 7}")


def lay_vault(world: World) -> None:
    world.write("login.py", LOGIN.format(secret=world.secret, ticket=f"T{world.number * 7}"))


def opened(world: World, client: Client, _: Any) -> None:
    reads(client, f"ticket T{world.number * 7}")
    assert world.secret not in client.heard + client.said, "the password went through the model"


def lay_settings(world: World) -> None:
    world.write("config.ini", CONFIG.replace("8080", str(world.number)))


def edited(world: World, client: Client, _: Any) -> None:
    reads(client, f"port = {world.number}")  # where it stands, before it is changed
    text = (world.work / "config.ini").read_text()
    assert text == CONFIG.replace("8080", str(world.number + 1)), f"the file says {text!r}"


def lay_machine(world: World) -> None:
    if MISSING:
        raise NotToBeHad(MISSING)
    machine = world.stack.enter_context(another_machine(world.place))
    world.write("box.conf", (machine.root / "config").read_text())
    far = world.place.root / "far"
    far.mkdir()
    (far / f"ledger-{world.number}").write_text("entry\n" * (world.number * 3))


def over_there(world: World, client: Client, _: Any) -> None:
    reads(client, f"ledger-{world.number}", rf"(?<!\d){world.number * 3}(?!\d)")


def lay_jobs(world: World) -> None:
    world.codes = [*random.sample(range(1, 100), 9), 0]
    random.shuffle(world.codes)
    seconds = [3 + number * 7 % 10 / 3 for number in range(10)]
    world.write("job.py", JOB.format(seconds=seconds, codes=world.codes))


def gathered(world: World, client: Client, answer: Any) -> None:
    assert answer == world.codes, f"said {answer}, was {world.codes}"
    times = {
        event: [float((world.work / f"{event}{number}").read_text()) for number in range(10)]
        for event in ("began", "ended")
    }
    assert max(times["began"]) < min(times["ended"]), "they did not run at once"


def lay_hanging(world: World) -> None:
    world.write("hang.sh", HANG.format(step=f"order {world.number}"))


def hung(world: World, client: Client, _: Any) -> None:
    reads(client, f"step 3 of 5: order {world.number}")
    with contextlib.suppress(AssertionError):
        wait_until(lambda: not sleepers(world.place), 2)
    left = sleepers(world.place)
    assert not left, f"{len(left)} processes left"


def sleepers(place: Place) -> list[psutil.Process]:
    found = []
    for process in place.processes():
        with contextlib.suppress(psutil.Error):
            words = process.cmdline()
            if words[:1] == ["sleep"] and words[1].startswith("8888"):
                found.append(process)
    return found


def lay_noise(world: World) -> None:
    world.write("noisy.py", NOISY.format(at=world.number // 100 * 10_000, order=f"L{world.number}"))


def found(world: World, client: Client, _: Any) -> None:
    reads(client, f"ERROR order L{world.number} was lost")


def lay_agent(world: World) -> None:
    from support.agents import AGENTS as known

    binary = programs.installed("agents", programs.AGENTS) / "node_modules/.bin"
    server = world.stack.enter_context(model_server())
    prepare, _, _ = known["claude"]
    url = f"http://127.0.0.1:{server.server_address[1]}"
    world.place.environment |= prepare(world.place.home, world.work, url)
    world.set_path(f"{binary}:{world.place.environment['PATH']}")


def asked(world: World, client: Client, _: Any) -> None:
    reads(client, ANSWER.replace(" ", " ?"))  # where blanks are moves of the cursor, none is left


def nothing(world: World) -> None:
    pass


TASKS = [
    Task("a build that fails", "build", lay_build, built),
    Task("400 tests, the failures only", "test", lay_tests, tested),
    Task("a dev server and its log since", "serve", lay_server, served),
    Task("a REPL with state", "compute", nothing, computed),
    Task("an installer's questions", "install", lay_installer, installed),
    Task("a password by the person", "log_in", lay_vault, opened),
    Task("an edit in vi", "edit", lay_settings, edited),
    Task("a session over ssh", "go_there", lay_machine, over_there),
    Task("ten jobs at once", "ten", lay_jobs, gathered),
    Task("a job that hangs", "hang", lay_hanging, hung),
    Task("a line in 100 MB of log", "search", lay_noise, found),
    Task("another agent's screen", "ask_agent", lay_agent, asked),
]
