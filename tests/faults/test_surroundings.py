"""What other users, other programs and a person's own configuration put around a job: told, and never obeyed."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.person import Person
from support.rpc import Server, ToolError
from support.sandbox import SESSION, Sandbox, shows
from support.terminal import COMMAND, cli
from support.waiting import wait_until

NOBODY = 65534
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "env", "-i"]
# A Python in root's home is not another user's to run.
THEIR_PYTHON = shutil.which("python3", path="/usr/bin:/usr/local/bin") or ""
LOCALES = {"C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, "POSIX": {"LC_ALL": "POSIX"}}
needs_two_users = pytest.mark.skipif(
    os.getuid() != 0 or not shutil.which("setpriv") or not THEIR_PYTHON, reason="another user takes root and setpriv"
)
# Listens where our tmux server would, and writes down who comes.
LISTEN = """
import os, socket, sys
os.umask(0)
folder, heard = sys.argv[1:]
os.mkdir(folder)
listener = socket.socket(socket.AF_UNIX)
listener.bind(folder + "/default")
listener.listen()
print("up", flush=True)
while True:
    client, _ = listener.accept()
    client.settimeout(1)
    data = b""
    try:
        data = client.recv(65536)
    except OSError:
        pass
    with open(heard, "ab") as file:
        file.write(b"CLIENT " + data)
    client.close()
