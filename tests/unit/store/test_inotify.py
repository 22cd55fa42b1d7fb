"""Being woken by files: whoever waits is woken, however much happens meanwhile."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import anyio
import pytest

from mcp_background_job.store.inotify import FolderEvents


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
@pytest.mark.promise("resources-told")
def test_more_changes_than_the_kernel_keeps_hide_none(tmp_path: Path) -> None:
    quiet, loud = tmp_path / "quiet", tmp_path / "loud"
    quiet.mkdir()
    loud.mkdir()
    kept = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())

    async def body() -> None:
        with FolderEvents([quiet]) as events, FolderEvents([loud]):
            # Two in turn, as equal ones behind each other are one event.
            files = [os.open(loud / name, os.O_WRONLY | os.O_CREAT) for name in "ab"]
            for n in range(kept + 10):
                os.write(files[n % 2], b"x")
            for file in files:
                os.close(file)
            (quiet / "new").touch()
            assert await events.wait(20)

    anyio.run(body)
