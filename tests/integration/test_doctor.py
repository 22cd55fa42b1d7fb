"""`doctor` finds what is wrong, says what to do, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import threading
from typing import Any

import pytest

from support.person import Person
from support.rpc import Server
from support.sandbox import SESSION, Sandbox, run_job, shows
from support.terminal import answer, cli
from support.waiting import wait_until


def findings(sandbox: Sandbox, *, healthy: bool, **environment: str) -> list[dict[str, Any]]:
    found = answer(sandbox, "doctor", status=0 if healthy else 1, **environment)
    assert found["healthy"] is healthy
    assert all(finding["remedy"] for finding in found["findings"] if finding["level"] == "wrong")
    listed: list[dict[str, Any]] = found["findings"]
    return listed


def wrong(found: list[dict[str, Any]]) -> dict[str, Any]:
    [one] = [finding for finding in found if finding["level"] == "wrong"]
    return one


@pytest.mark.promise("cli-doctor")
def test_a_healthy_machine_is_healthy_and_nothing_is_left(sandbox: Sandbox) -> None:
    shown = cli(sandbox, "doctor").stdout
    assert "✓ round trip" in shown and "Nothing is wrong." in shown
    assert not sandbox.state.exists()
    assert sandbox.tmux("list-sessions", check=False) == ""
    # The log writers see the end of their windows a moment later.
    wait_until(lambda: not sandbox.processes())


@pytest.mark.promise("cli-doctor")
def test_running_jobs_are_left_alone(server: Server, cleared: Sandbox) -> None:
    job_id = server.call("execute", command="echo up; cat")["job_id"]
    shows(server, job_id, "up")
    before = sorted(path.name for path in cleared.state.iterdir())
    found = findings(cleared, healthy=True)
    assert any("1 running" in finding["text"] for finding in found)
    assert server.call("status", job_id=job_id)["status"] == "running"
    assert sorted(path.name for path in cleared.state.iterdir()) == before
    assert cleared.tmux("list-sessions", "-F", "#{session_name}") == SESSION
    assert cleared.records() == {job_id}


def test_the_round_trip_works_under_any_setting(sandbox: Sandbox) -> None:
    findings(
        sandbox,
        healthy=True,
        MCP_BG_ALLOWED_COMMANDS="^npm ",
        MCP_BG_JOB_TIMEOUT="1",
        MCP_BG_MAX_JOBS="1",
        MCP_BG_SESSION="x" * 64,
        MCP_BG_TMUX_SOCKET="apart",
        MCP_BG_MAX_OUTPUT_SIZE="1024",
    )


@pytest.mark.promise("cli-doctor")
def test_missing_tmux_comes_with_what_to_install(sandbox: Sandbox) -> None:
    folder = sandbox.root / "bin"
    folder.mkdir()
    for program in ("sh", "bash", "env", "uname"):
        found = shutil.which(program)
        assert found is not None
        (folder / program).symlink_to(found)
    bad = [finding for finding in findings(sandbox, healthy=False, PATH=str(folder)) if finding["level"] == "wrong"]
    assert bad[0]["text"] == "tmux is not installed" and "install" in bad[0]["remedy"].lower()
    assert "Traceback" not in cli(sandbox, "doctor", status=1, PATH=str(folder)).stdout


def test_a_bad_setting_and_a_misspelt_one_are_named(sandbox: Sandbox) -> None:
    bad = wrong(findings(sandbox, healthy=False, MCP_BG_MAX_JOBS="none"))
    assert "MCP_BG_MAX_JOBS='none'" in bad["text"] and "1 to 1000" in bad["remedy"]
    [note] = [f for f in findings(sandbox, healthy=True, MCP_BG_MAXJOBS="3") if "MAXJOBS" in f["text"]]
    assert note["remedy"] == "Did you mean MCP_BG_MAX_JOBS?"
    secret = cli(sandbox, "doctor", status=1, MCP_BG_HTTP_TOKEN="short")
    assert "short" not in secret.stdout + secret.stderr


@pytest.mark.parametrize("fault", ["mode", "link", "file", "readonly"])
@pytest.mark.promise("cli-doctor")
def test_a_state_folder_that_can_not_be_used_is_wrong(sandbox: Sandbox, fault: str) -> None:
    folder = sandbox.state / SESSION
    folder.mkdir(parents=True, mode=0o700)
    if fault == "mode":
        folder.chmod(0o755)
    elif fault == "link":
        folder.rmdir()
        (sandbox.root / "elsewhere").mkdir()
        folder.symlink_to(sandbox.root / "elsewhere")
    elif fault == "file":
        folder.rmdir()
        sandbox.state.rmdir()
        sandbox.state.write_text("")
    else:
        if os.getuid() == 0:
            pytest.skip("root writes everywhere")
        sandbox.state.chmod(0o500)
    bad = [finding for finding in findings(sandbox, healthy=False) if finding["level"] == "wrong"]
    assert any("state" in finding["check"] or str(sandbox.state) in finding["text"] for finding in bad)
    if fault == "readonly":
        sandbox.state.chmod(0o700)


@pytest.mark.promise("cli-doctor")
def test_a_job_without_its_log_writer_is_found(server: Server, cleared: Sandbox) -> None:
    job_id = server.call("execute", command="echo up; cat", name="mute")["job_id"]
    shows(server, job_id, "up")
    # Its supervisor would start another at once, so doctor is told by its tmux that there is none.
    real = shutil.which("tmux")
    fake = cleared.root / "bin/tmux"
    fake.parent.mkdir()
    fake.write_text(
        f'#!/bin/sh\ncase "$*" in *pane_pipe*) {real} "$@" | sed \'s/ 1$/ 0/\';; *) exec {real} "$@";; esac\n'
    )
    fake.chmod(0o755)
    bad = wrong(findings(cleared, healthy=False, PATH=f"{fake.parent}:{cleared.environment['PATH']}"))
    assert bad["text"] == f"{job_id} mute has lost its log writer"


def test_options_that_would_end_the_session_are_found(server: Server, cleared: Sandbox) -> None:
    shows(server, server.call("execute", command="echo up; cat")["job_id"], "up")
    cleared.tmux("set-option", "-t", f"={SESSION}:", "destroy-unattached", "keep-last", check=False)
    cleared.tmux("set-option", "-u", "-t", f"={SESSION}:", "destroy-unattached")
    bad = wrong(findings(cleared, healthy=False))
    assert bad["remedy"].startswith("tmux set-option") and "destroy-unattached off" in bad["remedy"]
    cleared.tmux(*bad["remedy"].split()[1:])
    findings(cleared, healthy=True)


def test_an_environment_that_has_changed_is_noted(server: Server, cleared: Sandbox) -> None:
    shows(server, server.call("execute", command="echo up; cat")["job_id"], "up")
    cleared.tmux("set-environment", "-g", "SSH_AUTH_SOCK", str(cleared.root / "gone"))
    cleared.tmux("set-environment", "-g", "MY_API_KEY", "x")
    notes = [finding for finding in findings(cleared, healthy=True) if finding["check"] == "environment"]
    assert "SSH_AUTH_SOCK" in notes[0]["text"] and "MY_API_KEY" in notes[1]["text"]
    assert all(note["level"] == "note" and "tmux set-environment" in note["remedy"] for note in notes)
    for name in ("SSH_AUTH_SOCK", "MY_API_KEY"):
        cleared.tmux("set-environment", "-gu", name)


def note(found: list[dict[str, Any]], check: str) -> dict[str, Any]:
    [one] = [finding for finding in found if finding["level"] == "note" and finding["check"] == check]
    assert one["remedy"]
    return one


def test_a_tmux_server_that_can_not_be_reached_is_found(sandbox: Sandbox) -> None:
    folder = sandbox.sockets / f"tmux-{os.getuid()}"
    folder.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "default"))
        listener.listen()
        threading.Thread(target=hang_up_on_all, args=[listener], daemon=True).start()
        [one] = [finding for finding in findings(sandbox, healthy=False) if finding["check"] == "tmux server"]
        listener.shutdown(socket.SHUT_RDWR)
    assert one["level"] == "wrong" and "can't be reached" in one["text"]


def hang_up_on_all(listener: socket.socket) -> None:
    """As something does that has the socket and isn't tmux."""
    with contextlib.suppress(OSError):
        while True:
            listener.accept()[0].close()


