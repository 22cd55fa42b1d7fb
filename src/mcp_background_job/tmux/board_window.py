"""Window 0, the board's: made, started again, brought back.

Promise: there is one that runs, at index 0 if that is free; what a person has put into its window is theirs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mcp_background_job import __version__

from .condition import BoardPane, Condition

BOARD = "jobs"  # the name of the window


def new_board_name() -> str:
    """A name of its own for as long as it is made: a person's window may be called as the board is."""
    return f"{BOARD}-{os.urandom(4).hex()}"


def board_setup(session: str, name: str) -> list[list[str]]:
    """Commands that make a new window of this name the board, at index 0 if that is free."""
    board = f"={session}:={name}"
    options = {"automatic-rename": "off", "window-size": "latest", "remain-on-exit": "off"}
    return [
        *(["set-option", "-w", "-t", board, key, value] for key, value in options.items()),
        ["set-option", "-p", "-t", board, "@mcp_board", "1"],
        board_of(board),
        ["if-shell", "-F", "-t", board, "#{window_index}", f"move-window -d -s '{board}' -t '={session}:0'"],
        ["rename-window", "-t", board, "--", BOARD],
    ]


def board_of(board: str) -> list[str]:
    """Note which program the board was opened with."""
    return ["set-option", "-p", "-t", board, "@mcp_board_of", f"{__version__} {sys.executable}"]


def mending(session: str, argv: Sequence[str], found: Condition, of_any_version: bool) -> list[list[str]]:
    """Commands that are left to do for the board, which `argv` runs; `of_any_version` where another's will do."""
    boards = [one for one in found.boards if one.is_board]
    commands = [["set-option", "-pu", "-t", one.pane, "@mcp_board"] for one in found.boards if not one.is_board]
    if not boards:
        name = new_board_name()
        new = ["new-window", "-d", "-t", f"={session}:", "-n", name, "--", *argv]
        commands += [new, *board_setup(session, name)]
    elif all(one.dead or (is_outdated(one) and not of_any_version) for one in boards):
        pane = boards[0].pane
        commands += [["respawn-pane", "-k", "-t", pane, "--", *argv], board_of(pane)]
    if boards and not found.has_zero:
        commands.append(["move-window", "-d", "-s", f"={session}:{boards[0].window}", "-t", f"={session}:0"])
    return commands


def is_outdated(board: BoardPane) -> bool:
    """Whether the board's program is another version's, or has been removed from the disk."""
    version, _, python = board.program.partition(" ")
    return version != __version__ or not Path(python).exists()
