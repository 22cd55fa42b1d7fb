"""A server has one lifeline, which is tidied away behind it and no sooner."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from mcp_background_job.errors import StoreError
from mcp_background_job.store.folder import SessionFolder
from mcp_background_job.store.lifelines import ServerLifeline, remove_broken
from mcp_background_job.supervisor.lifeline import Lifeline


def test_a_server_has_one_that_only_its_user_can_open(tmp_path: Path) -> None:
    line = ServerLifeline(SessionFolder(tmp_path / "state", "jobs"))
    path = Path(line.hold())
    assert line.hold() == str(path) and stat.S_IMODE(path.stat().st_mode) == 0o600
    assert SessionFolder(tmp_path / "state", "jobs").foreign() == []
    held = Lifeline(str(path))
    assert not held.broken
    held.close()
    path.unlink()
    assert line.hold() != str(path), "a job that looks for one which is gone would end at once"


def test_only_what_no_server_holds_is_removed(tmp_path: Path) -> None:
    folder = SessionFolder(tmp_path / "state", "jobs")
    held = Path(ServerLifeline(folder).hold())
    names = {kind: folder.folder / f".server-{kind}" for kind in ("broken", "new")}
    for path in names.values():
        os.mkfifo(path)
    for path in (held, names["broken"]):
        os.utime(path, (1, 1))
    remove_broken(folder.folder)
    assert held.exists() and names["new"].exists() and not names["broken"].exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_where_none_can_be_made_that_is_an_error(tmp_path: Path) -> None:
    folder = SessionFolder(tmp_path / "state", "jobs")
    folder.open()
    folder.folder.chmod(0o500)
    with pytest.raises(StoreError, match="lifeline"):
        ServerLifeline(folder).hold()
