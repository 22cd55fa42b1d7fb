"""A process that has got the pid of a job's is never signalled, nor taken for it.

Runs in a pid namespace of its own, where the next pid can be chosen.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).with_name("recycled_pids.py")
ALONE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]


def may_choose_pids() -> bool:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    script = "echo 4000 > /proc/sys/kernel/ns_last_pid && sh -c 'test $$ -gt 4000'"
    return subprocess.run([*ALONE, "sh", "-c", script], capture_output=True).returncode == 0


@pytest.mark.skipif(not may_choose_pids(), reason="needs root, and a kernel that lets it choose pids")
@pytest.mark.promise("recycled-pid")
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("scenario", ["lost", "ended", "churn"])
def test_a_recycled_pid_is_never_signalled(scenario: str) -> None:
    # The shell is the namespace's first process, and takes in its orphans.
    words = [*ALONE, "sh", "-c", '"$@"; exit $?', "sh", sys.executable, str(HERE), scenario]
    paths = [str(HERE.parents[1]), *filter(None, [os.environ.get("PYTHONPATH", "")])]
    done = subprocess.run(
        words,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "never signalled" in done.stdout
