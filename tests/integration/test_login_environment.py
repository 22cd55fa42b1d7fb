"""MCP_BG_ENVIRONMENT=login: a desktop has started the server with a short PATH, and jobs find what a person does.

The shells themselves are tried in unit/process/test_login_shell.py.
"""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest

from support.rpc import Server, ToolError
from support.sandbox import Sandbox, printed, run_job
from support.terminal import answer
from support.waiting import wait_until

SHORT = "/usr/bin:/bin"


def person(sandbox: Sandbox, profile: str) -> Path:
    """A person of bash, with a tool that only their login shell finds; the log of the runs of their profile."""
    tools = sandbox.home / "tools"
    tools.mkdir()
    (tools / "mytool").write_text("#!/bin/sh\necho mine\n")
    (tools / "mytool").chmod(0o755)
    runs = sandbox.home / "runs"
    (sandbox.home / ".bash_profile").write_text(f'echo run >>{runs}\nPATH="{tools}:$PATH"\n{profile}\n')
    return runs


def desktop(sandbox: Sandbox, **environment: str) -> Server:
    sandbox.environment |= {"PATH": SHORT, "SHELL": "/bin/bash", "MCP_BG_ENVIRONMENT": "login", **environment}
    return sandbox.server()


@pytest.mark.promise("login-environment")
def test_jobs_find_what_the_persons_shell_finds(sandbox: Sandbox) -> None:
    function = "greet() { echo hi; }; export -f greet"
    runs = person(sandbox, f"export SET=profile FROM_CLIENT=profile; unset GONE; echo motd; {function}")
    server = desktop(sandbox, CI="1", FROM_CLIENT="client", GONE="x", MCP_BG_HTTP_TOKEN="x" * 20, TMUX="/no/such,1,0")
    found = server.call("execute", command='mytool; greet; echo "$SET $CI $FROM_CLIENT ${GONE-unset}"', wait=20)
    assert found["exit_code"] == 0 and found["stdout"] == "mine\nhi\nprofile 1 profile unset\n"
    given = printed(server, 'echo "$SET $PATH"', env={"SET": "env", "PATH": SHORT})
    assert given == f"env {SHORT}\n"
    shown = printed(server, "env")
    assert "HTTP_TOKEN" not in shown and "RESOLVING" not in shown and "/no/such" not in shown
    assert "TERM=tmux" in shown or "TERM=screen" in shown
    assert runs.read_text() == "run\n", "the shell is asked once"
    assert server.stderr == ""


@pytest.mark.promise("login-environment")
def test_a_shell_is_asked_before_the_first_job_waits_for_it(sandbox: Sandbox) -> None:
    runs = person(sandbox, "")
    desktop(sandbox)
    wait_until(runs.exists)


@pytest.mark.promise("login-environment")
def test_tmux_is_found_where_the_persons_shell_finds_it(sandbox: Sandbox) -> None:
    tools = sandbox.root / "few"
    tools.mkdir()
    for program in ("bash", "sh", "env", "uname"):
        (tools / program).symlink_to(shutil.which(program) or "")
    (sandbox.home / ".bash_profile").write_text(f'PATH="{tools}:{Path(shutil.which("tmux") or "").parent}"\n')
    server = sandbox.server(PATH=str(tools), SHELL="/bin/bash", MCP_BG_ENVIRONMENT="login")
    assert server.call("execute", command="exit 3", wait=20)["exit_code"] == 3


@pytest.mark.promise("private-environment", "login-environment")
def test_what_the_shell_told_is_nowhere_on_disk(sandbox: Sandbox) -> None:
    person(sandbox, "export SECRET=$(printf 'hid%s' den)")
    server = desktop(sandbox)
    assert run_job(server, '[ "$SECRET" = hidden ]')["exit_code"] == 0
    assert [path for path, data in sandbox.stored_bytes() if b"SECRET=hidden" in data] == []
    for path in sandbox.root.rglob("*"):
        if stat.S_ISREG(path.lstat().st_mode):
            assert b"SECRET=hidden" not in path.read_bytes()


@pytest.mark.promise("login-failure")
def test_a_shell_that_tells_nothing_is_told_once_and_holds_up_no_start(sandbox: Sandbox) -> None:
    person(sandbox, "exec true")
    server = desktop(sandbox)
    for _ in range(2):
        assert printed(server, "echo $PATH") == f"{SHORT}\n"
    assert server.stderr.count("MCP_BG_ENVIRONMENT=login: /bin/bash ended without running") == 1
    assert "the server's own environment" in server.stderr
    with pytest.raises(ToolError, match="empty"):
        server.call("execute", command="")


@pytest.mark.timeout(90)
@pytest.mark.promise("login-failure")
def test_a_shell_that_hangs_costs_ten_seconds_once_and_no_other_call(sandbox: Sandbox) -> None:
    person(sandbox, "sleep 300")
    server = desktop(sandbox)
    first = server.start("execute", command="true", wait=20)
    assert server.call("list") == {"jobs": []} and not first.done
    assert first.answer()["exit_code"] == 0
    assert server.call("execute", command="true", wait=5)["exit_code"] == 0
    assert server.stderr.count("did not answer in time") == 1


@pytest.mark.promise("login-failure", "cli-doctor")
def test_doctor_asks_the_shell_and_says_what_is_wrong(sandbox: Sandbox) -> None:
    def asked(status: int) -> dict[str, str]:
        found = answer(sandbox, "doctor", status=status, SHELL="/bin/bash", MCP_BG_ENVIRONMENT="login")["findings"]
        [one] = [finding for finding in found if finding["check"] == "login shell"]
        return {str(name): str(value) for name, value in one.items()}

    person(sandbox, "")
    assert asked(0)["level"] == "ok"
    (sandbox.home / ".bash_profile").write_text("exec true\n")
    assert asked(1)["level"] == "wrong" and "/bin/bash ended without" in asked(1)["text"]
