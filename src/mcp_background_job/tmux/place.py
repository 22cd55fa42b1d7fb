"""Where tmux's socket and the terminals of its windows are: what is wrong there, before tmux is asked.

Promise: an error names the cause and what to do about it; tmux's own words name neither.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from mcp_background_job.errors import TmuxError
from mcp_background_job.ownership import untrusted, untrusted_parent
from mcp_background_job.system import SOCKET_LIMIT

NO_TERMINALS = (
    "This system has no pseudo terminals for tmux's windows",
    "Mount devpts on /dev/pts and link /dev/ptmx to pts/ptmx, or give the container a /dev of its own",
)


def default_folder() -> Path:
    """Where tmux has its sockets: links resolved, and a TMUX_TMPDIR that does not exist ignored, as tmux does it."""
    base = Path("/tmp")
    with suppress(OSError, RuntimeError):
        base = Path(os.environ.get("TMUX_TMPDIR") or base).resolve(strict=True)
    return base.resolve() / f"tmux-{os.getuid()}"


def check_socket(path: Path) -> None:
    """Raises TmuxError where no socket can be at `path`, or another user has made, or could exchange, the one there.

    Their server would obey them.
    """
    size = len(os.fsencode(path))
    if size > SOCKET_LIMIT:
        raise TmuxError(
            f"The path of tmux's socket has {size} bytes, and a socket takes {SOCKET_LIMIT}: {path}",
            "Set TMUX_TMPDIR to a folder with a shorter path, or MCP_BG_TMUX_SOCKET to a shorter name",
        )
    problem = untrusted(path, "socket") or untrusted(path.parent) or untrusted_parent(path.parent)
    if problem:
        raise TmuxError(
            f"The tmux server at {path} is not trusted: {problem}",
            "Nothing was sent to it; set TMUX_TMPDIR to a folder of your own (mode 700), or remove that one",
        )


def check_folder(folder: Path) -> None:
    """Raises TmuxError where tmux, to be started, can't make the folder of its socket."""
    above = folder.parent
    if not folder.exists() and not (above.is_dir() and os.access(above, os.W_OK | os.X_OK)):
        raise TmuxError(
            f"tmux can't make the folder {folder} for its socket: {above} can't be written to",
            "Set TMUX_TMPDIR to a folder of your own (mode 700)",
        )


def check_terminals() -> None:
    """Raises TmuxError where no terminal can be opened."""
    try:
        for fd in os.openpty():
            os.close(fd)
    except OSError as error:
        raise TmuxError(f"{NO_TERMINALS[0]}: {error.strerror}", NO_TERMINALS[1]) from error
