"""MCP_BG_NOTIFY: the person's command is run once for each event, whatever becomes of the servers."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import psutil
import pytest

from support.rpc import Server
from support.sandbox import SESSION, Sandbox, ended, words_of
from support.terminal import answer
from support.waiting import wait_until

NOTE = (
    'printf "%s %s %s %s %s\\n" "$MCP_BG_EVENT" "$MCP_BG_JOB_ID" "$MCP_BG_STATUS" "${MCP_BG_EXIT_CODE-none}" '
    '"$MCP_BG_JOB_NAME" >> "$HOME/FILE"'
)


def noting(file: str = "told") -> str:
    """A command that adds a line to a file in HOME for each event."""
    return NOTE.replace("FILE", file)


def told(sandbox: Sandbox, file: str = "told") -> list[str]:
    path = sandbox.home / file
    return path.read_text().splitlines() if path.exists() else []


def is_told(sandbox: Sandbox, *lines: str, file: str = "told") -> None:
    """Wait until exactly these lines have been written."""
    wait_until(lambda: told(sandbox, file) == list(lines), what=f"{lines} told, not {told(sandbox, file)}")


def begin(server: Server, command: str, name: str = "a job") -> str:
    job_id: str = server.call("execute", command=command, name=name)["job_id"]
    return job_id


@pytest.mark.promise("notify")
def test_each_event_is_told_once_whatever_the_number_of_servers(sandbox: Sandbox) -> None:
    first, second = (sandbox.server(MCP_BG_NOTIFY=noting()) for _ in range(2))
    job_id = begin(first, "read -r x; exit 3", "$(touch here) `ls`")
    name = "$(touch here) `ls`"
    lines = [f"input {job_id} running none {name}"]
    is_told(sandbox, *lines)
    first.call("handoff", job_id=job_id, message="please answer")
    lines.append(f"handoff {job_id} running none {name}")
    is_told(sandbox, *lines)
    answer(sandbox, "give", job_id)
    lines.append(f"handback {job_id} running none {name}")
    is_told(sandbox, *lines)
    second.call("interact", job_id=job_id, input="go")
    lines.append(f"ended {job_id} failed 3 {name}")
    is_told(sandbox, *lines)
    killed = begin(second, "exec sleep 99")
    second.call("kill", job_id=killed)
    is_told(sandbox, *lines, f"ended {killed} killed none a job")


@pytest.mark.promise("notify")
def test_an_end_is_told_once_though_server_and_notifier_were_killed(sandbox: Sandbox) -> None:
    server = sandbox.server(MCP_BG_NOTIFY=noting())
    before, after = begin(server, "read -r x", "before"), begin(server, "read -r x", "after")
    asked = {f"input {before} running none before", f"input {after} running none after"}
    wait_until(lambda: set(told(sandbox)) == asked)
    server.process.kill()
    answer(sandbox, "send", before, "go")
    wait_until(lambda: set(told(sandbox)) == asked | {f"ended {before} completed 0 before"})
    [notifier] = notifiers(sandbox)
    notifier.kill()
    answer(sandbox, "send", after, "go")
    wait_until(lambda: answer(sandbox, "status", after)["status"] == "completed")
    sandbox.server(MCP_BG_NOTIFY=noting())
    expected = asked | {f"ended {job} completed 0 {name}" for job, name in ((before, "before"), (after, "after"))}
    wait_until(lambda: set(told(sandbox)) == expected, what="the end that nobody has told")
    assert len(told(sandbox)) == 4
    wait_until(lambda: not notifiers(sandbox), what="the notifier to leave")
    assert len(told(sandbox)) == 4


@pytest.mark.promise("notify")
def test_a_living_server_has_a_killed_notifier_followed_by_another(sandbox: Sandbox) -> None:
    server = sandbox.server(MCP_BG_NOTIFY=noting(), MCP_BG_CLEANUP_INTERVAL="10")  # it tidies each 2.5 seconds
    job_id = begin(server, "until test -e go; do sleep 0.1; done; exit 3")
    [notifier] = wait_until(lambda: notifiers(sandbox))
    notifier.kill()
    sandbox.path("go").touch()
    is_told(sandbox, f"ended {job_id} failed 3 a job")
    wait_until(lambda: not notifiers(sandbox), what="the notifier to leave")


def notifiers(sandbox: Sandbox) -> list[psutil.Process]:
    return [one for one in sandbox.processes() if "mcp_background_job.jobs.notifier" in words_of(one)]


@pytest.mark.promise("notify")
def test_a_dialogue_of_an_agent_and_a_repl_call_nobody(sandbox: Sandbox) -> None:
    server = sandbox.server(MCP_BG_NOTIFY=noting())
    repl = begin(server, "exec bash --norc -i", "repl")
    server.call("wait", job_ids=[repl], until="input")
    asks = begin(server, "read -r a; read -r b; read -rs c", "asks")
    first = f"input {asks} running none asks"
    is_told(sandbox, first)
    server.call("interact", job_id=asks, input="one")
    server.call("interact", job_id=asks, input="two")
    is_told(sandbox, first, first)  # a password is a person's
    server.call("kill", job_id=repl)
    is_told(sandbox, first, first, f"ended {repl} killed none repl")


@pytest.mark.promise("notify")
def test_a_new_value_takes_the_place_of_the_old_one_while_jobs_run(sandbox: Sandbox) -> None:
    server = sandbox.server(MCP_BG_NOTIFY=noting("old"))
    job_id = begin(server, "read -r x")
    is_told(sandbox, f"input {job_id} running none a job", file="old")
    sandbox.server(MCP_BG_NOTIFY=noting("new"))
    wait_until(lambda: [one.environ()["MCP_BG_NOTIFY"] for one in notifiers(sandbox)] == [noting("new")])
    server.call("interact", job_id=job_id, input="go")
    is_told(sandbox, f"ended {job_id} completed 0 a job", file="new")
    assert len(told(sandbox, "old")) == 1


@pytest.mark.promise("notify-private")
def test_the_command_is_in_no_job_on_no_disk_and_on_no_command_line(sandbox: Sandbox) -> None:
    secret = "https://example.org/secret-hook"
    server = sandbox.server(MCP_BG_NOTIFY=f"{noting()}; : {secret}")
    job_id = begin(server, "env; read -r x")
    is_told(sandbox, f"input {job_id} running none a job")
    assert secret not in server.call("output", job_id=job_id)["stdout"]
    assert not [path for path, data in sandbox.stored_bytes() if secret.encode() in data]
    assert not [words for one in sandbox.processes() if secret in " ".join(words := words_of(one))]
    server.call("execute", command="true", env={"MCP_BG_NOTIFY": "touch $HOME/agents"}, wait=20)
    server.call("interact", job_id=job_id, input="go")
    ended(server, job_id)
    wait_until(lambda: len(told(sandbox)) == 3)
    assert not (sandbox.home / "agents").exists()


@pytest.mark.promise("notify")
def test_a_command_that_fails_is_told_by_doctor_and_holds_nobody_up(sandbox: Sandbox) -> None:
    server = sandbox.server(MCP_BG_NOTIFY="echo noise; exit 9")
    assert server.call("execute", command="true", wait=20)["status"] == "completed"
    failed = sandbox.state / SESSION / ".notifier-failed"
    wait_until(failed.exists)
    said = partial(answer, sandbox, "doctor", status=1, MCP_BG_NOTIFY="echo noise; exit 9")
    [finding] = [one for one in said()["findings"] if one["check"] == "MCP_BG_NOTIFY"]
    assert finding["level"] == "wrong" and "exit code 9" in finding["text"], json.dumps(finding)


def test_without_a_command_there_is_no_process_and_no_file(sandbox: Sandbox) -> None:
    server = sandbox.server()
    job_id = server.call("execute", command="true", wait=20)["job_id"]
    folder: Path = sandbox.state / SESSION
    assert not (folder / ".notifier").exists() and not (folder / job_id / "notified").exists()
    assert not notifiers(sandbox)
