"""The menu's own texts, and that it starts fast."""

from __future__ import annotations

import json
import subprocess
import sys

from mcp_background_job.ui.menu import HELP, sent_lines


def test_the_help_fits_the_popup_of_a_small_terminal() -> None:
    lines = HELP.split("\n")
    assert all(len(line) <= 70 for line in lines), max(lines, key=len)
    assert len(lines) <= 80 * 24 // 100  # the popup has 80 % of 24 lines, two of them its border


def test_an_input_is_shown_with_its_time_who_sent_it_and_its_keys() -> None:
    entry = {"time": "2026-01-02T03:04:05.678Z", "who": "client", "text": "one\ntwo", "keys": ["C-c", "Up"]}
    assert sent_lines(json.dumps(entry)) == ["03:04:05 UTC  client", "  one", "  two", "  keys: C-c Up"]


def test_a_damaged_transcript_line_is_left_out() -> None:
    assert sent_lines("{") == sent_lines("[]") == []


def test_a_key_waits_for_no_slow_import() -> None:
    code = (
        "import sys; import mcp_background_job.ui.menu;"
        "print(*sorted({'pydantic', 'rich', 'libtmux', 'asyncio', 'wcwidth', 'psutil'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.stderr) == ("\n", "")
