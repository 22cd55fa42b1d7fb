"""Real programs as jobs: how each rests, and how long it takes until its answer is told.

Each is started with `execute` and typed into with `interact`, without a pattern (other agents excepted): what ends
the wait is the program's rest. What isn't installed is left out with a line; packages of npm go to the cache folder.
"""

from __future__ import annotations

import contextlib
import os
import queue
import re
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bench import Bench
from peers import CACHE, NotToBeHad, Place, from_pypi, run
from stdio import Reply, ServerFault

from mcp_background_job.config import BackgroundJobConfig
from mcp_background_job.jobs.view import JobView
from support.interpreters import interpreter
from support.model_server import ANSWER, model_server
from support.sshd import MISSING, Box, another_machine

PACKAGES = (
    "vitest@4",
    "jest@30",
    "vite@7",
    "nodemon@3",
    "@clack/prompts@1",
    "ink@6",
    "react@19",
    "@inquirer/prompts@8",
    "ora@9",
    "listr2@9",
)
AGENTS = ("@anthropic-ai/claude-code", "@openai/codex", "@google/gemini-cli")
DELAY = 0.04  # seconds one way, on the line to the machine that is far away

# As docker exec -it: this side waits for the terminal and a socket that has a name, a shell is on the other side.
DOCKER_LIKE = """
import os, pty, select, socket, sys, tty
listener = socket.socket(socket.AF_UNIX)
listener.bind("daemon.sock")
listener.listen()
if os.fork() == 0:
    os.setsid()
    there, _ = listener.accept()
    pid, shell = pty.fork()
    if pid == 0:
        os.execvp("bash", ["bash", "--norc", "-i"])
    with __import__("contextlib").suppress(OSError):
        while True:
            ready, _, _ = select.select([there, shell], [], [])
            if shell in ready:
                there.sendall(os.read(shell, 4096))
            if there in ready:
                os.write(shell, there.recv(4096) or b"\\4")
    os._exit(0)
near = socket.socket(socket.AF_UNIX)
near.connect("daemon.sock")
os.unlink("daemon.sock")
tty.setraw(0)
while True:
    ready, _, _ = select.select([0, near], [], [])
    if near in ready:
        data = near.recv(4096)
        if not data:
            break
        os.write(1, data)
    if 0 in ready:
        near.sendall(os.read(0, 4096))
"""
CLACK = """
import { text, spinner } from '@clack/prompts'
const name = await text({ message: 'Your name?' })
const s = spinner(); s.start('working'); await new Promise(r => setTimeout(r, 1500)); s.stop('made for ' + name)
"""
INQUIRER = """
import { input, select } from '@inquirer/prompts'
const name = await input({ message: 'Your name?' })
const size = await select({ message: 'Size?', choices: ['small', 'large'] })
console.log('made for ' + name + ', ' + size)
"""
INK = """
import React, { useState } from 'react'
import { render, Text, useInput, useApp } from 'ink'
const App = () => {
  const [typed, setTyped] = useState(''), { exit } = useApp()
  useInput((input, key) => { if (key.return) { if (typed === 'q') exit() } else setTyped(t => t + input) })
  return React.createElement(Text, null, 'typed: ' + typed)
}
render(React.createElement(App))
"""
ORA = """
import ora from 'ora'
const s = ora('working').start(); await new Promise(r => setTimeout(r, 3000)); s.succeed('all done')
"""
LISTR = """
import { Listr } from 'listr2'
const step = title => ({ title, task: () => new Promise(r => setTimeout(r, 1200)) })
await new Listr([step('one'), step('two')]).run(); console.log('all done')
"""
VITEST = """
import { test, expect } from 'vitest'
test('slow', async () => { await new Promise(r => setTimeout(r, 1500)); expect(1).toBe(1) })
"""
JEST = "test('slow', async () => { await new Promise(r => setTimeout(r, 1500)); expect(1).toBe(1) })\n"
EXPECT = "set timeout -1; spawn -noecho bash --norc -i; interact"
TEMPLATES = """\
Template: tried/name
Type: string
Description: What is your name?
 Nothing depends on it.
"""
CONFMODULE = """#!/bin/sh
. /usr/share/debconf/confmodule
db_input critical tried/name || true
db_go || true
db_get tried/name
echo "made for $RET" >&2
"""
REPOSITORY = """
export GIT_CONFIG_GLOBAL=/dev/null GIT_EDITOR='vim -u NONE' GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@a
export GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@a; cd "$(mktemp -d -p .)"; git init -q .
git commit -q --allow-empty -m first; git commit -q --allow-empty -m second
"""
NOBODY = "setpriv --reuid=65534 --regid=65534 --clear-groups"  # root is asked for no password


