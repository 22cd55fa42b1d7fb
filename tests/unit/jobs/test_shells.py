"""Which commands are an interactive shell, and what is added to their environment."""

from __future__ import annotations

import pytest

from mcp_background_job.jobs.shells import (
    DATA_DIRS,
    FOLDER,
    integration,
    interactive_shell,
    last_exit_code,
    with_init,
)

YES = {
    "bash": "bash",
    "bash -i": "bash",
    " /bin/bash --login ": "bash",
    "PS1='$ ' bash --norc --noprofile -i": "bash",
    "exec env A=1 bash --rcfile my.rc -O extglob": "bash",
    "zsh -f": "zsh",
    "fish -C 'set x 1'": "fish",
}
NO = [
    "",
    "bash -c true",
    "bash -ic true",
    "bash script.sh",
    "bash -x script.sh",
    "bash < script",
    "bash; echo",
    "bash & wait",
    "(bash)",
    "echo bash",
    "sh -i",
    "bash 'unfinished",
    "zsh $(cat)",
    "fish --command=true",
    "make",
    "ssh host bash",
    "bash -O " + "a" * 1_000_000,
]


@pytest.mark.parametrize("command", YES)
def test_a_command_that_is_a_shell_and_nothing_else(command: str) -> None:
    assert interactive_shell(command) == YES[command]


@pytest.mark.parametrize("command", NO)
def test_other_commands_get_nothing_added(command: str) -> None:
    assert interactive_shell(command) is None
    assert integration(command, {}) == {}


def test_what_the_person_has_set_is_kept() -> None:
    assert integration("bash -l", {"PROMPT_COMMAND": "mine"})["PROMPT_COMMAND"].endswith(";mine")
    assert integration("bash -l", {"PS0": "mine"})["PS0"].endswith("mine")
    assert integration("zsh", {"ZDOTDIR": "/mine"})["MCP_BG_ZDOTDIR"] == "/mine"
    assert "MCP_BG_ZDOTDIR" not in integration("zsh", {})
    given = integration("fish", {"XDG_DATA_DIRS": "/mine"})
    assert given == {"XDG_DATA_DIRS": f"{FOLDER}/fish:/mine", "MCP_BG_XDG_DATA_DIRS": "/mine"}
    assert integration("fish", {})["XDG_DATA_DIRS"].endswith(f":{DATA_DIRS}")


@pytest.mark.parametrize(
    ("output", "code"),
    [
        (b"", None),
        (b"\x1b]133;D;3\x07$ ", 3),
        (b"\x1b]133;D;0\x1b\\\x1b]133;A\x1b\\$ \x1b]133;D;130;aid=7\x1b\\", 130),
        (b"\x1b]133;D\x07", None),
        (b"\x1b]133;D;12", None),
        (b"\x1b]133;D;x\x07", None),
        (b"\x1b]133;C\x07out\x1b]133;D;3\x07$ ", 3),
        (b"\x1b]133;C\x07out\x1b]133;D;3\x07$ \x1b]133;D;4\x07$ ", 3),
        (b"\x1b]133;C\x07out\x1b]133;D;3\x07$ \x1b]133;C\x07", None),
        (b"\x1b]133;C;aid=1\x1b\\out\x1b]133;D\x07$ ", None),
    ],
)
def test_the_last_code_is_read(output: bytes, code: int | None) -> None:
    assert last_exit_code(output) == code


def test_before_a_prompt_alone_an_older_code_is_told_again() -> None:
    before = b"\x1b]133;C\x07out\x1b]133;D;3\x07$ "
    assert last_exit_code(before + b"\x1b]133;D;3\x07$ ", len(before)) is None
    assert last_exit_code(b"\x1b]133;D;3\x07$ \x1b]133;D;4\x07$ ", 12) == 4, "a shell that tells no beginnings"


@pytest.mark.parametrize("command", ["bash", " bash -i ", "exec /bin/bash", "env A=1 PS1=x bash -i -i"])
def test_a_bash_with_the_persons_file_alone_gets_ours(command: str) -> None:
    assert f" --rcfile {FOLDER}/bash/rc" in with_init(command)
    assert integration(command, {}) == {}


@pytest.mark.parametrize("command", ["bash -l", "bash --norc", "bash --rcfile x", "bash --posix", "rbash", "bash -c x"])
def test_no_other_command_is_changed(command: str) -> None:
    assert with_init(command) == ""
