"""In what condition the session of jobs is: its board, its options, its keys, as tmux tells them with a new window.

Promise: looking changes nothing, and comes in the same invocation as what it is done with.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from .quoting import command_line

MARKER = "@mcp_jobs"  # what the session was made ours by: a hash of the tmux.conf and of the program
OPTIONS, KEYS = "@mcp_options", "@mcp_keys"  # the names of what was there once it was made ours
LOOKED = "mcp-looked"
PANES = (
    "mcp-pane #{window_index} #{?@mcp_board,#{window_id} #{pane_id} #{pane_dead} "
    "#{m:*mcp_background_job*board*,#{pane_start_command}} #{@mcp_board_of},}"
)
BOUND = re.compile(r"bind-key\s.*?-T\s+\S+\s+(\S+)\s.*@mcp_open")


@dataclass(frozen=True)
class BoardPane:
    """A pane that was opened as the board."""

    index: int
    window: str
    pane: str
    dead: bool
    is_board: bool  # still; a person may have respawned it with a program of their own
    program: str  # the version and the interpreter that it was opened with


@dataclass(frozen=True)
class Condition:
    """What was found; without a marker the session is not ours."""

    boards: Sequence[BoardPane] = ()
    has_zero: bool = False  # there is a window 0, the board or another
    prefixes: tuple[str, ...] = ()  # the keys that tmux takes for itself in this session
    options: Mapping[str, str] = field(default_factory=dict)  # set on the session itself, quoted as tmux quotes
    keys: frozenset[str] = frozenset()  # that open the menu, as tmux writes them

    @property
    def marker(self) -> str:
        return unquoted(self.options.get(MARKER, ""))

    def has_board(self) -> bool:
        """Whether the board runs, at index 0 if that is free."""
        return self.has_zero and any(one.is_board and not one.dead for one in self.boards)

    def has_options(self, forced: Mapping[str, str]) -> bool:
        """Whether all options and keys are there that were when the session was made ours.

        `forced` are the options that have one value.
        """
        if not {OPTIONS, KEYS} <= self.options.keys():
            return False
        names, keys = (set(unquoted(self.options[name]).split()) for name in (OPTIONS, KEYS))
        return (
            names <= self.options.keys()
            and keys <= self.keys
            and all(unquoted(self.options.get(name, "")) == value for name, value in forced.items())
        )


def looking(target: str, table: str) -> list[list[str]]:
    """Commands that print all that `seen` reads."""
    # The panes first, as that fails where there is no such session: display-message takes another then.
    panes = ["list-panes", "-s", "-t", target, "-F", PANES]
    return [panes, *options_of(target), if_it_can(["list-keys", "-T", table])]


def glancing(target: str, table: str, keys: Collection[str]) -> list[list[str]]:
    """As `looking`, but of window 0 and these keys alone: with 40 windows it takes a third of the time."""
    asked = [["list-keys", "-T", table, key] for key in sorted(keys)]
    return [if_it_can(["list-panes", "-t", f"{target}0", "-F", PANES]), *options_of(target), *map(if_it_can, asked)]


def options_of(target: str) -> list[list[str]]:
    return [
        ["display-message", "-p", "-t", target, f"{LOOKED} #{{prefix}} #{{prefix2}}"],
        ["show-options", "-t", target],
    ]


def if_it_can(command: Sequence[str]) -> list[str]:
    """A command whose error, as of a key that is not bound, ends nothing else."""
    return ["if-shell", "-F", "1", command_line([command])]


def seen(lines: Sequence[str]) -> Condition | None:
    """What `looking` or `glancing` has printed; None where it was not carried out, as there is no such session."""
    start = next((number for number, line in enumerate(lines) if line.startswith(f"{LOOKED} ")), None)
    if start is None:
        return None
    boards: list[BoardPane] = []
    options: dict[str, str] = {}
    keys: set[str] = set()
    panes = [line.split(" ", 6) for line in lines[:start] if line.startswith("mcp-pane ")]
    for _, index, *board in panes:
        if len(board) == 5:
            boards.append(BoardPane(int(index), board[0], board[1], board[2] == "1", board[3] == "1", board[4]))
    for line in lines[start + 1 :]:
        bound = BOUND.match(line) if "@mcp_open" in line else None
        if bound is not None:
            keys.add(bound[1])
        elif not line.startswith("bind-key "):
            name, _, value = line.partition(" ")
            options[name] = value
    prefixes = tuple(key for key in lines[start].split()[1:] if key != "None")
    return Condition(boards, any(pane[1] == "0" for pane in panes), prefixes, options, frozenset(keys))


def unquoted(value: str) -> str:
    """A value of show-options that has nothing in it but words and blanks."""
    return value.strip("\"'")
