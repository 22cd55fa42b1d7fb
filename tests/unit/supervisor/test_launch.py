"""The launch file: what the server writes is what the runner and the log writer read, in the bytes they always had."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mcp_background_job.store.files import join_pairs, write_new
from mcp_background_job.store.models import Launch
from mcp_background_job.supervisor.launch import LaunchFile, read_pairs
from support.jobs import LAUNCH


def written(folder: Path, launch: Launch) -> LaunchFile:
    write_new(folder / "launch", join_pairs(launch.pairs()))
    return LaunchFile(str(folder))


@pytest.mark.promise("record-older")
def test_the_bytes_are_those_that_running_jobs_of_other_versions_read(tmp_path: Path) -> None:
    written(tmp_path, LAUNCH)
    assert (tmp_path / "launch").read_bytes().split(b"\0") == [
        b"cwd=/", b"shell=/bin/bash", b"timeout=", b"grace=5.0", b"umask=22", b"rows=50", b"columns=200",
        b"separate_stderr=0", b"nonce=1", b"log_limit=10485760", b"tmux=tmux", b"pipe=exec false", b"lifeline=",
        b"instead=",
    ]  # fmt: skip


def test_every_field_comes_back(tmp_path: Path) -> None:
    launch = replace(
        LAUNCH, cwd="/tmp/b\udcffd = ü", timeout=1.5, umask=0o077, separate_stderr=True, pipe="a='b c'", lifeline="/x y"
    )
    read = written(tmp_path, launch)
    assert (read.cwd, read.shell) == ("/tmp/b\udcffd = ü".encode(errors="surrogateescape"), b"/bin/bash")
    assert (read.timeout, read.grace, read.umask) == (1.5, 5.0, 0o077)
    assert (read.rows, read.columns, read.separate_stderr) == (50, 200, True)
    assert read.lifeline == b"/x y"
    assert (read.nonce, read.log_limit, read.tmux, read.pipe) == ("1", 10 << 20, "tmux", "a='b c'")


def test_a_job_without_a_timeout_never_comes_to_it(tmp_path: Path) -> None:
    assert written(tmp_path, LAUNCH).timeout == float("inf")


def test_a_value_may_have_an_equals_sign_or_be_empty(tmp_path: Path) -> None:
    path = tmp_path / "environment"
    path.write_bytes(b"A=b=c\0EMPTY=\0")
    assert read_pairs(str(path)) == {b"A": b"b=c", b"EMPTY": b""}
