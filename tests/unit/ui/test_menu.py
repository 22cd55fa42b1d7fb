"""The menu's own texts, and that it starts fast."""

from __future__ import annotations

import subprocess
import sys

from mcp_background_job.ui.menu import HELP
from mcp_background_job.ui.sent import sent_inputs, sent_lines


def test_the_help_fits_the_popup_of_a_small_terminal() -> None:
    lines = HELP.format(prefix="Ctrl-b", key="F12").split("\n")
    assert all(len(line) <= 70 for line in lines), max(lines, key=len)
    assert len(lines) <= 80 * 24 // 100  # the popup has 80 % of 24 lines, two of them its border


def test_an_input_is_shown_with_its_time_who_sent_it_and_its_keys() -> None:
    entry = {"time": "2026-01-02T03:04:05.678Z", "who": "client", "text": "one\ntwo", "keys": ["C-c", "Up"]}
    assert sent_lines(entry) == ["03:04:05 UTC  client", "  one", "  two", "  keys: C-c Up"]


def test_an_inputs_text_is_shown_once_the_output_has_shown_it() -> None:
    entries = [
        '{"time": "2026-01-02T03:04:05.678Z", "who": "a", "offset": 3, "characters": 3}',
        "{",
        "[]",
        '{"time": "2026-01-02T03:04:06.678Z", "who": "b", "offset": 9, "characters": 7}',
        '{"offset": 3, "text": "one"}',
    ]
    first, second = sent_inputs(entries)
    assert sent_lines(first) == ["03:04:05 UTC  a", "  one"]
    assert sent_lines(second)[1:] == ["  (7 characters that the terminal has not shown: not recorded)"]


def test_a_key_waits_for_no_slow_import() -> None:
    code = (
        "import sys; import mcp_background_job.ui.menu;"
        "print(*sorted({'pydantic', 'rich', 'libtmux', 'asyncio', 'wcwidth', 'psutil'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.stderr) == ("\n", "")
