"""The pane that the runner lives in, and what it has tmux do there.

Part of the runner: the standard library alone. Promise: no request to tmux is waited for longer than its patience, and
a refusal changes nothing.
"""

import os
import signal
import time


class Pane:
    """The runner's own pane, as tmux named it in the environment."""

    def __init__(self) -> None:
        self.id = os.environ.get("TMUX_PANE", "")
        self.socket = os.environ.get("TMUX", "").rsplit(",", 2)[0]
        self.closed = False  # or respawned by a person: it is the job's no longer
        self.tmux_server = os.getppid()

    def ask(self, tmux: str, *arguments: str, patience: float = 0.0) -> None:
        """Run a command of the program `tmux` and wait at most `patience` seconds for it."""
        null = os.open(os.devnull, os.O_RDWR)
        try:
            pid = os.posix_spawn(
                tmux,
                [tmux, "-S", self.socket, *arguments],
                os.environ,
                file_actions=[(os.POSIX_SPAWN_DUP2, null, fd) for fd in (0, 1, 2)],
            )
            deadline = time.monotonic() + patience
            while time.monotonic() < deadline and os.waitpid(pid, os.WNOHANG)[0] == 0:
                time.sleep(0.002)
        except OSError:
            pass
        finally:
            os.close(null)

    def set_options(self, tmux: str, options: dict[str, str], patience: float) -> None:
        """Set options of the pane; an empty value takes one away."""
        arguments: list[str] = []
        for name, value in options.items():
            arguments += ["set-option", "-p", "-t", self.id, *((name, value) if value else ("-u", name)), ";"]
        self.ask(tmux, *arguments[:-1], patience=patience)

    def close(self) -> None:
        """Become a tmux that closes the pane; comes back only where there is no pane or no tmux."""
        if not self.id:
            return
        try:
            os.execvp("tmux", ["tmux", "-S", self.socket, "kill-pane", "-t", self.id])
        except OSError:
            return

    def tmux_has_ended(self) -> bool:
        """Whether the tmux server went along with the pane; it takes it some milliseconds."""
        deadline = time.monotonic() + 0.5
        while os.getppid() == self.tmux_server:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True


def shown_end(cause: str, exitcode: int | None, ended: float) -> dict[str, str]:
    """The pane options of a job that has ended, by a signal where `exitcode` is negative."""
    status = "killed"
    why = {"timeout": "timeout", "window_closed": "window closed", "lost": "lost"}.get(cause, "")
    if cause == "exit":
        status = "completed" if exitcode == 0 else "failed"
        if exitcode and exitcode < 0:
            names = {int(known): known.name for known in signal.Signals}
            why = names.get(-exitcode, f"signal {-exitcode}")
        elif exitcode:
            why = f"exit {exitcode}"
    return {
        "@mcp_status": status,
        "@mcp_exit": why,
        "@mcp_ended": str(int(ended)),
        "@mcp_holder": "",
        "@mcp_message": "",
    }
