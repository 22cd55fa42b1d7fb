"""A job's window as wide as a person's terminal, for as long as they look.

Promise: the size from before stands in a window option, so that the menu, a command and the board each bring it back.
"""

from __future__ import annotations

from collections.abc import Sequence

from mcp_background_job.errors import InvalidInput

from .client import TmuxServer
from .panes import JobPane
from .quoting import command_line, join_commands

WAS = "@mcp_was"  # the size from before, as resize-window takes it
LEFT = f"#{{&&:#{{{WAS}}},#{{==:#{{window_active_clients}},0}}}}"  # fitted, and nobody looks any more
STATUS_LINES = "#{?#{==:#{status},off},0,#{?#{==:#{status},on},1,#{status}}}"


def fit(pane: JobPane) -> tuple[int, int]:
    """Make a job's window as large as the terminal of the person who looks at it; columns and rows.

    Of several it is the one who was active last. Raises InvalidInput where nobody looks, PaneLost or TmuxError.
    """
    window = pane.server.ask("display-message", "-p", "-t", pane.pane, "#{window_id}")[0]
    facts = f"#{{client_activity}} #{{client_width}} #{{e|-:#{{client_height}},{STATUS_LINES}}} #{{window_id}}"
    rows = [line.split(" ") for line in pane.server.run("list-clients", "-F", facts).stdout]
    sizes = [(int(row[0]), int(row[1]), int(row[2])) for row in rows if row[3:] == [window]]
    if not sizes:
        raise InvalidInput(
            f"Nobody looks at the window of job {pane.job_id!r}",
            f"Go there first: mcp-background-job attach {pane.job_id}",
        )
    _, columns, lines = max(sizes)
    was = "-x #{window_width} -y #{window_height}"
    act(pane, [["set-option", "-woqF", "-t", pane.pane, WAS, was], resized(pane.pane, columns, max(1, lines))])
    return columns, lines


def as_it_was(pane: JobPane) -> bool:
    """Give a window that was fitted its size from before; False for one that was not.

    Raises PaneLost or TmuxError.
    """
    said = pane.server.run("show-options", "-wqv", "-t", pane.pane, WAS).stdout
    if not said:
        return False
    act(pane, back(pane.pane, said[0]))
    return True


def act(pane: JobPane, commands: Sequence[Sequence[str]]) -> None:
    facts = pane.perform(commands)
    if facts is not None:
        raise pane.lost()


def resized(target: str, columns: int, rows: int) -> list[str]:
    return ["resize-window", "-t", target, "-x", str(columns), "-y", str(rows)]


def back(target: str, was: str) -> list[list[str]]:
    """Commands that bring a window's size back."""
    return [["resize-window", "-t", target, *was.split()], ["set-option", "-wu", "-t", target, WAS]]


def list_left() -> list[str]:
    """A command that lists the windows that were fitted and that nobody looks at any more."""
    return ["list-windows", "-a", "-f", LEFT, "-F", f"#{{window_id}} #{{{WAS}}}"]


def take_back(server: TmuxServer, left: Sequence[str]) -> None:
    """Bring back the size of windows that `list_left` has listed, where still nobody looks."""
    commands = []
    for line in left:
        window, _, was = line.partition(" ")
        commands.append(["if-shell", "-F", "-t", window, LEFT, command_line(back(window, was))])
    if commands:
        server.run(*join_commands(commands))
