"""libtmux-mcp: run_command for what ends, send_keys and a look at the pane, or wait_for_text, for the rest."""

from __future__ import annotations

import re

from hands import LibTmux, until
from tasks import World

from agents.base import GREP, LOOK, NOISY, Agent


class LibTmuxAgent(LibTmux, Agent):
    def finish(self, command: str) -> None:
        self.call("run_command", pane_id=self.pane, command=command)

    def open(self, command: str, until: str) -> str:
        self.call("send_keys", pane_id=self.pane, keys=command)
        self.see(self.pane, until)
        return self.pane

    def see(self, job: str, want: str) -> str:
        """capture_since is the advised one, but its cursors make it three times as long."""
        seen = [""]

        def there() -> bool:
            seen[0] = self.call("capture_pane", pane_id=job).text
            return re.search(want, seen[0], re.M) is not None

        until(there, 15, LOOK)
        return seen[0]

    def say(self, job: str, text: str, want: str) -> str:
        self.call("send_keys", pane_id=job, keys=text)
        return self.see(job, want)

    def serve(self, world: World) -> None:
        """It takes a while, and says so by itself: that is waited for, and only the line comes back."""
        self.call("send_keys", pane_id=self.pane, keys=f"python3 serve.py {world.port}")
        assert self.call("wait_for_text", pane_id=self.pane, patterns=["http://"], timeout=20).fields["found"]
        world.visited()
        self.see(self.pane, " 500 ")

    def log_in(self, world: World) -> None:
        self.open("python3 login.py", "Password")
        world.person_types("tmux attach -t work")
        assert self.call("wait_for_text", pane_id=self.pane, patterns=["ticket"], timeout=30).fields["found"]

    def ten(self, world: World) -> list[int]:
        """A window for each, all typed into in one call, and all read in one."""
        panes = [self.pane]
        with self.one_turn():
            panes += [self.call("create_window", session_name="work").fields["active_pane_id"] for _ in range(9)]
        keys = [
            {"pane_id": pane, "keys": f"python3 job.py {number}; echo EXIT=$?"} for number, pane in enumerate(panes)
        ]
        self.call("send_keys_batch", operations=keys)
        codes: dict[str, int] = {}

        def there() -> bool:
            found = self.call("search_panes", pattern=r"^EXIT=\d", regex=True).fields["matches"]
            codes.update({one["pane_id"]: int(one["matched_lines"][0].removeprefix("EXIT=")) for one in found})
            return len(codes) == 10

        until(there, 15, LOOK)
        return [codes[pane] for pane in panes]

    def search(self, world: World) -> None:
        """In the background of the pane's shell, so that no other pane is needed."""
        self.call("send_keys", pane_id=self.pane, keys=f"{NOISY} &")
        world.logged()
        self.finish(GREP)
