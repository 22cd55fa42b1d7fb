"""The tmux server that the menu was opened in, asked with nothing imported that is slow."""

from __future__ import annotations

import shutil
import subprocess


def tmux(*arguments: str, script: str = "") -> str:
    """One tmux command on the server that the menu was opened in; `script` is what `-` as a file stands for."""
    binary = shutil.which("tmux") or "tmux"
    done = subprocess.run(
        [binary, "-u", *arguments], input=script, capture_output=True, text=True, check=False, timeout=10
    )
    return done.stdout.strip()


def session_of(client: str) -> str:
    """The session that the person looks at, which may be one of a group."""
    # (display-message -c tells of another session where it has no target.)
    listed = tmux("list-clients", "-F", "#{session_id} #{client_name}").splitlines()
    return next((line.split(" ")[0] for line in listed if line.split(" ", 1)[1] == client), "")
