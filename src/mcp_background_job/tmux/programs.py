"""How our own programs are started in the person's tmux server: the board, the menu, the notifier.

Promise: they run with this Python and this session's settings, whatever that server has in its environment.
"""

from __future__ import annotations

import os
import sys

from mcp_background_job.config import BackgroundJobConfig

# The session lives as long as this shell does, whatever becomes of the program that it runs.
KEEP_RUNNING = """trap '' INT QUIT TSTP
pause=1
while :; do
    "$@"
    printf '\\033[0m\\r\\nThe board has ended (%s) and starts again in %s seconds.\\r\\n' "$?" "$pause"
    key=$(tmux display-message -p -t "$TMUX_PANE" '#{prefix}' 2>/dev/null)
    key=${key:-the prefix}
    printf 'The jobs go on: %s n and %s p go through their windows, %s w lists them.\\r\\n' "$key" "$key" "$key"
    sleep "$pause"
    [ "$pause" -ge 60 ] || pause=$((pause * 2))
done"""


def own_python() -> list[str]:
    """This interpreter as it is, whatever PYTHONHOME or PYTHONPATH the person's tmux server has; text is UTF-8."""
    path = os.environ.get("PYTHONPATH", "")
    options = [sys.executable, "-P", "-X", "utf8"]
    if not path:
        return [*options, "-E"]
    return ["env", "-u", "PYTHONHOME", f"PYTHONPATH={path}", *options]


def program_argv(config: BackgroundJobConfig, module: str) -> list[str]:
    """One of our modules with the session's settings."""
    # tmux gives its windows an environment of its own, in which none of these are.
    settings = {
        "MCP_BG_SESSION": config.session_name,
        "MCP_BG_STATE_DIR": str(config.state_dir),
        "MCP_BG_TMUX_CONF": str(config.tmux_conf),
        "MCP_BG_TMUX_SOCKET": config.tmux_socket_name or "",
        "MCP_BG_MAX_JOBS": str(config.max_concurrent_jobs),
        "MCP_BG_MAX_OUTPUT_SIZE": str(config.max_output_size_bytes),
        "MCP_BG_CLEANUP_INTERVAL": str(config.cleanup_interval_seconds),
        "MCP_BG_RETENTION": str(config.retention_seconds),
        "MCP_BG_MENU_KEY": config.menu_key,
    }
    given = [f"{name}={value}" for name, value in settings.items() if value]
    return ["env", *given, *own_python(), "-m", f"mcp_background_job.ui.{module}"]


def board_argv(config: BackgroundJobConfig) -> list[str]:
    """The board, in a shell that starts it again."""
    return ["/bin/sh", "-c", KEEP_RUNNING, "jobs", *program_argv(config, "board"), "--window"]
