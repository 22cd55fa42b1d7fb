"""A hold is released by those whom it is about, and by nobody else."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcp_background_job.store.holds import read_hold, release, set_hold, was_declined
from mcp_background_job.store.models import Hold

ASKED, TAKEN = Hold(since=1.0, message="please"), Hold(since=2.0)


@pytest.mark.promise("human-holds")
def test_a_hand_off_releases_its_own_hold_and_none_that_a_person_took_since(tmp_path: Path) -> None:
    assert not release(tmp_path, ASKED)
    set_hold(tmp_path, ASKED)
    assert release(tmp_path, ASKED, declined=True)
    assert read_hold(tmp_path) is None and was_declined(tmp_path)
    set_hold(tmp_path, TAKEN)
    assert not release(tmp_path, ASKED)
    assert not release(tmp_path, ASKED, declined=True)
    assert read_hold(tmp_path) == TAKEN
    assert [path.name for path in tmp_path.iterdir()] == ["holder"]


@pytest.mark.promise("human-holds")
def test_the_no_is_there_as_soon_as_the_keys_are_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_hold(tmp_path, ASKED)
    seen: list[bool] = []
    rename = Path.rename

    def look_at_once(self: Path, target: Path) -> Path:
        moved = rename(self, target)
        seen.append(read_hold(tmp_path) is None and was_declined(tmp_path))
        return moved

    monkeypatch.setattr(Path, "rename", look_at_once)
    release(tmp_path, ASKED, declined=True)
    assert seen == [True]
