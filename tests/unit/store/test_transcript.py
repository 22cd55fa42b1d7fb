"""The transcript tells what was typed since an offset, and never what the terminal did not echo."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcp_background_job.store.transcript import SHOWN, TRANSCRIPT, Sent, note_sent, note_shown, shown_since
from mcp_background_job.supervisor.segments import append_to_log


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "log").mkdir()
    return tmp_path


def test_an_input_is_noted_with_the_end_of_the_log_and_its_text_once_it_was_shown(folder: Path) -> None:
    assert shown_since(folder, 0) == []
    assert note_sent(folder, 5, [], "agent") == 0
    append_to_log(str(folder / "log"), b"answer")
    assert note_sent(folder, SHOWN + 1, ["Enter"], "") == 6
    assert shown_since(folder, 0) == []
    note_shown(folder, Sent(0, "first"))
    note_shown(folder, Sent(6, "x" * (SHOWN + 1)))
    assert shown_since(folder, 0) == [Sent(0, "first"), Sent(6, "x" * SHOWN)]
    assert shown_since(folder, 1) == [Sent(6, "x" * SHOWN)]


def test_a_torn_line_hides_no_other(folder: Path) -> None:
    with (folder / TRANSCRIPT).open("w") as file:
        file.write('{"offset": 3, "te\n[]\n{"offset": 4, "text": "kept"}\n')
    assert shown_since(folder, 0) == [Sent(4, "kept")]
