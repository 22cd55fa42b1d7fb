"""Files that only this user can read, whole or not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mcp_background_job.store.files import append_line, make_private, write_new, write_whole


@pytest.mark.promise("private-files")
def test_files_and_folders_are_private_whatever_the_umask(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        make_private(tmp_path / "a" / "b")
        write_new(tmp_path / "new", b"1")
        write_whole(tmp_path / "whole", b"1")
        append_line(tmp_path / "lines", b"1\n")
    finally:
        os.umask(mask)
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in ("a", "a/b")} == {0o700}
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in ("new", "whole", "lines")} == {0o600}


def test_a_new_file_never_takes_the_place_of_another(tmp_path: Path) -> None:
    write_new(tmp_path / "file", b"first")
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "file", b"second")
    assert (tmp_path / "file").read_bytes() == b"first"


def test_a_file_is_replaced_whole_and_leaves_nothing_half_made(tmp_path: Path) -> None:
    write_whole(tmp_path / "file", b"longer than the next")
    write_whole(tmp_path / "file", b"short")
    (tmp_path / "folder" / "full").mkdir(parents=True)
    with pytest.raises(OSError):  # which one depends on the platform
        write_whole(tmp_path / "folder", b"refused")
    assert (tmp_path / "file").read_bytes() == b"short"
    assert {path.name for path in tmp_path.iterdir()} == {"file", "folder"}


def test_lines_are_added_behind_what_is_there(tmp_path: Path) -> None:
    append_line(tmp_path / "lines", b"1\n")
    append_line(tmp_path / "lines", b"2\n")
    assert (tmp_path / "lines").read_bytes() == b"1\n2\n"
