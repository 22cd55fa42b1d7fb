"""`wake` with the real programs: Claude Code, Codex and Gemini CLI are told in their own composers.

`./.ci/everywhere agents` installs the programs and runs this.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from mcp_background_job.jobs.typing import AFTER_TEXT
from mcp_background_job.jobs.wake import RESTED
from support.agents import AGENTS, at_hand
from support.model_server import ANSWER, model_server
from support.sandbox import Sandbox, ended, words_of
from support.terminal import answer, start
from support.waiting import wait_until

MENU = "/model"


def rests() -> None:
    """Let as much time pass as a wake-up would need to type."""
    time.sleep(1.5 * RESTED)  # that nothing is typed has no sign to wait for


@pytest.fixture
def agents(sandbox: Sandbox) -> Iterator[Sandbox]:
    """A world in which agents outlive their terminal: Codex's daemon, and Gemini."""
    yield sandbox
    for left in sandbox.processes():
        if any(name in " ".join(words_of(left)) for name in ("codex", "gemini")):
            left.kill()


@pytest.mark.parametrize("name", AGENTS)
@pytest.mark.promise("wake", "wake-guard")
def test_an_agent_is_told_once_its_composer_is_empty(agents: Sandbox, name: str) -> None:
    sandbox, path = agents, at_hand(agents, name)
    prepare, ready, leave = AGENTS[name]
    with model_server() as model:
        given = {
            **sandbox.environment,
            "TERM": "xterm-256color",
            **prepare(sandbox.home, sandbox.work, f"http://127.0.0.1:{model.server_address[1]}"),
        }
        new = ["new-session", "-d", "-s", "own", "-x", "120", "-y", "40", "-c", str(sandbox.work)]
        words = [f"{key}={value}" for key, value in given.items()]
        pane = sandbox.tmux("-f", "/dev/null", *new, "-P", "-F", "#{pane_id}", "--", "env", *words, path)

        def screen() -> str:
            return sandbox.tmux("capture-pane", "-p", "-J", "-t", pane)

        def enter(text: str) -> None:
            """Type a line and send it, as late as a person would."""
            sandbox.tmux("send-keys", "-t", pane, "-l", text)
            wait_until(lambda: re.search(rf"[❯›>]\s{text}", screen()), what=f"{text} in {screen()}")
            time.sleep(AFTER_TEXT)  # there is no sign of when it is no paste any more
            sandbox.tmux("send-keys", "-t", pane, "Enter")

        wait_until(lambda: re.search(ready, screen()), what=f"{name} to start: {screen()}")
        server = sandbox.server()
        job_id = server.call("execute", command="read -r x; exit 1", name="build")["job_id"]
        process = start(sandbox, "wake", "--pane", pane, "--on", "end", job_id)
        said = f"Job build ({job_id}) failed, exit 1."

        # In a menu of the program, then in a line that is half typed.
        enter(MENU)
        wait_until(lambda: re.search("(?i)select model", screen()), what=f"the menu: {screen()}")
        answer(sandbox, "send", job_id, "go")
        ended(server, job_id)
        rests()
        assert "Job build" not in screen() and ANSWER not in screen()
        sandbox.tmux("send-keys", "-t", pane, "Escape")
        wait_until(lambda: not re.search("(?i)select model", screen()), what=f"the menu to close: {screen()}")
        sandbox.tmux("send-keys", "-t", pane, "-l", "hello half")
        wait_until(lambda: "hello half" in screen())
        rests()
        assert "Job build" not in screen() and ANSWER not in screen()

        sandbox.tmux("send-keys", "-t", pane, "C-u")
        wait_until(lambda: said in screen() and ANSWER in screen(), what=f"the line and its answer: {screen()}")
        assert process.wait(60) == 0
        process.communicate()
        assert screen().count(said) == 1 or name == "codex"  # which shows it in its status line, too
        enter(leave)
        wait_until(lambda: pane not in sandbox.tmux("list-panes", "-a", "-F", "#{pane_id}", check=False))
