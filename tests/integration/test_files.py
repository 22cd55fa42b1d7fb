"""What lies on disk: a directory for each job, for nobody else's eyes."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from support.rpc import Server
from support.sandbox import Sandbox, run_job, shows


def _modes(folder: Path) -> dict[str, str]:
    paths = [folder, *folder.rglob("*")]
    return {str(path): oct(stat.S_IMODE(path.lstat().st_mode)) for path in paths}


@pytest.mark.promise("private-files")
def test_folders_are_0700_and_files_0600_whatever_the_umask(sandbox: Sandbox) -> None:
    server = sandbox.server(umask=0)
    run_job(server, "echo out; echo err >&2", env={"SECRET": "x"})
    run_job(server, "echo out", separate_stderr=True)
    running = server.call("execute", command="echo up; cat")["job_id"]
    shows(server, running, "up")
    server.call("interact", job_id=running, input="x")
    wrong = {}
    for path, mode in _modes(sandbox.state).items():
        info = Path(path).lstat()
        if stat.S_ISDIR(info.st_mode):
            expected = "0o700"
        elif stat.S_ISREG(info.st_mode) or stat.S_ISFIFO(info.st_mode) or stat.S_ISSOCK(info.st_mode):
            expected = "0o600"
        else:
            continue
        if mode != expected:
            wrong[path] = mode
    assert not wrong


@pytest.mark.promise("job-environment")
def test_a_job_keeps_the_callers_umask(sandbox: Sandbox) -> None:
    server = sandbox.server(umask=0o027)
    job = run_job(server, "umask; touch made")
    assert server.call("output", job_id=job["job_id"])["stdout"] == "0027\n"
    assert stat.S_IMODE(sandbox.path("made").stat().st_mode) == 0o640


def test_each_job_has_a_directory_named_by_its_id_under_the_session(server: Server, shared: Sandbox) -> None:
    jobs = {run_job(server, "echo one")["job_id"], run_job(server, "echo two")["job_id"]}
    assert jobs <= shared.records()
    for job_id in jobs:
        assert any((shared.state / "mcp-jobs" / job_id).iterdir())


@pytest.mark.promise("output-plain-files")
def test_the_log_is_a_plain_file_that_a_person_can_read(server: Server, shared: Sandbox) -> None:
    job = run_job(server, "echo for the person; printf '\\033[31mred\\033[0m\\n'; seq 1 500")
    log = Path(job["log"])
    assert log.is_relative_to(shared.state / "mcp-jobs" / job["job_id"])
    files = sorted(log.iterdir()) if log.is_dir() else sorted(log.parent.glob(log.name))
    text = b"".join(path.read_bytes() for path in files if path.is_file()).decode()
    assert "for the person" in text
    assert "\x1b[31mred" in text
    assert "\r\n499\r\n500\r\n" in text


@pytest.mark.promise("record-foreign", "damaged-record")
def test_a_foreign_file_in_the_state_folder_does_not_hide_the_jobs(server: Server, shared: Sandbox) -> None:
    job = run_job(server, "exit 3")
    session = shared.state / "mcp-jobs"
    (session / "a-file-of-someone").write_text("hello")
    (session / "emptydir").mkdir()
    broken = session / "broken1"
    broken.mkdir()
    for path in (session / job["job_id"]).iterdir():
        if path.is_file():
            (broken / path.name).write_bytes(b"\x00not what it was")
    listed = {one["job_id"]: one for one in shared.server().call("list", all=True)["jobs"]}
    assert listed[job["job_id"]]["exit_code"] == 3
    assert run_job(server, "exit 4")["exit_code"] == 4
