"""The transcript tells what was typed since an offset, and never what the terminal did not echo."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcp_background_job.store.transcript import SHOWN, TRANSCRIPT, Sent, record, sent_since
from mcp_background_job.supervisor.segments import append_to_log


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "log").mkdir()
    return tmp_path


def test_an_input_is_noted_with_the_end_of_the_log(folder: Path) -> None:
    assert sent_since(folder, 0) == []
    record(folder, "first", [], "agent", hidden=False)
    append_to_log(str(folder / "log"), b"answer")
    record(folder, "x" * (SHOWN + 1), ["Enter"], "", hidden=False)
    assert sent_since(folder, 0) == [Sent(0, "first"), Sent(6, "x" * SHOWN)]
    assert sent_since(folder, 1) == [Sent(6, "x" * SHOWN)]


def test_a_password_is_not_written_down(folder: Path) -> None:
    record(folder, "hunter2", [], "agent", hidden=True)
    assert "hunter2" not in (folder / TRANSCRIPT).read_text()
    assert [sent.text for sent in sent_since(folder, 0)] == ["(not echoed, not recorded)"]


def test_a_torn_line_hides_no_other(folder: Path) -> None:
    with (folder / TRANSCRIPT).open("w") as file:
        file.write('{"offset": 3, "te\n[]\n{"offset": 4, "text": "kept"}\n')
    assert sent_since(folder, 0) == [Sent(4, "kept")]
