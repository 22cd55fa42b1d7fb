"""`wake`: one line into the composer of an agent at rest in a pane of the person's, and into nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mcp_background_job.cli import wake as wake_command
from mcp_background_job.cli.follow import run_to_end
from mcp_background_job.config import BackgroundJobConfig
from mcp_background_job.jobs.events import Event
from mcp_background_job.jobs.manager import JobManager
from mcp_background_job.jobs.wake import RESTED, Waker
from mcp_background_job.tmux.client import TmuxServer
from mcp_background_job.tmux.persons_pane import PersonsPane
from support.person import Person
from support.rpc import Server
from support.sandbox import Sandbox, ended
from support.terminal import answer, cli, start
from support.waiting import wait_until

AGENT = [sys.executable, str(Path(__file__).parents[1] / "support/composer.py")]


class Pane:
    """A pane in a session of the person's own."""

    def __init__(self, sandbox: Sandbox, *program: str) -> None:
        self.sandbox = sandbox
        new = ["new-session", "-d", "-s", "own", "-x", "100", "-y", "20", "-P", "-F", "#{pane_id}"]
        given = [f"{name}={value}" for name, value in sandbox.environment.items()]
        self.id = sandbox.tmux("-f", "/dev/null", *new, "--", "env", *given, *program)

    def screen(self) -> str:
        return self.sandbox.tmux("capture-pane", "-p", "-J", "-S", "-", "-t", self.id)

    def shows(self, text: str) -> None:
        wait_until(lambda: text in self.screen(), what=f"{text!r} on {self.screen()!r}")

    def type(self, text: str) -> None:
        self.sandbox.tmux("send-keys", "-t", self.id, "-l", "--", text)

    def press(self, *keys: str) -> None:
        self.sandbox.tmux("send-keys", "-t", self.id, *keys)

    def got(self) -> list[str]:
        """The lines that the program was sent."""
        return [line.removeprefix("GOT ") for line in self.screen().splitlines() if line.startswith("GOT ")]

    def wake(self, *arguments: str) -> subprocess.Popen[str]:
        """Set the wake-up up; it is ready once it has said so."""
        process = start(self.sandbox, "wake", "--pane", self.id, *arguments)
        assert process.stdout is not None
        assert self.id in process.stdout.readline()
        return process


def leave(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.communicate(timeout=60)


def ending(server: Server, name: str = "build", command: str = "read -r x; exit 1") -> str:
    job_id: str = server.call("execute", command=command, name=name)["job_id"]
    return job_id


def rests() -> None:
    """Let as much time pass as a wake-up would need to type."""
    time.sleep(1.5 * RESTED)  # that nothing is typed has no sign to wait for


@pytest.mark.promise("wake")
def test_an_agent_at_rest_is_told_of_an_end_once(sandbox: Sandbox) -> None:
    server = sandbox.server()
    job_id = ending(server, "build @file $(touch x)")
    pane = Pane(sandbox, *AGENT)
    pane.shows("❯")
    process = pane.wake("--on", "end", job_id)
    server.call("interact", job_id=job_id, input="go")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "", "")
    pane.shows("GOT")
    assert pane.got() == [f"Job build file (touch x) ({job_id}) failed, exit 1.."]


@pytest.mark.promise("wake")
def test_it_waits_while_the_agent_works_and_tells_all_in_one_line(sandbox: Sandbox) -> None:
    server = sandbox.server()
    first, second = ending(server, "first"), ending(server, "second", "read -r x; kill -9 $$")
    pane = Pane(sandbox, *AGENT)
    pane.shows("❯")
    process = pane.wake("--on", "end")
    pane.type("busy")
    pane.press("Enter")
    for job_id in (first, second):
        answer(sandbox, "send", job_id, "go")
        ended(server, job_id)
    pane.shows("working 59")
    pane.shows("GOT Job")
    assert pane.got() == ["busy.", f"Job first ({first}) failed, exit 1. Job second ({second}) failed, signal KILL.."]
    asks = ending(server, "asks", "read -r x")
    rests()
    assert len(pane.got()) == 2, "only ends are asked for"
    leave(process)
    server.call("kill", job_id=asks)


@pytest.mark.promise("wake")
def test_a_job_that_ends_as_soon_as_it_is_started_is_told_and_none_that_had_ended_before(sandbox: Sandbox) -> None:
    server = sandbox.server()
    pane = Pane(sandbox, *AGENT)
    pane.shows("❯")
    told: list[str] = []
    for code in (1, 2):
        process = pane.wake("--on", "end")
        told.append(f"Job short ({ending(server, 'short', f'exit {code}')}) failed, exit {code}..")
        pane.shows(told[-1])
        leave(process)
    assert pane.got() == told