@dataclass(frozen=True)
class Step:
    """What is typed, and what the answer to it has to show."""

    answer: str
    text: str = ""
    keys: tuple[str, ...] = ()
    pattern: str = ""


def prompt(text: str, answer: str, times: int = 5) -> tuple[Step, ...]:
    return (Step(answer, text),) * times


@dataclass(frozen=True)
class Program:
    """A command, what its first answer has to show, and what is typed then."""

    name: str
    command: str | Callable[[World], str]
    first: str
    steps: tuple[Step, ...] = ()
    needs: str = ""
    pattern: str = ""  # waited for at first: other agents', whose start has rests in between
    ends: bool = False  # at work until its end: nothing to wait for in between


class World:
    """What the programs need around them, each made when it is first asked for."""

    def __init__(self, place: Place, stack: contextlib.ExitStack) -> None:
        self.place, self._stack = place, stack
        self.environment: dict[str, str] = {}

    @cached_property
    def machine(self) -> Box:
        if MISSING:
            raise NotToBeHad(MISSING)
        return self._stack.enter_context(another_machine(self.place))

    @cached_property
    def far_port(self) -> int:
        return self._stack.enter_context(delayed(self.machine.port))

    @cached_property
    def modules(self) -> Path:
        return installed("programs", PACKAGES)

    @cached_property
    def model(self) -> str:
        server = self._stack.enter_context(model_server())
        return f"http://127.0.0.1:{server.server_address[1]}"

    @cached_property
    def postgres(self) -> Path:
        """The folder of its socket."""
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        if not found:
            raise NotToBeHad("no PostgreSQL server is here")
        folder = self.place.root / "pg"
        folder.mkdir()
        self.place.root.chmod(0o711)
        who: list[str] = []
        if os.getuid() == 0:
            shutil.chown(folder, "postgres")
            who = ["runuser", "-u", "postgres", "--"]
        data, programs = folder / "data", found[-1].parent
        run(*who, str(programs / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust")
        options = f"-k {folder} -c listen_addresses="
        start = [*who, str(programs / "pg_ctl"), "-D", str(data), "-l", str(folder / "log"), "-o", options]
        run(*start, "-w", "start")
        stop = [*who, str(programs / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop"]
        self._stack.callback(lambda: subprocess.run(stop, capture_output=True, check=False))
        return folder

    def script(self, name: str, text: str) -> Path:
        """A file beside the packages of npm."""
        folder = self.place.work / name.partition(".")[0]
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(text)
        (folder / "package.json").write_text('{"type": "module"}')
        if not (folder / "node_modules").exists():
            (folder / "node_modules").symlink_to(self.modules / "node_modules")
        return folder


def installed(name: str, packages: tuple[str, ...]) -> Path:
    """A folder with packages of npm. Raises NotToBeHad."""
    folder = CACHE / name
    if shutil.which("npm") is None:
        raise NotToBeHad("node and npm are needed")
    if not (folder / "done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        run("npm", "install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", str(folder), *packages)
        (folder / "done").touch()
    return folder


@contextlib.contextmanager
def delayed(port: int) -> Iterator[int]:
    """A port that leads to another one of this machine, with each byte `DELAY` later, both ways."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    near, _ = listener.accept()
                    far = socket.create_connection(("127.0.0.1", port))
                    for one, other in ((near, far), (far, near)):
                        threading.Thread(target=carry, args=(one, other), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]


def carry(one: socket.socket, other: socket.socket) -> None:
    """Each piece in its order, with its delay."""
    under_way: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()

    def deliver() -> None:
        with contextlib.suppress(OSError):
            while True:
                due, data = under_way.get()
                time.sleep(max(0.0, due - time.monotonic()))
                if not data:
                    return other.shutdown(socket.SHUT_WR)
                other.sendall(data)

    threading.Thread(target=deliver, daemon=True).start()
    data = b"-"
    while data:
        try:
            data = one.recv(65536)
        except OSError:
            data = b""
        under_way.put((time.monotonic() + DELAY, data))


def ssh(*options: str) -> Callable[[World], str]:
    return lambda world: shlex.join(world.machine.ssh(*options, "-tt", "box", "bash --norc -i"))


def far_ssh(world: World) -> str:
    return shlex.join(world.machine.ssh("-p", str(world.far_port), "-tt", "box", "bash --norc -i"))


def in_node(name: str, text: str) -> Callable[[World], str]:
    return lambda world: f"cd {world.script(name, text)} && exec node {name}"


def ipython(_: World) -> str:
    return f"{from_pypi('ipython', '8.31.0', 'ipython').argv[0]} --no-banner"


def python_3_13(_: World) -> str:
    found = interpreter("python3.13")
    if not found:
        raise NotToBeHad("no Python 3.13 is here")
    return f"{found} -q"


def psql(world: World) -> str:
    return f"psql -X -h {world.postgres} -U postgres"


def vitest(world: World) -> str:
    return f"cd {world.script('slow.test.js', VITEST)} && exec node_modules/.bin/vitest --watch"


def jest(world: World) -> str:
    folder = world.script("jest.test.cjs", JEST)
    (folder / "package.json").write_text('{"jest": {"testMatch": ["**/*.test.cjs"], "watchman": false}}')
    return f"cd {folder} && exec node_modules/.bin/jest --watchAll"


def vite(world: World) -> str:
    return f"cd {world.script('index.html', '<p>hello</p>')} && exec node_modules/.bin/vite --port 0"


def nodemon(world: World) -> str:
    folder = world.script("server.mjs", "console.log('serving'); setInterval(() => {}, 1000)")
    return f"cd {folder} && exec node_modules/.bin/nodemon server.mjs"


def npm_init(world: World) -> str:
    folder = world.place.work / "fresh"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return f"cd {folder} && exec npm init"


def debconf(world: World) -> str:
    folder = world.place.work / "debconf"
    folder.mkdir(exist_ok=True)
    (folder / "ask.templates").write_text(TEMPLATES)
    (folder / "ask").write_text(CONFMODULE)
    (folder / "ask").chmod(0o755)
    (folder / "templates.dat").touch()
    config = "".join(
        f"Name: {name}\nDriver: File\nFilename: {folder}/{name}.dat\n\n" for name in ("config", "templates")
    )
    (folder / "debconf.conf").write_text(f"Config: config\nTemplates: templates\n\n{config}")
    (folder / "config.dat").unlink(missing_ok=True)
    ask = "DEBIAN_FRONTEND=readline exec /usr/share/debconf/frontend ./ask"
    # apt runs dpkg, and so debconf, in a terminal of its own, as script does.
    return f"cd {folder} && export DEBCONF_SYSTEMRC=$PWD/debconf.conf && exec script -qec {shlex.quote(ask)} /dev/null"


def agent(name: str) -> Callable[[World], str]:
    def command(world: World) -> str:
        from support.agents import AGENTS as known

        binary = installed("agents", AGENTS) / "node_modules/.bin" / name
        for left in (".claude.json", ".codex", ".gemini"):
            path = world.place.home / left
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        world.environment = known[name][0](world.place.home, world.place.work, world.model)
        return str(binary)

    return command


def asked(name: str, ready: str) -> Program:
    return Program(name, agent(name), ready, (Step(ANSWER, "Tell me a bird", pattern=ANSWER),), pattern=ready)


def tests_of(name: str, command: Callable[[World], str], passed: str) -> Program:
    """A test runner that watches: `a` runs all again."""
    return Program(name, command, passed, (Step(passed, keys=("a",), pattern=passed),), pattern=passed)


AT_PROMPT = r"[$#%>] ?$"
SHELL = prompt("echo $((6*7))", "^42$")
SLOW = (Step("^FIN", "sleep 0.3; echo FI''N"),)
PYTHON = prompt("6*7", r"^(Out\[\d+\]: )?42")
PROGRAMS = (
    Program("bash", "bash --norc -i", AT_PROMPT, SHELL + SLOW),
    Program("zsh", "zsh -f -i", AT_PROMPT, SHELL + SLOW, "zsh"),
    Program("fish", "fish", AT_PROMPT, prompt("echo (math 6 x 7)", "^42$") + SLOW, "fish"),
    Program("dash", "dash -i", AT_PROMPT, SHELL + SLOW, "dash"),
    Program("Python 3.11", f"{sys.executable} -q", ">>> $", PYTHON),
    Program("Python 3.13", python_3_13, ">>> ?$", PYTHON),
    Program("ipython", ipython, "In .1.:", PYTHON),
    Program("node", "node", "> ?$", PYTHON, "node"),
    Program("sqlite3", "sqlite3", "sqlite> $", prompt("select 6*7;", "^42$"), "sqlite3"),
    Program("psql", psql, "# $", prompt("select 6*7 as x;", "^ *42$"), "psql"),
    Program("gdb", "gdb -q -nx", r"\(gdb\) $", prompt("print 6*7", "= 42$"), "gdb"),
    Program("irb", "irb -f", "irb.*> ?$", prompt("6*7", "=> 42"), "irb"),
    Program("lua", "lua", "> $", prompt("print(6*7)", "^42$"), "lua"),
    Program("bc", "bc -q", "^$", prompt("6*7", "^42$"), "bc"),
    Program("perl -de0", "perl -de0", "DB<1> $", prompt("p 6*7", "^ *42"), "perl"),
    Program("ed", "ed -p '* '", r"\* $", prompt("=", "^0$"), "ed"),
    Program("cat", "cat", "^$", prompt("hello", "^hello$")),
    Program("read -s", "read -s -p 'Secret: ' x; echo; echo ok", "Secret: $", (Step("ok", "hush"),)),
    Program("vi (vim)", "vim -u NONE notes", "notes", (Step("hello", "ihello", ("Escape",)), Step("", ":q!")), "vim"),
    Program("nano", "nano other", "New File", (Step("hello", "hello"), Step("", keys=("C-x", "n"))), "nano"),
    Program(
        "less", "seq 1000 | less", "^1$", (Step("^100$", keys=("1", "0", "0", "g")), Step("", keys=("q",))), "less"
    ),
    Program("top", "top", "load average", (Step("", keys=("q",)),), "top"),
    Program("htop", "htop", "Load average|Tasks:", (Step("Help|help", keys=("h",)),), "htop"),
    Program("dialog", "dialog --yesno Sure? 7 40", "Sure", (Step("", keys=("Enter",)),), "dialog"),
    Program("ssh, 0 ms", ssh(), AT_PROMPT, SHELL + SLOW, pattern=AT_PROMPT),
    Program("ssh, 80 ms there and back", far_ssh, AT_PROMPT, SHELL + SLOW, pattern=AT_PROMPT),
    Program(
        "docker-like relay",
        f"{sys.executable} -c {shlex.quote(DOCKER_LIKE)}",
        AT_PROMPT,
        SHELL + SLOW,
        pattern=AT_PROMPT,
    ),
    Program("script", "script -qc 'bash --norc -i' /dev/null", AT_PROMPT, SHELL + SLOW, "script"),
    Program(
        "tmux in tmux",
        "tmux -L inner -f /dev/null new 'bash --norc -i'",
        AT_PROMPT,
        SHELL[:1] + SLOW,
        "tmux",
        AT_PROMPT,
    ),
    Program("expect", f"expect -c {shlex.quote(EXPECT)}", AT_PROMPT, SHELL + SLOW, "expect"),
    tests_of("vitest", vitest, r"^ +Tests +1 passed"),
    tests_of("jest", jest, r"^Tests: +1 passed"),
    Program("vite", vite, "ready in", (Step("press r", "h", pattern="press q"),), pattern="press h"),
    Program("nodemon", nodemon, "serving", (Step("^serving", "rs", pattern="^serving"),), pattern="^serving"),
    Program("clack", in_node("clack.mjs", CLACK), "Your name", (Step("made for Ann", "Ann"),)),
    Program("ink", in_node("ink.mjs", INK), "typed:", (Step("typed: hello", "hello", ()),)),
    Program(
        "inquirer",
        in_node("inquirer.mjs", INQUIRER),
        "name",
        (Step("Size", "Ann"), Step("Ann, large", keys=("Down", "Enter"))),
    ),
    Program("ora", in_node("ora.mjs", ORA), "all done", ends=True),
    Program("listr2", in_node("listr.mjs", LISTR), "all done", ends=True),
    Program("debconf in apt's kind of terminal", debconf, "name", (Step("made for Ann", "Ann"),), "debconf"),
    Program(
        "npm init", npm_init, "package name", (Step("version:", "tried"), Step("description:", keys=("Enter",))), "npm"
    ),
    Program(
        "git commit",
        REPOSITORY + "git commit --allow-empty",
        "COMMIT_EDITMSG",
        (Step("third", "ithird\x1b:wq"),),
        "git vim",
    ),
    Program(
        "git rebase -i", REPOSITORY + "git rebase -i --root", "git-rebase-todo", (Step("rebased", ":wq"),), "git vim"
    ),
    Program("sudo bash", "sudo bash --norc -i", "# $", SHELL + SLOW, "sudo"),
    Program("sudo, its question", f"{NOBODY} sudo -k true", "password for", (Step("again", "wrong"),), "sudo setpriv"),
    Program("su, its question", f"{NOBODY} su -c true", "Password: $", (Step("failure", "wrong"),), "su setpriv"),
    Program(
        "passwd, its question", f"{NOBODY} passwd", "assword: $", (Step("manipulation|unchanged", "wrong"),), "passwd"
    ),
    asked("codex", "for agents"),
    asked("gemini", "Type your message"),
    asked("claude", r"\? for shortcuts"),
)


FIRST, TYPED = "program, first answer: ", "program, answer: "
WRONG = "programs: answers that were not whole"


def resting(bench: Bench) -> None:
    """Each program in turn: its rest, the time until its first answer and until those to what was typed."""
    only = os.environ.get("PROGRAMS", "")
    wrong = 0
    for program in PROGRAMS:
        if only and not re.search(only, program.name):
            continue
        missing = [need for need in program.needs.split() if shutil.which(need) is None]
        try:
            if missing:
                raise NotToBeHad(f"{' and '.join(missing)} is not here")
            wrong += sum(try_out(bench, program) for _ in range(bench.n(2, 1)))
        except (NotToBeHad, ServerFault, subprocess.SubprocessError, OSError) as error:
            bench.figures.say(f"  {program.name} is left out: {(str(error) or repr(error)).splitlines()[0][:90]}")
    bench.figures.add(WRONG, "ours", [wrong], "")
    bench.figures.reach(WRONG, "0", wrong, 0)


def try_out(bench: Bench, program: Program) -> int:
    """Start a program and type its steps; how many answers were not what they should be."""
    first, typed, wrong = FIRST + program.name, TYPED + program.name, 0
    with bench.apart() as one, contextlib.ExitStack() as stack:
        place = one.place()
        world = World(place, stack)
        command = program.command if isinstance(program.command, str) else program.command(world)
        server = one.client("ours", place)
        given = {"command": command, "env": world.environment, "wait": 50}
        begun = time.perf_counter()
        reply = server.call("execute", **given, **({"pattern": program.pattern} if program.pattern else {}))
        took = [(time.perf_counter() - begun) * 1000]
        due = "exit" if program.ends else "match" if program.pattern else "input"
        wrong += judged(bench, program, reply, program.first, due)
        job_id = reply.fields["job_id"]
        note = "" if program.ends else rest_of(place, job_id)
        earlier = bench.figures.rows.get(first)
        bench.figures.add(first, "ours", [*(earlier.samples["ours"] if earlier else []), *took], "ms", note)
        took = []
        for step in program.steps:
            asked: dict[str, Any] = {"job_id": job_id, "input": step.text, "keys": list(step.keys), "timeout": 20}
            if step.keys and not step.text:
                asked["enter"] = False
            if step.pattern:
                asked |= {"pattern": step.pattern, "timeout": 50}
            begun = time.perf_counter()
            reply = server.call("interact", **asked)
            took.append((time.perf_counter() - begun) * 1000)
            wrong += judged(bench, program, reply, step.answer, "match" if step.pattern else "")
        if took:
            earlier = bench.figures.rows.get(typed)
            bench.figures.add(typed, "ours", [*(earlier.samples["ours"] if earlier else []), *took], "ms", note)
        with contextlib.suppress(ServerFault):
            server.call("kill", job_id=job_id, signal="KILL")
    return wrong


def judged(bench: Bench, program: Program, reply: Reply, due: str, reason: str) -> int:
    """1 where an answer is not what it should be, which is said."""
    shown = "\n".join(str(reply.fields.get(name, "")) for name in ("stdout", "screen"))
    came = reply.fields.get("reason")
    if re.search(due, shown, re.MULTILINE) and (came == reason if reason else came in ("input", "exit")):
        return 0
    bench.figures.say(f"  ✗ {program.name}: {came} with {shown[-200:]!r} where {due!r} is due")
    return 1


def rest_of(place: Place, job_id: str) -> str:
    """How a job rests, looked at for a second."""
    view = JobView(BackgroundJobConfig(state_dir=place.state))
    seen: Counter[str] = Counter()
    deadline = time.monotonic() + 1.0
    while time.monotonic() < deadline:
        if found := view.resting(view.job(job_id)):
            seen[found.rest] += 1
        time.sleep(0.02)
    return seen.most_common(1)[0][0] if seen else ""
