"""An agent's input when its pane is not where it was: the socket removed, another tmux server on its path, a person
who takes the keys in the very moment. Nothing lands elsewhere, and the answer says what happened.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

from support.person import Person
from support.rpc import Server, ToolError
from support.sandbox import SESSION, Sandbox, ended, shows
from support.scale import scaled
from support.waiting import wait_until

FOREIGN = "person's own shell"


def socket_of(sandbox: Sandbox) -> Path:
    return sandbox.sockets / f"tmux-{os.getuid()}" / "default"


def cat(server: Server) -> str:
    job_id: str = server.call("execute", command="echo up; exec cat", name="mine")["job_id"]
    shows(server, job_id, "up\n")
    return job_id


def start_foreign(sandbox: Sandbox, panes: int = 4) -> None:
    """A tmux server of the person's own on the same path, whose panes begin with %0 again and write down what comes."""
    typed = sandbox.path("typed")
    typed.mkdir(exist_ok=True)
    for number in range(panes):
        new = ["new-window", "-d"] if number else ["-f", "/dev/null", "new-session", "-d", "-s", "own"]
        sandbox.tmux(*new, f"stty -echo; exec cat > {typed}/{number}")


def typed_elsewhere(sandbox: Sandbox) -> bytes:
    return b"".join(path.read_bytes() for path in sandbox.path("typed").iterdir())


def options_elsewhere(sandbox: Sandbox) -> str:
    found = [sandbox.tmux("show-options", "-p", "-t", f"%{number}", check=False) for number in range(4)]
    return "\n".join(filter(None, found))


def printed_twice(server: Server, job_id: str, line: str) -> str:
    output: str = server.call("output", job_id=job_id)["stdout"]
    return output if output.count(line) == 2 else ""


@pytest.mark.promise("own-pane")
def test_a_removed_socket_is_told_with_what_makes_it_anew(sandbox: Sandbox) -> None:
    server = sandbox.server()
    job_id = cat(server)
    tmux = sandbox.tmux_server()
    assert tmux is not None
    socket_of(sandbox).unlink()
    for tool, arguments in (("interact", {"input": "lost"}), ("screen", {})):
        with pytest.raises(ToolError) as refusal:
            server.call(tool, job_id=job_id, **arguments)
        assert f"kill -USR1 {tmux.pid}" in str(refusal.value), str(refusal.value)
        assert "kill-server" not in str(refusal.value)
    assert server.call("status", job_id=job_id)["status"] == "running"
    assert "lost" not in server.call("output", job_id=job_id)["stdout"]
    tmux.send_signal(signal.SIGUSR1)
    wait_until(socket_of(sandbox).exists)
    assert server.call("interact", job_id=job_id, input="again")["stdout"].endswith("again\n")


@pytest.mark.promise("own-pane")
def test_nothing_reaches_a_pane_of_another_tmux_server_on_the_same_path(sandbox: Sandbox) -> None:
    server = sandbox.server()
    job_id = cat(server)
    asks = server.call("execute", command="read x; exit 3")["job_id"]
    tmux = sandbox.tmux_server()
    assert tmux is not None
    socket_of(sandbox).unlink()
    start_foreign(sandbox)
    try:
        with pytest.raises(ToolError, match=f"kill -USR1 {tmux.pid}"):
            server.call("interact", job_id=job_id, input="rm -rf ~")
        with pytest.raises(ToolError, match="can't be reached"):
            server.call("interact", job_id=job_id, keys=["C-c", "Enter"])
        with pytest.raises(ToolError):
            server.call("screen", job_id=job_id)
        server.call("handoff", job_id=job_id, message="look")
        # A log writer that is killed is replaced through tmux, and an end is shown there.
        writer = sandbox.state / SESSION / job_id / "logwriter.pid"
        os.kill(int(writer.read_text(encoding="ascii")), signal.SIGKILL)
        assert server.call("kill", job_id=asks) == {"status": "killed"}
        time.sleep(2.0)  # the runner looks each second; that it has done nothing can't be waited for
        assert typed_elsewhere(sandbox) == b""
        assert "@mcp" not in options_elsewhere(sandbox)
        assert "1" not in sandbox.tmux("list-panes", "-a", "-F", "#{pane_pipe}").split()
    finally:
        sandbox.tmux("kill-server")
        tmux.send_signal(signal.SIGUSR1)
    wait_until(lambda: sandbox.tmux("list-panes", "-a", check=False))
    server.call("kill", job_id=asks)
    assert sandbox.tmux("has-session", "-t", SESSION) == ""


@pytest.mark.promise("own-pane")
def test_a_pane_whose_input_a_person_has_switched_off_is_told(sandbox: Sandbox) -> None:
    server = sandbox.server()
    job_id = cat(server)
    pane = sandbox.ask(job_id, "#{pane_id}")
    sandbox.tmux("select-pane", "-d", "-t", pane)
    with pytest.raises(ToolError, match=f"takes no input .*select-pane -e -t {pane}"):
        server.call("interact", job_id=job_id, input="lost")
    sandbox.tmux("select-pane", "-e", "-t", pane)
    assert server.call("interact", job_id=job_id, input="there")["stdout"].endswith("there\n")
    assert "lost" not in server.call("output", job_id=job_id)["stdout"]


