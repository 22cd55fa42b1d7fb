"""How the session of jobs looks and which keys it has: our options, then a tmux.conf.

Promise: nothing is set globally; what a person has set in the session stays, but for the options that have one value.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from mcp_background_job.config import BackgroundJobConfig

from .client import TmuxServer
from .condition import KEYS, MARKER, OPTIONS, Condition, glancing, looking, seen, unquoted
from .panes import BORDER, COLUMNS, ROWS
from .people import note_keys_in_control_mode
from .programs import program_argv
from .quoting import join_commands, key_label

HISTORY = 2_000  # lines that a person can scroll back; with 10,000 a flood of 200 MB took 1.17 times as long as bare
MENU_KEYS = ("F12", "F11", "F10")  # the first that is not the prefix, where none of the settings' can be


@dataclass(frozen=True)
class Keys:
    """The keys of a person in the session, as they read them."""

    prefix: str = "Ctrl-b"
    menu: str = MENU_KEYS[0]


class SessionLook:
    """Options and keys of one session, as they are and as they should be."""

    def __init__(self, server: TmuxServer, config: BackgroundJobConfig) -> None:
        self.server = server
        self.config = config
        self.name = config.session_name
        self.target = f"={self.name}:"
        self.program = shlex.join(program_argv(config, "menu"))
        self.complaints: list[str] = []  # what tmux said of the tmux.conf, if this one has read it
        self.bound: frozenset[str] = frozenset()  # the keys that opened the menu when all was looked at last

    def look(self) -> Condition | None:
        """All that is there; None where there is no session."""
        found = seen(self.server.run(*join_commands(looking(self.target, self.name))).stdout)
        self.bound = found.keys if found else frozenset()
        return found

    def glance(self) -> list[list[str]]:
        """Commands that tell at little cost whether it is as it was made, to be carried out with others."""
        return glancing(self.target, self.name, self.bound)

    def is_right(self, found: Condition) -> bool:
        """Whether all options and keys are there, and no key is one that tmux takes for itself."""
        return found.has_options(self.forced()) and unquoted(found.options["@mcp_key"]) not in found.prefixes

    def forced(self) -> dict[str, str]:
        """Options that have one value, whatever a person or their files set."""
        return {
            # A person who closes their last terminal would end the session.
            "destroy-unattached": "off",
            "key-table": self.name,
            # Index 0 stays free for the board.
            "base-index": "1",
        }

    def setup(self, made: str) -> list[list[str]]:
        """Commands that set our options; `made` is the marker."""
        options = {
            **self.forced(),
            "default-size": f"{COLUMNS}x{ROWS + BORDER}",
            "history-limit": str(HISTORY),
            "@mcp_program": self.program,
            "@mcp_session": self.name,
            MARKER: made,
        }
        return [
            # A person who lets tmux exit when nobody is attached would lose every job at once.
            ["if-shell", "-F", "#{exit-unattached}", "set-option -s exit-unattached off"],
            *(["set-option", "-t", self.target, key, value] for key, value in options.items()),
            # A hook that runs a shell makes tmux read the pane before pipe-pane is there.
            *(["set-hook", "-t", self.target, hook, ""] for hook in ("after-new-window", "window-linked")),
            *note_keys_in_control_mode(self.target),
        ]

    def set_up(self, made: str, conf: str, found: Condition, *, keep: bool, anew: bool = False) -> None:
        """Set options and keys, by the tmux.conf; `keep` what else is set on the session, `anew` with no earlier keys.

        What tmux refuses of the tmux.conf is said on stderr and changes nothing.
        """
        setup = self.setup(made)
        self.server.run(*join_commands(setup))
        keys = self._menu_keys(found.prefixes)
        text = conf.replace("$MCP_BG_TARGET", self.target).replace("$MCP_BG_TABLE", self.name)
        lines = [
            line.replace("$MCP_BG_KEY", key)
            for line in text.split("\n")
            for key in (keys if "$MCP_BG_KEY" in line else keys[:1])
        ]
        self._copy_root_keys(anew)
        self.complaints = self._source(lines)
        if self.complaints:
            print(f"tmux.conf: {'; '.join(self.complaints)}", file=sys.stderr)
        if keep:
            own = {command[-2] for command in setup if command[0] == "set-option"} | {OPTIONS, KEYS}
            kept = [
                f"set-option -t '{self.target}' {name} {found.options[name]}" for name in found.options.keys() - own
            ]
            self._source(kept)
        self.server.run("set-option", "-t", self.target, "@mcp_key", keys[0])
        now = self.look() or Condition()
        noted = {OPTIONS: " ".join([*now.options, OPTIONS, KEYS]), KEYS: " ".join(now.keys)}
        self.server.run(*join_commands([["set-option", "-t", self.target, *item] for item in noted.items()]))

    def _menu_keys(self, prefixes: Collection[str]) -> list[str]:
        """The keys that open the menu: those that the settings name, but for those that tmux takes for itself."""
        keys = [key for key in self.config.menu_key.split() if key not in prefixes]
        return keys or [key for key in MENU_KEYS if key not in prefixes][:1]

    def keys(self) -> Keys:
        """The person's prefix, and the key that opens the menu; tmux's and ours where there is no session.

        Raises TmuxError.
        """
        told = self.server.run(
            "display-message", "-p", "-t", self.target, "#{@mcp_session} #{prefix} #{@mcp_key}"
        ).stdout
        words = told[0].split() if told else []
        return Keys(key_label(words[1]), key_label(words[2])) if len(words) == 3 else Keys()

    def _copy_root_keys(self, anew: bool) -> None:
        """Give our key table the person's own root keys, mouse included: a session's key table replaces the root one.

        (tmux tries the root table after other tables, but not after the one that a session's option names.)
        """
        if anew:
            self.server.run("unbind-key", "-a", "-T", self.name)  # what an earlier tmux.conf has bound
        listed = self.server.run("list-keys", "-T", "root").stdout
        ours = [re.sub(r"^(bind-key\s+(?:-\S+\s+)*?)-T\s+root\s", rf"\1-T {self.name} ", line) for line in listed]
        ours = [line for line in ours if f"-T {self.name} " in line]
        if self._source(ours):
            # One that tmux can't read back spoils the others.
            for line in ours:
                self._source([line])

    def _source(self, lines: Sequence[str]) -> list[str]:
        """Have tmux read the lines of a tmux.conf; its complaints.

        In no file, which another server could write while tmux reads it.
        """
        if not lines:
            return []
        text = "\n".join([*lines, ""]).encode("utf-8", "surrogateescape")
        answer = self.server.run("source-file", "-", data=text)
        # What it can't read as commands, so that nothing of it is done, tmux tells on stdout.
        said = answer.stderr or (answer.stdout if answer.returncode else [])
        return [re.sub(r"^(-|/proc/\S+?):(?=\d+: )", "line ", complaint) for complaint in said]
