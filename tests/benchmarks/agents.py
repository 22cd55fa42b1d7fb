"""The agents' scripts for the tasks of errands.py, one class per server, with that server's own tools.

A script may return a remark for the table, such as that the agent typed without having seen a question.
"""

from __future__ import annotations

import re

from hands import Commander, Hands, LibTmux, Old, Ours, TmuxMcp, until

FACTORIAL = "import math; math.factorial(20)"
SUM = "sum(range(42))"
LATER = "import time; time.sleep(.5); 'la' + 'ter'"
TESTS = "python3 tests.py"
# To a file and then by grep: for who expects much output, or has lost it and must run the tests again.
LONG = "python3 tests.py > log 2>&1; grep -n -A 2 ERROR log"
SUBSTITUTE = ":%s/8080/9090/|wq"


class Agent(Hands):
    """Each task ends when the agent has read what it wants to know."""

    def build(self) -> None:
        """Run the build to its end; know its exit code and what it says at last."""
        raise NotImplementedError

    def find(self) -> str | None:
        """Run the tests as they stand, not knowing how much they print; know the error with the two lines after it."""
        raise NotImplementedError

    def find_expecting_much(self) -> None:
        """The same, knowing beforehand that they print much."""
        self.run(LONG)

    def serve(self) -> None:
        """Start the server; know its address once it is ready; it goes on running."""
        raise NotImplementedError

    def compute(self) -> None:
        """Start a Python REPL and do three steps, the last of which takes half a second."""
        raise NotImplementedError

    def deploy(self) -> str | None:
        """Start it, say yes when it asks, know how it ended."""
        raise NotImplementedError

    def edit(self) -> str | None:
        """Change a number in a file, in vi; know that it is saved."""
        raise NotImplementedError


class OursAgent(Ours, Agent):
    def build(self) -> None:
        self.run("python3 build.py")

    def find(self) -> None:
        job = self.call("execute", command=TESTS, wait=50).fields["job_id"]
        self.call("output", job_id=job, grep="ERROR", context=2)

    def serve(self) -> None:
        answer = self.call("execute", command="python3 serve.py", wait=20, pattern="http://")
        assert answer.fields["reason"] == "match"

    def compute(self) -> None:
        job = self.open_repl()
        for step in (FACTORIAL, SUM, LATER):
            self.call("interact", job_id=job, input=step)

    def deploy(self) -> None:
        answer = self.call("execute", command="python3 deploy.py", wait=50).fields
        assert answer["awaiting_input"] == "prompt"
        assert self.call("interact", job_id=answer["job_id"], input="y").fields["exit_code"] == 0

    def edit(self) -> None:
        answer = self.call("execute", command="vi config.ini", wait=10).fields
        assert answer["awaiting_input"] == "screen"
        assert self.call("interact", job_id=answer["job_id"], input=SUBSTITUTE).fields["exit_code"] == 0


class OldAgent(Old, Agent):
    """Pipes without a terminal, and no way to wait: an agent looks once a second."""

    def finish(self, job: str) -> None:
        until(lambda: self.ended(job), every=0.5)

    def build(self) -> None:
        self.run("python3 build.py; echo exit $?")

    def find(self) -> str:
        self.run(TESTS)
        self.run(LONG)  # the other way is to read all 3 MB
        return "(tests run twice)"

    def serve(self) -> None:
        job = self.begin("python3 serve.py")
        until(lambda: "http://" in self.call("tail_job_output", job_id=job, lines=5), every=0.5)

    def compute(self) -> None:
        job = self.begin("python3 -q -i")
        for step, want in ((FACTORIAL, "243290"), (SUM, "861"), (LATER, "later")):
            self.ask(job, step, want)

    def deploy(self) -> str:
        job = self.begin("python3 -u deploy.py")
        self.call("tail_job_output", job_id=job, lines=5)  # a line shows once it is ended: the question never does
        self.call("interact_with_job", job_id=job, input="y")
        self.finish(job)
        self.call("tail_job_output", job_id=job, lines=1)
        return "(question unseen)"

    def edit(self) -> str:
        job = self.begin("vi config.ini")
        self.call("interact_with_job", job_id=job, input=SUBSTITUTE)
        self.finish(job)
        return "(screen unseen)"


