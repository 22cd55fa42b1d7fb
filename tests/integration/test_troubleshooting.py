"""Each entry of the README's troubleshooting section: the fault is caused, the message is the README's, the cure works.

An entry that no test here causes fails `test_every_entry_is_caused_by_a_test`.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from support import readme
from support.rpc import Server, ToolError
from support.sandbox import Sandbox, alive, ended, run_job, shows
from support.terminal import PROGRAM, answer, cli
from support.waiting import wait_until

caused: set[str] = set()


def entry(begins: str) -> pytest.MarkDecorator:
    """The one entry that begins so, as the argument `says`: what it quotes."""
    [found] = [one for one in readme.entries("Troubleshooting") if one.startswith(begins)]
    caused.add(found)
    head = found.partition("*: ")[0]
    return pytest.mark.parametrize("quoted", [readme.code(head)], ids=[begins.strip("*`… ")])


def path_without(sandbox: Sandbox, *programs: str) -> str:
    """A PATH of one folder that has what a job needs, and `programs` besides."""
    folder = sandbox.root / "bin"
    folder.mkdir()
    for program in ("bash", "sh", "cat", "env", "sleep", "uname", "true", *programs):
        found = shutil.which(program)
        assert found is not None
        (folder / program).symlink_to(found)
    return str(folder)


@entry("*`tmux is not installed")
def test_tmux_is_missing(quoted: list[str], sandbox: Sandbox) -> None:
    path = path_without(sandbox)
    server = sandbox.server(PATH=path)
    with pytest.raises(ToolError) as refused:
        server.call("execute", command="true")
    assert readme.says(quoted[0], str(refused.value))
    tmux = shutil.which("tmux")
    assert tmux is not None
    (Path(path) / "tmux").symlink_to(tmux)
    assert run_job(server, "exit 3")["exit_code"] == 3


@entry("*The client can't find `uvx`*")
def test_a_client_with_a_short_path_starts_what_setup_wrote(quoted: list[str], sandbox: Sandbox) -> None:
    short = path_without(sandbox, "tmux")
    assert shutil.which(quoted[0], path=short) is None
    cli(sandbox, "setup", "cursor", "--write")
    entry = json.loads((sandbox.home / ".cursor/mcp.json").read_text())["mcpServers"]["jobs"]
    server = sandbox.silent_server(program=[entry["command"], *entry["args"]], PATH=short, **entry["env"]).open()
    assert run_job(server, "exit 3")["exit_code"] == 3


@entry("*`No jobs now.` in a terminal")
def test_a_terminal_with_other_settings_sees_other_jobs(quoted: list[str], sandbox: Sandbox) -> None:
    server = sandbox.server(MCP_BG_SESSION="theirs")
    job_id = server.call("execute", command="cat")["job_id"]
    assert readme.says(quoted[0], cli(sandbox, "list").stderr)
    rows = {row["variable"]: row["value"] for row in answer(sandbox, "config")["settings"]}
    assert rows["MCP_BG_SESSION"] == "mcp-jobs"
    assert [job["job_id"] for job in answer(sandbox, "list", MCP_BG_SESSION="theirs")["jobs"]] == [job_id]
    assert "MCP_BG_SESSION=theirs" in cli(sandbox, "setup", "claude", MCP_BG_SESSION="theirs").stdout


@entry("*`tmux attach` finds no session*")
def test_a_server_on_another_socket_is_reached_by_its_attach_line(quoted: list[str], sandbox: Sandbox) -> None:
    server = sandbox.server(MCP_BG_TMUX_SOCKET="apart")
    line = server.call("execute", command="cat")["attach"]
    plain = subprocess.run(
        [*shlex.split(quoted[0]), "-t", "mcp-jobs"],
        env={**sandbox.environment, "TERM": "xterm"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert plain.returncode != 0 and "not a terminal" not in plain.stderr
    words = shlex.split(line)
    words[words.index("attach")] = "has-session"
    assert subprocess.run(words, env=sandbox.environment, timeout=120).returncode == 0


@entry("*`…: command not found`")
def test_a_job_reads_no_profile(quoted: list[str], server: Server, shared: Sandbox) -> None:
    tools = shared.home / "tools"
    tools.mkdir()
    (tools / "mytool").write_text("#!/bin/sh\necho mine\n")
    (tools / "mytool").chmod(0o755)
    (shared.home / ".bash_profile").write_text(f'PATH="{tools}:$PATH"\n')
    job = run_job(server, "mytool")
    assert job["exit_code"] == 127
    assert readme.says(quoted[0], server.call("output", job_id=job["job_id"])["stdout"])
    login = shared.server(SHELL="/bin/bash", MCP_BG_ENVIRONMENT="login")
    assert run_job(login, "mytool")["exit_code"] == 0
    assert run_job(server, "bash -lc mytool")["exit_code"] == 0
    assert run_job(server, "mytool", env={"PATH": f"{tools}:{os.environ['PATH']}"})["exit_code"] == 0


@entry("*`MCP_BG_ENVIRONMENT=login: …")
def test_a_login_shell_that_tells_nothing(quoted: list[str], sandbox: Sandbox) -> None:
    profile = sandbox.home / ".bash_profile"
    profile.write_text("export ADDED=1\nexec true\n")
    server = sandbox.server(SHELL="/bin/bash", MCP_BG_ENVIRONMENT="login")
    assert run_job(server, "[ -z $ADDED ]")["exit_code"] == 0
    assert readme.says(quoted[0], server.stderr)
    profile.write_text('export ADDED=1\n[ -n "$MCP_BG_RESOLVING_ENVIRONMENT" ] || exec true\n')
    server = sandbox.server(SHELL="/bin/bash", MCP_BG_ENVIRONMENT="login")
    assert run_job(server, "[ $ADDED = 1 ]")["exit_code"] == 0


@entry("*`… jobs are running")
def test_the_limit_counts_the_jobs_of_all(quoted: list[str], server: Server, cleared: Sandbox) -> None:
    server.call("execute", command="cat")
    other = cleared.server(MCP_BG_MAX_JOBS="1")
    with pytest.raises(ToolError) as refused:
        other.call("execute", command="true")
    assert readme.says(quoted[0], str(refused.value))
    assert len(other.call("list")["jobs"]) == 1


@entry("*A job is `killed` with reason `lost`*")
def test_a_job_whose_supervisor_was_killed(quoted: list[str], server: Server, shared: Sandbox) -> None:
    job_id = server.call("execute", command="echo up; cat")["job_id"]
    shows(server, job_id, "up")
    shared.runner(job_id).kill()
    job = ended(server, job_id)
    assert [job["status"], job["reason"]] == quoted


@entry("*A process started with `&`")
def test_what_a_job_leaves_in_the_background_ends_with_it(quoted: list[str], server: Server) -> None:
    job = run_job(server, f"sleep 1000 {quoted[0]} echo $!")
    pid = int(server.call("output", job_id=job["job_id"])["stdout"])
    wait_until(lambda: not alive(pid))


@entry("*`… can't be used: it takes …`*")
def test_a_wrong_setting_is_on_the_servers_stderr(quoted: list[str], sandbox: Sandbox) -> None:
    done = subprocess.run(
        PROGRAM,
        env={**sandbox.environment, "MCP_BG_MAX_JOBS": "lots"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2 and readme.says(quoted[0], done.stderr)


@entry("*`… can be written to by every user`*")
def test_a_state_folder_that_others_can_write(quoted: list[str], sandbox: Sandbox) -> None:
    sandbox.state.mkdir()
    sandbox.state.chmod(0o777)
    refused = cli(sandbox, "run", "true", status=1).stderr
    assert readme.says(quoted[0], refused)
    sandbox.state.chmod(0o700)
    cli(sandbox, "run", "-w", "true")
    if os.getuid() == 0:
        os.chown(sandbox.state, 12345, -1)
        assert readme.says(quoted[1], cli(sandbox, "run", "true", status=1).stderr)
        os.chown(sandbox.state, 0, -1)


@entry("*`Can't listen on")
def test_the_port_is_taken(quoted: list[str], sandbox: Sandbox) -> None:
    token = {"MCP_BG_HTTP_TOKEN": "a-token-of-enough-characters"}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = cli(sandbox, "--transport", "http", "--port", port, status=1, **token).stderr
    assert readme.says(quoted[0], refused)


@pytest.mark.promise("troubleshooting")
def test_every_entry_is_caused_by_a_test() -> None:
    assert [one for one in readme.entries("Troubleshooting") if one not in caused] == []
