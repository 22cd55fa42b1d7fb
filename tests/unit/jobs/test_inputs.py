"""Which lines of an input its echo shows, so that they may be written down."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mcp_background_job.jobs.inputs import JOBS, Inputs, note_if_shown, shown_lines, without_echo
from mcp_background_job.store.transcript import TRANSCRIPT, Sent


@pytest.mark.parametrize(
    ("text", "output", "shown"),
    [
        ("1+1\n", "1+1\n2\n>>> ", ["1+1"]),
        ("1+1", "In [1]: 1+1\n2\n", ["1+1"]),  # ipython draws its line anew
        ("ls\n", "ls", ["ls"]),
        ("hunter2\n", "\nWelcome\n", []),
        ("hunter2\n", "*******\nWelcome\n", []),
        ("root\n", "\nLogin of root\n", []),
        ("a\nb\n", "a\n1\n>>> b\n2\n", ["a", "b"]),
        ("su\nhunter2\n", "su\nPassword: \n# ", ["su"]),
        ("hello \x1b[31m there\n", "hello ^[[31m there\n", ["hello \x1b[31m there"]),
        ("y\n", "Go on? y\n", ["y"]),
        ("a\n", "all done\n", []),
        ("", "", []),
        ("\n", "\n", []),
    ],
)
@pytest.mark.promise("no-secret-on-disk")
def test_what_the_output_shows_of_an_input(text: str, output: str, shown: list[str]) -> None:
    assert shown_lines(text, output) == shown


@pytest.mark.promise("no-secret-on-disk")
def test_characters_are_noted_by_their_number_however_they_are_typed(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    inputs = Inputs()
    sent = inputs.note(
        "job", tmp_path, "hunter2\n", ["s", "3", "Space", "KP1", "S-a", "C-c", "^D", "M-x", "Up"], "me", False
    )
    entry = json.loads((tmp_path / TRANSCRIPT).read_text())
    assert (entry["who"], entry["characters"], entry["keys"]) == ("me", 12, ["C-c", "^D", "M-x", "Up"])
    assert "text" not in entry
    assert inputs.since("job", tmp_path, 0) == [sent]
    assert Inputs().since("job", tmp_path, 0) == []
    assert inputs.note("other", tmp_path, "hunter2", [], "", True).text == ""
    note_if_shown(tmp_path, sent, "hunter2\n")
    assert Inputs().since("job", tmp_path, 0) == [Sent(0, "hunter2")]


def test_the_memory_of_inputs_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    inputs = Inputs()
    for number in range(JOBS + 5):
        for _ in range(30):
            inputs.note(str(number), tmp_path, "x", [], "", False)
    assert len(inputs.since(str(JOBS), tmp_path, 0)) == 20
    assert inputs.since("0", tmp_path, 0) == []


@pytest.mark.parametrize(
    ("text", "typed", "first", "left"),
    [
        ("echo hi\nhi\n", ["echo hi"], True, "hi\n"),
        ("$ echo hi\nhi\n", ["echo hi"], True, "$ \nhi\n"),
        ("server restarted\n", ["r"], True, "server restarted\n"),
        ("r\nr\n", ["r"], True, "r\n"),
        ("quit\n", ["q"], True, "quit\n"),
        ("hello", ["hello"], True, ""),
        ("hel", ["hello"], True, ""),
        ("hello\nhello\n", ["hello"], False, "hello\n"),
        ("made\nhello\n", ["made hello"], True, "made\nhello\n"),
        ("a" * 199 + "\n" + "b" * 9 + "\nout", ["a" * 199 + "b" * 9], True, "out"),
        ("a" * 198 + "\\\n" + "b" * 9 + "\nout", ["a" * 198 + "b" * 9], True, "out"),
        ("a       b ^E\nout", ["a\tb \x05"], True, "out"),
        ("a          b\nout", ["a \t  b"], True, "out"),
        ("for x in y:\n... print(x)\n1\n", ["for x in y:", "print(x)"], True, "... \n1\n"),
        ("ls            12:00\nfile\n", ["ls"], True, "            12:00\nfile\n"),
        ("other output\nmore\n", ["echo hi"], True, "other output\nmore\n"),
    ],
)
def test_the_echo_is_taken_out_where_it_is_one(text: str, typed: list[str], first: bool, left: str) -> None:
    assert without_echo(text, typed, first)[0] == left