"""


# -- another user -------------------------------------------------------------------------------------------


@pytest.fixture
def thief(sandbox: Sandbox) -> Iterator[Path]:
    """Another user, who has made our tmux folder and socket first, as anybody can in /tmp; what they hear."""
    sandbox.root.chmod(0o755)
    sandbox.sockets.chmod(0o1777)
    heard = sandbox.root / "heard"
    heard.touch()
    heard.chmod(0o666)
    folder = sandbox.sockets / f"tmux-{os.getuid()}"
    python = [*AS_NOBODY, THEIR_PYTHON, "-I", "-S", "-c", LISTEN, str(folder), str(heard)]
    with subprocess.Popen(python, stdout=subprocess.PIPE, cwd="/") as process:
        assert process.stdout is not None and process.stdout.readline() == b"up\n"
        yield heard
        process.kill()


@needs_two_users
@pytest.mark.promise("own-socket")
def test_another_users_socket_gets_nothing(sandbox: Sandbox, thief: Path) -> None:
    server = sandbox.server(SECRET="for nobody else")
    with pytest.raises(ToolError, match=rf"belongs to user nobody \({NOBODY}\)"):
        server.call("execute", command="true")
    server.call("list")
    wait_until(lambda: "belongs to user nobody" in server.stderr, what="the sweep, which is refused, too")
    for arguments in (["doctor"], ["clean"], ["run", "true"], ["list"], ["attach"]):
        done = cli(sandbox, *arguments, status=None)
        if arguments[0] in ("doctor", "run", "attach"):
            assert "belongs to user nobody" in done.stdout + done.stderr, arguments
    assert thief.read_bytes() == b""


@needs_two_users
@pytest.mark.promise("own-socket")
def test_a_record_that_names_another_users_socket_is_not_followed(sandbox: Sandbox, tmp_path: Path) -> None:
    server = sandbox.server()
    job_id = server.call("execute", command="exec cat")["job_id"]
    run = sandbox.state / SESSION / job_id / "run.json"
    wait_until(run.exists)
    elsewhere = sandbox.root / "elsewhere"
    elsewhere.mkdir(mode=0o777)
    elsewhere.chmod(0o777)
    facts = json.loads(run.read_bytes())
    run.write_text(json.dumps(facts | {"socket": str(elsewhere / "default")}))
    fresh = sandbox.server()
    with pytest.raises(ToolError, match="can be written to by every user"):
        fresh.call("interact", job_id=job_id, input="secret")


@needs_two_users
@pytest.mark.promise("private-state")
@pytest.mark.parametrize("how", ["owner", "group", "parent"])
def test_a_state_folder_that_others_can_exchange_is_refused(sandbox: Sandbox, how: str) -> None:
    above = sandbox.root / "above"
    state = above / "state"
    state.mkdir(parents=True, mode=0o700)
    if how == "owner":
        os.chown(state, NOBODY, NOBODY)
    elif how == "group":
        os.chown(state, 0, NOBODY)
        state.chmod(0o770)
    else:
        above.chmod(0o777)
    server = sandbox.server(MCP_BG_STATE_DIR=str(state))
    for tool, arguments in (("execute", {"command": "true"}), ("list", {}), ("output", {"job_id": "abcdef"})):
        with pytest.raises(ToolError, match=r"belongs to user nobody|can be written to by"):
            server.call(tool, **arguments)
    assert not list(state.iterdir())


# -- a terminal, a locale, an environment -------------------------------------------------------------------


@pytest.mark.promise("any-terminal")
@pytest.mark.parametrize("term", ["xterm-ghostty", "xterm-kitty", "nonsense", ""])
def test_a_terminal_that_this_machine_does_not_know(sandbox: Sandbox, term: str) -> None:
    done = cli(sandbox, "run", "-w", "echo done", TERM=term)
    assert "done" in done.stdout
    cli(sandbox, "run", "--name", "talk", "cat", TERM=term)
    assert "typed" in cli(sandbox, "send", "talk", "typed", TERM=term).stdout
    assert "Nothing is wrong." in cli(sandbox, "doctor", status=None, TERM=term).stdout
    person = Person(sandbox, f"TERM={term} {COMMAND} attach talk", columns=150)
    try:
        person.sees("LEFT", f"TERM='{term}'", "TERM=xterm-256color", "tic -x -")
    finally:
        person.close()


@pytest.mark.promise("any-locale")
@pytest.mark.parametrize("locale", LOCALES)
def test_names_and_folders_beyond_ascii_in_a_locale_without_them(sandbox: Sandbox, locale: str) -> None:
    folder = sandbox.path("Größe✓")
    folder.mkdir()
    server = sandbox.server(without=(), umask=-1, **LOCALES[locale])
    answer = server.call("execute", command="pwd; echo ü✓ $X", name="ü✓", cwd=str(folder), env={"X": "é"}, wait=50)
    assert answer["stdout"] == f"{folder}\nü✓ é\n"
    assert "ü✓" in [job["name"] for job in server.call("list")["jobs"]]
    job_id = server.call("execute", command="cat", name="✓")["job_id"]
    assert server.call("interact", job_id=job_id, input="größer ✓")["stdout"].startswith("größer ✓\n")


@pytest.mark.promise("own-python")
def test_a_broken_python_in_the_persons_tmux_breaks_neither_board_nor_menu(sandbox: Sandbox) -> None:
    evil = sandbox.path("evil")
    evil.mkdir()
    for name in ("json.py", "rich.py", "asyncio.py"):
        (evil / name).write_text("raise SystemExit('taken over')\n")
    broken = {"PYTHONPATH": str(evil), "PYTHONHOME": "/nowhere"}
    sandbox.tmux("new-session", "-d", "-s", "own", "exec sleep 300", environment=broken)
    server = sandbox.server()
    job_id = server.call("execute", command="exec cat", name="talk")["job_id"]
    person = Person(sandbox)
    try:
        person.sees(" talk ")
        person.press("C-b", "1")
        person.press("F12")
        person.sees("Take over")
        person.press("t")
        wait_until(lambda: server.call("status", job_id=job_id).get("holder") == "human")
    finally:
        person.close()


@pytest.mark.promise("all-output")
def test_hooks_that_block_lose_no_early_output(sandbox: Sandbox) -> None:
    hooks = ("after-set-option", "after-set-hook", "after-resize-window", "after-rename-window", "after-new-window")
    (sandbox.home / ".tmux.conf").write_text(
        "".join(f"set-hook -g {hook} \"run-shell 'sleep .05'\"\n" for hook in hooks)
    )
    server = sandbox.server()
    for _ in range(3):
        answer = server.call("execute", command="echo early; sleep 0.2; echo late", wait=50)
        assert answer["stdout"] == "early\nlate\n"


@pytest.mark.promise("slow-tmux")
def test_a_tmux_conf_that_takes_its_time_is_waited_for(sandbox: Sandbox) -> None:
    (sandbox.home / ".tmux.conf").write_text("run-shell 'sleep 13'\n")
    server = sandbox.server()
    answer = server.start("execute", command="echo up", wait=50).answer(80)
    assert answer["stdout"] == "up\n"


# -- tmux and the disk --------------------------------------------------------------------------------------


@pytest.mark.promise("own-session")
def test_a_session_of_our_name_is_made_ours(sandbox: Sandbox) -> None:
    """Also one that appears while a server runs, with a window that is called as the board is."""
    server = sandbox.server()
    server.call("execute", command="true", wait=50)
    sandbox.tmux("kill-session", "-t", SESSION)
    sandbox.tmux("-f", "/dev/null", "new-session", "-d", "-s", SESSION, "-n", "jobs", "exec cat")
    mine = sandbox.tmux("display-message", "-p", "-t", f"{SESSION}:", "#{pane_id}")
    server.call("execute", command="exec sleep 300", name="talk")
    boards = wait_until(
        lambda: [
            line
            for line in sandbox.tmux("list-panes", "-s", "-t", SESSION, "-F", "#{pane_id} #{@mcp_board}").splitlines()
            if line.endswith(" 1")
        ]
    )
    assert len(boards) == 1 and not boards[0].startswith(f"{mine} ")
    assert sandbox.tmux("show-options", "-v", "-t", SESSION, "key-table") == SESSION
    assert sandbox.tmux("display-message", "-p", "-t", mine, "#{window_name}") == "jobs", (
        "the person's own is left alone"
    )


@pytest.mark.promise("gap-told")
def test_a_log_that_is_deleted_under_a_running_job_is_told(sandbox: Sandbox) -> None:
    server = sandbox.server()
    job_id = server.call("execute", command="echo before; exec cat")["job_id"]
    shows(server, job_id, "before")
    shutil.rmtree(sandbox.state / SESSION / job_id / "log")
    for tool in ("output", "tail"):
        with pytest.raises(ToolError, match="has been removed from the disk"):
            server.call(tool, job_id=job_id)
    server.call("interact", job_id=job_id, input="after", timeout=50)
    answer = server.call("output", job_id=job_id)
    assert "after" in answer["stdout"] and answer["dropped_bytes"] >= len("before\r\n")


@pytest.mark.promise("no-passthrough")
def test_a_job_does_not_write_past_tmux_into_the_persons_terminal(sandbox: Sandbox) -> None:
    (sandbox.home / ".tmux.conf").write_text("set -g allow-passthrough on\n")
    server = sandbox.server()
    command = r"printf '\033Ptmux;\033\033]2;evil title\007\033\\'; exec cat"
    job_id = server.call("execute", command=command)["job_id"]
    person = Person(sandbox)
    try:
        person.sees("0:jobs")
        person.press("C-b", "1")
        server.call("interact", job_id=job_id, input="seen")
        person.sees("seen")
        assert "evil" not in person.ask("#{pane_title}")
    finally:
        person.close()


# -- words --------------------------------------------------------------------------------------------------


@pytest.mark.promise("no-harmful-advice")
def test_no_text_of_ours_names_what_ends_everything() -> None:
    top = Path(__file__).parents[2]
    texts = [*(top / "src").rglob("*.py"), *top.glob("*.md"), *(top / ".github").glob("*.md"), top / "tmux.conf"]
    found = [
        f"{path.name}: {line.strip()}"
        for path in texts
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"kill-server|\bpkill\b|\bkillall\b", line) and "no text" not in line
    ]
    assert found == []


@pytest.mark.promise("text-is-text")
def test_what_reorders_text_is_shown_as_signs_on_a_terminal(sandbox: Sandbox, server: Server) -> None:
    server = sandbox.server()
    job_id = server.call("execute", command="printf 'a\\u202eb\\u2066c\\n'", wait=50)["job_id"]
    assert "\u202e" in server.call("tail", job_id=job_id)["stdout"], "an agent reads what was printed"
    person = Person(sandbox, f"{COMMAND} tail {job_id}; {COMMAND} output {job_id}")
    try:
        assert person.sees("LEFT").count("a<U+202E>b<U+2066>c") == 2
    finally:
        person.close()


@pytest.mark.promise("kill-asks")
def test_who_is_asked_to_kill_sees_the_whole_command(sandbox: Sandbox) -> None:
    server = sandbox.server()
    server.call("execute", command="ls" + " " * 300 + "; touch hidden; sleep 300", name="ls")
    person = Person(sandbox)
    try:
        person.sees(" ls ")
        person.press("x")
        person.sees("Kill ", "hidden", "blanks>")
        person.press("n")
        person.press("C-b", "1")
        person.sees("running")
        wait_until(lambda: "Kill ls" not in person.screen())
        person.press("F12")
        person.sees("Kill it")
        person.press("k")
        person.sees("and everything it started? y or n", "hidden")
        person.press("n")
    finally:
        person.close()


@pytest.mark.promise("text-is-text")
def test_a_clients_name_is_cleaned(sandbox: Sandbox) -> None:
    server = sandbox.silent_server()
    hello = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "\x1b]0;evil\x07na\u202eme\n", "version": "1"},
    }
    server.request("initialize", hello)
    server.notify("notifications/initialized")
    job_id = server.call("execute", command="exec cat")["job_id"]
    with contextlib.suppress(ToolError):
        server.call("interact", job_id=job_id, input="x")
    shown = cli(sandbox, "status", job_id).stdout
    assert "\x1b" not in shown and "\u202e" not in shown and "name" in shown
