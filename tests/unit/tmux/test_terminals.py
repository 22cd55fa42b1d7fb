"""Which terminal is sent what, and which is not written to."""

from __future__ import annotations

import os
import pty
from pathlib import Path

import pytest

from mcp_background_job.tmux.terminals import notification, write_to


@pytest.mark.promise("notify-terminal")
@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        ("iTerm2 3.5.4", b"\x1b]9;build, done\a"),
        ("WezTerm 20240203-110809-5046fc22", b"\x1b]9;build, done\a"),
        ("kitty(0.35.2)", b"\x1b]9;build, done\a"),
        ("ghostty 1.1.0", b"\x1b]9;build, done\a"),
        ("xterm-kitty", b"\x1b]9;build, done\a"),
        ("foot(1.16.2)", b"\x1b]777;notify;Background job;build, done\a"),
        ("XTerm(379)", b"\a"),
        ("tmux 3.4", b"\a"),
        ("xterm-256color", b"\a"),
        ("", b"\a"),
    ],
)
def test_only_terminals_that_take_a_sequence_are_sent_it(kind: str, sent: bytes) -> None:
    assert notification(kind, "build; done") == sent


@pytest.mark.promise("notify-terminal")
def test_a_jobs_name_ends_no_sequence_and_begins_none() -> None:
    sent = notification("iTerm2 3.5", "a\x07b\x1b]52;c;aGk=\x1b\\c\x9cd\n" + "x" * 1000)
    assert sent.count(b"\x1b") == 1 and sent.count(b"\a") == 1 and sent.endswith(b"\a") and len(sent) < 300
    assert "\x9c" not in sent.decode()


@pytest.mark.promise("notify-terminal")
def test_what_is_no_terminal_of_this_users_is_not_written_to(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_text("")
    master, slave = pty.openpty()
    link.symlink_to(os.ttyname(slave))
    assert not write_to(str(file), b"x") and file.read_text() == ""
    assert not write_to(str(link), b"x")
    assert not write_to(str(tmp_path / "none"), b"x") and not write_to("/dev/null", b"x")
    assert write_to(os.ttyname(slave), b"x") and os.read(master, 10) == b"x"
    os.close(master)
    os.close(slave)
