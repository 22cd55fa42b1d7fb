"""How a job rests, by what the kernel tells: relays, spinners and test runners in raw mode, full-screen programs."""

from __future__ import annotations

import shlex
import shutil
import time

import pytest

from support.rpc import Server
from support.sandbox import PYTHON, Sandbox, shows
from support.sshd import MISSING, another_machine

pytestmark = pytest.mark.linux("only /proc tells how a job rests")

# In raw mode, polls the terminal with a time limit, as prompts and test runners of Node do; says what argv tells, when.
POLLS = """
import os, select, sys, time, tty
tty.setraw(0)
begun = time.monotonic()
says = [(float(at), text) for at, _, text in (word.partition("=") for word in sys.argv[1:])]
while says:
    select.select([0], [], [], 0.05)
    while says and time.monotonic() - begun >= says[0][0]:
        os.write(1, says.pop(0)[1].encode().decode("unicode_escape").encode())
if select.select([0], [], [], 0)[0]:
    os.read(0, 100)
select.select([0], [], [], 60)
"""
# As npm and Claude: an event loop asks something, and has a connection from before that it keeps.
KEEPS_ALIVE = """
import os, select, socket, tty
listener = socket.create_server(("127.0.0.1", 0))
connection = socket.create_connection(listener.getsockname())
tty.setraw(0)
epoll = select.epoll()
epoll.register(0, select.EPOLLIN)
epoll.register(connection, select.EPOLLIN)
os.write(1, b"package name: ")
while True:
    epoll.poll(10)
    os.write(1, os.read(0, 4096))
"""
# As ssh and docker exec: waits for the terminal and the network (or the socket of a name) at once; the other side
# answers a line after 0.1 s, in two parts.
RELAY = """
import os, select, socket, sys, threading, time, tty
if len(sys.argv) > 1:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(sys.argv[1])
    listener.listen()
else:
    listener = socket.create_server(("127.0.0.1", 0))
def other_side():
    there, _ = listener.accept()
    while data := there.recv(4096):
        time.sleep(0.1)
        there.sendall(data.replace(b"\\r", b"\\r\\n"))
        if b"slowly" in data:
            time.sleep(1.0)
        if b"\\r" in data:
            there.sendall(b"ANSWER of the other side\\r\\n$ ")
if os.fork() == 0:
    os.setsid()
    other_side()
    os._exit(0)
near = socket.socket(listener.family)
near.connect(listener.getsockname())
listener.close()
tty.setraw(0)
os.write(1, b"connected\\r\\n$ ")
while True:
    ready, _, _ = select.select([0, near], [], [])
    if near in ready:
        os.write(1, near.recv(4096))
    if 0 in ready:
        near.sendall(os.read(0, 4096))
"""


def program(code: str, *arguments: str) -> str:
    return shlex.join([str(PYTHON), "-c", code, *arguments])


@pytest.mark.promise("relay")
@pytest.mark.parametrize("by_name", [(), ("docker.sock",)], ids=["network", "name"])
def test_a_relay_rests_only_after_an_answer_has_come(server: Server, by_name: tuple[str, ...]) -> None:
    job_id = server.call("execute", command=program(RELAY, *by_name))["job_id"]
    shows(server, job_id, "$ ")
    assert server.call("wait", job_ids=[job_id], until="input", timeout=1)["reason"] == "timeout"
    answer = server.call("interact", job_id=job_id, input="hello", timeout=50)
    assert (answer["reason"], answer["stdout"]) == ("input", "ANSWER of the other side\n$ ")
    answer = server.call("interact", job_id=job_id, input="slowly", timeout=50)
    assert (answer["reason"], answer["stdout"]) == ("input", "ANSWER of the other side\n$ "), "the echo is no answer"
    answer = server.call("interact", job_id=job_id, input="slowly", pattern="^ANSWER", timeout=50)
    assert answer["reason"] == "match", "a pattern is better than a guess"
    server.call("kill", job_id=job_id, signal="KILL")


@pytest.mark.promise("relay")
def test_an_event_loop_with_a_connection_is_no_relay(server: Server) -> None:
    answer = server.call("execute", command=program(KEEPS_ALIVE), wait=50)
    assert (answer["reason"], answer["stdout"]) == ("input", "package name: ")
    server.call("kill", job_id=answer["job_id"], signal="KILL")


