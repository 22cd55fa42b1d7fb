"""What an agent does with each server's own tools: begin a command, run one to its exit code, look, ask a REPL.

Each server is used as its documentation advises, by the tools that cost an agent least.
"""

from __future__ import annotations

import itertools
import re
import shlex
import time
from collections.abc import Callable
from typing import ClassVar

from stdio import Client, Reply, ServerFault

SOON = 0.02  # seconds between looks of an agent that has to poll; a model's own pace would be seconds


def until(look: Callable[[], bool], seconds: float = 30.0, every: float = SOON) -> None:
    """Look until it is so. Raises ServerFault when the time is over."""
    deadline = time.monotonic() + seconds
    while not look():
        if time.monotonic() > deadline:
            raise ServerFault("waited in vain")
        time.sleep(every)


class Hands:
    """Of one server; a job is named by the text that the server gave it."""

    many: ClassVar[dict[str, str]] = {"MCP_BG_MAX_JOBS": "100"}  # settings under which fifty jobs may run

    def __init__(self, client: Client) -> None:
        self.client = client
        self.call = client.call

    def begin(self, command: str) -> str:
        """Start a command, without waiting for its end; returns what names the job."""
        raise NotImplementedError

    def run(self, command: str) -> str:
        """Run a command until its exit code is known (as far as the server tells it); returns the last answer."""
        raise NotImplementedError

    def ended(self, job: str) -> bool:
        raise NotImplementedError

    def status(self, job: str) -> Reply:
        raise NotImplementedError

    def listing(self) -> Reply:
        raise NotImplementedError

    def tail(self, job: str) -> Reply:
        """The last 50 lines."""
        raise NotImplementedError

    def open_repl(self) -> str:
        job = self.begin("python3 -q -i")
        time.sleep(1)
        return job

    def ask(self, job: str, text: str, want: str) -> bool:
        """Send a line to a REPL; whether the first answer was whole. Comes back when `want` has been read."""
        raise NotImplementedError


class Ours(Hands):
    def begin(self, command: str) -> str:
        return str(self.call("execute", command=command).fields["job_id"])

    def run(self, command: str) -> str:
        answer = self.call("execute", command=command, wait=50)
        while answer.fields["status"] == "running":
            answer = self.call("wait", job_ids=[answer.fields["job_id"]], timeout=50)
        assert "exit_code" in answer.fields
        return answer.text

    def ended(self, job: str) -> bool:
        return bool(self.status(job).fields["status"] != "running")

    def status(self, job: str) -> Reply:
        return self.call("status", job_id=job)

    def listing(self) -> Reply:
        return self.call("list")

    def tail(self, job: str) -> Reply:
        return self.call("tail", job_id=job)

    def open_repl(self) -> str:
        return str(self.call("execute", command="python3 -q -i", wait=20).fields["job_id"])

    def ask(self, job: str, text: str, want: str) -> bool:
        answer = self.call("interact", job_id=job, input=text)
        whole = want in answer.fields["stdout"]
        if not whole:
            until(lambda: want in self.tail(job))
        return whole


class Old(Hands):
    """mcp-background-job 0.1.2: no shell, no exit code, no way to wait."""

    def begin(self, command: str) -> str:
        if re.search(r"[;|&<>$]", command):
            command = f"bash -c {shlex.quote(command)}"
        return str(self.call("execute_command", command=command).fields["job_id"])

    def run(self, command: str) -> str:
        job = self.begin(command)
        until(lambda: self.ended(job))
        return self.tail(job).text

    def ended(self, job: str) -> bool:
        return bool(self.status(job).fields["status"] != "running")

    def status(self, job: str) -> Reply:
        return self.call("get_job_status", job_id=job)

    def listing(self) -> Reply:
        return self.call("list_jobs")

    def tail(self, job: str) -> Reply:
        return self.call("tail_job_output", job_id=job)

    def ask(self, job: str, text: str, want: str) -> bool:
        whole = want in self.call("interact_with_job", job_id=job, input=text)
        if not whole:
            until(lambda: want in self.call("tail_job_output", job_id=job, lines=5))
        return whole


