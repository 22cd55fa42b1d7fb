"""Which commands are an interactive shell, and what is added to their environment."""

from __future__ import annotations

import pytest

from mcp_background_job.jobs.shells import DATA_DIRS, FOLDER, integration, interactive_shell, last_exit_code

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
    assert integration("bash", {"PROMPT_COMMAND": "mine"})["PROMPT_COMMAND"].endswith(";mine")
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
    ],
)
def test_the_last_code_is_read(output: bytes, code: int | None) -> None:
    assert last_exit_code(output) == code