@pytest.mark.promise("relay")
def test_tmux_in_tmux_is_a_relay_though_it_has_passed_its_terminal_on(server: Server) -> None:
    command = "tmux -L inner -f /dev/null new-session 'bash --norc -i'"
    job_id = server.call("execute", command=command, wait=50, pattern="bash-")["job_id"]
    answer = server.call("interact", job_id=job_id, input="sleep 0.2; echo FI''N", timeout=50)
    assert answer["reason"] == "input" and "FIN" in answer["screen"]
    answer = server.call("interact", job_id=job_id, input="exit", timeout=50)
    assert (answer["reason"], answer["exit_code"]) == ("exit", 0)


@pytest.mark.skipif(bool(MISSING), reason=MISSING)
@pytest.mark.promise("relay")
def test_ssh_is_waited_for_to_its_end(sandbox: Sandbox) -> None:
    with another_machine(sandbox) as machine:
        server = sandbox.server()
        command = shlex.join(machine.ssh("-tt", "box", "for i in 1 2 3; do echo compile $i; sleep 0.7; done; exit 3"))
        answer = server.call("execute", command=command, wait=50)
        assert (answer["reason"], answer["exit_code"]) == ("exit", 3)
        assert "compile 3" in answer["stdout"]
        job_id = server.call("execute", command=shlex.join(machine.ssh("-tt", "box", "bash --norc -i")))["job_id"]
        shows(server, job_id, "bash-")
        for _ in range(5):
            answer = server.call("interact", job_id=job_id, input="echo hel''lo", timeout=50)
            assert answer["reason"] == "input" and "hello\n" in answer["stdout"]
        answer = server.call("interact", job_id=job_id, input="sleep 1; echo FI''N", pattern="^FIN", timeout=50)
        assert answer["reason"] == "match"
        server.call("kill", job_id=job_id, signal="KILL")


@pytest.mark.promise("busy-raw")
def test_a_spinner_is_no_rest(server: Server) -> None:
    # Close together: a busy machine may run the job late by some of them.
    frames = [f"{number / 20}=\\r{'|/-'[number % 3]} working" for number in range(48)]
    command = program(POLLS, *frames, "2.6=\\r\\nName? ")
    answer = server.call("execute", command=command, wait=50)
    assert answer["reason"] == "input" and answer["stdout"].endswith("Name? ")
    server.call("kill", job_id=answer["job_id"], signal="KILL")


@pytest.mark.promise("busy-raw")
def test_with_a_pattern_a_poll_in_raw_mode_does_not_end_the_wait(server: Server) -> None:
    command = program(POLLS, "0=\\r\\nRUN  v3\\r\\n", "1.5=\\r\\nTests  3 passed\\r\\n")
    answer = server.call("execute", command=command, wait=50, pattern="^Tests ")
    assert (answer["reason"], "3 passed" in answer["stdout"]) == ("match", True)
    server.call("kill", job_id=answer["job_id"], signal="KILL")


@pytest.mark.promise("busy-raw")
def test_a_thread_that_listens_does_not_end_the_wait_for_a_pattern(server: Server) -> None:
    """The console of a server: one thread reads lines, another starts up."""
    code = "import sys, threading, time; threading.Thread(target=sys.stdin.read, daemon=True).start()"
    command = program(
        f"{code}; print('starting', flush=True); time.sleep(1.2); print('Done', flush=True); time.sleep(99)"
    )
    answer = server.call("execute", command=command, wait=50, pattern="^Done")
    assert answer["reason"] == "match"
    server.call("kill", job_id=answer["job_id"], signal="KILL")


@pytest.mark.promise("screen-pattern")
def test_an_answer_that_was_on_the_screen_before_is_found_again(server: Server) -> None:
    command = "tmux -L again -f /dev/null new-session 'bash --norc -i'"
    job_id = server.call("execute", command=command, wait=50, pattern="bash-")["job_id"]
    for _ in range(3):
        answer = server.call("interact", job_id=job_id, input="echo DO''NE", pattern="^DONE", timeout=50)
        assert answer["reason"] == "match"
    server.call("interact", job_id=job_id, input="exit", timeout=50)


