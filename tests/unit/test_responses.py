"""The contract's fields: which are there, and in which order an agent reads them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_background_job import responses
from mcp_background_job.config import BackgroundJobConfig
from mcp_background_job.jobs.control import Handoff
from mcp_background_job.jobs.presence import Presence
from mcp_background_job.jobs.view import JobView, Listing
from mcp_background_job.jobs.watched import Outcome, WaitReason
from mcp_background_job.output.pages import Page
from mcp_background_job.responses.fields import Absence
from mcp_background_job.store.holds import set_hold
from mcp_background_job.store.models import Hold, Job, JobId, Spec
from mcp_background_job.supervisor.locks import hold_new
from mcp_background_job.tmux.panes import Capture
from support.jobs import LAUNCH, ended, running, starting

PAGE = Page("out", "err", 6)


@pytest.fixture
def view(tmp_path: Path) -> Iterator[JobView]:
    """One job, abcdef, that is being started."""
    made = JobView(BackgroundJobConfig.model_validate({"MCP_BG_STATE_DIR": str(tmp_path)}))
    spec = Spec(job_id=JobId("abcdef"), name="name", summary="make…", cwd="/src", started=0.0, nonce="1")
    lock = hold_new(str(made.store.create(spec, b"make all", {}, LAUNCH, 1000) / "runner.lock"))
    yield made
    os.close(lock)


def asked_for(view: JobView, message: str = "Type the password") -> Hold:
    hold = Hold(since=0.0, message=message)
    set_hold(view.folder("abcdef"), hold)
    return hold


@pytest.mark.parametrize(
    ("end", "status", "reason", "ending"),
    [
        ({"cause": "exit", "code": 0}, "completed", "exit", {"exit_code": 0}),
        ({"cause": "exit", "code": 3}, "failed", "exit", {"exit_code": 3}),
        ({"cause": "exit", "signal": 11}, "failed", "signal", {"signal": "SEGV"}),
        ({"cause": "exit", "signal": 36}, "failed", "signal", {"signal": "RT36"}),
        ({"cause": "kill", "signal": 15}, "killed", "kill", {"signal": "TERM"}),
        ({"cause": "timeout", "code": 1}, "killed", "timeout", {"exit_code": 1}),
        ({"cause": "lost"}, "killed", "lost", {}),
    ],
)
def test_an_end_has_a_code_or_a_signal_or_neither(
    view: JobView, end: dict[str, object], status: str, reason: str, ending: dict[str, object]
) -> None:
    job = ended(**end)
    for fields in (responses.listed(view, job), responses.full_status(view, job, "attach")):
        assert fields["status"] == status
        assert {key: value for key, value in fields.items() if key in ("exit_code", "signal")} == ending
    assert responses.full_status(view, job, "attach")["reason"] == reason


def test_what_is_not_known_of_an_end_is_left_out(view: JobView) -> None:
    bare = responses.full_status(view, ended(cause="lost"), "attach")
    assert not {"duration", "cpu_seconds", "peak_memory_bytes", "survivors", "pid", "holder"} & set(bare)
    known = ended(code=0, duration=1.23456, cpu=0.98765, peak_memory=4096, survivors=[7])
    full = responses.full_status(view, known, "attach")
    assert (full["duration"], full["cpu_seconds"], full["peak_memory_bytes"]) == (1.235, 0.988, 4096)
    assert full["survivors"] == [7]


def test_a_running_job_is_told_with_its_holder_its_attach_line_and_its_whole_command(view: JobView) -> None:
    job = view.job("abcdef")
    fields = responses.full_status(view, job, "tmux attach")
    order = "job_id, name, status, command, cwd, started, holder, attach, log, duration"
    assert ", ".join(fields) == order
    assert (fields["command"], fields["holder"], fields["attach"]) == ("make all", "agent", "tmux attach")
    asked_for(view)
    assert responses.full_status(view, job, "")["holder"] == "human"
    assert responses.full_status(view, running(), "")["pid"] == 1


def test_a_list_tells_what_differs_from_the_usual(view: JobView) -> None:
    assert ", ".join(responses.listed(view, starting())) == "job_id, name, status, command, started, duration"
    asked_for(view)
    assert responses.listed(view, running())["holder"] == "human"
    assert "holder" not in responses.listed(view, ended(code=0))
    assert "name" not in responses.listed(view, running(name="")), "records of older versions have none"
    assert responses.listing(view, Listing([], [])) == {"jobs": []}
    assert responses.listing(view, Listing([], ["odd"])) == {"jobs": [], "unreadable": ["odd"]}


def test_a_page_has_both_streams_always_and_losses_only_where_there_are_some() -> None:
    assert json.dumps(responses.page(Page("", "", 0), running())) == (
        '{"stdout": "", "stderr": "", "cursor": 0, "status": "running"}'
    )
    cut = responses.page(Page("x", "", 9, truncated=True, dropped_bytes=8), running())
    assert (cut["truncated"], cut["dropped_bytes"]) == (True, 8)


@pytest.mark.parametrize(
    ("job", "reason", "awaiting", "match", "more"),
    [
        (running(), "timeout", None, "", {}),
        (running(), "input", "prompt", "", {"awaiting_input": "prompt"}),
        (running(), "match", None, "ready", {"match": "ready"}),
        (running(), "match", None, "out", {}),  # it stands in the page already
        (ended(code=2), "exit", None, "", {"exit_code": 2}),
    ],
)
def test_an_outcome_says_why_the_wait_ended(
    job: Job, reason: WaitReason, awaiting: str | None, match: str, more: dict[str, object]
) -> None:
    fields = dict(responses.outcome(Outcome(job, reason, awaiting, PAGE, match)))
    assert [fields.pop(key) for key in ("stdout", "stderr", "cursor", "reason")] == ["out", "err", 6, reason]
    fields.pop("status")
    assert fields == more


def test_only_a_person_who_was_asked_and_said_no_has_declined(view: JobView) -> None:
    back = Outcome(running(), "handback", None, PAGE)
    asked_for(view)
    set_hold(view.folder("abcdef"), None, declined=True)
    assert responses.declined(view, back)
    assert not responses.declined(view, Outcome(running(), "timeout", None, PAGE))
    asked_for(view)
    set_hold(view.folder("abcdef"), None)
    assert not responses.declined(view, back)


def test_a_wait_for_the_hand_back_says_whom_it_waits_for(view: JobView) -> None:
    def attach(job: Job) -> str:
        return f"attach {job.spec.job_id}"

    assert responses.asked(view, ["abcdef"], attach) == ""
    asked_for(view)
    assert responses.asked(view, ["abcdef"], attach) == "; name: Type the password (attach abcdef)"
    asked_for(view, "")
    assert responses.asked(view, ["abcdef"], attach) == "; name: held by a person (attach abcdef)"


def test_a_form_names_who_asks_the_job_and_the_way_there() -> None:
    found = Handoff(running("deploy"), Hold(since=0.0, message="Type the password"), "tmux attach", 0)
    text = responses.form(found, "")
    assert text.startswith("An agent asks you to go on with job deploy (abcdef):\n\nType the password\n\n")
    assert text.count("tmux attach") == 1
    assert responses.form(found, "claude").startswith("claude asks you ")


def test_a_person_who_has_left_is_told_in_whole_seconds() -> None:
    fields: Absence = {}
    responses.add_absence(fields, None)
    assert fields == {}
    responses.add_absence(fields, Presence(0, 61.6))
    assert fields == {"watching": 0, "idle": 62}


def test_a_screen_counts_its_cursor_from_0() -> None:
    assert responses.screen(Capture("$ ", 0, 2, 50, 200, False)) == {
        "screen": "$ ",
        "cursor": {"row": 0, "column": 2},
        "rows": 50,
        "columns": 200,
        "alternate": False,
    }
