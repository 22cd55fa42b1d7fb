"""Following jobs: what is told of them, whatever stands in the way for a while."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import anyio
import pytest

from mcp_background_job.config import BackgroundJobConfig
from mcp_background_job.jobs.events import Event, JobEvents
from mcp_background_job.jobs.view import JobView
from mcp_background_job.store.models import Job
from support.jobs import LivingJob


@pytest.mark.promise("news")
@pytest.mark.parametrize("failing", ["job", "log"])
def test_an_end_is_told_though_the_files_could_not_be_read_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    view = JobView(BackgroundJobConfig.model_validate({"MCP_BG_STATE_DIR": str(tmp_path / "state")}))
    works = getattr(view, failing)
    broken = anyio.Event()

    def breaks(job_id: str) -> Job:
        broken.set()
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    async def body() -> None:
        job = LivingJob(view.store, "abcdef")
        events = JobEvents(view)
        told: list[Event] = []
        events.listeners.append(told.append)
        events.follow("abcdef", held=False)
        await anyio.sleep(0.2)
        monkeypatch.setattr(view, failing, breaks)
        job.prints("more\n")
        with anyio.fail_after(20):
            await broken.wait()
            await anyio.sleep(0.2)
            monkeypatch.setattr(view, failing, works)
            job.ends(3)
            while not any(event.kind == "ended" for event in told):  # noqa: ASYNC110
                await anyio.sleep(0.01)
        assert [event.kind for event in told].count("ended") == 1
        assert not events._tasks and not events._seen

    anyio.run(body)


def test_a_job_that_is_removed_is_followed_no_more(tmp_path: Path) -> None:
    view = JobView(BackgroundJobConfig.model_validate({"MCP_BG_STATE_DIR": str(tmp_path / "state")}))

    async def body() -> None:
        events = JobEvents(view)
        events.follow("nobody")
        with anyio.fail_after(20):
            while events._tasks:  # noqa: ASYNC110
                await anyio.sleep(0.01)
        assert not events._followers

    anyio.run(body)
