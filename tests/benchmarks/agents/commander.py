"""Desktop Commander: pipes without a terminal; it waits by itself for the end or for what looks like a prompt."""

from __future__ import annotations

import re

from hands import Commander, until
from tasks import World

from agents.base import GREP, NOISY, STEPS, Agent


class CommanderAgent(Commander, Agent):
    def finish(self, command: str) -> None:
        """It takes a progress bar for a prompt, so an agent reads on; and of a quick end it doesn't tell the code."""
        answer = self.call("start_process", command=f"{command}; echo EXIT=$?", timeout_ms=50_000)
        if not re.search(r"^EXIT=\d", answer.text, re.M):
            self.see(self.pid(answer), r"^EXIT=\d")

    def open(self, command: str, until: str) -> str:
        answer = self.call("start_process", command=command, timeout_ms=3000)
        job = self.pid(answer)
        if not re.search(until, answer.text, re.M):
            self.see(job, until)
        return job

    def see(self, job: str, want: str) -> str:
        seen = [""]

        def there() -> bool:
            seen[0] = self.call("read_process_output", pid=int(job), timeout_ms=3000).text
            return re.search(want, seen[0], re.M) is not None

        until(there, 15)
        return seen[0]

    def say(self, job: str, text: str, want: str) -> str:
        seen = self.call("interact_with_process", pid=int(job), input=text).text
        return seen if re.search(want, seen, re.M) else self.see(job, want)

    def compute(self, world: World) -> None:
        """Without a terminal a REPL must be told to be one (-i); it shows no prompt before its answers."""
        job = self.open("python3 -q -i", ">>>")
        for step, want in STEPS:
            self.say(job, step, want.replace("^", ""))

    def go_there(self, world: World) -> None:
        """ssh has pipes here, so the shell over there is one without a prompt."""
        job = self.pid(self.call("start_process", command="ssh -F box.conf box bash", timeout_ms=1000))
        self.say(job, f"cd {world.place.root}/far; ls", r"^ledger-\d+")
        self.say(job, f"sleep 1; wc -l < ledger-{world.number}", rf"^{world.number * 3}")
        self.say(job, "exit", "")

    def ten(self, world: World) -> list[int]:
        with self.one_turn():
            jobs = [self.begin(f"python3 job.py {number}") for number in range(10)]
        codes = []
        for job in jobs:
            found = re.search(r"exit code:? (\d+)", self.see(job, r"exit code"))
            assert found is not None
            codes.append(int(found[1]))
        return codes

    def search(self, world: World) -> None:
        self.begin(NOISY)
        world.logged()
        self.call("start_process", command=GREP, timeout_ms=9000)

    def edit(self, world: World) -> None:
        """vi takes pipes too; what it draws comes as raw bytes."""
        job = self.open("vi config.ini", "port.* = ?")
        self.call("interact_with_process", pid=int(job), input=f":%s/{world.number}/{world.number + 1}/|wq")

    def ask_agent(self, world: World) -> None:
        """Its screen asks for a terminal, which `script` makes; Enter is a return then, no newline."""
        job = self.open("script -qc claude /dev/null", "shortcuts")
        self.say(job, "Tell me a bird\r", "PELICAN")
