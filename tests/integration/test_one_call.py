"""Answers that need no second call: the output from where one was, the screen, a command's exit code."""

from __future__ import annotations

import shutil
import time

import pytest

from support.rpc import Server
from support.sandbox import PYTHON, Sandbox, shows
from support.waiting import wait_until

DRAWS = (
    "import os, tty, sys; tty.setraw(0); "
    "os.write(1, b'\\x1b[?1049h\\x1b[H\\x1b[2JTitle   \\x1b[3;1H~\\x1b[2;5Hbody'); "
    "os.read(0, 1); os.write(1, b'\\x1b[2;5Hlast'); os.read(0, 1)"
)


# wait: from what was shown


@pytest.mark.promise("wait-shows-all")
def test_a_job_that_failed_before_the_wait_is_told_with_its_output(server: Server) -> None:
    job_id = server.call("execute", command="echo 'no such file'; exit 2")["job_id"]
    wait_until(lambda: server.call("status", job_id=job_id)["status"] == "failed")
    answer = server.call("wait", job_ids=[job_id], timeout=50)
    assert (answer["exit_code"], answer["stdout"]) == (2, "no such file\n")


@pytest.mark.linux("prompt is not told elsewhere")
@pytest.mark.promise("wait-shows-all")
def test_nothing_is_told_twice(server: Server) -> None:
    command = "echo one; read x; echo two; read x; echo three; read x; echo four; read x; echo five"
    job_id = server.call("execute", command=command, wait=50)["job_id"]
    told = "one\n"
    for line in "abc":
        told += server.call("interact", job_id=job_id, input=line, timeout=0)["stdout"]
        told += server.call("wait", job_ids=[job_id], until="input", timeout=50)["stdout"]
    shows(server, job_id, "four\n")  # by output, up to its end
    assert server.call("wait", job_ids=[job_id], until="input", timeout=50)["stdout"] == ""
    told += server.call("interact", job_id=job_id, input="d", timeout=0)["stdout"]
    told += server.call("wait", job_ids=[job_id], timeout=50)["stdout"]
    # An echo that comes after interact's answer is part of what the wait has to show.
    assert [line for line in told.split() if line not in "abcd"] == ["one", "two", "three", "four", "five"]


@pytest.mark.promise("wait-shows-all")
def test_a_pattern_that_came_before_the_wait_is_found(server: Server) -> None:
    job_id = server.call("execute", command="echo ready; exec sleep 300")["job_id"]
    wait_until(lambda: server.call("list")["jobs"][0]["status"] == "running")
    time.sleep(0.3)  # the promise is about what has come by then
    answer = server.call("wait", job_ids=[job_id], pattern="^ready", timeout=50)
    assert (answer["reason"], answer["stdout"]) == ("match", "ready\n")
    assert server.call("wait", job_ids=[job_id], pattern="^ready", timeout=0.5)["reason"] == "timeout"
    server.call("kill", job_id=job_id, signal="KILL")


@pytest.mark.promise("wait-shows-all")
def test_each_client_has_its_own_place(shared: Sandbox, server: Server) -> None:
    job_id = server.call("execute", command="echo one; exec sleep 300", wait=50, pattern="one")["job_id"]
    other = shared.server()
    assert other.call("wait", job_ids=[job_id], pattern="one", timeout=50)["stdout"] == "one\n"
    assert server.call("wait", job_ids=[job_id], timeout=0.1)["stdout"] == ""
    other.close()
    server.call("kill", job_id=job_id, signal="KILL")


# the screen


@pytest.mark.promise("screen-comes-with-it")
def test_the_screen_comes_with_the_answer_while_a_full_screen_program_has_it(server: Server) -> None:
    command = f'{PYTHON} -c "{DRAWS}"; echo over; read x'
    answer = server.call("execute", command=command, wait=50)
    job_id = answer["job_id"]
    assert (answer["reason"], answer["screen"], answer["stdout"]) == ("input", "Title\n    body", "")
    waited = server.call("wait", job_ids=[job_id], until="input", timeout=50)
    assert waited["screen"] == "Title\n    body"
    answer = server.call("interact", job_id=job_id, keys=["x"], timeout=50)
    assert answer["screen"] == "Title\n    last"
    server.call("kill", job_id=job_id, signal="KILL")
    plain = server.call("execute", command="echo plain; read x", wait=50)
    assert "screen" not in plain
    server.call("kill", job_id=plain["job_id"], signal="KILL")


