"""replay and export on terminals that are not tmux's: xterm.js, by the bytes that a pty was given."""

from __future__ import annotations

import json
import os
import pty
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.npm import installed
from support.person import Person
from support.rpc import Server
from support.sandbox import Sandbox, run_job
from support.terminal import COMMAND, PROGRAM

SCRIPT = Path(__file__).parents[1] / "support" / "xterm.js"
PACKAGE = "@xterm/headless@5.5.0"
# Each as printf takes it.
LEFT_BEHIND = {
    "passthrough": r"\033Ptmux;\033\033]52;c;aGVsbG8=\007\033\\",
    "passthrough that never ends": r"\033Ptmux;\033\033]0;x",
    "image that never ends": r"\033Pq#0;2;0;0;0#0~~@@vv",
    "palette": r"\033]4;1;rgb:00/ff/00\007\033]10;#00ff00\007\033]11;#ff0000\007\033]12;#0000ff\007",
    "tab stops": r"\033[3g\033[5G\033H",
    "keyboard": r"\033[=5u\033[>4;2m\033[>1u",
    "progress": r"\033]9;4;1;50\007",
    "open link": r"\033]8;;http://example.org\007link",
    "title": r"\033]0;evil title\007\033]2;evil\033\\",
    "C1": r"\302\2336n\302\233c\302\235 52;c;aGVsbG8=\302\234",
    "interrupted query": r"\033[\033]0;x\0076n\033[6\033_x\033\\n",
    "switches": r"\033[?1049h\033[?25l\033[?1000;1006h\033[?1h\033=\033[5;10r\033[?2004h\033[?7l\033[4h\033[31;1mred",
}


@pytest.fixture(scope="session")
def xterm() -> Any:
    """What xterm.js says of bytes."""
    folder = installed(PACKAGE)

    def said(data: bytes) -> dict[str, Any]:
        run = subprocess.run(
            ["node", str(SCRIPT)],
            input=data,
            capture_output=True,
            env={**os.environ, "NODE_PATH": str(folder / "node_modules")},
            timeout=120,
            check=True,
        )
        found: dict[str, Any] = json.loads(run.stdout)
        return found

    return said


def written_by(sandbox: Sandbox, *arguments: str) -> bytes:
    """What a command of ours writes to its terminal of 80x24."""
    main, its = pty.openpty()
    environment = {**sandbox.environment, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
    with subprocess.Popen([*PROGRAM, *arguments], stdin=its, stdout=its, stderr=subprocess.DEVNULL, env=environment):
        os.close(its)
        data = b""
        while True:
            try:
                piece = os.read(main, 65536)
            except OSError:
                break
            if not piece:
                break
            data += piece
    os.close(main)
    return data


@pytest.mark.parametrize("printed", LEFT_BEHIND.values(), ids=LEFT_BEHIND)
@pytest.mark.promise("replay-allowlist")
def test_xterm_is_left_as_it_was(server: Server, shared: Sandbox, xterm: Any, printed: str) -> None:
    job = run_job(server, f"stty -echo; printf {shlex.quote('before' + printed)}")
    before = xterm(b"")
    after = xterm(written_by(shared, "replay", "--speed", "max", job["job_id"]))
    assert after == before


def test_xterm_is_not_left_so_by_the_bytes_themselves(xterm: Any) -> None:
    """The comparison can fail."""
    before = xterm(b"")
    for name in ("palette", "tab stops", "progress", "open link", "title", "interrupted query", "switches"):
        raw = subprocess.run(["printf", LEFT_BEHIND[name]], capture_output=True, check=True).stdout
        if name == "interrupted query":
            continue  # xterm.js breaks it off as we do
        assert xterm(raw) != before, name


@pytest.mark.parametrize("printed", LEFT_BEHIND.values(), ids=LEFT_BEHIND)
@pytest.mark.promise("replay-allowlist")
def test_a_pane_of_tmux_lives_on(server: Server, shared: Sandbox, printed: str) -> None:
    job_id = run_job(server, f"stty -echo; printf {shlex.quote(printed)}")["job_id"]
    person = Person(shared, f"{COMMAND} replay --speed max {job_id} 2>/dev/null; printf 'title %s\\n' here; cat")
    try:
        person.sees("title here")
        person.type("typed afterwards")
        person.sees("typed afterwards")
        assert "evil" not in person.ask("#{pane_title}")
    finally:
        person.close()
