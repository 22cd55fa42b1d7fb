"""What a person has at hand in a job's window: all output, its command, a shell, word of its end, restart."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest

from integration.test_notify_terminal import attached
from support.person import Person
from support.rpc import Answer, Server
from support.sandbox import SESSION, Sandbox, run_job, shows
from support.terminal import COMMAND, answer, cli, on_a_terminal
from support.waiting import wait_until


@pytest.fixture(params=[(80, 24), (24, 8)], ids=["80x24", "24x8"])
def person(request: pytest.FixtureRequest, server: Server, cleared: Sandbox) -> Iterator[Person]:
    server.call("execute", command="exec sleep 1000", name="quiet")
    columns, rows = request.param
    person = Person(cleared, columns=columns, rows=rows)
    person.sees("menu")
    yield person
    person.close()


def _menu(sandbox: Sandbox, person: Person, job_id: str, key: str) -> None:
    """The key of the menu in the job's window."""
    sandbox.tmux("select-window", "-t", sandbox.window(job_id))
    wait_until(lambda: sandbox.window(job_id) in sandbox.tmux("list-clients", "-F", "#{window_id}").split())
    person.press("F12")
    wait_until(lambda: "Detach" in person.screen() or "Esc closes" in person.screen(), what="the menu")
    person.press(key)


# -- all output ---------------------------------------------------------------------------------------------


@pytest.mark.promise("at-hand-output")
def test_all_output_is_searched_also_beyond_the_windows_history(
    cleared: Sandbox, server: Server, person: Person
) -> None:
    command = r"echo needle; seq 100000 103000; printf '\033[31mred\033[m \033]0;evil\a end\n'"
    job_id = run_job(server, command, name="long")["job_id"]
    size = cleared.ask(job_id, "#{window_width}x#{window_height}")
    _menu(cleared, person, job_id, "o")
    person.sees("102999", "red")
    person.type("?needl[e]\r")
    person.sees("needle\n100000", "100001")
    person.press("q")
    wait_until(lambda: "100001" not in person.screen(), what="the end of the pager")
    assert cleared.ask(job_id, "#{window_width}x#{window_height} #{pane_in_mode}") == f"{size} 0"


@pytest.mark.promise("at-hand-output")
@pytest.mark.parametrize("command", ["cat", "less -F", "no-such-pager"])
def test_a_pager_that_does_not_wait_is_read_until_a_key(cleared: Sandbox, server: Server, command: str) -> None:
    job_id = run_job(server, "echo only line")["job_id"]
    cleared.tmux("set-environment", "-t", f"={SESSION}:", "PAGER", command)
    person = Person(cleared, columns=80, rows=24)
    try:
        person.sees("menu")
        _menu(cleared, person, job_id, "o")
        person.sees("any key closes", *(["only line"] if " " in command or command == "cat" else []))
        person.press("Space")
        wait_until(lambda: "any key closes" not in person.screen())
    finally:
        person.close()
        cleared.tmux("set-environment", "-u", "-t", f"={SESSION}:", "PAGER")


def test_output_in_the_pager_is_a_command(cleared: Sandbox, server: Server) -> None:
    job_id = run_job(server, r"printf '\033[31mred\033[m\n'")["job_id"]
    shown = on_a_terminal(cleared, "output", "--pager", job_id, PAGER="sed s/^/paged:/")
    assert "paged:\x1b[31mred\x1b[m" in shown or "paged:\x1b[31mred\x1b[0m" in shown, shown
    assert cli(cleared, "output", "--pager", job_id, PAGER="false").stdout == "red\n"


# -- the command --------------------------------------------------------------------------------------------


@pytest.mark.promise("at-hand-copy")
def test_the_command_is_copied_to_tmux_and_the_terminal(cleared: Sandbox, server: Server, person: Person) -> None:
    evil = f"#(touch {cleared.path('trap')}) '; display-message x; \n:\ttab"
    job_id = server.call("execute", command=f": {evil}; exec cat", name="copied")["job_id"]
    assert person.clipboard() == ""
    _menu(cleared, person, job_id, "c")
    command = f": {evil}; exec cat"
    wait_until(lambda: person.clipboard() == command)
    assert cleared.tmux("show-buffer") == command
    cleared.tmux("delete-buffer")
    assert not cleared.path("trap").exists()
    assert server.call("output", job_id=job_id)["stdout"] == ""