class LibTmuxAgent(LibTmux, Agent):
    def build(self) -> None:
        self.call("run_command", pane_id=self.pane, command="python3 build.py", max_lines=100)

    def find(self) -> str:
        self.call("run_command", pane_id=self.pane, command=TESTS, max_lines=100)
        self.run(LONG)  # tmux keeps 2,000 lines, and the error is not among them
        return "(tests run twice)"

    def serve(self) -> None:
        self.call("send_keys", pane_id=self.pane, keys="python3 serve.py")
        answer = self.call("wait_for_text", pane_id=self.pane, patterns=["http://"], timeout=20)
        assert answer.fields["found"]

    def look(self, want: str) -> None:
        """capture_since is the advised one, but its cursors make it three times as long."""
        until(lambda: re.search(want, "\n" + self.call("capture_pane", pane_id=self.pane).text) is not None)

    def compute(self) -> None:
        self.call("send_keys", pane_id=self.pane, keys="python3 -q -i")
        for step, want in ((FACTORIAL, "\n243290"), (SUM, "\n861"), (LATER, "\n'later")):
            self.call("send_keys", pane_id=self.pane, keys=step)
            self.look(want)

    def deploy(self) -> None:
        self.call("send_keys", pane_id=self.pane, keys="python3 deploy.py")
        self.look("y/N")
        self.call("send_keys", pane_id=self.pane, keys="y")
        self.look("Deployed")

    def edit(self) -> None:
        keys = ("vi config.ini", SUBSTITUTE)
        self.call("send_keys_batch", operations=[{"pane_id": self.pane, "keys": text} for text in keys])
        self.call("run_command", pane_id=self.pane, command="grep port config.ini", max_lines=2)


class TmuxMcpAgent(TmuxMcp, Agent):
    """No way to wait: an agent looks once a second."""

    def see(self, pattern: str) -> None:
        until(lambda: re.search(pattern, self.read(self.pane), re.M) is not None, every=0.5)

    def build(self) -> None:
        self.type(self.pane, "python3 build.py; echo EXIT=$?")
        self.see(r"^EXIT=\d")

    def find(self) -> str:
        self.type(self.pane, TESTS)
        self.see("1 failed")
        self.type(self.pane, LONG)
        self.see("cart")
        return "(tests run twice)"

    def find_expecting_much(self) -> None:
        self.type(self.pane, LONG)
        self.see("cart")

    def serve(self) -> None:
        self.type(self.pane, "python3 serve.py")
        self.see("http://")

    def compute(self) -> None:
        self.type(self.pane, "python3 -q -i")
        for step, want in ((FACTORIAL, "^243290"), (SUM, "^861"), (LATER, "^'later")):
            self.type(self.pane, step)
            self.see(want)

    def deploy(self) -> None:
        self.type(self.pane, "python3 deploy.py")
        self.see("y/N")
        self.type(self.pane, "y")
        self.see("Deployed")

    def edit(self) -> None:
        self.type(self.pane, "vi config.ini")
        self.type(self.pane, SUBSTITUTE)
        self.type(self.pane, "grep port config.ini")
        self.see("^port")


class CommanderAgent(Commander, Agent):
    """Pipes without a terminal; it waits by itself for the end or for what looks like a prompt."""

    def finish(self, command: str) -> None:
        """It takes a progress bar for a prompt, so an agent reads on until the process is said to be completed."""
        answer = self.call("start_process", command=command, timeout_ms=50_000)
        job, text = int(self.pid(answer)), answer.text
        while "Process is running" in text or "waiting for input" in text:
            text = self.call("read_process_output", pid=job, timeout_ms=30_000).text

    def build(self) -> None:
        self.finish("python3 build.py; echo exit $?")

    def find(self) -> None:
        self.finish(TESTS)

    def find_expecting_much(self) -> None:
        self.finish(LONG)

    def serve(self) -> None:
        answer = self.call("start_process", command="python3 serve.py", timeout_ms=3000)
        job, text = int(self.pid(answer)), answer.text
        while "http://" not in text:
            text = self.call("read_process_output", pid=job, timeout_ms=3000).text

    def compute(self) -> None:
        job = self.open_repl()
        for step in (FACTORIAL, SUM, LATER):
            self.call("interact_with_process", pid=int(job), input=step)

    def deploy(self) -> str | None:
        started = self.call("start_process", command="python3 deploy.py", timeout_ms=5000)
        self.call("interact_with_process", pid=int(self.pid(started)), input="y")
        return None if "y/N" in started else "(question unseen)"

    def edit(self) -> str:
        started = self.call("start_process", command="vi config.ini", timeout_ms=1000)
        self.call("interact_with_process", pid=int(self.pid(started)), input=SUBSTITUTE, timeout_ms=3000)
        self.call("start_process", command="grep port config.ini", timeout_ms=1000)
        return "(no screen: raw bytes)"


AGENTS: dict[str, type[Agent]] = {
    "ours": OursAgent,
    "0.1.2": OldAgent,
    "libtmux-mcp": LibTmuxAgent,
    "tmux-mcp": TmuxMcpAgent,
    "Desktop Commander": CommanderAgent,
}
