"""tmux's menu where it does not fit into the terminal: the same entries, as text in a popup.

Promise: the entries are those of the session's @mcp_menu, which a person's tmux.conf may set, and do the same.
"""

from __future__ import annotations

import os
import shlex
from argparse import Namespace
from collections.abc import Sequence
from typing import NamedTuple

from mcp_background_job.tmux.quoting import join_commands

from .menu_tmux import session_of, tmux
from .pager import page

FLAGS = ("-M", "-O")  # of display-menu, without a value


class Entry(NamedTuple):
    """As it is written in the menu, or as tmux has filled it in."""

    label: str
    key: str
    command: str


def entries_of(written: str) -> list[Entry]:
    """The entries of a display-menu command."""
    words = shlex.split(written)[1:]
    while words and words[0].startswith("-"):
        del words[: 1 if words[0] in FLAGS else 2]
    found: list[Entry] = []
    while words:
        if len(words) < 3 or not words[0]:
            del words[0]  # a line between two entries has no key
        else:
            found.append(Entry(*words[:3]))
            del words[:3]
    return found


def show_menu(options: Namespace) -> None:
    """As many entries as there is room for, the arrows scroll; then do what the pressed one does."""
    target = f"{session_of(options.client)}:.{options.pane}"
    entries = entries_of(tmux("display-message", "-p", "-t", target, "#{@mcp_menu}"))
    formats = [text for entry in entries for text in (entry.label, entry.command)]
    texts = filled_in(formats, target, options.client)
    filled = [Entry(texts[2 * at], entry.key, texts[2 * at + 1]) for at, entry in enumerate(entries)]
    # tmux shows none without a label, and one that begins with - as out of use.
    usable = {entry.key: entry for entry in filled if entry.label and not entry.label.startswith("-")}
    shown = "  ".join(f"{entry.key} {entry.label}" for entry in usable.values())
    key = page(shown, at_end=False, question="Esc closes", keys="".join(usable)).decode(errors="replace")
    if key in usable:
        carry_out(usable[key].command)


def filled_in(formats: Sequence[str], target: str, client: str) -> list[str]:
    """What tmux makes of formats for a pane and the client that looks at it."""
    # A full stop keeps the empty ones.
    asked = [["display-message", "-p", "-c", client, "-t", target, f"{text}."] for text in formats]
    return [line[:-1] for line in tmux(*join_commands(asked)).split("\n")]


def carry_out(command: str) -> None:
    """A popup's program in this popup, as tmux opens none over another; else what tmux does by itself."""
    words = shlex.split(command)
    if words[:1] == ["display-popup"] and "--" in words:
        argv = words[words.index("--") + 1 :]
        os.execvp(argv[0], argv)
    tmux("source-file", "-", script=command + "\n")