class LibTmux(Hands):
    """libtmux-mcp: run_command for what ends, send_keys and capture_since for the rest."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self.pane = str(self.call("create_session", session_name="work").fields["active_pane_id"])
        self.cursor = ""

    def begin(self, command: str) -> str:
        pane = str(self.call("create_window", session_name="work").fields["active_pane_id"])
        self.call("send_keys", pane_id=pane, keys=command)
        return pane

    def run(self, command: str) -> str:
        answer = self.call("run_command", pane_id=self.pane, command=command, max_lines=50)
        assert answer.fields["exit_status"] is not None
        return "\n".join(answer.fields["output"])

    def ended(self, job: str) -> bool:
        return bool(self.status(job).fields["pane_current_command"] == "bash")

    def status(self, job: str) -> Reply:
        return self.call("get_pane_info", pane_id=job)

    def listing(self) -> Reply:
        return self.call("list_windows")

    def tail(self, job: str) -> Reply:
        return self.call("capture_pane", pane_id=job, start=-27)

    def since(self, job: str) -> str:
        """What is new, by the cursor of the last look."""
        where = {"cursor": self.cursor} if self.cursor else {"pane_id": job}
        answer = self.call("capture_since", **where)
        self.cursor = answer.fields["cursor"]
        return "\n".join(answer.fields["lines"])

    def open_repl(self) -> str:
        job = super().open_repl()
        self.cursor = ""
        self.since(job)
        return job

    def ask(self, job: str, text: str, want: str) -> bool:
        """A cursor can come back without the line that was just drawn, so the pane itself is the way out."""
        self.call("send_keys", pane_id=job, keys=text)
        whole = f"\n{want}" in f"\n{self.since(job)}"
        if not whole:
            until(lambda: f"\n{want}" in f"\n{self.call('capture_pane', pane_id=job, start=0).text}")
        return whole


class TmuxMcp(Hands):
    """tmux-mcp of PyPI: keys and the visible pane; exit codes by `echo`."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self.call("tmux_create_session", name="work")
        self.pane = "work:0"
        self.number = itertools.count(1)

    def type(self, job: str, text: str) -> None:
        self.call("tmux_send_keys", target=job, keys=text)
        self.call("tmux_send_keys", target=job, keys="Enter")

    def read(self, job: str) -> str:
        return self.call("tmux_read_pane", target=job).text.split("\n\n\n")[0]

    def begin(self, command: str) -> str:
        answer = self.call("tmux_create_window", session="work", command=command)
        found = re.search(r"pane_id=(%\d+)", answer.text)
        assert found is not None, answer.text
        return found[1]

    def run(self, command: str) -> str:
        mark = f"EXIT{next(self.number)}"
        self.type(self.pane, f"clear; {command}; echo {mark}=$?")
        seen = [""]

        def there() -> bool:
            seen[0] = self.read(self.pane)
            return re.search(rf"^{mark}=\d+", seen[0], re.M) is not None

        until(there)
        return seen[0]

    def ended(self, job: str) -> bool:
        return job not in self.call("tmux_list_panes", target="work").text

    def status(self, job: str) -> Reply:
        return self.call("tmux_list_panes", target=job)

    def listing(self) -> Reply:
        return self.call("tmux_list_windows", session="work")

    def tail(self, job: str) -> Reply:
        return self.call("tmux_read_pane", target=job, start_line=-27)

    def ask(self, job: str, text: str, want: str) -> bool:
        self.type(job, text)
        looks = itertools.count()
        until(lambda: next(looks) >= 0 and f"\n{want}" in self.read(job))
        return next(looks) == 1


class Commander(Hands):
    """Desktop Commander: start_process waits up to its timeout, for the end or for what looks like a prompt."""

    def pid(self, answer: Reply) -> str:
        found = re.search(r"PID (\d+)", answer.text)
        assert found is not None, answer.text
        return found[1]

    def begin(self, command: str) -> str:
        return self.pid(self.call("start_process", command=command, timeout_ms=1))

    def run(self, command: str) -> str:
        answer = self.call("start_process", command=f"{command}; echo EXIT=$?", timeout_ms=50_000)
        job, text = self.pid(answer), answer.text
        while not re.search(r"EXIT=\d+|exit code", text):
            text += self.call("read_process_output", pid=int(job), timeout_ms=30_000).text
        return text

    def ended(self, job: str) -> bool:
        return "completed" in self.call("read_process_output", pid=int(job), offset=-1, timeout_ms=100).text

    def status(self, job: str) -> Reply:
        return self.call("list_sessions")

    def listing(self) -> Reply:
        return self.call("list_sessions")

    def tail(self, job: str) -> Reply:
        return self.call("read_process_output", pid=int(job), offset=-50, timeout_ms=100)

    def open_repl(self) -> str:
        return self.pid(self.call("start_process", command="python3 -q -i", timeout_ms=8000))

    def ask(self, job: str, text: str, want: str) -> bool:
        whole = want in self.call("interact_with_process", pid=int(job), input=text)
        if not whole:
            until(lambda: want in self.call("read_process_output", pid=int(job), timeout_ms=1000))
        return whole


HANDS: dict[str, type[Hands]] = {
    "ours": Ours,
    "0.1.2": Old,
    "libtmux-mcp": LibTmux,
    "tmux-mcp": TmuxMcp,
    "Desktop Commander": Commander,
}
