"""mcp-background-job 0.1.2: pipes without a terminal, no shell, no exit code, no way to wait but to look again."""

from __future__ import annotations

import re

from hands import Old, until
from tasks import World

from agents.base import GREP, LOOK, NOISY, STEPS, Agent, Missing


class SeedAgent(Old, Agent):
    def finish(self, command: str) -> None:
        """Its last lines are looked at, rather than its status: that saves the call for them."""
        self.open(f"{command}; echo EXIT=$?", r"^EXIT=\d")

    def open(self, command: str, until: str) -> str:
        job = self.begin(command)
        self.see(job, until)
        return job

    def see(self, job: str, want: str) -> str:
        seen = [""]

        def there() -> bool:
            seen[0] = self.call("tail_job_output", job_id=job, lines=9).words
            return re.search(want, seen[0], re.M) is not None

        until(there, 15, LOOK)
        return seen[0]

    def say(self, job: str, text: str, want: str) -> str:
        seen = self.call("interact_with_job", job_id=job, input=text).words
        return seen if re.search(want, seen, re.M) else self.see(job, want)

    def compute(self, world: World) -> None:
        """Without a terminal a REPL must be told to be one (-i), and its prompt, on stderr, is no line."""
        job = self.begin("python3 -q -i")
        for step, want in STEPS:
            self.say(job, step, want)

    def go_there(self, world: World) -> None:
        """ssh has pipes here, so the shell over there is one without a prompt."""
        job = self.begin("ssh -F box.conf box bash")
        self.say(job, f"cd {world.place.root}/far; ls", r"^ledger-\d+")
        self.say(job, f"sleep 1; wc -l < ledger-{world.number}", rf"^{world.number * 3}")
        self.say(job, "exit", "")

    def ten(self, world: World) -> list[int]:
        with self.one_turn():
            jobs = [self.begin(f"python3 job.py {number}; echo EXIT=$?") for number in range(10)]
        codes = []
        for job in jobs:
            found = re.search(r"EXIT=(\d+)", self.see(job, r"^EXIT=\d"))
            assert found is not None
            codes.append(int(found[1]))
        return codes

    def search(self, world: World) -> None:
        self.begin(NOISY)
        world.logged()
        self.open(GREP, "ERROR")

    def edit(self, world: World) -> None:
        """vi on pipes draws in sequences without an end of a line, so the agent types without having seen."""
        job = self.begin("vi config.ini")
        self.call("tail_job_output", job_id=job, lines=9)
        self.call("interact_with_job", job_id=job, input=f":%s/{world.number}/{world.number + 1}/|wq")
        self.see(job, "")

    def ask_agent(self, world: World) -> None:
        raise Missing("no terminal")
