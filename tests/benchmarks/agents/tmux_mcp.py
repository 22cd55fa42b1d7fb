"""tmux-mcp: keys, and looks at the visible pane; no way to wait.

A newline behind the text saves the call for Enter, with all but the programs that take it for a line of the text.
"""

from __future__ import annotations

import re

from hands import TmuxMcp, until
from tasks import World

from agents.base import GREP, LOOK, NOISY, Agent


class TmuxMcpAgent(TmuxMcp, Agent):
    def finish(self, command: str) -> None:
        self.open(f"{command}; echo EXIT=$?", r"^EXIT=\d")

    def open(self, command: str, until: str) -> str:
        self.type(self.pane, command)
        self.see(self.pane, until)
        return self.pane

    def type(self, job: str, text: str) -> None:
        self.call("tmux_send_keys", target=job, keys=f"{text}\n")

    def see(self, job: str, want: str) -> str:
        seen = [""]

        def there() -> bool:
            seen[0] = self.call("tmux_read_pane", target=job).text
            return re.search(want, seen[0], re.M) is not None

        until(there, 15, LOOK)
        return seen[0]

    def say(self, job: str, text: str, want: str) -> str:
        self.type(job, text)
        return self.see(job, want)

    def log_in(self, world: World) -> None:
        self.open("python3 login.py", "Password")
        world.person_types("tmux attach -t work")
        self.see(self.pane, "ticket")

    def ten(self, world: World) -> list[int]:
        """A window that runs the command from the start saves two calls; it must be kept open to be read."""
        with self.one_turn():
            jobs = [self.begin(f"python3 job.py {number}; echo EXIT=$?; read x") for number in range(10)]
        codes = []
        for job in jobs:
            found = re.search(r"EXIT=(\d+)", self.see(job, r"^EXIT=\d"))
            assert found is not None
            codes.append(int(found[1]))
        return codes

    def search(self, world: World) -> None:
        self.type(self.pane, f"{NOISY} &")  # in the background of the shell, so that no other pane is needed
        world.logged()
        self.open(GREP, "^.*ERROR order")

    def ask_agent(self, world: World) -> None:
        """It has tmux_read_cc_pane for just this one, which here runs into its time limit and adds a log of its own."""
        self.open("claude", r"\? for shortcuts")
        for keys in ("Tell me a bird", "Enter"):
            self.call("tmux_send_keys", target=self.pane, keys=keys)
        self.see(self.pane, "^. PELICAN")
