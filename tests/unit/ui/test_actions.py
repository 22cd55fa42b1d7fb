"""Keys of a terminal, one by one."""

from __future__ import annotations

from mcp_background_job.ui.actions import KEYS, split_keys


def test_an_escape_sequence_is_one_key() -> None:
    typed = split_keys("k\x1b[A\x1bOB\x1b[5~é\x1b\r")
    assert typed == ["k", "\x1b[A", "\x1bOB", "\x1b[5~", "é", "\x1b", "\r"]
    assert [KEYS.get(key, key) for key in typed] == ["up", "up", "down", "page up", "é", "\x1b", "enter"]