@pytest.mark.promise("at-hand-copy")
def test_copy_is_a_command_and_takes_no_escape_along(cleared: Sandbox, server: Server) -> None:
    job_id = run_job(server, "echo 'a\x1b[201~b'; true")["job_id"]
    shown = on_a_terminal(cleared, "copy", job_id)
    encoded = shown.partition("\x1b]52;c;")[2].partition("\a")[0]
    assert base64.b64decode(encoded).decode() == r"echo 'a\x1b[201~b'; true"
    assert "as escapes" in shown
    assert "needs a terminal" in cli(cleared, "copy", job_id, status=1).stderr


# -- a shell beside -----------------------------------------------------------------------------------------


@pytest.mark.promise("at-hand-shell")
def test_a_shell_in_the_jobs_folder_is_a_window_and_no_job(cleared: Sandbox, server: Server, person: Person) -> None:
    folder = cleared.path("a#{pid} #(touch trap) #[x;'d")
    folder.mkdir()
    job_id = server.call("execute", command="exec cat", name="beside", cwd=str(folder))["job_id"]
    size = cleared.ask(job_id, "#{window_width}x#{window_height} #{window_panes}")
    number = cleared.ask(job_id, "#{window_index}")
    _menu(cleared, person, job_id, "s")
    person.sees("shell")
    wait_until(lambda: "shell" in cleared.tmux("display-message", "-p", "-t", f"={SESSION}:", "#{window_name}"))
    cleared.tmux("send-keys", "-t", f"={SESSION}:", "pwd > $HOME/where; echo $MCP_BG_JOB_ID > $HOME/whose", "Enter")
    wait_until(lambda: (cleared.home / "whose").exists() and (cleared.home / "whose").read_text())
    assert (cleared.home / "where").read_text() == f"{folder}\n"
    assert (cleared.home / "whose").read_text() == "\n"
    assert cleared.ask(job_id, "#{window_width}x#{window_height} #{window_panes}") == size
    assert cleared.ask(job_id, "#{window_index}") == number
    assert {job["name"] for job in server.call("list")["jobs"]} == {"quiet", "beside"}


@pytest.mark.promise("at-hand-shell")
def test_shell_is_a_command_that_says_when_the_folder_is_gone(cleared: Sandbox, server: Server) -> None:
    folder = cleared.path("gone")
    folder.mkdir()
    job_id = run_job(server, "true", cwd=str(folder))["job_id"]
    assert str(folder) in on_a_terminal(cleared, "shell", job_id, SHELL="/bin/pwd")
    folder.rmdir()
    refused = cli(cleared, "shell", job_id, status=1)
    assert "No such file or directory" in refused.stderr and str(folder) in refused.stderr


# -- its end ------------------------------------------------------------------------------------------------


@pytest.mark.promise("at-hand-told")
def test_an_end_is_told_where_asked_for_though_every_server_is_gone(sandbox: Sandbox) -> None:
    server = sandbox.server()
    asked, undone = (
        server.call("execute", command=f"until [ -e {name} ]; do sleep 0.05; done; exit 3", name=name)["job_id"]
        for name in ("asked", "undone")
    )
    person = Person(sandbox, columns=80, rows=24)
    try:
        person.sees("menu")
        _menu(sandbox, person, asked, "n")
        person.sees("running ♪")
        _menu(sandbox, person, undone, "n")
        person.sees("running ♪", f"undone {undone}")
        _menu(sandbox, person, undone, "n")
        wait_until(lambda: "♪" not in person.screen())
        assert "is told" in cli(sandbox, "notify-me", undone).stdout
        person.sees("running ♪")
        assert "not told" in cli(sandbox, "notify-me", "--undo", undone).stdout
        server.kill9()
        sandbox.tmux("kill-window", "-t", f"={SESSION}:0")
        with attached(sandbox, b"WezTerm 20240203") as terminal:
            sandbox.path("undone").touch()
            wait_until(lambda: answer(sandbox, "status", undone)["status"] == "failed")
            sandbox.path("asked").touch()
            text = f"\x1b]9;{asked} asked: failed, exit 3 after ".encode()
            wait_until(lambda: text in terminal.written, what="the end of the one that was asked for")
            assert b"]9;" + undone.encode() not in terminal.written
        assert "has ended" in cli(sandbox, "notify-me", asked, status=1).stderr
    finally:
        person.close()


