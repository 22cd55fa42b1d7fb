"""What breaks things: how often, when, and with which disks.

MCP_BG_TRIES is how often each fault is tried where chance decides (a few times by default), MCP_BG_SEED the seed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random

import psutil
import pytest

from support.rpc import Answer, Pending, Server, ServerGone
from support.sandbox import SESSION, Sandbox, alive, words_of
from support.terminal import cli
from support.waiting import wait_until

needs_mount = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("mount") is None, reason="only root can mount a disk to fill"
)


def tries(usually: int) -> int:
    return int(os.environ.get("MCP_BG_TRIES", usually))


def seeded() -> Random:
    return Random(int(os.environ.get("MCP_BG_SEED", "1")))


def strike_after(random: Random, longest: float) -> None:
    """Let a random time pass, up to `longest` seconds: the moment at which the fault comes."""
    time.sleep(random.uniform(0, longest))


def killed_with(server: Server, pending: Sequence[Pending]) -> list[Answer]:
    """Kill a server that is at work; the answers that came before."""
    server.kill9()
    answers = []
    for one in pending:
        try:
            answers.append(one.answer())
        except ServerGone:
            continue
    server.close()
    return answers


def all_gone(pids: Iterable[int]) -> bool:
    return not any(alive(pid) for pid in pids)


def log_writers(sandbox: Sandbox, job_id: str, but: psutil.Process | None = None) -> list[psutil.Process]:
    """The log writer of a job, as pipe-pane has started it, unless it is the one that is known."""
    found = []
    tmux = sandbox.tmux_server()
    for process in tmux.children() if tmux else []:
        words = words_of(process)
        if "logwriter" in words and words[-1].endswith(job_id) and "-I" in words and process != but:
            found.append(process)
    return found


def nothing_is_left_by(sandbox: Sandbox) -> None:
    """Have the next one tidy up, as if the time for it had come: no record, no folder, no window may stay."""
    session = sandbox.state / SESSION
    for half_made in session.glob(".*"):
        os.utime(half_made, (time.time() - 3600, time.time() - 3600))
    cli(sandbox, "clean", "--all")
    wait_until(lambda: not sandbox.windows(), what="the end of all windows")
    assert not sandbox.records(), sorted(path.name for path in session.iterdir())


@contextmanager
def small_disk(sandbox: Sandbox, size: str) -> Iterator[None]:
    """A disk of its own for the state folder; skips where none can be mounted."""
    sandbox.state.mkdir(mode=0o700, exist_ok=True)
    mount("-t", "tmpfs", "-o", f"size={size},mode=700", "none", str(sandbox.state))
    try:
        yield
    finally:
        end_all(sandbox)
        subprocess.run(["umount", "-l", str(sandbox.state)], check=True)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nobody can write to the folder, root neither; skips where that can't be had."""
    mount("--bind", str(folder), str(folder))
    try:
        mount("-o", "remount,bind,ro", str(folder))
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"may not mount here: {done.stderr.strip()}")


def end_all(sandbox: Sandbox) -> None:
    """End servers and tmux, so that the disk can go."""
    for server in sandbox.servers:
        server.close()
    sandbox.tmux("kill-server", check=False)
    wait_until(lambda: not sandbox.processes(), what="the end of all processes")


def listed(server: Server) -> dict[str, Answer]:
    """Every job on record, by id."""
    return {job["job_id"]: job for job in server.call("list", all=True)["jobs"]}
