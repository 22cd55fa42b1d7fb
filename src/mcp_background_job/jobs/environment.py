"""What a job finds in its environment.

Promise: nothing that belongs to the server's or the shell's own terminal, and no token of ours, is passed on.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from threading import Lock, Thread
from typing import Literal

from mcp_background_job.config import JOB_VARIABLE
from mcp_background_job.process.login_shell import Told, ask_login_shell

from .shells import integration

logger = logging.getLogger(__name__)

NOT_INHERITED = {"MCP_BG_HTTP_TOKEN", "MCP_BG_NOTIFY", "COLUMNS", "LINES", "TERM", "TERMCAP", "STY"}
PLAIN = {"PAGER": "cat", "GIT_PAGER": "cat"}  # a pager would wait for a person


class BaseEnvironment:
    """What every job's environment begins with: the server's own, or that as the login shell's files leave it."""

    def __init__(self, source: Literal["inherit", "login"]) -> None:
        self.source = source
        self._asking = Lock()
        self._told: Told | None = None

    def begin(self) -> None:
        """Have the login shell asked, if one is to be, before a job waits for that."""
        if self.source == "login":
            Thread(target=self.told, daemon=True).start()

    def get(self) -> dict[str, str]:
        """The environment; the first call may wait for the login shell."""
        found = self.told().environment if self.source == "login" else None
        return inherited(os.environ if found is None else found)

    def told(self) -> Told:
        """What the login shell told, which is asked once; what is wrong with that is said once, on stderr."""
        with self._asking:
            if self._told is None:
                self._told = ask_login_shell(inherited(os.environ))
                if self._told.problem:
                    logger.warning("MCP_BG_ENVIRONMENT=login: %s", in_words(self._told))
                if self._told.environment is not None:
                    look_also_in(self._told.environment.get("PATH", ""))
            return self._told


def look_also_in(path: str) -> None:
    """Have this process look for programs in `path` too: of a desktop's short PATH, brew's tmux is as missing."""
    folders = [*os.environ.get("PATH", os.defpath).split(os.pathsep), *path.split(os.pathsep)]
    os.environ["PATH"] = os.pathsep.join(dict.fromkeys(folder for folder in folders if folder))


def inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """What of an environment is passed on."""
    return {name: value for name, value in environment.items() if name not in NOT_INHERITED}


def in_words(told: Told) -> str:
    """What is wrong with the answer of the login shell."""
    consequence = "; jobs have the server's own environment" if told.environment is None else ""
    return f"{told.shell} {told.problem}{consequence}"


def job_environment(base: Mapping[str, str], env: Mapping[str, str], job_id: str, command: str) -> dict[str, str]:
    """`base`, what the terminal needs, `env` over it, and what a shell needs to tell more."""
    given = {**base, **PLAIN, JOB_VARIABLE: job_id, **env}
    return {**given, **integration(command, given)}
