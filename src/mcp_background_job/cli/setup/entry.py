"""The command that starts this very program, as it was installed, and the settings in force here."""

from __future__ import annotations

import json
import os
import shutil
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from mcp_background_job import __version__
from mcp_background_job.config import BackgroundJobConfig

from .shapes import Start

PACKAGE = "mcp-background-job"
UVX_FOLDER = "archive-v0"  # uvx runs programs from a folder of its cache, which may go
# Besides the settings, what decides where the state folder and the tmux server are; clients pass few variables on.
PASSED_ON = ("TMUX_TMPDIR", "XDG_STATE_HOME")
# A desktop starts its programs with a PATH of /usr/bin:/bin and the like, without brew's tmux and what jobs call: the
# person's login shell knows both. A PATH in the entry would not do, for Goose takes none and it grows old.
DESKTOP = {"MCP_BG_ENVIRONMENT": "login"}


def this_server(desktop: bool) -> Start:
    """How a client starts this program; `desktop`: one that has a short PATH itself."""
    names = {str(field.validation_alias) for field in BackgroundJobConfig.model_fields.values()}
    names = (names | set(PASSED_ON)) - {"MCP_BG_HTTP_TOKEN"}
    env = {name: os.environ[name] for name in sorted(names) if os.environ.get(name)}
    if desktop:
        env = DESKTOP | env
    if UVX_FOLDER in Path(sys.prefix).parts:
        return Start(shutil.which("uvx") or "uvx", ["--from", source(), PACKAGE], env)
    script = Path(sys.executable).with_name(PACKAGE)
    if script.exists():
        return Start(str(script), [], env)
    return Start(sys.executable, ["-P", "-m", "mcp_background_job"], env)


def source() -> str:
    """What uvx installed this program from: a folder, an address, or the package index."""
    try:
        text = distribution(PACKAGE).read_text("direct_url.json")
    except PackageNotFoundError:
        text = None
    if text is None:
        return f"{PACKAGE}=={__version__}"
    facts = json.loads(text)
    url = str(facts["url"])
    if url.startswith("file://"):
        from urllib.parse import unquote

        return unquote(url.removeprefix("file://"))
    if "vcs_info" in facts:
        return f"{facts['vcs_info']['vcs']}+{url}@{facts['vcs_info']['commit_id']}"
    return url
