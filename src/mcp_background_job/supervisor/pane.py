"""The pane that the runner lives in, and what it has tmux do there.

Part of the runner: the standard library alone. Promise: no request to tmux is waited for longer than its patience, and
a refusal changes nothing.
"""

import os
import signal
import time

TELL = "@mcp_tell"  # the shell command that tells a person of the end


class Pane:
    """The runner's own pane, as tmux named it in the environment.

    Another tmux server may have taken the socket's path, and has a pane of the same number: so each request first looks
    whether the pane carries the job's id.
    """

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self.id = os.environ.get("TMUX_PANE", "")
        self.socket = os.environ.get("TMUX", "").rsplit(",", 2)[0]
        self.closed = False  # or respawned by a person: it is the job's no longer
        self.tmux_server = os.getppid()

    def guarded(self, *commands: tuple[str, ...]) -> list[str]:
        """The arguments of a tmux that runs `commands` if the pane is the job's."""
        line = " ; ".join(" ".join(quoted(word) for word in command) for command in commands)
        condition = f"#{{==:#{{@mcp_job_id}},{self.job_id}}}"
        return ["-S", self.socket, "if-shell", "-F", "-t", self.id, condition, line]

    def ask(self, tmux: str, *commands: tuple[str, ...], patience: float = 0.0) -> None:
        """Run commands of the program `tmux` and wait at most `patience` seconds for them."""
        null = os.open(os.devnull, os.O_RDWR)
        try:
            pid = os.posix_spawn(
                tmux,
                [tmux, *self.guarded(*commands)],
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

    def pipe_to(self, tmux: str, command: str = "", patience: float = 0.0) -> None:
        """Have the pane's output piped to a shell command; to none without one."""
        self.ask(tmux, ("pipe-pane", "-t", self.id, *([command] if command else [])), patience=patience)

    def show_end(self, tmux: str, options: dict[str, str], patience: float) -> None:
        """Set options of the pane, an empty value takes one away; and have the end told, if a person asked for that."""
        commands = [
            ("set-option", "-p", "-t", self.id, *((name, value) if value else ("-u", name)))
            for name, value in options.items()
        ]
        # Once: the pane's hook, which tmux (3.3a) may run late, finds a shell's nothing.
        told = f"run-shell -b -t {self.id} '#{{{TELL}}}' ; set-option -p -t {self.id} {TELL} :"
        commands.append(("if-shell", "-F", "-t", self.id, f"#{{{TELL}}}", told))
        self.ask(tmux, *commands, patience=patience)

    def close(self) -> None:
        """Become a tmux that closes the pane; comes back only where there is no pane or no tmux."""
        if not self.id:
            return
        try:
            os.execvp("tmux", ["tmux", *self.guarded(("kill-pane", "-t", self.id))])
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


def quoted(word: str) -> str:
    """A word as tmux's command parser takes it whole.

    In single quotes it drops blanks and comments behind a line's end, so several lines go in double quotes.
    """
    if "\n" not in word:
        return "'" + word.replace("'", "'\\''") + "'"
    for char, escape in (("\\", "\\\\"), ('"', '\\"'), ("$", "\\$"), ("\n", "\\n")):
        word = word.replace(char, escape)
    return f'"{word}"'


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
