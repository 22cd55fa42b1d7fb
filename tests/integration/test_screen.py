"""screen: what a person sees at this moment, and real full-screen programs driven by it."""

from __future__ import annotations

import re
import shutil

import pytest

from support.rpc import Answer, Server
from support.sandbox import PYTHON, Sandbox, ended, shows
from support.waiting import wait_until


def _program(name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(name) is None, reason=f"no {name} here")


def _screen(server: Server, job_id: str, text: str, timeout: float = 15.0) -> Answer:
    """Wait until a text is on the screen; returns the answer."""

    # That there is a screen at once has a test of its own.
    wait_until(lambda: "pid" in server.call("status", job_id=job_id))

    def shown() -> Answer | None:
        answer = server.call("screen", job_id=job_id)
        return answer if text in answer["screen"] else None

    answer = wait_until(shown, timeout, what=f"{text!r} on the screen of {job_id}")
    assert answer is not None
    return answer


def _press(server: Server, job_id: str, *keys: str) -> Answer:
    return server.call("interact", job_id=job_id, keys=list(keys), timeout=50)


def test_screen_is_the_visible_grid_with_cursor_and_size(server: Server) -> None:
    job_id = server.call("execute", command="printf 'first line\\nsecond'; exec sleep 300")["job_id"]
    answer = _screen(server, job_id, "second")
    assert answer["screen"].splitlines()[:2] == ["first line", "second"]
    assert answer["cursor"] == {"row": 1, "column": 6}
    assert answer["columns"] == 200 and 20 <= answer["rows"] <= 200
    assert answer["alternate"] is False


def test_there_is_a_screen_as_soon_as_there_is_a_job(server: Server) -> None:
    for _ in range(5):
        job_id = server.call("execute", command="exec cat")["job_id"]
        assert server.call("screen", job_id=job_id)["columns"] == 200


def test_the_size_is_the_one_that_the_program_sees(server: Server) -> None:
    job_id = server.call("execute", command="stty size; exec sleep 300")["job_id"]
    rows, columns = (int(word) for word in shows(server, job_id, "\n").split())
    answer = server.call("screen", job_id=job_id)
    assert (answer["rows"], answer["columns"]) == (rows, columns)


def test_screen_shows_only_what_is_visible(server: Server) -> None:
    job_id = server.call("execute", command="seq 1 500; exec sleep 300")["job_id"]
    shows(server, job_id, "500\n")
    answer = _screen(server, job_id, "500")
    lines = answer["screen"].splitlines()
    assert len(lines) <= answer["rows"]
    assert "1" not in lines
    assert "500" in lines


def test_screen_is_the_live_one_while_a_person_scrolls_in_copy_mode(server: Server, shared: Sandbox) -> None:
    job_id = server.call("execute", command="seq 1 500; echo LIVE; exec cat")["job_id"]
    shows(server, job_id, "LIVE")
    window = shared.window(job_id)
    shared.tmux("copy-mode", "-t", window, ";", "send-keys", "-t", window, "-X", "history-top")
    answer = server.call("screen", job_id=job_id)
    assert "LIVE" in answer["screen"] and "500" in answer["screen"].splitlines()
    assert answer["cursor"]["row"] > 1
    assert shared.tmux("display-message", "-p", "-t", window, "#{pane_in_mode}") == "1"


def test_wide_and_combining_characters_are_on_the_screen(server: Server) -> None:
    job_id = server.call("execute", command="printf '漢字 é 😀 end\\n'; exec sleep 300")["job_id"]
    assert _screen(server, job_id, "end")["screen"].splitlines()[0] == "漢字 é 😀 end"


@pytest.mark.promise("no-secret-on-disk")
def test_password_prompts_show_no_password(server: Server) -> None:
    job_id = server.call("execute", command="read -s -p 'Password: ' x; echo; echo done; exec sleep 300")["job_id"]
    _screen(server, job_id, "Password:")
    server.call("interact", job_id=job_id, input="topsecret", pattern="done", timeout=50)
    assert "topsecret" not in _screen(server, job_id, "done")["screen"]