@pytest.mark.promise("wake-guard")
def test_nothing_is_typed_into_a_half_typed_line_a_mode_or_a_shell(sandbox: Sandbox) -> None:
    server = sandbox.server()
    pane = Pane(sandbox, "/bin/bash", "--norc", "--noprofile")
    pane.type("PS1='❯ '; echo re''ady")
    pane.press("Enter")
    pane.shows("ready")
    process = pane.wake()
    job_id = ending(server, "asks", "read -r x")
    server.call("wait", job_ids=[job_id], until="input")
    rests()
    assert "Job" not in pane.screen(), "a shell"
    pane.type("clear; " + " ".join(AGENT))
    pane.press("Enter")
    wait_until(lambda: pane.screen().strip() == "❯")
    pane.type("half")
    rests()
    pane.shows("❯ half")
    assert "Job" not in pane.screen(), "a half-typed line"
    pane.press("C-u")
    sandbox.tmux("copy-mode", "-t", pane.id)
    rests()
    assert "Job" not in pane.screen(), "copy mode"
    sandbox.tmux("send-keys", "-t", pane.id, "-X", "cancel")
    pane.shows(f"GOT Job asks ({job_id}) waits for input (prompt).")
    assert len(pane.got()) == 1
    pane.type("quit")
    pane.press("Enter")
    assert process.wait(60) == 0, "the agent's program has ended"
    process.communicate()


@pytest.mark.promise("wake-guard")
def test_nobody_is_typed_over_and_nothing_reaches_another_process_in_the_pane(sandbox: Sandbox) -> None:
    server = sandbox.server()
    pane = Pane(sandbox, *AGENT)
    person = Person(sandbox, "tmux attach -t own")
    person.sees("❯")
    process = pane.wake("--on", "end")
    job_id = ending(server)
    answer(sandbox, "send", job_id, "go")
    ended(server, job_id)
    until = time.monotonic() + 2 * RESTED
    while time.monotonic() < until:  # keys that change nothing on the screen
        person.press("C-u")
        time.sleep(0.5)
    assert pane.got() == []
    sandbox.tmux("respawn-pane", "-k", "-t", pane.id, "--", *AGENT)
    assert process.wait(60) == 0
    process.communicate()
    assert pane.got() == []
    person.close()


@pytest.mark.promise("wake")
def test_what_the_agents_own_server_has_told_is_not_told_again(sandbox: Sandbox) -> None:
    knows, other = sandbox.server(), sandbox.server()
    job_id = ending(knows, command="exit 1")
    ended(knows, job_id)
    untold = ending(other, command="sleep 0.2; exit 1")
    manager = JobManager(BackgroundJobConfig(state_dir=sandbox.state))
    server = TmuxServer(socket=str(next(sandbox.sockets.rglob("default"))))
    # Both servers were started by this process, as an agent's are by the agent in its pane.
    here = Waker(manager.view, PersonsPane(server, "%0", os.getpid(), 0))
    elsewhere = Waker(manager.view, PersonsPane(server, "%0", knows.process.pid, 0))

    def event(of: str) -> Event:
        return Event(manager.view.job(of), "ended", 0)

    wait_until(lambda: answer(sandbox, "status", untold)["status"] == "failed")
    assert not here.is_news(event(job_id)) and here.is_news(event(untold)) and elsewhere.is_news(event(job_id))


@pytest.mark.promise("wake")
def test_what_can_not_be_told_rings_a_bell(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    server = sandbox.server()
    pane = Pane(sandbox, *AGENT)
    pane.shows("❯")
    sandbox.tmux("new-window", "-t", "own:", "--", "sleep", "99")
    pane.type("half")
    pane.shows("❯ half")
    job_id = ending(server, command="exit 1")
    ended(server, job_id)
    monkeypatch.setattr(wake_command, "GIVE_UP", 1.0)
    found = PersonsPane.find(TmuxServer(socket=sandbox.tmux("display-message", "-p", "#{socket_path}")), pane.id)
    manager = JobManager(BackgroundJobConfig(state_dir=sandbox.state))
    run_to_end(lambda: wake_command.Wake(manager, found, {"ended"}, {job_id}).run())
    assert sandbox.tmux("display-message", "-p", "-t", pane.id, "#{window_bell_flag}") == "1"
    assert "Job" not in pane.screen()


def test_a_pane_that_is_none_is_refused(sandbox: Sandbox) -> None:
    assert "--pane" in cli(sandbox, "wake", status=2).stderr
    assert "%3" in cli(sandbox, "wake", "--pane", "x", status=1).stderr
    assert cli(sandbox, "wake", "--on", "handback", status=2).stderr
