"""The read side, on job folders as the supervisor leaves them; no tmux anywhere."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from mcp_background_job.config import BackgroundJobConfig
from mcp_background_job.errors import InvalidInput, JobNotFound, JobNotRunning
from mcp_background_job.jobs.view import JobView
from mcp_background_job.store.models import EndedJob, JobId, Spec
from support.jobs import LAUNCH


@pytest.fixture
def view(tmp_path: Path) -> JobView:
    return JobView(BackgroundJobConfig.model_validate({"MCP_BG_STATE_DIR": str(tmp_path)}))


def record(
    view: JobView, job_id: str, *, started: float = 0.0, printed: bytes = b"", ended: float | None = None
) -> None:
    """A job that has ended `ended` seconds ago, or is just being started."""
    spec = Spec(job_id=JobId(job_id), name=job_id, summary="x", cwd="/", started=time.time() + started, nonce="1")
    folder = view.store.create(spec, b"x", {}, LAUNCH, 1000)
    if printed:
        (folder / "log" / f"{0:020d}.log").write_bytes(printed)
    if ended is not None:
        record = f'{{"cause": "exit", "code": 3, "ended": {time.time() - ended}}}'
        (folder / "exit.json").write_text(record, encoding="ascii")


def test_jobs_are_listed_newest_first_and_ended_ones_for_a_while(view: JobView) -> None:
    record(view, "oldone", started=-9000, ended=8000)
    record(view, "lately", started=-50, ended=1)
    record(view, "begins", started=0)
    assert [job.spec.job_id for job in view.jobs(False).jobs] == ["begins", "lately"]
    assert [job.spec.job_id for job in view.jobs(True).jobs] == ["begins", "lately", "oldone"]


def test_what_is_no_jobs_folder_is_named_and_hides_nothing(view: JobView) -> None:
    record(view, "fineon", ended=1)
    shutil.copytree(view.folder("fineon"), view.folder("copied"), ignore=shutil.ignore_patterns("control"))
    (view.store.folder / "notes.txt").touch()
    found = view.jobs(True)
    assert [job.spec.job_id for job in found.jobs] == ["fineon"]
    assert found.unreadable == ["copied", "notes.txt"]


def test_an_ended_job_is_not_running_and_waits_for_nothing(view: JobView) -> None:
    record(view, "ending", ended=1)
    job = view.job("ending")
    assert isinstance(job, EndedJob)
    assert view.awaiting(job) is None and view.hold(job) is None
    with pytest.raises(JobNotRunning, match=r"not running \(failed\)"):
        view.running("ending")


@pytest.mark.parametrize("job_id", ["nobody", "", "../etc", "ABCDEF", "a" * 99, "abc\n12"])
def test_what_is_no_job_is_not_found(view: JobView, job_id: str) -> None:
    record(view, "fineon", ended=1)
    with pytest.raises(JobNotFound):
        view.job(job_id)


def test_a_cursor_beyond_the_end_and_two_beginnings_are_refused(view: JobView) -> None:
    record(view, "prints", printed=b"one\ntwo\n", ended=1)
    job = view.job("prints")
    assert view.output(job, since=4).stdout == "two\n"
    assert view.output(job, since=8).stdout == ""
    with pytest.raises(InvalidInput, match="beyond the output's end at 8"):
        view.output(job, since=9)
    with pytest.raises(InvalidInput, match="both given"):
        view.output(job, since=0, since_seconds=5)
    with pytest.raises(InvalidInput, match="has no timing"):
        view.output(job, since_seconds=5)


def test_a_job_that_a_server_has_removed_meanwhile_is_not_listed(view: JobView) -> None:
    record(view, "prints", ended=1)
    record(view, "leaves", ended=1)
    assert len(view.jobs(True).jobs) == 2
    shutil.rmtree(view.folder("leaves"))
    assert [job.spec.job_id for job in view.jobs(True).jobs] == ["prints"]


@pytest.mark.parametrize("behind", [b"", b"\x1b[7717;7004;1234567890m", b"\x1b[7717;7004;1m\x1b[7717;7004;22m" * 60])
def test_the_marks_of_waits_move_no_prompt(view: JobView, behind: bytes) -> None:
    asked = b"Go on? [y/n] "
    record(view, "asking", printed=b"\x1b[7717;7004;1m" + asked + behind)
    assert view.rested_at(view.job("asking")) == len(b"\x1b[7717;7004;1m" + asked)
