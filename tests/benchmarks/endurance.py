"""A hundred jobs at once, a thousand one after another: does anything grow? Then `list` over all of them."""

from __future__ import annotations

import statistics
import time

from bench import Bench, descriptors, memory
from figures import timed


def endurance(bench: Bench) -> None:
    place = bench.place()
    # Windows of ended jobs close after 10 s instead of 300, as the hour is pressed into minutes.
    server = bench.client("ours", place, MCP_BG_MAX_JOBS="200", MCP_BG_CLEANUP_INTERVAL="10")
    pid, figures = server.process.pid, bench.figures

    hundred = bench.n(100, 30)
    begun = time.perf_counter()
    jobs = [server.call("execute", command="sleep 100000").fields["job_id"] for _ in range(hundred)]
    figures.add(f"{hundred} jobs running at once, until all are started", "ours", [time.perf_counter() - begun], "s")
    while any(server.call("status", job_id=job).fields["status"] != "running" for job in jobs):
        time.sleep(0.1)
    what = f"status with {hundred} jobs running"
    figures.add(what, "ours", [timed(lambda: server.call("status", job_id=jobs[0])) for _ in range(100)])
    for job in jobs:
        server.call("kill", job_id=job)

    # A thousand as fast as a client can ask for them: what an hour brings, in minutes.
    total = bench.n(1000, 60)
    whole: list[float] = []
    statuses: list[float] = []
    server.call("list")
    before = (descriptors(pid), memory(pid))
    tmux = place.tmux_server()
    assert tmux is not None
    tmux_before = memory(tmux.pid)
    for _ in range(total):
        begun = time.perf_counter()
        answer = server.call("execute", command="echo done", wait=30).fields
        whole.append((time.perf_counter() - begun) * 1000)
        assert answer["exit_code"] == 0 and answer["stdout"] == "done\n", answer
        statuses.append(timed(lambda answer=answer: server.call("status", job_id=answer["job_id"])))  # type: ignore[misc]
    after = (descriptors(pid), memory(pid))
    tenth = total // 10
    for name, values in (("execute with wait", whole), ("status", statuses)):
        first, last = statistics.median(values[:tenth]), statistics.median(values[-tenth:])
        what = f"{name}, last tenth of {total:,} jobs over the first"
        figures.add(what, "ours", [last / first], "x", f"({first:.1f} → {last:.1f} ms)")
        figures.reach(what, "no growth (≤ 1.2)", last / first, 1.2)
    what = f"descriptors more after {total:,} jobs"
    figures.add(what, "ours", [float(after[0] - before[0])], "")
    figures.reach(what, "none (≤ 2)", after[0] - before[0], 2)
    what = f"memory more after {total:,} jobs"
    figures.add(what, "ours", [after[1] - before[1]], "MB", f"(tmux itself {memory(tmux.pid) - tmux_before:+.0f})")
    figures.reach(what, "none (≤ 5)", after[1] - before[1], 5)

    for _ in range(bench.n(50, 10)):
        server.call("execute", command="sleep 100000")
    what = f"list with {total:,} finished and {bench.n(50, 10)} running"
    listed = len(server.call("list", all=True).fields["jobs"])
    assert listed >= total, listed
    figures.add(what, "ours", [timed(lambda: server.call("list", all=True)) for _ in range(50)])
    figures.reach(what, "≤ 25", figures.median(what, "ours"), 25)
