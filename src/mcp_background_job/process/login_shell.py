"""What the person's login shell has in its environment, asked of it once.

A desktop client starts its servers with a PATH of /usr/bin:/bin; what version managers add stands in files that login
shells and interactive shells read. So it is asked as both, as editors do it.

Promises: an answer or a reason within LIMIT; the environment is on no disk and no command line; what the shell prints
reaches nobody (shell_asker.py says how).
"""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

LIMIT = 10.0  # seconds for the shell
OVERHEAD = 5.0  # seconds for the asking process to start and to kill what hangs, on a machine that is busy
ASKER = ("-I", "-S", "-X", "utf8", str(Path(__file__).with_name("shell_asker.py")))
# By which the files of a shell can tell that nobody is there; many look at that of VS Code already.
NOTICE = ("MCP_BG_RESOLVING_ENVIRONMENT", "VSCODE_RESOLVING_ENVIRONMENT")
OF_THE_SHELL = {"SHLVL", "PWD", "OLDPWD", "_", *NOTICE}  # of that one run, not of what is started later


class Told(NamedTuple):
    """What the shell told: an environment, None where it gave none, and what is wrong with it or why."""

    shell: str
    environment: dict[str, str] | None
    problem: str = ""


def ask_login_shell(own: Mapping[str, str], limit: float = LIMIT) -> Told:
    """The environment `own` as the files of the person's login shell leave it, within `limit` seconds."""
    shell = login_shell(own.get("SHELL", ""))
    given = {**of_a_login(shell), **own, "SHELL": shell, **dict.fromkeys(NOTICE, "1")}
    try:
        done = subprocess.run(
            [sys.executable, *ASKER, "ask", str(limit), shell],
            env=given,
            cwd=given["HOME"] if os.access(given["HOME"], os.X_OK) else "/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            start_new_session=True,  # a Ctrl-C in the server's terminal is not for it
            timeout=limit + OVERHEAD,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Told(shell, None, f"could not be asked: {error}")
    problem = done.stderr.decode(errors="replace").strip()
    if done.returncode != 0:
        return Told(shell, None, problem.rpartition("\n")[2] or "could not be asked")
    return Told(shell, parsed(done.stdout), problem)


def login_shell(named: str) -> str:
    """The person's shell: $SHELL, else that of their account, else sh; one that /etc/shells lacks is theirs too."""
    of_account = ""
    with suppress(KeyError):
        of_account = pwd.getpwuid(os.getuid()).pw_shell
    for path in (named, of_account):
        if path.startswith("/") and os.access(path, os.X_OK):
            return path
    return "/bin/sh"


def of_a_login(shell: str) -> dict[str, str]:
    """What a login gives to every shell, for a server that was started without."""
    found = {"HOME": "/", "SHELL": shell, "TERM": "xterm-256color"}
    with suppress(KeyError):
        account = pwd.getpwuid(os.getuid())
        found |= {"HOME": account.pw_dir, "USER": account.pw_name, "LOGNAME": account.pw_name}
    return found


def parsed(told: bytes) -> dict[str, str]:
    """NUL-terminated `name=value` items; a value may have newlines, and a name be that of an exported function."""
    pairs = (item.partition(b"=")[::2] for item in told.split(b"\0") if item)
    found = {os.fsdecode(name): os.fsdecode(value) for name, value in pairs if name}
    return {name: value for name, value in found.items() if name not in OF_THE_SHELL}
