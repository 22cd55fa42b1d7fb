"""Typing into programs in raw mode: Enter on its own, TABs, several lines; by what the terminal and its modes tell."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import threading
import time

import pytest

from mcp_background_job.jobs.typing import AFTER_TEXT
from mcp_background_job.process.input_state import unread
from mcp_background_job.store.holds import set_hold
from mcp_background_job.store.models import Hold
from support.rpc import ToolError
from support.sandbox import PYTHON, Sandbox, shows
from support.waiting import wait_until

# An input line as other agents have one: takes every key itself, tells typing from pasting by time. Writes down what it
# got and when, and shows text as it comes. argv: the modes it sets.
COMPOSER = """
import json, os, select, sys, time, tty
tty.setraw(0)
os.write(1, sys.argv[1].encode().decode("unicode_escape").encode() + b"> ")
last = 0.0
while True:
    select.select([0], [], [], 5)
    data = os.read(0, 4096)
    now = time.monotonic()
    with open("got", "a") as file:
        print(json.dumps([round(now - last, 3), data.decode()]), file=file)
    last = now
    os.write(1, data.replace(b"\\r", b"\\r\\n").replace(b"\\x1b", b"^["))
"""


def composer(modes: str = "") -> str:
    return shlex.join([str(PYTHON), "-c", COMPOSER, modes])


def got(sandbox: Sandbox) -> list[tuple[float, str]]:
    path = sandbox.path("got")
    whole = path.read_text().rpartition("\n")[0] if path.exists() else ""
    return [tuple(json.loads(line)) for line in whole.splitlines()]


def tty_of(sandbox: Sandbox, job_id: str) -> str:
    return sandbox.ask(job_id, "#{pane_tty}")


def text_of(pieces: list[tuple[float, str]]) -> str:
    return "".join(text for _, text in pieces)


@pytest.fixture(params=["\\x1b[?2004h\\x1b[?1004h", "\\x1b[?2004h\\x1b[?25l", "\\x1b[?2004h\\x1b[?1049h\\x1b[?25l"])
def modes(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.promise("enter-alone")
def test_enter_waits_for_a_program_that_has_not_read_the_text_yet(sandbox: Sandbox) -> None:
    """Gemini, while it starts: it reads what has come meanwhile at once, and takes Enter for a part of a paste."""
    server = sandbox.server()
    busy = COMPOSER.replace("while True", "while not os.path.exists('go'): time.sleep(0.01)\nwhile True", 1)
    words = shlex.join([str(PYTHON), "-c", busy, "\\x1b[?2004h\\x1b[?25l"])
    job_id = server.call("execute", command=words, wait=20, pattern=">")["job_id"]
    typing = server.start("interact", job_id=job_id, input="tell me a bird", pattern="bird", timeout=20)
    wait_until(lambda: unread(tty_of(sandbox, job_id)))
    time.sleep(2 * AFTER_TEXT)  # that Enter does not come has no sign
    sandbox.path("go").touch()
    typing.answer()
    wait_until(lambda: text_of(got(sandbox)) == "tell me a bird\r")
    assert got(sandbox)[-1][1] == "\r" and got(sandbox)[-1][0] >= AFTER_TEXT - 0.03


@pytest.mark.promise("enter-alone")
def test_enter_comes_by_itself_after_a_pause(sandbox: Sandbox, modes: str) -> None:
    server = sandbox.server()
    job_id = server.call("execute", command=composer(modes))["job_id"]
    wait_until(lambda: ">" in server.call("screen", job_id=job_id)["screen"])
    for text, comes, least in (
        ("write a poem", "write a poem\r", 0.12),
        ("two\nlines", "\x1b[200~two\rlines\x1b[201~\r", 0.2),
    ):
        pauses = []
        for _ in range(5):
            sandbox.path("got").unlink(missing_ok=True)
            server.call("interact", job_id=job_id, input=text, timeout=2)
            wait_until(lambda: len(text_of(got(sandbox))) >= len(comes))  # noqa: B023
            assert text_of(got(sandbox)) == comes
            pause, last = got(sandbox)[-1]
            pauses.append(pause if last == "\r" else 0.0)
            if pauses[-1] > least:
                break
        # On a busy machine the program may come late to the text, and then it finds Enter soon behind it, or with it.
        assert max(pauses) > least, pauses
    server.call("kill", job_id=job_id, signal="KILL")


@pytest.mark.promise("enter-alone")
def test_a_program_that_takes_every_key_gets_enter_once_it_has_shown_the_text(sandbox: Sandbox) -> None:
    server = sandbox.server()
    job_id = server.call("execute", command=composer())["job_id"]
    shows(server, job_id, "> ")
    alone = []
    ways: list[list[str]] = [[]] * 5 + [["Enter"]] * 5
    for keys in ways:
        server.call("interact", job_id=job_id, input="some text", keys=keys, enter=not keys, timeout=2)
        wait_until(lambda: text_of(got(sandbox)).endswith("\r"))
        pieces = [text for _, text in got(sandbox)]
        sandbox.path("got").unlink()
        assert "".join(pieces) == "some text\r"
        alone.append(pieces[-1] == "\r")
    # One that has not shown the text after 0.1 s gets Enter all the same: on a busy machine now and then.
    assert any(alone[:5]) and any(alone[5:]), alone
    server.call("kill", job_id=job_id, signal="KILL")


@pytest.mark.promise("enter-alone")
@pytest.mark.promise("interact-one-at-a-time")
def test_nothing_of_another_agents_comes_between_text_and_enter(sandbox: Sandbox) -> None:
    servers = [sandbox.server(), sandbox.server()]
    job_id = servers[0].call("execute", command=composer("\\x1b[?2004h\\x1b[?1004h"))["job_id"]
    shows(servers[0], job_id, "> ")
    threads = [
        threading.Thread(target=server.call, args=["interact"], kwargs={"job_id": job_id, "input": name * 5})
        for server, name in zip(servers * 2, "abcd", strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    wait_until(lambda: text_of(got(sandbox)).count("\r") == 4)
    assert sorted(text_of(got(sandbox)).split("\r")) == ["", "aaaaa", "bbbbb", "ccccc", "ddddd"]
    servers[0].call("kill", job_id=job_id, signal="KILL")


@pytest.mark.promise("enter-alone")
def test_a_person_who_takes_the_keys_between_text_and_enter_keeps_them(sandbox: Sandbox) -> None:
    server = sandbox.server()
    job_id = server.call("execute", command=composer("\\x1b[?2004h\\x1b[?1004h"))["job_id"]
    shows(server, job_id, "> ")
    window, folder = sandbox.window(job_id), sandbox.state / "mcp-jobs" / job_id

    def refusal() -> str:
        """What the agent is told; nothing where the machine was too busy to stop its server within the pause."""
        sandbox.path("got").unlink(missing_ok=True)
        typing = server.start("interact", job_id=job_id, input="half of it")
        wait_until(lambda: "half of it" in text_of(got(sandbox)), every=0.002)
        server.process.send_signal(signal.SIGSTOP)
        # As the key does: the pane first, then the file.
        sandbox.tmux("set-option", "-p", "-t", window, "@mcp_holder", "human")
        set_hold(folder, Hold(since=time.time(), message=""))
        late = "\r" in text_of(got(sandbox))
        server.process.send_signal(signal.SIGCONT)
        try:
            typing.answer()
        except ToolError as error:
            return str(error)
        assert late, "Enter came though a person had the keys"
        set_hold(folder, None)
        sandbox.tmux("set-option", "-p", "-u", "-t", window, "@mcp_holder")
        return ""

    told = wait_until(refusal)
    assert "Enter" in told and "nothing was sent" not in told
    assert text_of(got(sandbox)) == "half of it"


SHELLS = {
    "bash": ("PS1='$ ' bash --norc --noprofile -i", r"printf 'a{}b\n' | od -An -c"),
    "bash without brackets": (
        "INPUTRC=inputrc PS1='$ ' bash --norc --noprofile -i",
        r"printf 'a{}b\n' | od -An -c",
    ),
    "zsh": ("PS1='$ ' zsh -f", r"printf 'a{}b\n' | od -An -c"),
    "python": (f"{PYTHON} -q", "print(list(map(ord, 'a{}b')))"),
    "sqlite3": ("sqlite3", "select hex('a{}b');"),
}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.promise("typed-tab")
def test_a_tab_inside_a_line_arrives(sandbox: Sandbox, shell: str) -> None:
    sandbox.path("inputrc").write_text("set enable-bracketed-paste off\n")
    command, line = SHELLS[shell]
    if shutil.which(shell.split()[0]) is None and shell != "python":
        pytest.skip(f"{shell} is not here")
    server = sandbox.server()
    job_id = server.call("execute", command=command)["job_id"]
    assert server.call("wait", job_ids=[job_id], until="input", timeout=50)["reason"] == "input"
    expected = r"^\W*a\s+\\t\s+b|\[97, 9, 98\]|^610962"
    answer = server.call("interact", job_id=job_id, input=line.format("\t"), pattern=expected, timeout=50)
    assert answer["reason"] == "match", answer["stdout"]
    server.call("kill", job_id=job_id, signal="KILL")


@pytest.mark.promise("wait-pattern")
@pytest.mark.parametrize("shell", ["bash", "bash without brackets", "cat"])
def test_the_echo_of_a_tab_is_no_match(sandbox: Sandbox, shell: str) -> None:
    sandbox.path("inputrc").write_text("set enable-bracketed-paste off\n")
    server = sandbox.server()
    job_id = server.call("execute", command={**SHELLS, "cat": ("cat > /dev/null",)}[shell][0])["job_id"]
    assert server.call("wait", job_ids=[job_id], until="input", timeout=50)["reason"] == "input"
    answer = server.call("interact", job_id=job_id, input=": 'one\ttwo' \x05", pattern="one|two", timeout=1.5)
    assert answer["reason"] != "match", answer
    server.call("kill", job_id=job_id, signal="KILL")


@pytest.mark.skipif(shutil.which("vim") is None, reason="vim is not here")
@pytest.mark.parametrize("vi", ["vim -u NONE", "vim -u NONE --cmd 'set t_BE='", "vim --clean"])
@pytest.mark.promise("lines-as-keys")
def test_several_lines_into_vi_are_keys(sandbox: Sandbox, vi: str) -> None:
    server = sandbox.server()
    job_id = server.call("execute", command=f"{vi} -n text")["job_id"]
    wait_until(lambda: "~" in server.call("screen", job_id=job_id)["screen"])
    server.call("interact", job_id=job_id, input="ifirst\nsecond", enter=False, timeout=3)
    server.call("interact", job_id=job_id, keys=["Escape"], timeout=3)
    server.call("interact", job_id=job_id, input=":wq", timeout=50)
    wait_until(lambda: server.call("status", job_id=job_id)["status"] == "completed")
    assert sandbox.path("text").read_text() == "first\nsecond\n"


@pytest.mark.promise("interact-whole")
def test_a_line_editor_at_its_prompt_answers_at_once(sandbox: Sandbox) -> None:
    """It asks for brackets there, and for nothing that a full-screen program needs: Python's, where it polls."""
    editor = (
        "import os, select, tty\n"
        "tty.setcbreak(0)\n"
        "while True:\n"
        "    os.write(1, b'\\x1b[?2004h$ ')\n"
        "    line = b''\n"
        "    while not line.endswith((b'\\r', b'\\n')):\n"
        "        if select.select([0], [], [], 0.1)[0]:\n"
        "            data = os.read(0, 100)\n"
        "            os.write(1, data)\n"
        "            line += data\n"
        "    os.write(1, b'\\r\\n\\x1b[?2004l\\rdone\\r\\n')\n"
    )
    server = sandbox.server()
    job_id = server.call("execute", command=shlex.join([str(PYTHON), "-c", editor]))["job_id"]
    shows(server, job_id, "$ ")
    took = []
    for number in range(9):
        begun = time.monotonic()
        answer = server.call("interact", job_id=job_id, input=f"line {number}")
        took.append(time.monotonic() - begun)
        assert answer["reason"] == "input" and answer["stdout"].endswith("done\n$ ")
    assert min(took) < 0.4, "time is the promise: what polls otherwise takes 0.4 s each time"
    server.call("kill", job_id=job_id, signal="KILL")
