"""The recipes of `.github/docs/told.md`, as they stand: an agent that ends its turn is told of its jobs that run.

`./.ci/everywhere agents` installs the programs that are no part of ours.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from contextlib import suppress
from pathlib import Path

import pytest

from support.agents import AGENTS, at_hand
from support.model_server import ANSWER, model_server
from support.readme import TOP
from support.sandbox import Sandbox
from support.terminal import PROGRAM
from support.waiting import wait_until

DOCUMENT = (TOP / ".github/docs/told.md").read_text()
STOP, GEMINI, CURSOR = re.findall(r"```json\n(.*?)```", DOCUMENT, re.DOTALL)
[NOTIFY] = re.findall(r"```toml\n(.*?)```", DOCUMENT, re.DOTALL)
EXPORTS, _ = re.findall(r"```sh\n(.*?)```", DOCUMENT, re.DOTALL)
# Where each takes the hook, and how it answers one question and ends.
PLACES = {
    "claude": (".claude/settings.json", STOP, ["-p", "Tell me a bird"]),
    "codex": (
        ".codex/hooks.json",
        STOP,
        ["exec", "--skip-git-repo-check", "--dangerously-bypass-hook-trust", "Tell me a bird"],
    ),
    "gemini": (".gemini/settings.json", GEMINI, ["-p", "Tell me a bird"]),
}


def hook(sandbox: Sandbox, command: str, given: object) -> subprocess.CompletedProcess[str]:
    """Run a hook's command as a client does."""
    words = [*PROGRAM, *command.split()[1:]]
    return subprocess.run(
        words,
        env=sandbox.environment,
        cwd=sandbox.work,
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.promise("stop-hook")
def test_an_agent_is_told_once_of_those_of_its_jobs_that_run(sandbox: Sandbox) -> None:
    command = json.loads(STOP)["hooks"]["Stop"][0]["hooks"][0]["command"]
    assert hook(sandbox, command, {}).returncode == 0
    server = sandbox.server()  # started by this process, as the hook is
    job_id = server.call("execute", command="read -r x", name="build")["job_id"]
    server.call("wait", job_ids=[job_id], until="input")
    server.call("execute", command="true", wait=20)
    assert hook(sandbox, command, {"stop_hook_active": True}).returncode == 0
    told = hook(sandbox, command, {"stop_hook_active": False})
    assert (told.returncode, told.stdout) == (2, ""), told.stderr
    assert told.stderr.startswith(
        "1 of your background jobs still runs: build (" + job_id + ", waits for input: prompt)"
    )
    assert hook(sandbox, command, {}).returncode == 0, "told once"
    more = server.call("execute", command="sleep 99", name="more")["job_id"]
    told = hook(sandbox, json.loads(CURSOR)["hooks"]["stop"][0]["command"], {"status": "completed", "loop_count": 0})
    assert told.returncode == 0 and f"more ({more})" in json.loads(told.stdout)["followup_message"]


@pytest.mark.promise("stop-hook")
@pytest.mark.parametrize("wrapped", [True, False])
def test_it_is_the_agents_own_whatever_starts_its_server_and_no_other_agents(sandbox: Sandbox, wrapped: bool) -> None:
    shell = ["sh", "-c", shlex.join(PROGRAM) + "; exit"]
    agent = [sys.executable, "-c", f"import subprocess; subprocess.call({PROGRAM!r})"]
    server = sandbox.silent_server(program=shell if wrapped else agent).open()
    server.call("execute", command="exec sleep 99")
    assert hook(sandbox, "x stop-hook", {}).returncode == (2 if wrapped else 0)


@pytest.mark.promise("stop-hook")
def test_each_agent_of_a_job_is_told(sandbox: Sandbox) -> None:
    # Another agent: it starts a server, and its hook once it is told to.
    both = (
        "import subprocess, os, time\n"
        f"subprocess.Popen({PROGRAM!r})\n"
        "os.close(0)\n"
        "while not os.path.exists('turn-ends'): time.sleep(0.05)\n"
        f"done = subprocess.run({[*PROGRAM, 'stop-hook']!r}, stdin=subprocess.DEVNULL, stderr=open('said', 'w'))\n"
        "os.rename('said', 'told')"
    )
    server, other = sandbox.server(), sandbox.silent_server(program=[sys.executable, "-c", both]).open()
    job_id = server.call("execute", command="exec sleep 99", name="build")["job_id"]
    other.call("status", job_id=job_id)
    assert hook(sandbox, "x stop-hook", {}).returncode == 2
    sandbox.path("turn-ends").touch()
    wait_until(sandbox.path("told").exists)
    assert job_id in sandbox.path("told").read_text()
    assert hook(sandbox, "x stop-hook", {}).returncode == 0


@pytest.mark.promise("stop-hook")
def test_jobs_of_others_and_bad_settings_hold_nobody_up(sandbox: Sandbox) -> None:
    subprocess.run([*PROGRAM, "run", "sleep 99"], env=sandbox.environment, cwd=sandbox.work, check=True, timeout=60)
    assert hook(sandbox, "x stop-hook", {}).returncode == 0
    sandbox.environment["MCP_BG_MAX_JOBS"] = "many"
    assert hook(sandbox, "x stop-hook", {}).returncode == 1


def run_agent(sandbox: Sandbox, name: str, given: dict[str, str], arguments: list[str]) -> str:
    """Have an agent answer one question, with our program in its PATH; what it said on stderr."""
    path = at_hand(sandbox, name)
    environment = {**sandbox.environment, **given}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    done = subprocess.run(
        [path, *arguments],
        env=environment,
        cwd=sandbox.work,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert ANSWER in done.stdout, done.stderr[-2000:]
    return done.stderr


def end_codex(sandbox: Sandbox) -> None:
    """End the daemon that it leaves."""
    for left in sandbox.processes():
        if "codex" in left.name():
            left.kill()


@pytest.mark.parametrize("name", AGENTS)
@pytest.mark.promise("stop-hook")
def test_an_agent_goes_on_with_what_the_hook_says(sandbox: Sandbox, name: str) -> None:
    at_hand(sandbox, name)
    file, recipe, arguments = PLACES[name]
    with model_server() as model:
        given = AGENTS[name][0](sandbox.home, sandbox.work, f"http://127.0.0.1:{model.server_address[1]}")
        settings = sandbox.home / file
        settings.parent.mkdir(exist_ok=True)
        before = json.loads(settings.read_text()) if settings.exists() else {}
        settings.write_text(json.dumps(before | json.loads(recipe)))
        job_id = sandbox.server().call("execute", command="exec sleep 99", name="build")["job_id"]
        errors = run_agent(sandbox, name, given, arguments)
        asked = [text for text in model.questions if f"build ({job_id})" in text]
        assert asked and "1 of your background jobs still runs" in asked[-1], errors[-2000:]
    end_codex(sandbox)


def waits_for_any(sandbox: Sandbox) -> bool:
    """Whether a `wait --any`, which may have others around it, has found the jobs that run."""
    for one in sandbox.with_words("wait", "--any"):
        with suppress(OSError):  # it may end meanwhile
            if any("inotify" in str(file.readlink()) for file in Path(f"/proc/{one.pid}/fd").iterdir()):
                return True
    return False


def test_after_many_turns_one_process_waits(sandbox: Sandbox) -> None:
    words = tomllib.loads(NOTIFY)["notify"]
    environment = {**sandbox.environment, "PATH": f"{Path(sys.executable).parent}:{sandbox.environment['PATH']}"}
    (sandbox.home / ".codex").mkdir()
    server = sandbox.server()
    job_id = server.call("execute", command="read -r x", name="build")["job_id"]
    turns = [subprocess.Popen([*words, "{}"], env=environment, stdin=subprocess.DEVNULL) for _ in range(3)]
    wait_until(lambda: sum(turn.poll() is None for turn in turns) == 1, what="those that are too many to leave")
    wait_until(lambda: waits_for_any(sandbox))
    server.call("interact", job_id=job_id, input="go")
    for turn in turns:
        turn.wait(60)
    assert len((sandbox.home / ".codex/jobs.txt").read_text().splitlines()) == 1


def test_codex_runs_its_notify_after_a_turn(sandbox: Sandbox) -> None:
    at_hand(sandbox, "codex")
    with model_server() as model:
        given = AGENTS["codex"][0](sandbox.home, sandbox.work, f"http://127.0.0.1:{model.server_address[1]}")
        settings = sandbox.home / ".codex/config.toml"
        settings.write_text(NOTIFY + settings.read_text())
        server = sandbox.server()
        job_id = server.call("execute", command="read -r x", name="build")["job_id"]
        run_agent(sandbox, "codex", given, PLACES["codex"][2])
        wait_until(lambda: waits_for_any(sandbox))
        server.call("interact", job_id=job_id, input="go")
        file = sandbox.home / ".codex/jobs.txt"
        wait_until(lambda: file.exists() and f"{job_id} build: completed" in file.read_text())
    end_codex(sandbox)


@pytest.mark.promise("notify")
@pytest.mark.parametrize("line", EXPORTS.splitlines())
def test_the_recipes_for_notifications_name_the_job_and_its_end(sandbox: Sandbox, line: str) -> None:
    value = subprocess.run(
        ["sh", "-c", f'{line}\nprintf %s "$MCP_BG_NOTIFY"'], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    programs = sandbox.root / "programs"
    programs.mkdir()
    for name in ("notify-send", "curl"):
        (programs / name).write_text('#!/bin/sh\necho "$@" > "$HOME/told"\n')
        (programs / name).chmod(0o755)
    server = sandbox.server(MCP_BG_NOTIFY=value, PATH=f"{programs}:{sandbox.environment['PATH']}")
    server.call("execute", command="exit 3", name="my build", wait=20)
    file = sandbox.home / "told"
    wait_until(lambda: file.exists() and all(word in file.read_text() for word in ("my build", "ended", "failed")))
