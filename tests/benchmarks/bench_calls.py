"""How long calls take over stdio, beside a bare MCPServer with one tool: `python tests/benchmarks/bench_calls.py`.

The machine may be shared and noisy, so both servers are measured in turn in one run, and the figures to quote are
the medians and what is above the bare server. Needs tmux; uses a tmux server and a state folder of its own.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

BARE = """
from mcp.server import MCPServer
server = MCPServer("bare", log_level="WARNING")
@server.tool()
async def status(job_id: str = "") -> dict[str, str]:
    return {"status": "completed"}
server.run()
"""


class Server:
    """A server process and the least of a client."""

    command: tuple[str, ...] = (sys.executable,)

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        begun = time.perf_counter()
        self.process = subprocess.Popen(
            [*self.command, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        self.number = 0
        hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}
        self.request("initialize", hello)
        self.started = time.perf_counter() - begun
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        self.request("tools/list", {})
        self.listed = time.perf_counter() - begun

    def send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdout is not None
        self.number += 1
        self.send({"jsonrpc": "2.0", "id": self.number, "method": method, "params": params})
        while True:
            line = self.process.stdout.readline()
            if not line:
                raise OSError("the server has ended")
            message = json.loads(line)
            if message.get("id") == self.number:
                result: dict[str, Any] = message["result"]
                return result

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        result = self.request("tools/call", {"name": tool, "arguments": arguments})
        assert not result.get("isError"), result
        answer: dict[str, Any] = result.get("structuredContent") or json.loads(result["content"][0]["text"])
        return answer

    def close(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


def timed(action: Callable[[], object]) -> float:
    begun = time.perf_counter()
    action()
    return (time.perf_counter() - begun) * 1000


def row(name: str, values: list[float], reach: str = "", unit: str = "ms") -> None:
    values = sorted(values)
    middle, high = statistics.median(values), values[min(len(values) - 1, len(values) * 99 // 100)]
    print(f"{name:44} {middle:9.2f} {unit:3} (99th {high:8.2f}, n={len(values)})  {reach}", flush=True)


def memory(pid: int, key: str) -> float:
    """A figure of /proc/PID/smaps_rollup in MB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) / 1024
    return 0.0


def helpers_of(folder: Path) -> list[int]:
    """The runners and log writers of jobs below `folder`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"-I" in words and os.fsencode(folder) in words[-2] and words[-3] in (b"runner", b"logwriter"):
                found.append(int(entry.name))
    return found


def measure(folder: Path, environment: dict[str, str]) -> None:
    bare_file = folder / "bare.py"
    bare_file.write_text(BARE)
    starts: dict[str, list[float]] = {"bare": [], "ours": [], "ratio": [], "ratio to tools/list": []}
    for _ in range(10):
        bare, ours = Server([str(bare_file)], environment), Server(["-m", "mcp_background_job"], environment)
        starts["bare"].append(bare.started * 1000)
        starts["ours"].append(ours.started * 1000)
        starts["ratio"].append(ours.started / bare.started)
        starts["ratio to tools/list"].append(ours.listed / bare.listed)
        bare.close()
        ours.close()
    row("start to initialize, bare server", starts["bare"])
    row("start to initialize, ours", starts["ours"])
    row("  ratio", starts["ratio"], "reach: 1.15", "x")
    row("  ratio up to tools/list", starts["ratio to tools/list"], "", "x")

    bare, ours = Server([str(bare_file)], environment), Server(["-m", "mcp_background_job"], environment)
    time.sleep(1.5)  # the server imports what it will need once it has answered its first calls
    row("memory of the idle server (RSS)", [memory(ours.process.pid, "Rss")], "reach: 80", "MB")
    lines = ours.call("execute", command="seq 1 100000", wait=30)["job_id"]
    sleeper = ours.call("execute", command="sleep 1000")["job_id"]
    figures: dict[str, list[float]] = {}
    for _ in range(300):
        for name, action in {
            "trivial tool, bare server": lambda: bare.call("status"),
            "status of an ended job": lambda: ours.call("status", job_id=lines),
            "status of a running job": lambda: ours.call("status", job_id=sleeper),
            "tail 50 of 100,000 lines": lambda: ours.call("tail", job_id=lines),
            "list": lambda: ours.call("list"),
        }.items():
            figures.setdefault(name, []).append(timed(action))
    floor = statistics.median(figures["trivial tool, bare server"])
    for name, values in figures.items():
        row(name, values, f"bare + {statistics.median(values) - floor:.2f} (reach: bare + 2)")
    executes, whole = [], []
    for _ in range(60):
        executes.append(timed(lambda: ours.call("execute", command="true")))
        whole.append(timed(lambda: ours.call("execute", command="true", wait=30)))
    row("execute to the job id", executes, "reach: 20")
    row("execute with wait, true, to the exit code", whole, "reach: 70")
    time.sleep(2)  # until only the sleeping job is left
    helpers = helpers_of(folder)
    row("a running job's helpers (PSS)", [sum(memory(pid, "Pss") for pid in helpers)], "reach: 12", "MB")
    repl = ours.call("execute", command=f"{sys.executable} -q -i", wait=10)["job_id"]
    talk = []
    for _ in range(200):
        begun = time.perf_counter()
        assert "42\n" in ours.call("interact", job_id=repl, input="print(6*7)")["stdout"]
        talk.append((time.perf_counter() - begun) * 1000)
    row("interact with a Python REPL, whole answer", talk, "reach: 30")
    kills = []
    for _ in range(10):
        job_id = ours.call("execute", command="sleep 1000")["job_id"]
        ours.call("status", job_id=job_id)
        kills.append(timed(lambda job_id=job_id: ours.call("kill", job_id=job_id)))  # type: ignore[misc]
    row("kill of a sleep", kills)
    bare.close()
    ours.close()


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="mb", dir="/tmp", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("TMUX", "MCP_BG_"))}
        environment |= {"TMUX_TMPDIR": name, "HOME": name, "MCP_BG_STATE_DIR": f"{name}/state"}
        try:
            measure(folder, environment)
        finally:
            subprocess.run(["tmux", "kill-server"], env=environment, stderr=subprocess.DEVNULL, check=False)


if __name__ == "__main__":
    main()
