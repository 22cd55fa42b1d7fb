"""Six agents' own programs with our server: each runs a command, waits, sees an error, and gets a hand-off answered.

Their models are ours (model_server.py): they call our tools by the names that the client gives them, and tell what the
client passed on. `./.ci/everywhere agents` installs the programs and runs this.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from mcp_background_job.server.elicitation import READING
from support.agents import ASKED, ERRANDS, at_hand, set_up
from support.model_protocols import Result
from support.model_server import ANSWER, ModelServer, Step, model_server
from support.sandbox import Sandbox
from support.terminal import answer, cli
from support.waiting import wait_until

pytestmark = [
    pytest.mark.skipif(ASKED not in os.environ, reason="./.ci/everywhere agents runs it"),
    pytest.mark.promise("agents"),
]
TELLS_ERRORS = {"claude", "gemini"}  # by more than the text


def told(result: Result) -> dict[str, Any]:
    """The answer of our tool in what the client made of it."""
    found = re.search(r"\{.*\}", result.text, re.DOTALL)
    assert found, result
    answered: dict[str, Any] = json.loads(found[0])
    return answered


def job_of(results: Sequence[Result]) -> str:
    job_id: str = told(results[0])["job_id"]
    return job_id


@pytest.fixture
def leaving(sandbox: Sandbox) -> Iterator[Sandbox]:
    """A world in which agents leave processes behind: Codex and opencode have daemons."""
    yield sandbox
    for left in sandbox.processes():
        if any(name in left.name() for name in ("codex", "opencode")):
            left.kill()


@contextmanager
def at_work(sandbox: Sandbox, name: str, *script: Step) -> Iterator[ModelServer]:
    """An agent that does an errand, and ends by itself with the model's last word."""
    program = at_hand(sandbox, name)
    with model_server(*script) as model:
        log = sandbox.root / "agent.log"
        with log.open("w") as out:
            process = subprocess.Popen(
                [program, *ERRANDS[name]],
                env=set_up(sandbox, name, model.url),
                cwd=sandbox.work,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        try:
            yield model
            assert process.wait(120) == 0
            assert ANSWER in log.read_text() and len(model.results) == len(script)
        except BaseException as error:
            error.add_note(log.read_text()[-2000:])
            raise
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize("name", ERRANDS)
def test_it_runs_a_command_and_waits_for_its_end(leaving: Sandbox, name: str) -> None:
    with at_work(leaving, name, ("execute", lambda _: {"command": "echo $((6 * 7)); exit 3", "wait": 50})) as model:
        pass
    told_so = told(model.results[0])
    assert (told_so["stdout"], told_so["status"], told_so["exit_code"]) == ("42\n", "failed", 3)


@pytest.mark.parametrize("name", ERRANDS)
def test_it_waits_for_a_job_that_runs(leaving: Sandbox, name: str) -> None:
    script: list[Step] = [
        ("execute", lambda _: {"command": "read -r x; echo got $x"}),
        ("wait", lambda results: {"job_ids": [job_of(results)], "timeout": 50}),
    ]
    with at_work(leaving, name, *script) as model:
        wait_until(lambda: model.results)
        cli(leaving, "send", job_of(model.results), "mail")
    told_so = told(model.results[1])
    assert (told_so["reason"], told_so["exit_code"]) == ("exit", 0) and "got mail\n" in told_so["stdout"]


@pytest.mark.parametrize("name", ERRANDS)
def test_an_error_arrives_as_an_error_with_its_text(leaving: Sandbox, name: str) -> None:
    with at_work(leaving, name, ("status", lambda _: {"job_id": "nosuch"})) as model:
        pass
    [result] = model.results
    assert "Job 'nosuch' not found. Call list to see the jobs." in result.text
    assert result.error is (True if name in TELLS_ERRORS else None)


HAND_OFF: list[Step] = [
    ("execute", lambda _: {"command": "read -r x; echo got $x"}),
    ("handoff", lambda results: {"job_id": job_of(results), "message": "Please type the password"}),
    ("wait", lambda results: {"job_ids": [job_of(results)], "until": "handback", "timeout": 50}),
]


@pytest.mark.parametrize("name", ERRANDS)
def test_a_person_hands_back_and_it_goes_on(leaving: Sandbox, name: str) -> None:
    with at_work(leaving, name, *HAND_OFF) as model:
        wait_until(lambda: len(model.results) == 2)
        job_id = job_of(model.results)
        assert answer(leaving, "status", job_id)["holder"] == "human"
        cli(leaving, "give", job_id)
    assert told(model.results[1])["holder"] == "human"
    handed_back = told(model.results[2])
    assert handed_back["reason"] == "handback" and "declined" not in handed_back


# The others that show forms, Claude Code and Copilot, speak 2026-07-28 with us, which has none beside an answer.
def test_a_person_answers_codex_form(leaving: Sandbox) -> None:
    program = at_hand(leaving, "codex")
    with model_server(*HAND_OFF) as model:
        given = {**set_up(leaving, "codex", model.url), "TERM": "xterm-256color"}
        words = [f"{key}={value}" for key, value in given.items()]
        asks = [
            "-c",
            "mcp_servers.jobs.required=true",
            "-a",
            "on-request",
            "-c",
            'mcp_servers.jobs.default_tools_approval_mode="approve"',
            "go",
        ]
        new = ["new-session", "-d", "-s", "own", "-x", "120", "-y", "40", "-c", str(leaving.work), "-P", "-F"]
        pane = leaving.tmux("-f", "/dev/null", *new, "#{pane_id}", "--", "env", *words, program, *asks)

        def screen() -> str:
            return leaving.tmux("capture-pane", "-p", "-J", "-t", pane)

        wait_until(lambda: "Done: hand the keys back" in screen(), what=f"the form: {screen()}")
        assert "Please type the password" in screen()
        assert answer(leaving, "status", job_of(model.results))["holder"] == "human"
        time.sleep(1.5 * READING)  # what a person takes to read, which has no other sign
        leaving.tmux("send-keys", "-t", pane, "Enter")  # its first choice: True
        wait_until(lambda: ANSWER in screen(), what=f"the end of the wait: {screen()}")
    assert told(model.results[2])["reason"] == "handback"
