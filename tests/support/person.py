"""A person at a terminal: a tmux of their own, outside, in which they attach to the sandbox's session."""

from __future__ import annotations

import itertools
import subprocess

from support.sandbox import SESSION, Sandbox
from support.waiting import DEADLINE, wait_until

_numbers = itertools.count()


class Person:
    """Runs a command on a real terminal of a given size; types, reads the screen, leaves."""

    def __init__(
        self,
        sandbox: Sandbox,
        command: str = f"tmux attach -t {SESSION}",
        *,
        columns: int = 120,
        rows: int = 30,
    ) -> None:
        self._environment = {**sandbox.environment, "TERM": "xterm-256color"}
        self._socket = str(sandbox.root / f"person{next(_numbers)}")
        # One line for the person's own life: the terminal stays after the command's end, for the last screen.
        self._outer(
            "-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows),
            "--", "env", "-u", "TMUX", "-u", "TMUX_PANE", "sh", "-c", f"{command}; echo LEFT; exec cat",
            ";", "set-option", "-g", "status", "off",
        )  # fmt: skip

    def _outer(self, *arguments: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", self._socket, *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def type(self, text: str) -> None:
        """Type characters as they stand."""
        self._outer("send-keys", "-l", "--", text)

    def press(self, *keys: str) -> None:
        """Press keys by their tmux names."""
        self._outer("send-keys", *keys)

    def screen(self, *, colours: bool = False) -> str:
        """What the terminal shows; with colours, as the escape sequences that would draw it."""
        return self._outer("capture-pane", "-p", *(["-e"] if colours else []))

    def ask(self, template: str) -> str:
        """What the terminal's own tmux says of it."""
        return self._outer("display-message", "-p", template).rstrip("\n")

    def clipboard(self) -> str:
        """What programs have put onto the terminal's clipboard by OSC 52 since this was called first."""
        self._outer("set-option", "-s", "set-clipboard", "on")
        return self._outer("list-buffers") and self._outer("show-buffer")

    def sees(self, *texts: str, timeout: float = DEADLINE) -> str:
        """Wait until one screen holds all the texts; returns it. What stood there before counts as well."""

        def screen() -> str:
            shown = self.screen()
            return shown if all(text in shown for text in texts) else ""

        return wait_until(screen, timeout, what=f"{', '.join(map(repr, texts))} on the person's screen")

    def detach(self) -> None:
        self.press("C-b", "d")
        self.sees("LEFT")

    def close(self) -> None:
        subprocess.run(
            ["tmux", "-S", self._socket, "kill-server"],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=DEADLINE,
        )