# the exit code of a command in a shell

SHELLS = {
    "bash": "PS1='$ ' bash --norc --noprofile -i",
    "bash with its files": "bash",
    "zsh": "zsh -i",
    "fish": "fish",
}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.promise("shell-exit-code")
def test_a_shell_tells_each_commands_exit_code(sandbox: Sandbox, shell: str) -> None:
    program = shell.split()[0]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not here")
    # As many have it: their own prompt command, before and behind ours, which changes what $? is.
    (sandbox.home / ".bashrc").write_text('PS1="mine> "; PROMPT_COMMAND="true; $PROMPT_COMMAND; true"\nMARK=read\n')
    (sandbox.home / ".zshrc").write_text("PS1='mine> '; precmd() { true }\nMARK=read\n")
    (sandbox.home / ".zshenv").write_text("MARK_ENV=read\n")
    (sandbox.home / ".config/fish").mkdir(parents=True)
    (sandbox.home / ".config/fish/config.fish").write_text("set MARK read; function fish_prompt; echo 'mine> '; end\n")
    server = sandbox.server()
    job_id = server.call("execute", command=SHELLS[shell])["job_id"]
    first = server.call("wait", job_ids=[job_id], until="input", timeout=50)
    assert first["reason"] == "input" and "exit_code" not in first
    server.call("interact", job_id=job_id, input="true")
    for line, code in (("sh -c 'exit 3'", 3), ("true", 0), ("sh -c 'kill -9 $$'", 137), ("sh -c 'exit 7'", 7)):
        answer = server.call("interact", job_id=job_id, input=line, timeout=50)
        assert (answer["exit_code"], answer["reason"]) == (code, "input"), answer
        assert "133" not in answer["stdout"]
    answer = server.call("interact", job_id=job_id, input="sleep 3", timeout=0.5)
    assert "exit_code" not in answer, "of a command that has not ended"
    server.call("wait", job_ids=[job_id], until="input", timeout=50)
    answer = server.call("interact", job_id=job_id, input='echo "mark $MARK"; env', timeout=50)
    assert ("mark read" in answer["stdout"]) == ("norc" not in SHELLS[shell])
    for name in ("MCP_BG_PROMPT", "PROMPT_COMMAND", "ZDOTDIR", "XDG_DATA_DIRS"):
        assert f"{name}=" not in answer["stdout"], "what its commands get is as without"
    history = server.call("interact", job_id=job_id, input="history", timeout=50)["stdout"]
    assert "MCP_BG" not in history and "133" not in history
    if "norc" not in SHELLS[shell]:
        assert history.rstrip().endswith("mine>"), "its own prompt, as it is without"
    server.call("kill", job_id=job_id, signal="KILL")


@pytest.mark.promise("shell-exit-code")
def test_a_prompt_command_that_can_not_be_put_in_order_tells_no_wrong_code(sandbox: Sandbox) -> None:
    order = 'PROMPT_COMMAND="true; $PROMPT_COMMAND"; readonly PROMPT_COMMAND'
    (sandbox.home / ".bashrc").write_text(f"PS1='$ '; {order}\n")
    server = sandbox.server()
    job_id = server.call("execute", command="bash", wait=50)["job_id"]
    for _ in range(2):
        answer = server.call("interact", job_id=job_id, input="(exit 4)", timeout=50)
        assert answer["reason"] == "input" and answer.get("exit_code", 4) == 4
        assert "readonly" not in answer["stdout"]
    server.call("kill", job_id=job_id, signal="KILL")


@pytest.mark.promise("shell-exit-code")
def test_the_shells_own_marks_are_enough(server: Server) -> None:
    marks = r"PS1='$ ' PROMPT_COMMAND='printf \"\\e]133;D;%s;aid=1\\a\" \$?' bash --norc; true"
    job_id = server.call("execute", command=f'bash -c "{marks}"')["job_id"]
    server.call("wait", job_ids=[job_id], until="input", timeout=50)
    assert server.call("interact", job_id=job_id, input="(exit 42)")["exit_code"] == 42
    server.call("kill", job_id=job_id, signal="KILL")