@pytest.mark.promise("wait-pattern")
def test_what_looks_like_an_echo_further_on_is_the_programs_own(server: Server) -> None:
    says = {b"r": b"server restarted\r\n", b"q": b"quit\r\n"}
    code = (
        "import os, tty; tty.setraw(0); os.write(1, b'up\\r\\n')\n"
        f"while True: os.write(1, {says!r}.get(os.read(0, 1), b'?'))"
    )
    job_id = server.call("execute", command=program(code), wait=50, pattern="^up")["job_id"]
    for key, line in [("r", "^server restarted$"), ("q", "^quit$"), ("r", "^server restarted$")]:
        answer = server.call("interact", job_id=job_id, input=key, enter=False, pattern=line, timeout=50)
        assert answer["reason"] == "match", line
    server.call("kill", job_id=job_id, signal="KILL")


@pytest.mark.parametrize("shell", ["bash --norc -i", "zsh -f", "fish", "dash -i"])
@pytest.mark.promise("wait-pattern")
def test_the_echo_of_what_was_typed_is_no_match_however_it_is_drawn(server: Server, shell: str) -> None:
    if shutil.which(shell.split()[0]) is None:
        pytest.skip(f"{shell} is not here")
    job_id = server.call("execute", command=shell, wait=50, pattern="[#$%>] ?$")["job_id"]
    wide = f"x='{'a' * 230}'; sleep 0.6; echo END_OF_IT" if shell != "fish" else "sleep 0.6; echo END_OF_IT"
    for command in ("sleep 0.3; echo foo; sleep 0.6; echo END_OF_IT", wide):
        begun = time.monotonic()
        answer = server.call("interact", job_id=job_id, input=command, pattern="END_OF", timeout=50)
        assert answer["reason"] == "match"
        assert time.monotonic() - begun > 0.55, "time is the promise: it is echoed at once, and printed at the end"
    server.call("kill", job_id=job_id, signal="KILL")


@pytest.mark.promise("shell-exit-code")
def test_the_exit_code_of_a_command_is_not_told_for_the_next_one(server: Server) -> None:
    job_id = server.call("execute", command="bash --norc -i", wait=50)["job_id"]
    assert "exit_code" not in server.call("interact", job_id=job_id, input="sleep 1; sh -c 'exit 7'", timeout=0.2)
    answer = server.call("interact", job_id=job_id, input="sleep 3; sh -c 'exit 5'", timeout=2)
    assert answer["reason"] == "timeout" and "exit_code" not in answer
    assert server.call("wait", job_ids=[job_id], until="input", timeout=50)["reason"] == "input"
    server.call("kill", job_id=job_id, signal="KILL")


@pytest.mark.promise("screen-pattern")
def test_a_pattern_sees_the_screen_of_a_full_screen_program(server: Server) -> None:
    code = (
        "import os, time, tty; tty.setraw(0); os.write(1, b'\\x1b[?1049h\\x1b[H\\x1b[2Jloading'); time.sleep(1)\n"
        "os.write(1, b'\\x1b[5;10HREADY - press q'); os.read(0, 1); time.sleep(1)\n"
        "os.write(1, b'\\x1b[6;10HLATER'); os.read(0, 1)"
    )
    command = program(code)
    job_id = server.call("execute", command=command)["job_id"]
    answer = server.call("wait", job_ids=[job_id], pattern="READY", since=0, timeout=50)
    assert answer["reason"] == "match" and "READY - press q" in answer["screen"] and "LATER" not in answer["screen"]
    answer = server.call("interact", job_id=job_id, keys=["x"], pattern="READY|LATER", timeout=50)
    assert "LATER" in answer["screen"], "what was there before the input is no answer to it"
    server.call("kill", job_id=job_id, signal="KILL")


@pytest.mark.parametrize("shell", ["bash --norc -i", "fish"])
@pytest.mark.promise("interact-whole")
def test_line_editors_answer_as_fast_as_ever(server: Server, shell: str) -> None:
    """fish looks at its terminal in an event loop, and asks who has the focus as Codex does."""
    if shutil.which(shell.split()[0]) is None:
        pytest.skip(f"{shell} is not here")
    job_id = server.call("execute", command=shell)["job_id"]
    server.call("wait", job_ids=[job_id], until="input", timeout=50)
    took = []
    for number in range(20):
        begun = time.monotonic()
        answer = server.call("interact", job_id=job_id, input=f"expr {number} + 1000", timeout=50)
        took.append(time.monotonic() - begun)
        assert f"{number + 1000}\n" in answer["stdout"]
    assert min(took) < 0.4, "time is the promise: 16 ms on a quiet machine; a poll would take 400 each time"
    server.call("kill", job_id=job_id, signal="KILL")
