"""interact: what is typed arrives byte for byte; the answer is all that came of it, nothing from before."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator

import pytest

from mcp_background_job.system import PROC
from support.rpc import Server, ToolError
from support.sandbox import PYTHON, Sandbox, ended, run_job, shows

REPL = f"{PYTHON} -q -i"
SHELL = "PS1='$ ' bash --norc --noprofile -i"


def _repl(server: Server) -> str:
    job_id: str = server.call("execute", command=REPL)["job_id"]
    shows(server, job_id, ">>>")
    return job_id


@pytest.fixture(scope="module")
def repl(server: Server) -> str:
    return _repl(server)


@pytest.fixture
def cat(server: Server) -> Iterator[str]:
    job_id: str = server.call("execute", command="echo up; exec cat")["job_id"]
    shows(server, job_id, "up\n")
    yield job_id
    server.call("kill", job_id=job_id, signal="KILL")


# when it comes back, and with what


@pytest.mark.promise("interact-whole")
def test_a_repl_answers_with_its_result_and_its_next_prompt(server: Server, repl: str) -> None:
    answer = server.call("interact", job_id=repl, input="6 * 7")
    assert "6 * 7" not in answer["stdout"], "the echo is left out"
    assert answer["stdout"].splitlines()[-2:] == ["42", ">>> "]
    assert (answer["status"], answer["reason"], answer["stderr"]) == ("running", "input", "")
    assert answer["awaiting_input"] in ("screen", "prompt")
    assert answer["cursor"] == server.call("output", job_id=repl)["cursor"]


@pytest.mark.promise("interact-whole")
def test_an_answer_has_nothing_from_before_and_nothing_is_lost(server: Server, repl: str) -> None:
    for number in range(20):
        answer = server.call("interact", job_id=repl, input=f"'answer-' + str({number})")
        lines = answer["stdout"].splitlines()
        drawn_again = [line for line in lines[:-2] if line.strip() != ">>>"]  # Python 3.13 draws its prompt again
        assert (drawn_again, lines[-2:]) == ([], [f"'answer-{number}'", ">>> "])


@pytest.mark.promise("interact-whole")
def test_an_answer_that_takes_a_second_is_waited_for_and_whole(server: Server, repl: str) -> None:
    server.call("interact", job_id=repl, input="import time")
    answer = server.call("interact", job_id=repl, input="time.sleep(1); print('slow', 'and whole')")
    assert "slow and whole\n" in answer["stdout"]
    assert answer["reason"] == "input"
    paused = server.call("interact", job_id=repl, input="print('a' 'b'); time.sleep(0.7); print('c' 'd')")
    assert "ab\ncd\n" in paused["stdout"]


@pytest.mark.promise("interact-whole")
def test_a_long_answer_is_whole(server: Server, repl: str) -> None:
    answer = server.call("interact", job_id=repl, input="print('\\n'.join(str(n) for n in range(2000)))")
    assert answer["stdout"].splitlines()[-2001:-1] == [str(number) for number in range(2000)]


@pytest.mark.linux("prompt is not told elsewhere")
@pytest.mark.promise("interact-no-echo")
def test_cat_answers_at_once_with_its_line_and_not_with_the_echo(server: Server, cat: str) -> None:
    begin = time.monotonic()
    for number in range(5):
        answer = server.call("interact", job_id=cat, input=f"line {number}", timeout=50)
        assert answer["stdout"] == f"line {number}\n"
        assert answer["reason"] == "input"
    # Time is the promise: "at once" isn't the timeout of fifty seconds.
    assert time.monotonic() - begin < 50


def test_a_shells_read_takes_the_line_and_the_end_is_told(server: Server) -> None:
    job_id = server.call("execute", command='read -p "Name? " name; echo "Hello $name"; exit 3')["job_id"]
    shows(server, job_id, "Name? ")
    answer = server.call("interact", job_id=job_id, input="Bob")
    assert answer["stdout"] == "Hello Bob\n"
    assert (answer["reason"], answer["status"]) == ("exit", "failed")
    assert "awaiting_input" not in answer
    assert ended(server, job_id)["exit_code"] == 3


@pytest.mark.promise("awaiting-told")
def test_a_question_after_the_input_is_told_as_awaiting_input(server: Server) -> None:
    job_id = server.call("execute", command='read -p "One? " a; read -s -p "Two? " b; echo; echo "$a-$b"')["job_id"]
    shows(server, job_id, "One? ")
    answer = server.call("interact", job_id=job_id, input="first")
    assert answer["stdout"] == "Two? "
    assert (answer["reason"], answer["awaiting_input"]) == ("input", "password")
    last = server.call("interact", job_id=job_id, input="secret")
    assert last["stdout"] == "\nfirst-secret\n", "a password isn't echoed"


def test_interact_stops_as_soon_as_the_new_output_matches(server: Server) -> None:
    command = "echo old ready; read x; sleep 0.3; echo now ready; sleep 300"
    job_id = server.call("execute", command=command)["job_id"]
    shows(server, job_id, "old ready\n")
    answer = server.call("interact", job_id=job_id, input="go", pattern=r"now\s+rea", timeout=50)
    assert answer["reason"] == "match"
    assert "now ready" in answer["stdout"] and "old" not in answer["stdout"]


def test_interact_comes_back_after_its_timeout_from_a_job_that_goes_on(server: Server) -> None:
    job_id = server.call("execute", command="echo up; read x; echo busy; while :; do :; done")["job_id"]
    shows(server, job_id, "up")
    begin = time.monotonic()
    answer = server.call("interact", job_id=job_id, input="go", timeout=2, pattern="never")
    assert answer["reason"] == "timeout"
    assert answer["stdout"] == "busy\n"
    assert 1.9 < time.monotonic() - begin < 30, "it would be busy for ever"
    server.call("kill", job_id=job_id)


def test_nothing_typed_just_looks(server: Server, cat: str) -> None:
    answer = server.call("interact", job_id=cat, timeout=1)
    assert answer["stdout"] == ""
    assert answer["status"] == "running"


def test_enter_false_leaves_the_line_open(server: Server, cat: str) -> None:
    answer = server.call("interact", job_id=cat, input="half ", enter=False)
    assert answer["stdout"] == ""
    shows(server, cat, "up\nhalf ")
    assert server.call("interact", job_id=cat, input="whole")["stdout"] == "half whole\n"


def test_input_that_ends_in_a_newline_gets_no_second_enter(server: Server, cat: str) -> None:
    assert server.call("interact", job_id=cat, input="one\n")["stdout"] == "one\n"


def test_an_empty_input_with_keys_presses_the_keys_only(server: Server, cat: str) -> None:
    answer = server.call("interact", job_id=cat, keys=["Enter"])
    assert answer["stdout"] == "\n\n"
    answer = server.call("interact", job_id=cat, keys=["C-d"])
    assert (answer["reason"], answer["status"]) == ("exit", "completed")


def test_keys_go_after_the_input(server: Server, repl: str) -> None:
    answer = server.call("interact", job_id=repl, input="'ac'", keys=["Left", "Left", "b", "Enter"], enter=False)
    assert "\n'abc'\n" in answer["stdout"] or "'abc'" in server.call("output", job_id=repl)["stdout"]


def test_ctrl_c_interrupts(server: Server) -> None:
    job_id = _repl(server)
    server.call("interact", job_id=job_id, input="while True: pass\n", timeout=1)
    answer = server.call("interact", job_id=job_id, keys=["C-c"])
    assert "KeyboardInterrupt" in answer["stdout"]
    assert answer["reason"] == "input"


# byte for byte

TEXTS = [
    "a;",
    ";",
    "\\;",
    "a;b;",
    "-x",
    "--",
    "Enter",
    "C-c",
    "Space",
    'it\'s "quoted" `ticks` $HOME $(id)',
    "#{pane_id} #(touch pwned) #S #",
    "% %% %H 100%",
    "\\n \\t \\\\ \\",
    "héllo wörld",
    "漢字 😀 e\u0301",
    "a\tb\t",
    "  leading and trailing  ",
    "{}[]()<>|&!?*~^",
    "~.",
    "0",
    "$",
    '"',
    "'",
    "x" * 4094,
]


@pytest.mark.promise("interact-verbatim")
def test_input_arrives_byte_for_byte(server: Server, shared: Sandbox) -> None:
    job_id = server.call("execute", command="echo up; exec cat > typed")["job_id"]
    shows(server, job_id, "up")
    for text in TEXTS:
        answer = server.call("interact", job_id=job_id, input=text, timeout=10 if PROC else 0.5)
        assert answer["reason"] == ("input" if PROC else "timeout"), text
    server.call("interact", job_id=job_id, keys=["C-d"])
    assert ended(server, job_id)["exit_code"] == 0
    assert shared.path("typed").read_text() == "".join(text + "\n" for text in TEXTS)
    assert not shared.path("pwned").exists()


@pytest.mark.promise("interact-verbatim")
def test_180_kilobytes_of_lines_arrive_whole(server: Server, shared: Sandbox) -> None:
    text = "".join(f"{number:05} {'x' * 50} ; #{{}} é\n" for number in range(2800))
    assert len(text.encode()) > 180_000
    job_id = server.call("execute", command="stty -echo; echo up; exec cat > many")["job_id"]
    shows(server, job_id, "up")
    server.call("interact", job_id=job_id, input=text, timeout=50)
    server.call("interact", job_id=job_id, keys=["C-d"])
    assert ended(server, job_id)["exit_code"] == 0
    assert shared.path("many").read_text() == text


@pytest.mark.promise("interact-verbatim")
def test_a_program_in_raw_mode_gets_the_same_bytes_as_from_a_keyboard(server: Server, shared: Sandbox) -> None:
    script = (
        "import os, sys, tty\n"
        "tty.setraw(0)\n"
        "os.write(1, b'up')\n"
        "got = b''\n"
        "while not got.endswith(b'\\r'): got += os.read(0, 1000)\n"
        "open('raw', 'wb').write(got)\n"
    )
    shared.path("raw.py").write_text(script)
    job_id = server.call("execute", command=f"{PYTHON} -I -S raw.py")["job_id"]
    shows(server, job_id, "up")
    server.call("interact", job_id=job_id, input="tab\tctrl\x01esc\x1b[Aé;")
    ended(server, job_id)
    assert shared.path("raw").read_bytes() == "tab\tctrl\x01esc\x1b[Aé;\r".encode()


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_several_lines_into_a_shell_that_knows_bracketed_paste(server: Server) -> None:
    job_id = server.call("execute", command=SHELL)["job_id"]
    shows(server, job_id, "$ ")
    answer = server.call("interact", job_id=job_id, input="for n in 1 2\ndo\n  echo item$n\ndone", pattern="item2\n")
    assert "item1\nitem2\n" in answer["stdout"]
    assert server.call("interact", job_id=job_id, input="echo a; echo b")["stdout"].splitlines()[:2] == ["a", "b"]


def test_several_lines_into_a_python_repl(server: Server) -> None:
    job_id = _repl(server)
    answer = server.call(
        "interact", job_id=job_id, input="for n in (1, 2):\n    print('item', n)\n\n", pattern="item 2\n"
    )
    assert "item 1\nitem 2\n" in answer["stdout"]
    assert "Error" not in answer["stdout"]


@pytest.mark.promise("interact-copy-mode")
def test_input_reaches_the_job_though_a_person_scrolls_in_copy_mode(server: Server, shared: Sandbox, cat: str) -> None:
    window = shared.window(cat)
    shared.tmux("copy-mode", "-t", window)
    answer = server.call("interact", job_id=cat, input="through; it")
    assert answer["stdout"] == "through; it\n"
    server.call("interact", job_id=cat, keys=["x", "Enter"])
    shows(server, cat, "x\nx\n")


@pytest.mark.promise("interact-copy-mode")
def test_text_alone_does_not_throw_a_person_out_of_copy_mode(server: Server, shared: Sandbox, cat: str) -> None:
    window = shared.window(cat)
    shared.tmux("copy-mode", "-t", window)
    server.call("interact", job_id=cat, input="through")
    assert shared.tmux("display-message", "-p", "-t", window, "#{pane_in_mode}") == "1"


@pytest.mark.promise("interact-copy-mode")
def test_keys_bring_a_person_back_to_where_they_were_in_copy_mode(server: Server, shared: Sandbox) -> None:
    job_id = server.call("execute", command="seq 1 300; exec cat")["job_id"]
    shows(server, job_id, "300")
    window = shared.window(job_id)
    shared.tmux("copy-mode", "-t", window, ";", "send-keys", "-t", window, "-X", "goto-line", "120")
    place = "#{pane_in_mode} #{scroll_position}"
    assert shared.tmux("display-message", "-p", "-t", window, place) == "1 120"
    server.call("interact", job_id=job_id, keys=["y", "Enter"])
    shows(server, job_id, "y\ny\n")
    in_mode, _, line = shared.tmux("display-message", "-p", "-t", window, place).partition(" ")
    assert (in_mode, abs(int(line) - 120) <= 4) == ("1", True), "what was printed meanwhile moves the history on"
    server.call("kill", job_id=job_id)


@pytest.mark.promise("interact-refused-whole")
def test_a_line_longer_than_the_terminal_takes_is_refused_before_anything_is_sent(server: Server, cat: str) -> None:
    for text in ("x" * 4096, "short first\n" + "é" * 2500, "x" * 100_000):
        with pytest.raises(ToolError, match="4095"):
            server.call("interact", job_id=cat, input=text)
    assert server.call("output", job_id=cat)["stdout"] == "up\n"
    assert server.call("interact", job_id=cat, input="fine")["stdout"] == "fine\n"


def test_a_program_in_raw_mode_takes_longer_lines(server: Server, repl: str) -> None:
    answer = server.call("interact", job_id=repl, input="len('" + "a" * 6000 + "')", pattern="^6000$")
    assert answer["reason"] == "match"


@pytest.mark.parametrize("keys", [["Bogus"], ["Up", "NoSuchKey"], ["C-Bogus"], ["F99"]])
@pytest.mark.promise("interact-refused-whole")
def test_an_unknown_key_is_refused_by_name_and_nothing_is_sent(server: Server, cat: str, keys: list[str]) -> None:
    with pytest.raises(ToolError) as refusal:
        server.call("interact", job_id=cat, input="not sent", keys=keys)
    assert keys[-1] in str(refusal.value)
    assert server.call("output", job_id=cat)["stdout"] == "up\n"
    assert server.call("interact", job_id=cat, input="fine")["stdout"] == "fine\n"


@pytest.mark.promise("interact-refused-whole")
def test_a_dead_job_takes_no_input(server: Server) -> None:
    job = run_job(server, "exit 3")
    for arguments in ({"input": "x"}, {"keys": ["C-c"]}, {"input": ""}):
        with pytest.raises(ToolError, match="not running"):
            server.call("interact", job_id=job["job_id"], **arguments)


@pytest.mark.promise("interact-one-at-a-time")
def test_two_agents_inputs_never_interleave(server: Server, shared: Sandbox) -> None:
    job_id = server.call("execute", command="stty -echo; echo up; exec cat > both")["job_id"]
    shows(server, job_id, "up")
    other = shared.server()
    blocks: list[str] = []

    def agent(who: Server, name: str) -> None:
        for turn in range(5):
            block = "".join(f"{name}{turn} line {number}\n" for number in range(60))
            blocks.append(block)
            who.call("interact", job_id=job_id, input=block)

    threads = [threading.Thread(target=agent, args=pair) for pair in ((server, "a"), (other, "b"), (server, "c"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    server.call("interact", job_id=job_id, keys=["C-d"])
    ended(server, job_id)
    text = shared.path("both").read_text()
    assert len(blocks) == 15
    assert len(text) == sum(len(block) for block in blocks)
    assert all(block in text for block in blocks)
    other.close()