def test_a_tmux_server_of_another_version_is_noted(sandbox: Sandbox) -> None:
    sandbox.tmux("new-session", "-d", "-s", "mine")
    real = shutil.which("tmux")
    newer = sandbox.root / "bin/tmux"
    newer.parent.mkdir()
    newer.write_text(f'#!/bin/sh\n[ "$*" = -V ] && {{ echo tmux 3.99; exit; }}\nexec {real} "$@"\n')
    newer.chmod(0o755)
    found = findings(sandbox, healthy=True, PATH=f"{newer.parent}:{sandbox.environment['PATH']}")
    assert "the program is tmux 3.99" in note(found, "tmux server")["text"]


def test_a_session_of_that_name_that_is_somebody_elses_is_noted(sandbox: Sandbox) -> None:
    sandbox.tmux("new-session", "-d", "-s", SESSION)
    assert "not made by this program" in note(findings(sandbox, healthy=True), "session")["text"]
    job = sandbox.server().call("execute", command="true", wait=50)
    assert job["exit_code"] == 0
    assert not [finding for finding in findings(sandbox, healthy=True) if finding["level"] == "note"]


def test_a_tmux_server_that_would_end_with_its_last_client_is_found(server: Server, cleared: Sandbox) -> None:
    shows(server, server.call("execute", command="echo up; cat")["job_id"], "up")
    person = Person(cleared)  # with nobody attached tmux would be gone at once
    try:
        person.sees("1:")
        cleared.tmux("set-option", "-s", "exit-unattached", "on")
        bad = wrong(findings(cleared, healthy=False))
        assert "would end with all jobs" in bad["text"]
        cleared.tmux(*bad["remedy"].split()[1:])
        findings(cleared, healthy=True)
    finally:
        person.close()


