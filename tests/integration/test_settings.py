"""A bad value stops the server at start and says which, what it was and what it takes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from support.sandbox import Sandbox

# One of each through the real start; what else each refuses is in unit/test_config.py, by the same function.
BAD = [
    ("MCP_BG_MAX_JOBS", "many"),
    ("MCP_BG_MAX_OUTPUT_SIZE", "10XB"),
    ("MCP_BG_JOB_TIMEOUT", "0"),
    ("MCP_BG_CLEANUP_INTERVAL", "5 minutes"),
    ("MCP_BG_RETENTION", "-1"),
    ("MCP_BG_WORKING_DIR", "/no/such/folder"),
    ("MCP_BG_ALLOWED_COMMANDS", "^npm ,("),
    ("MCP_BG_SESSION", "a b#{c}"),
    ("MCP_BG_TMUX_SOCKET", "a/b"),
    ("MCP_BG_TMUX_CONF", "/no/such/tmux.conf"),
    ("MCP_BG_ENVIRONMENT", "shell"),
    ("MCP_BG_ON_DISCONNECT", "stay"),
    ("MCP_BG_NOTIFY", " "),
]
GOOD = {
    "MCP_BG_MAX_JOBS": "1000",
    "MCP_BG_MAX_OUTPUT_SIZE": "2GB",
    "MCP_BG_JOB_TIMEOUT": "1",
    "MCP_BG_CLEANUP_INTERVAL": "10",
    "MCP_BG_RETENTION": "86400",
    "MCP_BG_ALLOWED_COMMANDS": "^npm ,^python ",
    "MCP_BG_SESSION": "other_jobs-2",
    "MCP_BG_ENVIRONMENT": "login",
    "MCP_BG_ON_DISCONNECT": "kill",
    "MCP_BG_NOTIFY": "true",
}


def _start(world: Sandbox, environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "mcp_background_job"],
        env={**world.environment, **environment},
        cwd=world.work,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.promise("server-settings")
def test_a_bad_value_stops_the_server_with_one_line_that_says_it_all(shared: Sandbox) -> None:
    complaints = []
    for first in range(0, len(BAD), 4):
        some = BAD[first : first + 4]
        started = [_start(shared, {name: value}) for name, value in some]
        for (name, value), process in zip(some, started, strict=True):
            stdout, stderr = process.communicate(timeout=120)
            line = stderr.rstrip("\n")
            if process.returncode == 0:
                complaints.append(f"{name}={value}: started all the same")
            elif stdout or "\n" in line or name not in line or value not in line or len(line) < len(name + value) + 10:
                complaints.append(
                    f"{name}={value}: exit {process.returncode}, stdout {stdout!r}, stderr {stderr[:500]!r}"
                )
    assert not complaints, "\n".join(complaints)


def test_good_values_start_and_the_end_of_input_ends_with_0(shared: Sandbox) -> None:
    process = _start(shared, GOOD)
    stdout, stderr = process.communicate(timeout=120)
    assert (process.returncode, stdout) == (0, ""), stderr


@pytest.mark.promise("server-settings")
def test_a_secret_value_is_not_repeated_on_stderr(shared: Sandbox) -> None:
    tokens = ("secret-token-that-is-long-enough", "secret")
    started = [_start(shared, {"MCP_BG_HTTP_TOKEN": token, "MCP_BG_MAX_JOBS": "0"}) for token in tokens]
    for token, process in zip(tokens, started, strict=True):
        _, stderr = process.communicate(timeout=120)
        assert process.returncode != 0
        assert token not in stderr


@pytest.mark.promise("server-settings")
def test_a_state_folder_that_can_not_be_is_named(sandbox: Sandbox) -> None:
    blocked = sandbox.root / "a-file"
    blocked.write_text("")
    process = _start(sandbox, {"MCP_BG_STATE_DIR": str(blocked / "state")})
    _, stderr = process.communicate(timeout=120)
    if process.returncode == 0:
        server = sandbox.server(MCP_BG_STATE_DIR=str(blocked / "state"))
        with pytest.raises(Exception, match="a-file"):
            server.call("execute", command="true")
        assert sandbox.tmux("list-windows", "-a", check=False) == ""
    else:
        assert "MCP_BG_STATE_DIR" in stderr and "a-file" in stderr
