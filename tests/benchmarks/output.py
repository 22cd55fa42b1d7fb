"""Output that is large: a flood beside bare tmux, pages, grep, tails, and what reading leaves in memory."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import BareTmux, Bench, memory
from figures import timed
from hands import Old
from stdio import Client

LINE = "seq -f %%099.0f 1 %d"  # lines of 100 bytes


def job(server: Client, command: str, **options: Any) -> str:
    """The id of a job that has ended."""
    answer = server.call("execute", command=command, **options).fields
    while answer["status"] == "running":
        answer |= server.call("wait", job_ids=[answer["job_id"]], timeout=50).fields
    return str(answer["job_id"])


def flood(bench: Bench) -> None:
    """200 MB printed: until a job's end is known, and until bare tmux has piped the last byte into a file."""
    lines = bench.n(23_500_000, 2_500_000)
    what = "200 MB printed" if not bench.quick else "20 MB printed"
    command = f"seq 1 {lines}"
    tmux, ours = BareTmux(bench.place()), bench.client("ours")

    def bare() -> float:
        log = tmux.place.work / f"flood{time.monotonic_ns()}"
        begun = time.perf_counter()
        window = tmux.piped(f"{command}; sleep 1000", log)
        while not ends_with(log, f"{lines}\r\n".encode()):
            time.sleep(0.01)
        took = time.perf_counter() - begun
        tmux.run("kill-window", "-t", window)
        log.unlink()
        return took

    def mine() -> float:
        begun = time.perf_counter()
        job_id = job(ours, command)
        took = time.perf_counter() - begun
        assert ours.call("tail", job_id=job_id, lines=1).fields["stdout"] == f"{lines}\n"
        return took

    actions: dict[str, Callable[[], float]] = {"tmux": bare, "ours": mine}
    if "0.1.2" in bench.contenders:
        old = bench.hands("0.1.2")
        assert isinstance(old, Old)
        actions["0.1.2"] = lambda: timed(lambda: old.run(command)) / 1000
    bench.interleaved(what, actions, bench.n(5, 2), unit="s")
    if "0.1.2" in actions:
        bench.figures.rows[what].notes["0.1.2"] = "(a pipe, no terminal)"
    bench.figures.reach(what, "≤ 1.1 x bare tmux", bench.figures.times(what), 1.1)


def ends_with(log: Path, end: bytes) -> bool:
    if not log.exists() or log.stat().st_size < len(end):
        return False
    with log.open("rb") as file:
        file.seek(-len(end), os.SEEK_END)
        return file.read() == end


def read_whole(server: Client, job_id: str, max_chars: int) -> float:
    """Page by page from the first byte to the last; returns the milliseconds, without those of the client's parser."""
    cursor, took = 0, 0.0
    while True:
        page = server.call("output", job_id=job_id, since=cursor, max_chars=max_chars).fields
        cursor, took = page["cursor"], took + server.took
        if not page.get("truncated"):
            return took


def pages_and_grep(bench: Bench) -> None:
    """Speeds in MB a second; the floor is a bare server that answers with as much."""
    server, bare = bench.client("ours", MCP_BG_MAX_OUTPUT_SIZE="2GB"), bench.client("bare")
    size = bench.n(100, 20)  # MB
    ten, big = job(server, LINE % 100_000), job(server, LINE % (size * 10_000))
    for chars in (1_000_000, 40_000):
        what = f"10 MB by output in pages of {chars:,} characters"

        def mine(chars: int = chars) -> float:
            return 10_000 / read_whole(server, ten, chars)

        def floor(chars: int = chars) -> float:
            took = 0.0
            for _ in range(10_000_000 // chars):
                bare.call("page", size=chars)
                took += bare.took
            return 10_000 / took

        bench.interleaved(what, {"bare": floor, "ours": mine}, bench.n(10, 2), unit="MB/s")
    pages = "10 MB by output in pages of 1,000,000 characters"
    bench.figures.reach(pages, "≥ 80", -bench.figures.median(pages, "ours"), -80)
    for label, pattern in (("the end of a line", f"{size * 10_000 - 1:07d}$"), ("a word that isn't there", "ERROR")):
        what = f"grep over {size} MB, {label}"
        speed = [
            size * 1000 / timed(lambda pattern=pattern: server.call("output", job_id=big, grep=pattern))  # type: ignore[misc]
            for _ in range(bench.n(5, 2))
        ]
        bench.figures.add(what, "ours", speed, "MB/s")
        bench.figures.reach(what, "≥ 80", -bench.figures.median(what, "ours"), -80)


def large(bench: Bench) -> None:
    """Tail of the largest log as of a small one; memory after ten jobs of 10 MB were read whole."""
    server = bench.client("ours", MCP_BG_MAX_OUTPUT_SIZE="4GB")
    lines = bench.n(10_000_000, 1_000_000)
    large_name = "tail 50 of 1 GB" if not bench.quick else "tail 50 of 100 MB"
    small, big = job(server, LINE % 10_000), job(server, LINE % lines)
    taken: dict[str, list[float]] = {"tail 50 of 1 MB": [], large_name: []}
    for _ in range(bench.n(200, 30)):
        for what, job_id in zip(taken, (small, big), strict=True):
            taken[what].append(timed(lambda job_id=job_id: server.call("tail", job_id=job_id)))  # type: ignore[misc]
    for what, values in taken.items():
        bench.figures.add(what, "ours", values)
    differences = sorted(second - first for first, second in zip(*taken.values(), strict=True))
    bench.figures.reach(large_name, "as of 1 MB (+ 0.5)", differences[len(differences) // 2], 0.5)

    grown = []
    for _ in range(bench.n(3, 1)):
        reader = bench.client("ours")
        reader.call("list")
        time.sleep(2)
        before = memory(reader.process.pid)
        for job_id in [job(reader, LINE % 100_000) for _ in range(10)]:
            read_whole(reader, job_id, 40_000)
        grown.append(memory(reader.process.pid) - before)
    what = "memory more, after ten jobs of 10 MB read whole"
    bench.figures.add(what, "ours", grown, "MB")
    bench.figures.reach(what, "≤ 5", bench.figures.median(what, "ours"), 5)