@_program("vi")
def test_a_file_is_edited_and_saved_in_vi(server: Server, shared: Sandbox) -> None:
    path = shared.path("edited.txt")
    path.write_text("one\ntwo\nthree\n")
    job_id = server.call("execute", command="vi -u NONE edited.txt")["job_id"]
    answer = _screen(server, job_id, "three")
    assert answer["alternate"] is True
    _press(server, job_id, "j", "o")
    server.call("interact", job_id=job_id, input="typed; in #{vi} it's", enter=False, timeout=50)
    _press(server, job_id, "Escape")
    _screen(server, job_id, "typed; in #{vi} it's")
    done = server.call("interact", job_id=job_id, input=":wq")
    assert done["reason"] == "exit"
    assert re.fullmatch(r'\[full-screen program; its last line: "edited.txt" 4.* written.*\]\n', done["stdout"]), done
    assert path.read_text() == "one\ntwo\ntyped; in #{vi} it's\nthree\n"
    assert ended(server, job_id)["exit_code"] == 0


@_program("top")
def test_top_is_read_and_quit(server: Server) -> None:
    job_id = server.call("execute", command="top")["job_id"]
    answer = _screen(server, job_id, "PID")
    assert "load average" in answer["screen"]
    assert _press(server, job_id, "q")["reason"] == "exit"
    assert ended(server, job_id)["status"] == "completed"


@_program("less")
def test_less_is_paged_through(server: Server) -> None:
    job_id = server.call("execute", command="seq 1 1000 | LESS= less")["job_id"]
    first = _screen(server, job_id, "\n2\n")
    assert first["alternate"] is True
    _press(server, job_id, "Space")
    second = _screen(server, job_id, f"\n{first['rows'] + 3}\n")
    assert "2" not in second["screen"].splitlines()
    _press(server, job_id, "G")
    _screen(server, job_id, "1000")
    server.call("interact", job_id=job_id, input="?^500$", timeout=50)
    _screen(server, job_id, "500\n501\n")
    assert _press(server, job_id, "q")["reason"] == "exit"


@_program("less")
@pytest.mark.promise("output-readable")
def test_alternate_screen_programs_leave_one_line_in_the_output(server: Server) -> None:
    job_id = server.call("execute", command="echo before; seq 1 1000 | LESS= less; echo after")["job_id"]
    _screen(server, job_id, "\n2\n")
    _press(server, job_id, "Space")
    _press(server, job_id, "q")
    ended(server, job_id)
    lines = server.call("output", job_id=job_id)["stdout"].splitlines()
    assert lines[0] == "before" and lines[-1] == "after"
    assert len(lines) == 3, lines


def test_a_pdb_session_steps_through_a_program(server: Server, shared: Sandbox) -> None:
    shared.path("debugged.py").write_text(
        "def double(n):\n    result = n * 2\n    return result\n\nprint(double(21))\n"
    )
    job_id = server.call("execute", command=f"{PYTHON} -I -m pdb debugged.py")["job_id"]
    shows(server, job_id, "(Pdb)")
    assert "Breakpoint 1" in server.call("interact", job_id=job_id, input="break double")["stdout"]
    stopped = server.call("interact", job_id=job_id, input="continue")
    assert "double" in stopped["stdout"] and stopped["stdout"].rstrip().endswith("(Pdb)")
    assert "21\n" in server.call("interact", job_id=job_id, input="p n")["stdout"]
    assert "return result" in server.call("interact", job_id=job_id, input="next")["stdout"]
    assert "42\n" in server.call("interact", job_id=job_id, input="p result")["stdout"]
    server.call("interact", job_id=job_id, input="quit")
    ended(server, job_id)


@_program("gdb")
def test_a_gdb_session_answers(server: Server) -> None:
    job_id = server.call("execute", command="gdb -q -nx -iex 'set debuginfod enabled off'")["job_id"]
    shows(server, job_id, "(gdb)", 20)
    answer = server.call("interact", job_id=job_id, input="print 6 * 7")
    assert "= 42" in answer["stdout"] and answer["reason"] == "input"
    assert server.call("interact", job_id=job_id, input="quit")["reason"] == "exit"


@_program("npm")
def test_the_questions_of_npm_init_are_answered(server: Server, shared: Sandbox) -> None:
    folder = shared.path("package")
    folder.mkdir()
    job_id = server.call("execute", command="npm init", cwd=str(folder))["job_id"]
    shows(server, job_id, "package name:")
    answer = server.call("interact", job_id=job_id, input="chosen-name")
    assert "version:" in answer["stdout"]
    for _ in range(12):
        if "Is this OK" in answer["stdout"] or answer["reason"] == "exit":
            break
        answer = server.call("interact", job_id=job_id, keys=["Enter"])
    if answer["reason"] != "exit":
        server.call("interact", job_id=job_id, input="yes", pattern="never", timeout=50)
    assert ended(server, job_id)["exit_code"] == 0
    assert '"name": "chosen-name"' in (folder / "package.json").read_text()