@pytest.mark.promise("human-holds")
def test_a_hold_that_a_person_takes_in_the_moment_of_typing_wins(sandbox: Sandbox) -> None:
    """The person's key and their next line go into tmux in one invocation, so that the job sees them in order."""
    server = sandbox.server()
    job_id = cat(server)
    pane = sandbox.ask(job_id, "#{pane_id}")
    folder = sandbox.state / SESSION / job_id
    chance = random.Random(7)
    typed = held = 0
    for number in range(scaled(25, 300)):
        agent = server.start("interact", job_id=job_id, input=f"agent{number}", timeout=5)
        time.sleep(chance.uniform(0, 0.02))  # a random moment of the agent's call
        # As the key does it: tmux marks the pane, and a program writes the hold down a little later.
        sandbox.tmux(
            "set-option", "-p", "-t", pane, "@mcp_holder", "human", ";",
            "send-keys", "-t", pane, "-l", f"person{number}", ";", "send-keys", "-t", pane, "Enter",
        )  # fmt: skip
        (folder / "holder").write_text(json.dumps({"since": time.time(), "message": ""}), encoding="ascii")
        try:
            agent.answer()
            typed += 1
        except ToolError as error:
            assert "nothing was sent" in str(error)
            held += 1
            refused = True
        else:
            refused = False
        # Both the echo and cat's own line; the job may have printed the agent's line between them.
        output = wait_until(lambda n=number: printed_twice(server, job_id, f"person{n}\n"))  # type: ignore[misc]
        if refused:
            assert f"agent{number}\n" not in output
        elif f"agent{number}\n" in output:
            assert output.index(f"agent{number}\n") < output.index(f"person{number}\n"), "typed after the hold"
        (folder / "holder").unlink()
        sandbox.tmux("set-option", "-p", "-u", "-t", pane, "@mcp_holder")
    print(f"{typed} typed before the hold, {held} refused")
    assert held


@pytest.mark.promise("human-holds")
def test_the_persons_key_marks_the_pane_before_any_program_starts(sandbox: Sandbox) -> None:
    server = sandbox.server()
    job_id = cat(server)
    person = Person(sandbox, f"tmux attach -t {SESSION}")
    sandbox.tmux("select-window", "-t", sandbox.window(job_id))
    person.sees("F12 menu")
    # The program that writes the hold down is late.
    slow = sandbox.path("slow")
    go, late = sandbox.path("go"), sandbox.path("late")
    slow.write_text(f"#!/bin/sh\nuntil [ -e {go} ]; do sleep 0.05; done\nexec touch {late}\n", encoding="ascii")
    slow.chmod(0o700)
    sandbox.tmux("set-option", "-t", SESSION, "@mcp_program", str(slow))
    person.press("F12")
    person.sees("Take over")
    person.press("t")
    wait_until(lambda: sandbox.ask(job_id, "#{@mcp_holder}") == "human")
    assert not late.exists(), "the program has not done anything yet"
    go.touch()
    wait_until(late.exists)


@pytest.mark.promise("human-holds")
def test_a_mark_without_a_hold_behind_it_keeps_nobody_out(sandbox: Sandbox) -> None:
    server = sandbox.server()
    job_id = cat(server)
    sandbox.tmux("set-option", "-p", "-t", sandbox.ask(job_id, "#{pane_id}"), "@mcp_holder", "human")
    assert server.call("interact", job_id=job_id, input="on")["stdout"] == "on\n"
    assert sandbox.ask(job_id, "#{@mcp_holder}") == ""


@pytest.mark.promise("own-pane")
def test_whatever_happens_to_the_pane_at_a_random_moment_nothing_lands_elsewhere(sandbox: Sandbox) -> None:
    """The window is closed, the socket removed or the server replaced while an agent types."""
    chance = random.Random(11)
    server = sandbox.server(MCP_BG_MAX_JOBS="1000")
    start_foreign_file = sandbox.path("typed")
    start_foreign_file.mkdir()
    outcomes: dict[str, int] = {}
    for number in range(scaled(12, 300)):
        job_id = cat(server)
        tmux = sandbox.tmux_server()
        assert tmux is not None
        agent = server.start("interact", job_id=job_id, input=f"secret{number}", timeout=3)
        time.sleep(chance.uniform(0, 0.02))  # a random moment of the agent's call
        what = chance.choice(["window", "socket", "server"])
        if what == "window":
            sandbox.tmux("kill-window", "-t", sandbox.window(job_id))
        else:
            socket_of(sandbox).unlink()
            if what == "server":
                start_foreign(sandbox)
        try:
            agent.answer()
            outcome = "typed"
        except ToolError as error:
            outcome = "refused"
            assert "kill-server" not in str(error)
        outcomes[f"{what} {outcome}"] = outcomes.get(f"{what} {outcome}", 0) + 1
        if what == "server":
            assert b"secret" not in typed_elsewhere(sandbox)
            sandbox.tmux("kill-server")
        if what != "window":
            tmux.send_signal(signal.SIGUSR1)
            wait_until(lambda: sandbox.tmux("list-panes", "-a", check=False))
            server.call("kill", job_id=job_id)
        ended(server, job_id)
    print(outcomes)
