"""Packages of npm's that a test talks to, each of one version, in a cache folder outside the tree."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from pathlib import Path

import pytest
from platformdirs import user_cache_path

CACHE = user_cache_path("mcp-background-job-tests")


def installed(*packages: str) -> Path:
    """A folder with these packages in its node_modules; the test is skipped where they can't be had."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("node and npm are not installed")
    folder = CACHE / "+".join(package.rpartition("/")[2] for package in packages)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:  # several workers may want them at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            words = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), *packages]
            if subprocess.run(words, capture_output=True, timeout=250, check=False).returncode:
                pytest.skip(f"npm can't install {' '.join(packages)}")
            (folder / "done").touch()
    return folder


def node() -> Path:
    """The folder of a node that is new enough for all of them."""
    return installed("node@22.23.3") / "node_modules/node/bin"


def conformance() -> list[str]:
    """The command line of the MCP conformance suite."""
    folder = installed("@modelcontextprotocol/conformance@0.2.0-alpha.12")
    return [str(node() / "node"), str(folder / "node_modules/@modelcontextprotocol/conformance/dist/index.js")]
