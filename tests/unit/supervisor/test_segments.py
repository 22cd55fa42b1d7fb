"""Segment names are made and read in one place, and a person's own files in the folder count for nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcp_background_job.supervisor.segments import TIMING, append_to_log, list_offsets, log_size, segment_name


def test_a_name_gives_the_offset_it_was_made_of(tmp_path: Path) -> None:
    offsets = [0, 7, 8 << 20, 10**19]
    for offset in offsets:
        (tmp_path / segment_name(offset)).touch()
        (tmp_path / segment_name(offset + 1, TIMING)).touch()
    assert list_offsets(str(tmp_path)) == offsets
    assert list_offsets(str(tmp_path), TIMING) == [offset + 1 for offset in offsets]


@pytest.mark.promise("record-foreign")
@pytest.mark.parametrize("name", ["7.log", f"{5:020d}.log.gz", f"{'x' * 20}.log", f"{'²' * 20}.log", f"{5:021d}.log"])
def test_another_file_in_the_folder_is_a_persons_own(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    assert list_offsets(str(tmp_path)) == []
    assert log_size(str(tmp_path)) == 0


def test_what_is_added_to_a_log_goes_behind_its_last_segment(tmp_path: Path) -> None:
    folder = str(tmp_path)
    append_to_log(folder, b"one")
    assert (tmp_path / segment_name(0)).read_bytes() == b"one"
    (tmp_path / segment_name(100)).write_bytes(b"hundred")
    append_to_log(folder, b", and more")
    assert log_size(folder) == 100 + len(b"hundred, and more")


def test_a_folder_that_was_removed_has_no_log(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    append_to_log(missing, b"lost")
    assert log_size(missing) == 0
    with pytest.raises(FileNotFoundError):
        list_offsets(missing)
