"""Interactive shells as jobs: how one is recognized, and has the exit code of each command told.

Through what the shell reads when it begins, and nothing that is typed into it: its own files, prompt and history are
as without. The mark is FinalTerm's (OSC 133 ; D ; code), which terminals draw nothing of, and which the person's own
set-up may send as well, also from behind ssh.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

Shell = Literal["bash", "zsh", "fish"]

SHELLS: dict[str, Shell] = {"bash": "bash", "zsh": "zsh", "fish": "fish"}
WITH_VALUE = {"--rcfile", "--init-file", "-O", "+O", "-o", "+o", "-C", "--init-command"}
COMPOUND = re.compile(r"[;&|<>()`\n]")
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
EXIT_CODE = re.compile(rb"\x1b\]133;D;(\d{1,3})(?:;[^\x07\x1b]{0,200})?(?:\x07|\x1b\\)")
LONGEST = 4096  # characters of a command that is looked at: shlex takes seconds for a long word
LOOKBACK = 256 << 10  # bytes before the end in which the mark of the last command is

# First of all that bash does before a prompt, or `$?` would be that of what came before it.
CALL = 'eval "$MCP_BG_PROMPT"'
PROMPT = (
    f"case $PROMPT_COMMAND in '{CALL}'*) printf '\\033]133;D;%s\\033\\\\' \"$?\" ;; "
    f"*) {{ PROMPT_COMMAND='{CALL};'${{PROMPT_COMMAND//'{CALL}'/:}}; }} 2>/dev/null ;; esac; "
    "export -n PROMPT_COMMAND MCP_BG_PROMPT"
)
FOLDER = Path(__file__).parent
DATA_DIRS = "/usr/local/share:/usr/share"  # where XDG_DATA_DIRS is not set (freedesktop's base directories)


def interactive_shell(command: str) -> Shell | None:
    """The shell that a command is, if it is nothing else: no script, no other command beside it."""
    if len(command) > LONGEST or COMPOUND.search(command):
        return None
    try:
        words = shlex.split(command)
    except ValueError:
        return None
    while words and (ASSIGNMENT.match(words[0]) or words[0] in ("exec", "env")):
        del words[0]
    shell = SHELLS.get(words[0].rpartition("/")[2]) if words else None
    options = words[1:]
    while shell and options:
        option = options.pop(0)
        if not option.startswith(("-", "+")) or re.fullmatch("-[a-zA-Z]*c|--command.*", option):
            return None
        if option in WITH_VALUE:
            del options[:1]
    return shell


def integration(command: str, environment: Mapping[str, str]) -> dict[str, str]:
    """What the environment of a command needs beside `environment`, if it is an interactive shell."""
    shell = interactive_shell(command)
    if shell == "bash":
        own = environment.get("PROMPT_COMMAND", "")
        return {"MCP_BG_PROMPT": PROMPT, "PROMPT_COMMAND": f"{CALL};{own}" if own else CALL}
    if shell == "zsh":
        own = environment.get("ZDOTDIR", "")
        return {"ZDOTDIR": str(FOLDER / "zsh"), **({"MCP_BG_ZDOTDIR": own} if own else {})}
    if shell == "fish":
        own = environment.get("XDG_DATA_DIRS", "")
        folders = f"{FOLDER / 'fish'}:{own or DATA_DIRS}"
        return {"XDG_DATA_DIRS": folders, **({"MCP_BG_XDG_DATA_DIRS": own} if own else {})}
    return {}


def last_exit_code(output: bytes) -> int | None:
    """The exit code of the last command that a shell has told in its output."""
    found = EXIT_CODE.findall(output)
    return int(found[-1]) if found else None
