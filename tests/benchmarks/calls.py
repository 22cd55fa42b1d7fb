"""Starting, single calls, a command's way to its exit code, and answers of a REPL, all servers in turn."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

from bench import BareTmux, Bench, has_bytes, helpers, memory, spin
from figures import timed
from hands import Hands
from stdio import ServerFault

REST = 0.25  # seconds between tries that start a job: the one before has started by then, as where an agent thinks
# A job's last act is to print its own clock, so that an answer can be compared with it.
CLOCK = "import time, os; time.sleep(.2); os.write(1, b'%d\\n' % time.monotonic_ns()); os._exit(0)"
CLOCK_JOB = f'python3 -I -S -c "{CLOCK}"'


def starting(bench: Bench) -> None:
    """From spawn to the answers of initialize and tools/list; the sizes of tools/list."""
    first, second = "start to initialize", "start to tools/list"
    taken: dict[str, dict[str, list[float]]] = {first: {}, second: {}}
    sizes = {}
    places = {who: bench.place() for who in bench.contenders}
    for _ in range(bench.n(15, 3)):
        for who, contender in bench.contenders.items():
            client = contender.start(places[who])
            taken[first].setdefault(who, []).append(client.started * 1000)
            taken[second].setdefault(who, []).append(client.listed * 1000)
            sizes[who] = client.listing_size
            client.close()
    for what, values in taken.items():
        for who in bench.contenders:
            bench.figures.add(what, who, values[who])
        bench.figures.reach(what, "≤ 1.10 x bare", bench.figures.times(what), 1.10)
    for who, size in sizes.items():
        bench.figures.add("bytes of tools/list", who, [float(size)], "bytes")
    others = [sizes[who] for who in bench.peers]
    if others:
        bench.figures.reach("bytes of tools/list", "fewest", sizes["ours"], min(others))


def reading(bench: Bench) -> None:
    """Calls that only look, beside a tool that does nothing."""
    bare = bench.client("bare")
    hands = bench.all_hands()
    lines = {who: hand.begin("bash -c 'seq 1 100000; sleep 1000'") for who, hand in hands.items()}
    for who, hand in hands.items():
        for _ in range(9):
            hand.begin("sleep 1000")
        until_printed(who, hand, lines[who])
    kinds: dict[str, Callable[[Hands, str], object]] = {
        "status of a running job": lambda hand, job: hand.status(job),
        "list of 10 jobs": lambda hand, job: hand.listing(),
        "tail 50 of 100,000 lines": lambda hand, job: hand.tail(job),
    }
    for what, kind in kinds.items():
        actions: dict[str, Callable[[], float]] = {"bare": lambda: timed(lambda: bare.call("status"))}
        for who, hand in hands.items():
            actions[who] = lambda hand=hand, job=lines[who], kind=kind: timed(lambda: kind(hand, job))  # type: ignore[misc]
        bench.interleaved(what, actions, bench.n(300, 30))
        bench.figures.reach(what, "≤ trivial tool + 1", bench.figures.above(what), 1.0)


def until_printed(who: str, hand: Hands, job: str) -> None:
    deadline = time.monotonic() + 30
    while "100000" not in hand.tail(job):
        assert time.monotonic() < deadline, f"{who} never showed the last line"
        time.sleep(0.1)


def executing(bench: Bench) -> None:
    """To the job's id, to its first byte in the log, to its exit code."""
    hands = bench.all_hands()
    tmux = BareTmux(bench.place())
    what = "execute to the job id"
    actions: dict[str, Callable[[], float]] = {
        "tmux": lambda: timed(lambda: tmux.piped("sleep 1", tmux.place.work / f"{time.monotonic_ns()}")),
    }
    for who, hand in hands.items():
        actions[who] = lambda hand=hand: timed(lambda: hand.begin("sleep 1"))  # type: ignore[misc]
    bench.interleaved(what, actions, bench.n(60, 8), REST)
    bench.figures.reach(what, "≤ 12", bench.figures.median(what, "ours"), 12)
    display = [timed(lambda: tmux.run("display-message", "-p", "x")) for _ in range(bench.n(60, 8))]
    bench.figures.add("  any tmux command from outside (display)", "tmux", display)

    what = "execute to the first byte in the log"
    ours = bench.hands("ours", place := bench.place())
    logs = place.state / "mcp-jobs"

    def first_byte() -> None:
        job = ours.begin("echo x; sleep 1")
        spin(lambda: any(has_bytes(file) for file in (logs / job).rglob("*.log")))

    def bare_first_byte() -> None:
        log: Path = tmux.place.work / f"{time.monotonic_ns()}"
        tmux.piped("echo x; sleep 1", log)
        spin(lambda: has_bytes(log))

    actions = {"tmux": lambda: timed(bare_first_byte), "ours": lambda: timed(first_byte)}
    bench.interleaved(what, actions, bench.n(60, 8), REST)
    bench.figures.reach(what, "≤ 60", bench.figures.median(what, "ours"), 60)

    what = "`true` to its exit code"

    def bare_true() -> None:
        tmux.run("new-window", "-d", "-t", "bare:", "true; tmux wait-for -S done")
        tmux.run("wait-for", "done")

    actions = {"tmux": lambda: timed(bare_true)}
    for who, hand in hands.items():
        actions[who] = lambda hand=hand: timed(lambda: hand.run("true"))  # type: ignore[misc]
    bench.interleaved(what, actions, bench.n(60, 6), REST)
    bench.figures.rows[what].notes["0.1.2"] = "(no code)"
    bench.figures.reach(what, "≤ 70", bench.figures.median(what, "ours"), 70)


