"""What costs processor time while nothing happens: fifty running jobs with a person attached, and waits under way."""

from __future__ import annotations

import time

import psutil
from bench import Bench, cpu_seconds, helpers
from figures import timed
from stdio import Client

from support.person import Person


def shares(groups: dict[str, list[psutil.Process]], seconds: float) -> dict[str, float]:
    """Percent of a core that each group of processes takes."""
    before = {name: cpu_seconds(group) for name, group in groups.items()}
    begun = time.monotonic()
    time.sleep(seconds)
    elapsed = time.monotonic() - begun
    return {name: (cpu_seconds(group) - before[name]) / elapsed * 100 for name, group in groups.items()}


def idle(bench: Bench) -> None:
    """Fifty jobs that sleep; a person looks at a job, then at the board."""
    place = bench.place()
    server = bench.client("ours", place, MCP_BG_MAX_JOBS="100")
    for _ in range(50):
        server.call("execute", command="sleep 100000")
    person = Person(place, "tmux attach -t mcp-jobs", columns=120, rows=40)
    try:
        person.sees("mcp-jobs")
        board_pid = int(place.tmux("display-message", "-p", "-t", "mcp-jobs:0", "#{pane_pid}"))
        tmux = place.tmux_server()
        assert tmux is not None
        family = psutil.Process(board_pid)
        groups = {
            "server": [psutil.Process(server.process.pid)],
            "board": [family, *family.children(recursive=True)],
            "tmux itself": [tmux],
            "runners and log writers": helpers(place),
        }
        for view, window in (("a job", "1"), ("the board", "0")):
            place.tmux("select-window", "-t", f"mcp-jobs:{window}")
            time.sleep(3)
            found = shares(groups, bench.n(60, 10))
            what = f"CPU with 50 jobs, a person looks at {view}"
            parts = ", ".join(f"{name} {value:.2f}" for name, value in found.items())
            bench.figures.add(what, "ours", [sum(found.values())], "% of a core", f"({parts})")
            bench.figures.reach(what, "< 1", sum(found.values()), 0.9999)
    finally:
        person.close()


def waits(bench: Bench) -> None:
    """Fifty waits under way cost next to nothing, and a hundred hold nobody up."""
    server = bench.client("ours", MCP_BG_MAX_JOBS="100")
    jobs = [server.call("execute", command="sleep 1000").fields["job_id"] for _ in range(49)]
    for kinds in (("exit",), ("exit", "input", "quiet")):
        process = [psutil.Process(server.process.pid)]
        for kind in kinds:
            begin_waits(server, jobs, 50 // len(kinds), until=kind, timeout=bench.n(15, 4))
        time.sleep(1)
        found = shares({"server": process}, bench.n(13, 2))["server"]
        what = f"CPU of the server, 50 waits until {', '.join(kinds)}"
        bench.figures.add(what, "ours", [found], "% of a core")
        bench.figures.reach(what, "< 2", found, 1.9999)
        server.call("list")
    plain = [timed(lambda: server.call("status", job_id=jobs[0])) for _ in range(bench.n(200, 30))]
    begin_waits(server, jobs, 100, until="exit", timeout=8)
    busy = [timed(lambda: server.call("status", job_id=jobs[0])) for _ in range(bench.n(200, 30))]
    bench.figures.add("status while nothing else happens", "ours", plain)
    bench.figures.add("status while 100 waits are under way", "ours", busy)


def begin_waits(server: Client, jobs: list[str], count: int, until: str, timeout: float) -> None:
    for number in range(count):
        arguments = {"job_ids": [jobs[number % len(jobs)]], "until": until, "timeout": timeout}
        server.begin("tools/call", {"name": "wait", "arguments": arguments})