@pytest.mark.promise("at-hand-told")
def test_an_end_that_was_asked_for_is_told_once_beside_the_persons_notify(sandbox: Sandbox) -> None:
    server = sandbox.server(MCP_BG_NOTIFY=f"{COMMAND} notify; date >> notified")
    job_id = server.call("execute", command="until [ -e go ]; do sleep 0.05; done", name="both")["job_id"]
    cli(sandbox, "notify-me", job_id)
    with attached(sandbox, b"WezTerm 20240203") as terminal:
        sandbox.path("go").touch()
        wait_until(lambda: (sandbox.home / "notified").exists(), what="the person's own command")
        wait_until(lambda: b"both: completed" in terminal.written, what="the notification")
        assert b"both has ended" not in terminal.written


# -- restart ------------------------------------------------------------------------------------------------

SECRET = "k3y-0f-the-agent"
SHOWN = "echo key=$API_KEY from=$(pwd) pager=$PAGER; exec cat"


def _restarted(server: Server, job_id: str) -> Answer:
    """The job that a restart of another has made, as `list` tells it."""
    found: Answer = wait_until(
        lambda: next((job for job in server.call("list")["jobs"] if job.get("restart_of") == job_id), {}),
        what=f"a restart of {job_id}",
    )
    return found


@pytest.mark.promise("at-hand-restart", "no-secret-on-disk")
def test_a_job_that_runs_is_restarted_in_its_place_with_its_environment(
    cleared: Sandbox, server: Server, person: Person
) -> None:
    folder = cleared.path("there")
    folder.mkdir()
    given = {"API_KEY": SECRET, "PAGER": "mine"}
    first = server.call("execute", command=SHOWN, name="web", cwd=str(folder), env=given)["job_id"]
    shows(server, first, f"key={SECRET}")
    assert "--kill" in cli(cleared, "restart", first, status=1).stderr
    assert server.call("status", job_id=first)["status"] == "running"
    index = cleared.ask(first, "#{window_index}")
    _menu(cleared, person, first, "r")
    person.sees("End ")
    person.type("y\r")
    second = _restarted(server, first)
    assert (second["name"], second["client"]) == ("web", "terminal")
    shows(server, second["job_id"], f"key={SECRET} from={folder} pager=mine")
    assert server.call("status", job_id=first)["status"] == "killed"
    person.sees(second["job_id"])  # in the window that the person looked at
    wait_until(lambda: first not in cleared.windows())
    assert cleared.ask(second["job_id"], "#{window_index}") == index
    server.call("kill", job_id=second["job_id"])
    assert "API_KEY, PAGER" in cli(cleared, "restart", second["job_id"], status=1).stderr  # its names are known on
    written = [path for path, data in cleared.stored_bytes() if SECRET.encode() in data]
    assert {path.parent.name for path in written} <= {"log"}, written  # the job itself printed it


@pytest.mark.promise("at-hand-restart")
def test_values_that_are_gone_are_named_and_asked_for(cleared: Sandbox, server: Server, person: Person) -> None:
    job = run_job(server, "echo ${#API_KEY} $PORT", name="once", env={"API_KEY": SECRET, "PORT": "80"})
    refused = cli(cleared, "restart", "--env", "PORT=1", job["job_id"], status=1).stderr
    assert "API_KEY" in refused and "PORT" not in refused and "--env NAME=VALUE" in refused
    second = cli(cleared, "restart", "-e", "PORT=1", "-e", "API_KEY=abc", job["job_id"]).stdout.strip()
    shows(server, second, "3 1")
    wait_until(lambda: server.call("status", job_id=second)["status"] == "completed")
    _menu(cleared, person, second, "r")
    person.sees("PORT=")
    person.type("12345\r")
    person.sees("API_KEY=")
    person.type("8080\r")
    third = _restarted(server, second)["job_id"]
    shows(server, third, "4 12345\n")
    person.sees("4 12345")
    assert "8080" not in person.screen()
