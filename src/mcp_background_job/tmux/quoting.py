"""What tmux's parsers do to text, and how text passes them unchanged.

Promise: nothing that comes from a job, an agent or a person is expanded by a format, a style, strftime or a shell.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence

from mcp_background_job.supervisor.pane import quoted
from mcp_background_job.text import one_line

# Which keys have a sequence of their own in each tmux from 3.2 on (tried on eight of them, key by key: the table in
# ARCHITECTURE.md): of the others tmux types the name's letters, or nothing, or the key without its modifier.
EDITING_KEY = re.compile(
    r"up|down|left|right|home|end|page(up|down)|pg(up|dn)|[pn]page|ic|insert|dc|delete|f([1-9]|1[0-2])", re.IGNORECASE
)
OTHER_KEY = re.compile(r"bspace|btab|enter|escape|space|tab|kp([0-9/*+.-]|enter)", re.IGNORECASE)
WITH_CONTROL = re.compile(r"[A-Za-z@\[\\\]^_?/]|space", re.IGNORECASE)
WITH_CONTROL_AND_META = re.compile(r"[A-Za-z@\[?]|space", re.IGNORECASE)
MODIFIED = re.compile(r"((?:[CMS]-)*)(.+)", re.IGNORECASE | re.DOTALL)


def literal(text: str) -> str:
    """`text` so that tmux's formats and strftime give it back as it is."""
    return text.replace("#", "##").replace("%", "%%")


def plain(text: str) -> str:
    """One line without anything that a terminal obeys, nor a style, which tmux has no way to quote everywhere."""
    return one_line(text).replace("#[", "# [")


def window_name(text: str) -> str:
    """A name for a window: one short line, with nothing in it that a terminal or a format would obey."""
    shown = plain(text)
    return (shown if len(shown) <= 24 else shown[:23] + "…").replace("#", "##") or "job"


def join_commands(commands: Sequence[Sequence[str]]) -> list[str]:
    """Several tmux commands as the arguments of one invocation; a `;` that ends an argument stays one."""
    joined: list[str] = []
    for command in commands:
        if joined:
            joined.append(";")
        joined.extend(word[:-1] + "\\;" if word.endswith(";") else word for word in command)
    return joined


def command_line(commands: Sequence[Sequence[str]]) -> str:
    """Several tmux commands as one text, for a command that takes commands as an argument."""
    return " ; ".join(" ".join(quoted(word) for word in command) for command in commands)


def set_pane_options(pane: str, options: Mapping[str, str]) -> list[list[str]]:
    """Commands that set user options of a pane; an empty value takes one away."""
    return [
        ["set-option", "-p", "-t", pane, *((name, value) if value else ("-u", name))] for name, value in options.items()
    ]


def carries(job_id: str, only_if: str = "") -> str:
    """The condition that a pane is the job's, and that the format `only_if` is true of it."""
    condition = f"#{{==:#{{@mcp_job_id}},{job_id}}}"
    return f"#{{&&:{condition},{only_if}}}" if only_if else condition


def pipe_command(argv: Sequence[str]) -> str:
    """A shell command for pipe-pane, which expands formats and strftime in it."""
    return literal("exec " + shlex.join(argv))


def key_name(name: str) -> str:
    """tmux's name of a key that reaches the program: one character or a name, with C-, M- or S- before it, or ^X.

    Empty for what has no sequence, or no such name.
    """
    if len(name) == 2 and name[0] == "^":
        name = f"C-{name[1]}"
    match = MODIFIED.fullmatch(name)
    if match is None:
        return ""
    modifiers, key = {part.upper() for part in match[1].split("-") if part}, match[2]
    if EDITING_KEY.fullmatch(key):
        return name
    if "S" in modifiers:
        # Shift has made another key of it already.
        key = "BTab" if key.lower() == "tab" else key.upper() if re.fullmatch("[A-Za-z]", key) else ""
        modifiers.discard("S")
    known = OTHER_KEY.fullmatch(key) or (len(key) == 1 and key.isprintable())
    if "C" in modifiers and key == "/":
        key = "_"  # the same byte; tmux 3.2 types the letters of C-/
    if modifiers and key.lower() == "btab":
        return ""
    if "C" in modifiers:
        known = (WITH_CONTROL_AND_META if "M" in modifiers else WITH_CONTROL).fullmatch(key)
    return "".join(f"{modifier}-" for modifier in sorted(modifiers)) + key if known else ""


def is_key(name: str) -> bool:
    """Whether a key reaches the program."""
    return key_name(name) != ""


def is_character(key: str) -> bool:
    """Whether a key types a character, which may be one of a password; C-c, M-x, Up and Enter do not."""
    if len(key) == 2 and key[0] == "^":
        return False
    match = MODIFIED.fullmatch(key)
    if match is None or set(match[1].upper()) & set("CM"):
        return False
    name = match[2].lower()
    return len(name) == 1 or name == "space" or (name.startswith("kp") and name != "kpenter")


def key_label(name: str) -> str:
    """A key as a person reads it: `Ctrl-b` for tmux's C-b."""
    words = {"C": "Ctrl", "M": "Alt", "S": "Shift"}
    *modifiers, key = name.split("-") if name[-1:] != "-" else (*name[:-2].split("-"), "-")
    return "-".join([*(words.get(modifier, modifier) for modifier in modifiers if modifier), key])


def own_socket() -> str:
    """The socket of the tmux server that this process runs in; empty outside of tmux.

    The TMUX variable is `socket,pid,session`.
    """
    return os.environ.get("TMUX", "").rsplit(",", 2)[0]