def test_a_full_session_is_noted(server: Server, cleared: Sandbox) -> None:
    shows(server, server.call("execute", command="echo up; cat")["job_id"], "up")
    found = note(findings(cleared, healthy=True, MCP_BG_MAX_JOBS="1"), "jobs")
    assert found["text"].startswith("1 running of at most 1") and "MCP_BG_MAX_JOBS" in found["remedy"]


def test_a_record_that_can_not_be_read_is_noted_and_its_remedy_works(server: Server, cleared: Sandbox) -> None:
    job_id = run_job(server, "true")["job_id"]
    (cleared.state / SESSION / job_id / "job.json").write_text("{")
    found = note(findings(cleared, healthy=True), "jobs")
    assert job_id in found["text"] and str(cleared.state / SESSION) in found["remedy"]
    shutil.rmtree(cleared.state / SESSION / job_id)
    assert not [finding for finding in findings(cleared, healthy=True) if finding["level"] == "note"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away, or mount a small disk")
def test_a_state_folder_of_another_user_and_a_full_disk_are_found(sandbox: Sandbox) -> None:
    sandbox.state.mkdir(mode=0o700)
    os.chown(sandbox.state, 12345, -1)
    found = [one for one in findings(sandbox, healthy=False) if one["check"] == "state folder"]
    assert found[0]["level"] == "wrong" and "belongs to user 12345" in found[0]["text"]
    os.chown(sandbox.state, 0, -1)
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m,mode=700", "none", str(sandbox.state)]
    if subprocess.run(mount, capture_output=True, timeout=120).returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        [full] = [one for one in findings(sandbox, healthy=False) if one["check"] == "disk"]
        assert full["level"] == "wrong" and "clean --all" in full["remedy"]
    finally:
        subprocess.run(["umount", "-l", str(sandbox.state)], check=True, timeout=120)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('set-option -t "$MCP_BG_TARGET" no-such-option on', "no-such-option"),
        ("no-such-command", "line 2: unknown command: no-such-command"),
    ],
)
def test_a_tmux_conf_that_tmux_refuses_is_found(sandbox: Sandbox, line: str, said: str) -> None:
    own = sandbox.root / "own.conf"
    own.write_text(f"# mine\n{line}\n")
    found = note(findings(sandbox, healthy=True, MCP_BG_TMUX_CONF=str(own)), "tmux.conf")
    assert said in found["text"] and str(own) in found["remedy"]


@pytest.mark.promise("menu-keys")
def test_a_menu_key_that_the_tmux_around_takes_is_noted(server: Server, cleared: Sandbox) -> None:
    server.call("execute", command="true")
    outer = cleared.root / "outer"
    around = ("tmux", "-S", str(outer), "-f", "/dev/null")
    made = [*around, "new-session", "-d", "sleep 1000", ";", "bind-key", "-n", "F12", "display-message", "mine"]
    subprocess.run(made, env=cleared.environment, check=True)
    try:
        found = findings(cleared, healthy=True, TMUX=f"{outer},1,0")
        texts = [one["text"] for one in found if one["check"] == "keys"]
        assert "F12 opens the menu in a job's window, the prefix is Ctrl-b" in texts
        assert "the tmux around this terminal takes F12 for itself" in texts
        other = findings(cleared, healthy=True, TMUX=f"{outer},1,0", MCP_BG_MENU_KEY="M-m")
        assert not [one for one in other if "around this terminal" in one["text"]]
    finally:
        subprocess.run([*around, "kill-server"], env=cleared.environment, check=True)
