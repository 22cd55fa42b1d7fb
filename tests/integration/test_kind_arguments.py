"""What an agent means is taken: numbers as text, lines of Windows, keys that have a sequence, and no others."""

from __future__ import annotations

import itertools
import shlex

import pytest

from mcp_background_job.tmux.quoting import key_name
from support.rpc import Server, ToolError
from support.sandbox import PYTHON, shows

NAMES = ["Up", "Home", "PageUp", "IC", "F5", "BSpace", "BTab", "Enter", "Escape", "Space", "Tab", "KP0", "KPEnter"]
CHARACTERS = ["a", "Z", "1", "8", "/", "?", "-", "@", "[", "é"]
SAYS = """
import os, tty
tty.setraw(0)
os.write(1, b"up\\r\\n")
while True:
    os.write(1, repr(os.read(0, 64)).encode() + b"\\r\\n")
"""


@pytest.mark.promise("server-arguments")
def test_numbers_and_booleans_are_taken_as_their_json_text(server: Server) -> None:
    env = {"PORT": 3000, "DEBUG": True, "RATIO": 0.5}
    answer = server.call("execute", command="echo $PORT $DEBUG $RATIO; cat", env=env, name=7, wait=50)
    assert answer["stdout"] == "3000 true 0.5\n"
    job_id = answer["job_id"]
    assert server.call("interact", job_id=job_id, input=42)["stdout"].startswith("42\n")
    assert server.call("status", job_id=job_id)["name"] == "7"


def test_a_command_with_lines_of_windows_runs(server: Server) -> None:
    answer = server.call("execute", command="if true; then\r\n echo yes\r\nfi\r\n", wait=50)
    assert (answer["stdout"], answer["exit_code"]) == ("yes\n", 0)
    answer = server.call("execute", command="printf 'a\r\nb\n' | od -An -c\n", wait=50)
    assert "\\r" in answer["stdout"], "where lines end in both ways, nothing is changed"


def test_a_jobs_own_limit_is_the_reason(server: Server) -> None:
    answer = server.call("execute", command="sleep 30", timeout=1, wait=50)
    assert (answer["status"], answer["reason"]) == ("killed", "timeout")


@pytest.mark.promise("keys-reach")
def test_every_key_that_is_accepted_sends_its_own_sequence(server: Server) -> None:
    """Two keys that send the same are one, spelled in two ways; none sends its name or the key without its modifier."""
    job_id = server.call("execute", command=shlex.join([str(PYTHON), "-c", SAYS]))["job_id"]
    shows(server, job_id, "up\n")
    sent: dict[str, str] = {}
    for modifier, key in itertools.product(["", "C-", "M-", "S-", "C-S-", "M-S-", "C-M-"], [*NAMES, *CHARACTERS]):
        name = f"{modifier}{key}"
        if key_name(name):
            answer = server.call("interact", job_id=job_id, keys=[name], timeout=50, pattern="^b")
            sent[name] = answer["stdout"].strip()
        else:
            with pytest.raises(ToolError, match="is not a key name that terminals have a sequence for"):
                server.call("interact", job_id=job_id, keys=[name], timeout=50)
    assert sent["S-Tab"] == sent["BTab"] == repr(b"\x1b[Z")
    assert sent["S-a"] == "b'A'" and sent["C-a"] == repr(b"\x01") and sent["C-Up"] == repr(b"\x1b[1;5A")
    for name, found in sent.items():
        key = name.rpartition("-")[2] or "-"
        assert found not in ("", "b''")
        if name not in (key, "S-Z") and key in sent:
            assert found != sent[key], f"{name} is not {key}"
        if len(name) > 1:
            assert found != repr(name.encode()), f"{name} is not its letters"
