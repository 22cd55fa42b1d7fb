"""What output costs: `python tests/benchmarks/bench_output.py`.

Throughput of a job beside the same command in a bare tmux window with `pipe-pane 'cat >file'`, in turn; pages, grep
and tail of large logs; the server's memory after reading ten jobs of 10 MB. Uses a tmux server of its own.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from bench_calls import Server, memory, row, timed

PRINTED = 23_500_000  # lines of seq: 200 MB
LINE = "seq -f %%099.0f 1 %d"  # 100 bytes each


def bare_tmux(environment: dict[str, str], folder: Path) -> float:
    """Seconds of the flood in a bare window, until its last line is in the file."""
    log = folder / "bare.log"
    log.unlink(missing_ok=True)
    begun = time.perf_counter()
    tmux = ["tmux", "-f", "/dev/null", "-L", "bare"]
    command = f"seq 1 {PRINTED}; sleep 1000"
    new = ["new-session", "-d", "-x", "200", "-y", "50", "sh", "-c", command, ";", "pipe-pane", f"exec cat >'{log}'"]
    subprocess.run([*tmux, *new], env=environment, check=True)
    end = f"{PRINTED}\r\n".encode()
    while True:
        time.sleep(0.01)
        if log.exists() and log.stat().st_size > 1000:
            with log.open("rb") as file:
                file.seek(-len(end), os.SEEK_END)
                if file.read() == end:
                    break
    took = time.perf_counter() - begun
    subprocess.run([*tmux, "kill-server"], env=environment, check=True)
    return took


def job(server: Server, command: str, **options: Any) -> str:
    """The id of a job that has ended."""
    answer = server.call("execute", command=command, **options)
    while answer["status"] == "running":
        answer |= server.call("wait", job_ids=[answer["job_id"]], timeout=50)
    return str(answer["job_id"])


def ours(environment: dict[str, str]) -> float:
    server = Server(["-m", "mcp_background_job"], environment)
    begun = time.perf_counter()
    job_id = job(server, f"seq 1 {PRINTED}")
    took = time.perf_counter() - begun
    assert server.call("tail", job_id=job_id, lines=1)["stdout"] == f"{PRINTED}\n"
    server.close()
    return took


def measure(folder: Path, environment: dict[str, str]) -> None:
    bare, mine, ratio = [], [], []
    for _ in range(3):
        bare.append(bare_tmux(environment, folder))
        mine.append(ours(environment))
        ratio.append(mine[-1] / bare[-1])
    row("200 MB in a bare window with pipe-pane", bare, "", "s")
    row("200 MB in a job", mine, "", "s")
    row("  ratio", ratio, "reach: 1.15", "x")

    server = Server(["-m", "mcp_background_job"], environment)
    server.call("list")
    time.sleep(1.5)
    before = memory(server.process.pid, "Rss")
    jobs = [job(server, LINE % 100_000) for _ in range(10)]
    for job_id in jobs:
        cursor = 0
        while True:
            page = server.call("output", job_id=job_id, since=cursor)
            cursor = page["cursor"]
            if not page.get("truncated"):
                break
    row("server's memory after ten jobs of 10 MB read whole", [memory(server.process.pid, "Rss") - before], "+10", "MB")
    server.close()

    large = environment | {"MCP_BG_MAX_OUTPUT_SIZE": "2GB"}
    server = Server(["-m", "mcp_background_job"], large)
    small = job(server, LINE % 10_000)
    hundred = job(server, LINE % 1_000_000)
    row("tail 50 of 1 MB", [timed(lambda: server.call("tail", job_id=small)) for _ in range(50)])
    row("tail 50 of 100 MB", [timed(lambda: server.call("tail", job_id=hundred)) for _ in range(50)])
    grep = [100_000 / timed(lambda: server.call("output", job_id=hundred, grep="0999999$")) for _ in range(3)]
    row("grep over 100 MB, end of a line", grep, "reach: 80", "MB/s")
    grep = [100_000 / timed(lambda: server.call("output", job_id=hundred, grep="ERROR")) for _ in range(3)]
    row("grep over 100 MB, a word that isn't there", grep, "reach: 80", "MB/s")

    def pages() -> None:
        cursor = 0
        while True:
            page = server.call("output", job_id=hundred, since=cursor, max_chars=1_000_000)
            cursor = page["cursor"]
            if not page.get("truncated"):
                return

    row("pages of 1,000,000 characters over 100 MB", [100_000 / timed(pages)], "reach: 80", "MB/s")
    server.close()


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="mb", dir="/tmp", ignore_cleanup_errors=True) as name:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("TMUX", "MCP_BG_"))}
        environment |= {"TMUX_TMPDIR": name, "HOME": name, "MCP_BG_STATE_DIR": f"{name}/state"}
        try:
            measure(Path(name), environment)
        finally:
            subprocess.run(["tmux", "kill-server"], env=environment, stderr=subprocess.DEVNULL, check=False)


if __name__ == "__main__":
    main()
