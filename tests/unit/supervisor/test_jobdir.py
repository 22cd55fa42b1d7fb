"""The name of a job's terminal is one that its programs can look up."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcp_background_job.supervisor import jobdir


@pytest.mark.parametrize(
    ("entries", "name"),
    [
        (["t/tmux-256color", "s/screen"], "tmux-256color"),
        (["74/tmux-256color"], "tmux-256color"),  # as macOS has it
        (["73/screen-256color", "73/screen"], "screen-256color"),
        (["x/xterm"], "what-tmux-says"),
    ],
)
def test_a_terminal_has_the_best_name_that_the_machine_knows(
    entries: list[str], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for entry in entries:
        path = tmp_path / entry
        path.parent.mkdir(exist_ok=True)
        path.touch()
    monkeypatch.setattr(jobdir, "TERMINFO", (str(tmp_path / "nowhere"), str(tmp_path)))
    monkeypatch.setenv("TERM", "what-tmux-says")
    assert jobdir.terminal_type() == name
