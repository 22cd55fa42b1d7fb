"""Interactive shells as jobs: how one is recognized, and has the exit code of each command told.

Through what the shell reads when it begins, and nothing that is typed into it: its own files, prompt and history are
as without. The marks are FinalTerm's (OSC 133 ; C where a command begins, ; D ; code where it has ended). Terminals
draw nothing of them, and the person's own set-up may send them as well, also from behind ssh.
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
MARK = re.compile(rb"\x1b\]133;(?:C[;\x07\x1b]|D(?:;(\d{1,3})(?:;[^\x07\x1b]{0,200})?)?(?:\x07|\x1b\\))")
BEGINS = b"\x1b]133;C"
LONGEST = 4096  # characters of a command that is looked at: shlex takes seconds for a long word
LOOKBACK = 256 << 10  # bytes before the end in which the mark of the last command is

FOLDER = Path(__file__).parent
# A bash whose only start-up file is ~/.bashrc is given one that reads that first.
PLAIN_BASH = re.compile(r"(\s*(?:(?:exec|env|[A-Za-z_]\w*=[\w./:-]*)\s+)*(?:[\w./-]*/)?bash)((?:\s+-i)*\s*)")
# Any other is given this to do first before a prompt, or `$?` would be that of what came before it. Where the person's
# files assign PROMPT_COMMAND anew, it tells nothing.
CALL = 'eval "$MCP_BG_PROMPT"'
PROMPT = (
    f"case $PROMPT_COMMAND in '{CALL}'*) printf '\\033]133;D;%s\\033\\\\' \"$?\" ;; "
    f"*) {{ PROMPT_COMMAND='{CALL};'${{PROMPT_COMMAND//'{CALL}'/:}}; }} 2>/dev/null ;; esac; "
    "export -n PROMPT_COMMAND MCP_BG_PROMPT PS0"
)
COMMAND = r"\e]133;C\e\\"  # in bash's PS0, which is shown where a command begins
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


def with_init(command: str) -> str:
    """What is run for a bash that reads no other file of the person's than ~/.bashrc; empty for any other command."""
    found = PLAIN_BASH.fullmatch(command) if len(command) <= LONGEST else None
    return f"{found[1]} --rcfile {shlex.quote(str(FOLDER / 'bash/rc'))}{found[2]}" if found else ""


def integration(command: str, environment: Mapping[str, str]) -> dict[str, str]:
    """What the environment of a command needs beside `environment`, if it is an interactive shell."""
    shell = interactive_shell(command)
    if shell == "bash" and not with_init(command):
        own = environment.get("PROMPT_COMMAND", "")
        return {
            "MCP_BG_PROMPT": PROMPT,
            "PROMPT_COMMAND": f"{CALL};{own}" if own else CALL,
            "PS0": COMMAND + environment.get("PS0", ""),
        }
    if shell == "zsh":
        own = environment.get("ZDOTDIR", "")
        return {"ZDOTDIR": str(FOLDER / "zsh"), **({"MCP_BG_ZDOTDIR": own} if own else {})}
    if shell == "fish":
        own = environment.get("XDG_DATA_DIRS", "")
        folders = f"{FOLDER / 'fish'}:{own or DATA_DIRS}"
        return {"XDG_DATA_DIRS": folders, **({"MCP_BG_XDG_DATA_DIRS": own} if own else {})}
    return {}


def last_exit_code(output: bytes, since: int = 0) -> int | None:
    """The exit code of the last command that has ended in a shell's output from `since` on; none while another runs.

    A shell that tells when a command begins repeats an older code before a prompt behind Enter alone or C-c.
    """
    begun, code = BEGINS not in output, None
    for mark in MARK.finditer(output):
        if mark[0].startswith(BEGINS):
            begun, code = True, None
        elif begun:
            begun, code = BEGINS not in output, mark[1] if mark.start() >= since else None
    return int(code) if code else None
