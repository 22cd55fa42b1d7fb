"""How soon answers come and what waiting costs: `python tests/benchmarks/bench_waiting.py`.

Beside mcp-background-job 0.1.2 from the package index, run in turn in the same run, where uv can install it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, ClassVar

from bench_calls import Server, row

TRIES = 200
# The job prints its own clock as its last act, so that the wait's answer can be compared with it.
CLOCK = f"{sys.executable} -I -S -c 'import time, os; time.sleep(.3); os.write(1, b\"%d\" % time.monotonic_ns())'"


class Peer(Server):
    """The older server, started through uv; its answers have the same fields."""

    # It needs Python 3.12; where uv finds none by itself, PEER_PYTHON names one.
    python = os.environ.get("PEER_PYTHON", ">=3.12")
    command = ("uvx", "--python", python, "--from", "mcp-background-job==0.1.2", "mcp-background-job")

    tools: ClassVar[dict[str, str]] = {
        "execute": "execute_command",
        "interact": "interact_with_job",
        "kill": "kill_job",
    }

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        return super().call(self.tools[tool], **arguments)


def interact(server: Server, label: str, text: str, want: str, tries: int) -> None:
    """Send `text` to a Python REPL; how long until the answer, and how often `want` is in it."""
    job_id = server.call("execute", command=f"{sys.executable} -q -i")["job_id"]
    time.sleep(1)
    server.call("interact", job_id=job_id, input="import time\n")
    took, whole = [], 0
    for number in range(tries):
        begun = time.perf_counter()
        answer = server.call("interact", job_id=job_id, input=text.format(number) + "\n")
        took.append((time.perf_counter() - begun) * 1000)
        whole += want.format(number) in answer["stdout"]
        time.sleep(0.0 if want.format(number) in answer["stdout"] else 0.5)  # a late answer is not the next one's
    row(label, took, f"whole {whole} of {tries}")
    server.call("kill", job_id=job_id)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def waits(server: Server) -> None:
    """Exit to answer, and the processor time of ten waits."""
    late = []
    for _ in range(30):
        job_id = server.call("execute", command=CLOCK)["job_id"]
        server.call("wait", job_ids=[job_id], timeout=20)
        now = time.monotonic_ns()
        late.append((now - int(server.call("output", job_id=job_id)["stdout"])) / 1e6)
    row("exit of a job to the answer of wait", late, "reach: 50")
    jobs = [server.call("execute", command="sleep 100")["job_id"] for _ in range(9)]
    for until in ("exit", "input"):
        begun, used = time.monotonic(), cpu_seconds(server.process.pid)
        for number in range(10):
            call = {"name": "wait", "arguments": {"job_ids": [jobs[number % 9]], "until": until, "timeout": 15}}
            server.send({"jsonrpc": "2.0", "id": f"w{number}", "method": "tools/call", "params": call})
        assert server.process.stdout is not None
        for _ in range(10):
            server.process.stdout.readline()
        share = (cpu_seconds(server.process.pid) - used) / (time.monotonic() - begun) * 100
        row(f"processor share of 10 waits until {until}", [share], "reach: 1", "%")
    plain = [timed_status(server, jobs[0]) for _ in range(200)]
    for number in range(100):
        call = {"name": "wait", "arguments": {"job_ids": [jobs[number % 9]], "timeout": 5}}
        server.send({"jsonrpc": "2.0", "id": f"h{number}", "method": "tools/call", "params": call})
    row("status", plain)
    row("status while 100 waits are under way", [timed_status(server, jobs[0]) for _ in range(200)])


def timed_status(server: Server, job_id: str) -> float:
    begun = time.perf_counter()
    server.call("status", job_id=job_id)
    return (time.perf_counter() - begun) * 1000


def measure(environment: dict[str, str]) -> None:
    servers: list[tuple[str, Server]] = [("ours", Server(["-m", "mcp_background_job"], environment))]
    if shutil.which("uvx"):
        try:
            servers.append(("0.1.2", Peer([], environment)))
        except (OSError, ValueError):
            print("mcp-background-job 0.1.2 can't be had here")
    cases: list[tuple[str, str, str, int]] = [
        ("quick answer", "print({0} * 7, 'x')", "", TRIES),
        ("1,000 lines", "for i in range(1000): print('L%d' % i)\n", "L999", 20),
        ("answer after 0.3 s", "time.sleep(.3); print('la' + 'te')", "late", 20),
        ("answer after 1 s", "time.sleep(1); print('la' + 'te')", "late", 5),
    ]
    for label, text, want, tries in cases:
        for name, server in servers:
            interact(server, f"interact, {label}, {name}", text, want or "x", tries)
    waits(servers[0][1])
    for _, server in servers:
        server.close()


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="mb", dir="/tmp", ignore_cleanup_errors=True) as name:
        environment: dict[str, Any] = {k: v for k, v in os.environ.items() if not k.startswith(("TMUX", "MCP_BG_"))}
        environment |= {"TMUX_TMPDIR": name, "MCP_BG_STATE_DIR": f"{name}/state"}
        try:
            measure(environment)
        finally:
            subprocess.run(["tmux", "kill-server"], env=environment, stderr=subprocess.DEVNULL, check=False)


if __name__ == "__main__":
    main()
