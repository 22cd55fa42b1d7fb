"""Who is compared: ours, the floor, and the peers, installed from their registries into a cache folder when needed.

The versions are pinned, so that a dated table can be made again. What can't be had is skipped with one line.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from platformdirs import user_cache_path
from stdio import Client

import mcp_background_job
from support.interpreters import interpreter
from support.sandbox import Sandbox

CACHE = user_cache_path("mcp-background-job-benchmarks")

# The floor: what the SDK alone costs. `page` answers with as many characters as asked for, `status` with next to none.
BARE = """
from mcp.server import MCPServer
server = MCPServer("bare", log_level="WARNING")
@server.tool()
async def status(job_id: str = "") -> dict[str, str]:
    return {"status": "completed"}
@server.tool()
async def page(size: int) -> dict[str, str]:
    return {"stdout": ("x" * 99 + chr(10)) * (size // 100)}
server.run()
"""


class NotToBeHad(Exception):
    """A peer can't be installed here; the text says why."""


@dataclass(frozen=True)
class Contender:
    """A server that can be started, with what it is."""

    name: str
    version: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)

    def start(self, place: Place, **environment: str) -> Client:
        given = {**place.environment, **self.environment, **environment}
        if self.name not in ("ours", "bare"):
            given.pop("PYTHONPATH", None)  # 0.1.2 has our package's name
        return Client(self.argv, given, place.work)


class Place(Sandbox):
    """A HOME, a tmux server and a state folder of its own; whatever is left over in it gets killed."""

    def __init__(self) -> None:
        super().__init__()
        self.environment["SHELL"] = shutil.which("bash") or "/bin/sh"
        settings = self.home / ".claude-server-commander"
        settings.mkdir()
        # Desktop Commander would tell its makers of each call.
        (settings / "config.json").write_text(json.dumps({"telemetryEnabled": False}))

    def __enter__(self) -> Place:
        return self

    def __exit__(self, *_: object) -> None:
        self.tmux("kill-server", check=False)
        for process in self.processes():
            process.kill()
        self.close()


def run(*argv: str, **environment: str) -> None:
    """Run an installer. Raises NotToBeHad with its last line."""
    try:
        done = subprocess.run(
            argv, env={**os.environ, **environment}, capture_output=True, text=True, timeout=600, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotToBeHad(str(error)) from error
    if done.returncode != 0:
        raise NotToBeHad((done.stderr.strip() or done.stdout.strip() or "failed").splitlines()[-1])


def from_pypi(name: str, version: str, script: str, *also: str) -> Contender:
    """A virtual environment of its own; PEER_PYTHON names the Python where none is found that is new enough."""
    folder = CACHE / f"{name}-{version}"
    if not (folder / "done").exists():
        here = sys.executable if sys.version_info >= (3, 12) else interpreter("python3.13") or interpreter("python3.12")
        python = os.environ.get("PEER_PYTHON") or here or ">=3.12"
        shutil.rmtree(folder, ignore_errors=True)
        if shutil.which("uv"):
            run("uv", "venv", "-q", "--python", python, str(folder))
            run("uv", "pip", "install", "-q", "--python", str(folder / "bin/python"), f"{name}=={version}", *also)
        else:
            run(python, "-m", "venv", str(folder))
            run(str(folder / "bin/pip"), "install", "-q", f"{name}=={version}", *also)
        (folder / "done").touch()
    return Contender(name, version, (str(folder / "bin" / script),))


def from_npm(name: str, version: str, package: str, entry: str) -> Contender:
    folder = CACHE / f"{name}-{version}"
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        raise NotToBeHad("node and npm are needed")
    if not (folder / "done").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        words = ("npm", "install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", str(folder))
        run(*words, f"{package}@{version}", PUPPETEER_SKIP_DOWNLOAD="1")
        (folder / "done").touch()
    return Contender(name, version, (node, str(folder / "node_modules" / package / entry)))


def ours() -> Contender:
    return Contender("ours", mcp_background_job.__version__, (sys.executable, "-m", "mcp_background_job"))


def bare() -> Contender:
    CACHE.mkdir(parents=True, exist_ok=True)
    file = CACHE / "bare.py"
    file.write_text(BARE)
    return Contender("bare", "MCPServer with a trivial tool", (sys.executable, str(file)))


PEERS: dict[str, Callable[[], Contender]] = {
    "0.1.2": lambda: from_pypi("mcp-background-job", "0.1.2", "mcp-background-job"),
    "libtmux-mcp": lambda: from_pypi("libtmux-mcp", "0.1.0a22", "libtmux-mcp"),
    # The one on PyPI: as published it takes the newest SDK, with which it does not start.
    "tmux-mcp": lambda: from_pypi("tmux-mcp", "0.3.3", "tmux-mcp", "mcp<2"),
    "Desktop Commander": lambda: from_npm(
        "desktop-commander", "0.2.52", "@wonderwhy-er/desktop-commander", "dist/index.js"
    ),
}


def contenders(say: Callable[[str], None], alone: bool = False) -> dict[str, Contender]:
    """Ours, the floor, and (unless `alone`) each peer that can be installed and started."""
    found = {"ours": ours(), "bare": bare()}
    for label, install in () if alone else PEERS.items():
        try:
            peer = install()
            with Place() as place:
                peer.start(place).close()
            found[label] = peer
        except Exception as error:
            say(f"{label} is left out: {error}")
    return found
