"""Ours: `execute` waits for the end, a question or a pattern; `interact` and `wait` return what is new."""

from __future__ import annotations

import re

from hands import Ours
from tasks import SSH, World

from agents.base import GREP, NOISY, Agent


class OursAgent(Ours, Agent):
    def finish(self, command: str) -> None:
        self.run(command)

    def open(self, command: str, until: str) -> str:
        """A program that will ask is waited for by its question; of another kind `serve` and `ask_agent` are."""
        fields = self.call("execute", command=command, wait=20).fields
        assert "awaiting_input" in fields, fields
        return str(fields["job_id"])

    def say(self, job: str, text: str, until: str) -> str:
        what = {"input": text} if text else {"keys": ["Enter"]}
        answer = self.call("interact", job_id=job, **what)
        assert re.search(until, answer.words, re.M), answer.text
        return answer.words

    def serve(self, world: World) -> None:
        job = self.call("execute", command=f"python3 serve.py {world.port}", wait=20, pattern="http://").fields
        world.visited()
        self.call("output", job_id=job["job_id"], since=job["cursor"])

    def log_in(self, world: World) -> None:
        """The attach line is told to the person in the agent's own words, as with every server."""
        answer = self.call("execute", command="python3 login.py", wait=20).fields
        assert answer["awaiting_input"] == "password"
        world.person_types(answer["attach"])
        self.call("wait", job_ids=[answer["job_id"]])

    def go_there(self, world: World) -> None:
        """What is at the other end of a connection can't be seen: that it is there at all is told by a pattern."""
        job = self.call("execute", command=SSH, wait=20, pattern="[$#] ").fields["job_id"]
        self.say(job, f"cd {world.place.root}/far; ls", r"^ledger-\d+")
        self.call("interact", job_id=job, input=f"sleep 1; wc -l < ledger-{world.number}")
        self.say(job, "exit", "")

    def ten(self, world: World) -> list[int]:
        """One wait for all: only how each ended is asked."""
        with self.one_turn():
            jobs = [self.call("execute", command=f"python3 job.py {number}").fields["job_id"] for number in range(10)]
        ended = self.call("wait", job_ids=jobs, all=True).fields["jobs"]
        codes = {one["job_id"]: one["exit_code"] for one in ended}
        return [codes[job] for job in jobs]

    def hang(self, world: World) -> None:
        """Its time limit ends it with all that it has started."""
        answer = self.call("execute", command="bash hang.sh", timeout=6, wait=20).fields
        assert answer["status"] == "killed"

    def search(self, world: World) -> None:
        """By default 10 MB of a job's output are kept, so what is known to be more goes to a file here too."""
        self.call("execute", command=NOISY)
        world.logged()
        self.call("execute", command=GREP, wait=9)

    def ask_agent(self, world: World) -> None:
        job = self.call("execute", command="claude", wait=20, pattern=r"\? for").fields["job_id"]
        self.call("interact", job_id=job, input="Tell me a bird", pattern="PELICAN")
