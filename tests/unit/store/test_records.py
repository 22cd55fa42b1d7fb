"""Records as they lie on disk: an end is an exit code, a signal or unseen, and nothing else can be read from one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mcp_background_job.errors import StoreError
from mcp_background_job.store.models import End, Exited, JobId, Signaled, Spec, Unseen, Window
from mcp_background_job.store.records import END, SPEC, WINDOW, find_record, read_record, to_record

FACTS = {"ended": 5.5, "uptime": 1.5, "duration": 0.5, "cpu": 0.25, "peak_memory": 4096}


def read(**fields: object) -> End:
    return END.adapter.validate_json(json.dumps(FACTS | fields))


@pytest.mark.promise("end-reason")
@pytest.mark.parametrize(
    ("fields", "kind", "status", "reason", "exitcode"),
    [
        ({"cause": "exit", "code": 0}, Exited, "completed", "exit", 0),
        ({"cause": "exit", "code": 7}, Exited, "failed", "exit", 7),
        ({"cause": "exit", "signal": 11}, Signaled, "failed", "signal", -11),
        ({"cause": "kill", "signal": 15}, Signaled, "killed", "kill", -15),
        ({"cause": "kill", "code": 0}, Exited, "killed", "kill", 0),
        ({"cause": "timeout", "code": 143}, Exited, "killed", "timeout", 143),
        ({"cause": "window_closed", "signal": 1}, Signaled, "killed", "window_closed", -1),
        ({"cause": "lost", "signal": 9}, Signaled, "killed", "lost", -9),
        ({"cause": "lost"}, Unseen, "killed", "lost", None),
        ({"cause": "kill", "survivors": [17]}, Unseen, "killed", "kill", None),
        ({"code": 3}, Exited, "failed", "exit", 3),  # an older record without its cause
    ],
)
def test_an_end_is_read_as_what_it_was(
    fields: dict[str, object], kind: type, status: str, reason: str, exitcode: int | None
) -> None:
    end = read(**fields)
    assert type(end) is kind
    assert (end.status, end.reason, end.exitcode) == (status, reason, exitcode)
    assert (end.ended, end.uptime, end.duration, end.cpu, end.peak_memory) == tuple(FACTS.values())


def test_an_end_by_itself_has_a_code_or_a_signal(tmp_path: Path) -> None:
    (tmp_path / "exit.json").write_text('{"cause": "exit", "ended": 1}')
    with pytest.raises(StoreError, match=r"exit\.json"):
        read_record(str(tmp_path / "exit.json"), END)


@pytest.mark.parametrize("end", [Exited(code=7, ended=1.0), Signaled(cause="kill", signal=9, ended=1.0)])
def test_an_end_is_written_as_it_is_read(end: End) -> None:
    assert END.adapter.validate_json(to_record(END, end)) == end
    assert not hasattr(end, "__dict__"), "a server remembers thousands"


@pytest.mark.promise("record-newer", "record-older")
def test_fields_of_another_version_are_ignored_or_missing() -> None:
    assert read(code=0, planet="Mars", version=9).status == "completed"
    spec = SPEC.adapter.validate_json('{"job_id": "abcdef", "started": 1, "planet": "Mars"}')
    assert spec == Spec(job_id=JobId("abcdef"), started=1.0)


def test_a_record_that_is_missing_is_told_from_one_that_holds_something_else(tmp_path: Path) -> None:
    path = str(tmp_path / "window.json")
    assert find_record(path, WINDOW) is None
    with pytest.raises(FileNotFoundError):
        read_record(path, WINDOW)
    Path(path).write_bytes(b'{"pane": "%1"')
    assert find_record(path, WINDOW) is None
    with pytest.raises(StoreError, match="can't be read"):
        read_record(path, WINDOW)
    Path(path).write_bytes(b'{"pane": "%1", "runner": 5}')
    assert read_record(path, WINDOW) == Window(pane="%1", runner=5)
