"""Pythons of other versions, where this machine has them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path


@cache
def interpreter(name: str) -> str:
    """A Python such as python3.12 that has readline, or "": a pyenv shim may stand for one that isn't there."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [sys.executable, shutil.which(name)]
    if os.access(pyenv, os.R_OK | os.X_OK):
        found += map(str, sorted(pyenv.glob(f"*/bin/{name}")))
    ask = f"import readline, sys; sys.exit('python%d.%d' % sys.version_info[:2] != '{name}')"
    for path in filter(None, found):
        if subprocess.run([path, "-c", ask], capture_output=True).returncode == 0:
            return path
    return ""
