"""Six everyday tasks: the bytes that an agent writes and reads, and the calls, with each server's own tools.

The agent of each server takes the cheapest way that the server's documentation gives, runs each command as the user
gave it, thinks for half a second before each call, and stops when it has read what proves that the task is done. What
it has read, and what happened to files and ports, is checked. A tmux session that stands there already costs nothing.
"""

from __future__ import annotations

import contextlib
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path

from agents import AGENTS, Agent
from bench import Bench
from peers import Place
from stdio import ServerFault

BUILD = """
import sys, time
print("\\x1b[1mResolving\\x1b[0m 214 packages")
for stage in ("compile", "link", "bundle"):
    for i in range(101):
        print(f"\\r\\x1b[32m{stage:8}\\x1b[0m {i:3}% |{'#' * (i // 2):50}| {i}/100", end="", flush=True)
        time.sleep(0.004)
    print()
print("warning: 3 deprecated calls\\nerror: bundle too large: 812 kB")
sys.exit(3)
"""

TESTS = """
import sys
for i in range(50_000):
    if i == 31_337:
        print("ERROR in test_orders.py::test_total\\n    assert 41.99 == 42.0\\n    where 41.99 = total(cart-7f3a)")
    else:
        print(f"test_{i % 977:04}.py::test_case_{i:05} PASSED in 0.0{i % 9}s")
print("1 failed, 49999 passed")
sys.exit(1)
"""

SERVE = """
import http.server, sys, time
for step in range(40):
    print(f"loading module {step} of 40", flush=True)
    time.sleep(0.04)
server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
print(f"Listening on http://127.0.0.1:{server.server_port}/", flush=True)
server.serve_forever()
"""

DEPLOY = """
import sys, time
print("Plan: 3 to add, 1 to destroy")
time.sleep(0.3)
if input("Deploy to production? [y/N] ") != "y":
    sys.exit(1)
time.sleep(0.3)
print("Deployed revision 8f3a91")
"""

CONFIG = "[web]\nhost = localhost\nport = 8080\nworkers = 4\n"

FILES = {"build.py": BUILD, "tests.py": TESTS, "serve.py": SERVE, "deploy.py": DEPLOY, "config.ini": CONFIG}


def reads(heard: str, *patterns: str) -> None:
    for pattern in patterns:
        assert re.search(pattern, heard), f"nothing read that matches {pattern}"


def built(place: Place, heard: str) -> None:
    reads(heard, "bundle too large: 812 kB", "deprecated")


def found(place: Place, heard: str) -> None:
    reads(heard, r"test_orders\.py::test_total", "41.99 == 42.0", "cart-7f3a")


def serving(place: Place, heard: str) -> None:
    match = re.search(r"http://127\.0\.0\.1:(\d+)/", heard)
    assert match is not None, "the address was not read"
    with contextlib.closing(socket.create_connection(("127.0.0.1", int(match[1])), 2)):
        pass


def computed(place: Place, heard: str) -> None:
    reads(heard, "2432902008176640000", r"(?<!\d)861(?!\d)", "'later'|later")


def deployed(place: Place, heard: str) -> None:
    reads(heard, "Deployed revision 8f3a91")


def edited(place: Place, heard: str) -> None:
    text = Path(place.work / "config.ini").read_text()
    assert text == CONFIG.replace("8080", "9090"), f"the file says {text!r}"


THINKING = 0.5  # seconds; less than any model takes, and enough that nobody types ahead of an editor

ERRANDS: dict[str, tuple[Callable[[Agent], str | None], Callable[[Place, str], None]]] = {
    "build with progress bars": (lambda agent: agent.build(), built),
    "find the error in 50,000 lines": (lambda agent: agent.find(), found),
    "  the same, expecting much": (lambda agent: agent.find_expecting_much(), found),
    "wait for a server to be ready": (lambda agent: agent.serve(), serving),
    "three REPL steps": (lambda agent: agent.compute(), computed),
    "answer a question": (lambda agent: agent.deploy(), deployed),
    "edit a file in vi": (lambda agent: agent.edit(), edited),
}


def errands(bench: Bench) -> None:
    sums: dict[str, tuple[int, int]] = dict.fromkeys(bench.handy, (0, 0))
    for what in ERRANDS:
        for who in bench.handy:
            with bench.apart() as fresh:
                done = one(fresh, what, who)
            if done is None:
                sums.pop(who, None)
            elif who in sums and not what.startswith(" "):
                sums[who] = (sums[who][0] + done[0], sums[who][1] + done[1])
        fewest(bench, what)
    for who, (size, calls) in sums.items():
        bench.figures.add(f"all six{SIZE}", who, [float(size)], "bytes", f"/ {calls}")
        with bench.apart() as fresh:
            listing = fresh.client(who).listing_size
        bench.figures.add(f"tools/list and all six{SIZE}", who, [float(listing + size)], "bytes")
    for what in ("all six", "tools/list and all six"):
        fewest(bench, what)


SIZE = ": bytes / calls"


def one(bench: Bench, what: str, who: str) -> tuple[int, int] | None:
    """One task by one agent; bytes and calls, or nothing where it wasn't done."""
    errand, check = ERRANDS[what]
    place = bench.place()
    for name, text in FILES.items():
        (place.work / name).write_text(text)
    client = bench.client(who, place)
    try:
        agent = AGENTS[who](client)
        client.count()
        client.pause = THINKING
        begun = time.perf_counter()
        remark = errand(agent)
        took = time.perf_counter() - begun
        check(place, client.heard)
    except (ServerFault, AssertionError, KeyError) as error:
        reason = str(error).splitlines()[0][:70] if str(error) else type(error).__name__
        bench.figures.say(f"  {what}: {who}: {reason}")
        bench.figures.note(f"{what}{SIZE}", who, "not done", "bytes")
        return None
    size = client.read + client.written
    note = f"/ {client.calls} ({took:.0f} s)" + (f" {remark}" if remark else "")
    bench.figures.add(f"{what}{SIZE}", who, [float(size)], "bytes", note)
    return size, client.calls


def fewest(bench: Bench, what: str) -> None:
    """Ours should read and write least; an agent that typed without having seen where is not compared."""
    row = bench.figures.rows[f"{what}{SIZE}"]
    seeing = [who for who in bench.peers if "unseen" not in row.notes.get(who, "")]
    others = [value for who in seeing if (value := row.median(who)) is not None]
    if others:
        bench.figures.reach(row.what, "fewest bytes", row.median("ours"), min(others))