def ending(bench: Bench) -> None:
    """From a job's end until `status` says so, until `wait` (or what a peer has) answers."""
    hands = bench.all_hands()
    ours = hands["ours"]

    def late(text: str, now: int) -> float:
        found = re.findall(r"\d{12,}", text)
        assert found, text[-200:]
        return (now - int(found[-1])) / 1e6

    def status() -> float:
        job = ours.begin(CLOCK_JOB)
        while not ours.ended(job):
            pass
        now = time.monotonic_ns()
        return late(ours.tail(job).words, now)

    def waiting() -> float:
        job = ours.begin(CLOCK_JOB)
        answer = ours.call("wait", job_ids=[job], timeout=20)
        now = time.monotonic_ns()
        return late(answer.words + ours.tail(job).words, now)

    def running(hand: Hands) -> float:
        text = hand.run(CLOCK_JOB)
        return late(text, time.monotonic_ns())

    tries = bench.n(40, 5)
    bench.interleaved("exit until status says so", {"ours": status}, tries)
    bench.figures.reach(
        "exit until status says so", "≤ 20", bench.figures.median("exit until status says so", "ours"), 20
    )
    what = "exit until wait answers"
    actions: dict[str, Callable[[], float]] = {"ours": waiting}
    for who in bench.peers:
        actions[who] = lambda hand=hands[who]: running(hand)  # type: ignore[misc]
    bench.interleaved(what, actions, tries)
    bench.figures.reach(what, "≤ 20", bench.figures.median(what, "ours"), 20)


def talking(bench: Bench) -> None:
    """A Python REPL: time to the whole answer, and how often the first answer was whole."""
    what, whole = "interact with a REPL until its answer is read", "  answers whole at once"
    hands = bench.all_hands()
    repls = {}
    for who, hand in list(hands.items()):
        try:
            repls[who] = hand.open_repl()
            hand.ask(repls[who], "print(900 + 99)", "999")
        except ServerFault as error:
            del hands[who]
            bench.figures.note(what, who, f"failed: {error}"[:40])
    tries = bench.n(200, 10)
    good = dict.fromkeys(hands, 0)
    numbers = iter(range(10_000, 1_000_000))

    def one(who: str) -> float:
        number = next(numbers)
        begun = time.perf_counter()
        good[who] += hands[who].ask(repls[who], f"print({number} * 7)", str(number * 7))
        return (time.perf_counter() - begun) * 1000

    bench.interleaved(what, {who: (lambda who=who: one(who)) for who in hands}, tries)  # type: ignore[misc]
    for who, count in good.items():
        bench.figures.add(whole, who, [100.0 * count / tries], "%")
    bench.figures.reach(what, "≤ 20", bench.figures.median(what, "ours"), 20)
    bench.figures.reach(whole, "all", 100.0 * (tries - good["ours"]) / tries, 0)


def idle_memory(bench: Bench) -> None:
    """The server's own memory once it has answered its first call, and a running job's share."""
    what = "memory of an idle server (RSS)"
    for who in bench.contenders:
        client = bench.client(who, place := bench.place())
        if who == "ours":
            client.call("list")
            time.sleep(2)  # it imports what it will need once it has answered its first calls
        bench.figures.add(what, who, [memory(client.process.pid, children=True)], "MB")
        if who == "ours":
            for _ in range(5):
                client.call("execute", command="sleep 1000")
            time.sleep(1)
            share = sum(memory(process.pid, "Pss") for process in helpers(place)) / 5
            bench.figures.add("memory of a running job's helpers (PSS)", who, [share], "MB")
    bench.figures.reach(what, "≤ 75", bench.figures.median(what, "ours"), 75)
    jobs = "memory of a running job's helpers (PSS)"
    bench.figures.reach(jobs, "≤ 10", bench.figures.median(jobs, "ours"), 10)
