"""output: cursors that neither lose nor repeat, bounded answers, grep on the server, streams apart."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.rpc import Answer, Server
from support.sandbox import PYTHON, Sandbox, ended, printed, run_job, shows
from support.terminal import cli
from support.waiting import wait_until

# Writes to its terminal exactly the bytes that a test hands it, one write for each line of hexadecimal.
PRINTER = """
import os, sys
for line in open(sys.argv[1]):
    os.write(1, bytes.fromhex(line))
"""


class Printer:
    """A job that prints what the test says, when the test says so."""

    def __init__(self, world: Sandbox, server: Server, **options: object) -> None:
        path = world.path(f"printer-{len(world.records())}")
        os.mkfifo(path)
        world.path("printer.py").write_text(PRINTER)
        command = f"stty -opost; exec {PYTHON} -I -S -u printer.py {path.name}"
        self.job_id: str = server.call("execute", command=command, **options)["job_id"]
        self._pipe = path.open("w")

    def print(self, data: bytes) -> None:
        self._pipe.write(data.hex() + "\n")
        self._pipe.flush()

    def close(self) -> None:
        self._pipe.close()


@pytest.fixture
def printer(shared: Sandbox, server: Server) -> Iterator[Printer]:
    one = Printer(shared, server)
    yield one
    one.close()
    ended(server, one.job_id)


def _new(server: Server, job_id: str, cursor: int) -> Answer:
    """Wait for output past a cursor; returns the page."""

    def page() -> Answer | None:
        answer = server.call("output", job_id=job_id, since=cursor)
        return answer if answer["cursor"] > cursor else None

    answer = wait_until(page)
    assert answer is not None
    return answer


def _pages(server: Server, job_id: str, since: int = 0, **options: Any) -> Iterator[Answer]:
    """Read from cursor to cursor until there is no more."""
    while True:
        page = server.call("output", job_id=job_id, since=since, **options)
        yield page
        assert page["cursor"] > since or not page.get("truncated"), "a page that leads nowhere"
        if not page.get("truncated"):
            return
        since = page["cursor"]


# cursors


@pytest.mark.promise("cursor-exact")
def test_a_character_split_between_two_reads_is_read_once_and_whole(server: Server, printer: Printer) -> None:
    euro = "€".encode()
    printer.print(b"a" + euro[:2])
    first = _new(server, printer.job_id, 0)
    printer.print(euro[2:] + b"b\r\n")
    second = _new(server, printer.job_id, first["cursor"])
    assert first["stdout"] + second["stdout"] == "a€b\n"
    assert first["stdout"] == "a"


@pytest.mark.promise("cursor-exact")
def test_an_escape_sequence_split_between_two_reads_shows_nothing_of_itself(server: Server, printer: Printer) -> None:
    printer.print(b"a\x1b[3")
    first = _new(server, printer.job_id, 0)
    printer.print(b"1mred\x1b[0m\x1b]0;ti")
    second = _new(server, printer.job_id, first["cursor"])
    printer.print(b"tle\x07 end\r\n")
    third = _new(server, printer.job_id, second["cursor"])
    assert (first["stdout"], second["stdout"], third["stdout"]) == ("a", "red", " end\n")


def test_a_redraw_that_straddles_two_reads_is_folded_in_each(server: Server, printer: Printer) -> None:
    printer.print(b"10%\r20%\r30%")
    first = _new(server, printer.job_id, 0)
    printer.print(b"\r40%\r50%")
    second = _new(server, printer.job_id, first["cursor"])
    printer.print(b"\r100%\r\ndone\r\n")
    third = _new(server, printer.job_id, second["cursor"])
    assert first["stdout"].strip() == "30%"
    assert second["stdout"].strip() == "50%"
    assert third["stdout"].strip().splitlines() == ["100%", "done"]
    assert server.call("output", job_id=printer.job_id)["stdout"] == "100%\ndone\n"


@pytest.mark.promise("output-any-bytes")
def test_invalid_utf8_and_nul_survive(server: Server, printer: Printer) -> None:
    printer.print(b"a\xff\xfe\x00b\r\nend\r\n")
    text = shows(server, printer.job_id, "end")
    assert text.startswith("a") and text.endswith("b\nend\n")


@pytest.mark.promise("cursor-exact")
@pytest.mark.parametrize(
    ("command", "text"),
    [
        (r"printf 'caf\303'", "caf\N{REPLACEMENT CHARACTER}"),
        (r"printf 'A\n\033Pq'; echo one; exit 4", "A\nqone\n"),
        (r"printf 'A\n\033[01;3'", "A\n"),
        (r"printf 'A\n\033]0;title'; echo; seq 3", "A\n0;title\n1\n2\n3\n"),
    ],
)
@pytest.mark.promise("output-any-bytes")
def test_an_output_that_ends_inside_a_sequence_is_told_to_its_end(
    server: Server, shared: Sandbox, command: str, text: str
) -> None:
    job_id = run_job(server, command)["job_id"]
    for tool, how in [("output", {}), ("output", {"since": 0}), ("tail", {"lines": 50})]:
        answer = server.call(tool, job_id=job_id, **how)
        assert answer["stdout"] == text and "truncated" not in answer
        assert server.call("output", job_id=job_id, since=answer["cursor"])["stdout"] == ""
    if "one" in text:
        assert server.call("output", job_id=job_id, grep="one")["stdout"] == "2:qone\n"
    assert cli(shared, "output", job_id).stdout.strip() == text.strip()


@pytest.mark.promise("last-screen")
def test_the_last_words_of_a_full_screen_program_can_be_read(server: Server) -> None:
    command = f"""{PYTHON} -c "import curses; curses.initscr().refresh(); raise ValueError('bo' 'om')" """
    answer = server.call("execute", command=f"echo begun; {command}", wait=50)
    assert answer["status"] == "failed"
    job_id = answer["job_id"]
    whole = server.call("output", job_id=job_id)
    for found in (answer, whole, server.call("tail", job_id=job_id), server.call("output", job_id=job_id, since=0)):
        assert "ValueError: boom" in found["stdout"].splitlines()[-1]
        assert found["stdout"].count("Traceback") == 1 and "truncated" not in found
    assert whole["stdout"].startswith("begun\n[full-screen program; its last screen:]\n")
    assert "ValueError: boom" in server.call("output", job_id=job_id, grep="^ *ValueError")["stdout"]
    # One that gave the screen back has had its say.
    left = run_job(server, r"printf '\033[?1049hdrawn\033[?1049lgone\n'")["job_id"]
    assert server.call("output", job_id=left)["stdout"].endswith("]\ngone\n")


@pytest.mark.promise("cursor-exact")
def test_an_answer_that_begins_inside_a_line_is_whole(server: Server) -> None:
    job_id = server.call("execute", command="PS1='$ ' bash --norc -i", wait=50, pattern="[$] ")["job_id"]
    answer = server.call("interact", job_id=job_id, input="for i in 1; do\n  echo M\ndone")
    assert answer["stdout"].count("for i in 1") <= 1 and "\nM\n" in "\n" + answer["stdout"]
    server.call("kill", job_id=job_id, signal="KILL")


def test_a_cursor_counts_the_bytes_that_the_job_printed(server: Server, printer: Printer) -> None:
    data = "grün \x1b[31mrot\x1b[0m 漢\r\n".encode()
    printer.print(data)
    wait_until(lambda: "漢\n" in server.call("output", job_id=printer.job_id)["stdout"])
    assert server.call("output", job_id=printer.job_id)["cursor"] == len(data)
    assert server.call("tail", job_id=printer.job_id)["cursor"] == len(data)


@pytest.mark.promise("cursor-stays")
def test_a_cursor_of_one_server_is_good_on_the_next(server: Server, shared: Sandbox) -> None:
    first = shared.server()
    printer = Printer(shared, first)
    printer.print("first €\r\n".encode())
    cursor = _new(first, printer.job_id, 0)["cursor"]
    first.kill9()
    printer.print("second €\r\n".encode())
    assert _new(server, printer.job_id, cursor)["stdout"] == "second €\n"
    printer.close()
    ended(server, printer.job_id)


@pytest.fixture(scope="module")
def colourful(shared: Sandbox, server: Server) -> tuple[str, str, int]:
    """A finished job with wide characters and colours in it: id, its text, its bytes."""
    rows = [
        f"{number} grün ✓ 漢字 😀 plain words of row {number}" if number % 3 else f"{number} \x1b[1;32mok\x1b[0m naïve"
        for number in range(600)
    ]
    data = ("\r\n".join(rows) + "\r\n").encode()
    shared.path("colours").write_bytes(data)
    job = run_job(server, "stty -opost; cat colours")
    text = re.sub(r"\x1b\[[0-9;]*m|\r", "", data.decode())
    assert server.call("output", job_id=job["job_id"], max_chars=100_000)["stdout"] == text
    return job["job_id"], text, len(data)


@settings(max_examples=20)
@given(sizes=st.lists(st.integers(100, 6000), min_size=1, max_size=8))
@pytest.mark.promise("cursor-exact")
def test_pages_of_any_size_add_up_to_the_whole(
    server: Server, colourful: tuple[str, str, int], sizes: list[int]
) -> None:
    job_id, text, total = colourful
    read, cursor, turn = "", 0, 0
    while True:
        size = sizes[turn % len(sizes)]
        page = server.call("output", job_id=job_id, since=cursor, max_chars=size)
        assert len(page["stdout"]) <= size
        read += page["stdout"]
        assert text.startswith(read)
        cursor, turn = page["cursor"], turn + 1
        if not page.get("truncated"):
            break
    assert read == text
    assert cursor == total


@settings(max_examples=30)
@given(st.data())
@pytest.mark.promise("cursor-exact")
def test_any_byte_is_a_cursor_to_read_from(
    server: Server, colourful: tuple[str, str, int], data: st.DataObject
) -> None:
    job_id, text, total = colourful
    since = data.draw(st.integers(0, total))
    page = server.call("output", job_id=job_id, since=since, max_chars=100_000)
    assert page["cursor"] == total
    # Inside a character or a sequence the cut piece may show as something; the rest is exact.
    rest = page["stdout"]
    assert text.endswith(rest[12:])
    assert len(rest) <= total - since


@pytest.mark.promise("output-reads-in-flood")
def test_output_that_comes_while_it_is_read_is_neither_lost_nor_repeated(server: Server) -> None:
    job_id = server.call(
        "execute", command='for i in $(seq 1 400); do echo "row $i"; [ $((i % 40)) = 0 ] && sleep 0.05; done'
    )["job_id"]
    read, cursor = "", 0

    def all_read() -> bool:
        nonlocal read, cursor
        page = server.call("output", job_id=job_id, since=cursor)
        read += page["stdout"]
        cursor = page["cursor"]
        return bool(page["status"] != "running" and not page.get("truncated"))

    wait_until(all_read)
    assert read == "".join(f"row {number}\n" for number in range(1, 401))


# bounded answers

WHOLE = "".join(f"row {number:06}\n" for number in range(30_000))


@pytest.fixture(scope="module")
def long_job(server: Server) -> str:
    job_id: str = run_job(server, "seq -f 'row %06.0f' 0 29999")["job_id"]
    return job_id


@pytest.mark.promise("output-bounded")
def test_a_long_output_comes_as_head_and_tail_with_one_line_between(server: Server, long_job: str) -> None:
    answer = server.call("output", job_id=long_job)
    text = answer["stdout"]
    assert answer["truncated"] is True
    assert 20_000 < len(text) <= 41_000
    assert text.startswith("row 000000\nrow 000001\n")
    assert text.endswith("row 029998\nrow 029999\n")
    between = [line for line in text.splitlines() if not re.fullmatch(r"row \d{6}", line)]
    assert len(between) == 1
    assert re.search(r"\bsince\b\D{0,3}(\d+)", between[0]), between
    assert answer["cursor"] == 12 * 30_000


@pytest.mark.promise("output-bounded")
def test_the_line_between_says_where_to_read_what_is_left_out(server: Server, long_job: str) -> None:
    text = server.call("output", job_id=long_job, max_chars=5000)["stdout"]
    between = next(line for line in text.splitlines() if not re.fullmatch(r"row \d{6}", line))
    head = text[: text.index(between)]
    tail = text[text.index(between) + len(between) + 1 :]
    assert len(text) <= 5000 + 200
    assert head and tail and WHOLE.startswith(head) and WHOLE.endswith(tail)
    found = re.search(r"\bsince\b\D{0,3}(\d+)", between)
    assert found is not None
    rest = "".join(page["stdout"] for page in _pages(server, long_job, int(found.group(1))))
    assert head + rest == WHOLE


@pytest.mark.promise("output-bounded")
def test_a_page_since_a_cursor_is_at_most_max_chars_and_says_when_more_is_there(server: Server, long_job: str) -> None:
    first = server.call("output", job_id=long_job, since=0, max_chars=1000)
    assert first["truncated"] is True
    assert 0 < len(first["stdout"]) <= 1000
    assert WHOLE.startswith(first["stdout"])
    last = server.call("output", job_id=long_job, since=12 * 29_990)
    assert last["stdout"] == WHOLE[-110:]
    assert "truncated" not in last or last["truncated"] is False
    default = server.call("output", job_id=long_job, since=0)
    assert 20_000 < len(default["stdout"]) <= 41_000


@pytest.mark.promise("output-bounded")
def test_a_line_longer_than_the_answer_is_read_in_pages_too(server: Server) -> None:
    job = run_job(server, f"{PYTHON} -I -S -c 'print(\"\".join(chr(97 + i % 26) for i in range(50000)))'")
    whole = "".join(chr(97 + i % 26) for i in range(50_000)) + "\n"
    assert "".join(page["stdout"] for page in _pages(server, job["job_id"], max_chars=7000)) == whole


def test_an_answer_within_the_bound_is_not_marked_truncated(server: Server) -> None:
    job = run_job(server, "seq 1 100")
    answer = server.call("output", job_id=job["job_id"])
    assert not answer.get("truncated")
    assert "dropped_bytes" not in answer


@pytest.mark.promise("output-bounded")
def test_a_tail_of_long_lines_is_bounded_too(server: Server) -> None:
    job = run_job(server, f"{PYTHON} -I -S -c 'for i in range(1000): print(str(i) * 300)'")
    text = server.call("tail", job_id=job["job_id"], lines=1000)["stdout"]
    assert len(text) <= 45_000
    assert text.endswith("999" * 299 + "999\n")


# grep


@pytest.fixture(scope="module")
def grepped(server: Server) -> str:
    command = (
        "for i in $(seq 1 3000); do case $i in "
        "1500) printf '\\033[31mERROR\\033[0m: disk é full\\n';; 2500) echo 'error: lower';; "
        '*) echo "fine $i";; esac; done'
    )
    job_id: str = run_job(server, command)["job_id"]
    return job_id


@pytest.mark.promise("grep-exact")
def test_grep_finds_lines_of_the_whole_log_and_numbers_them(server: Server, grepped: str) -> None:
    text = server.call("output", job_id=grepped, grep="ERROR: disk")["stdout"]
    lines = text.splitlines()
    assert len(lines) == 1
    assert "ERROR: disk é full" in lines[0] and "1500" in lines[0]


@pytest.mark.promise("grep-exact")
def test_grep_is_a_python_regex(server: Server, grepped: str) -> None:
    found = server.call("output", job_id=grepped, grep=r"(?i)^error\b(?!ous)")["stdout"].splitlines()
    assert len(found) == 2
    assert "1500" in found[0] and "2500" in found[1]
    exact = server.call("output", job_id=grepped, grep=r"(?P<word>fine) 29(?=99$)")["stdout"].splitlines()
    assert len(exact) == 1 and exact[0].endswith("fine 2999")


def test_grep_with_context_gives_the_lines_around(server: Server, grepped: str) -> None:
    text = server.call("output", job_id=grepped, grep="ERROR", context=2)["stdout"]
    for expected in ("fine 1498", "fine 1499", "ERROR: disk", "fine 1501", "fine 1502"):
        assert expected in text
    assert "fine 1497" not in text and "fine 1503" not in text


def test_overlapping_contexts_are_not_repeated(server: Server, grepped: str) -> None:
    text = server.call("output", job_id=grepped, grep="^fine 10[12]$", context=3)["stdout"]
    assert text.count("fine 101") == 1
    assert [number for number in range(95, 110) if f"fine {number}" in text] == list(range(98, 106))


def test_grep_that_finds_nothing_gives_nothing(server: Server, grepped: str) -> None:
    answer = server.call("output", job_id=grepped, grep="no such line")
    assert answer["stdout"] == ""
    assert answer["status"] == "completed"


@pytest.mark.promise("output-bounded")
def test_grep_with_many_matches_is_bounded_and_says_so(server: Server, long_job: str) -> None:
    answer = server.call("output", job_id=long_job, grep="row", max_chars=3000)
    assert len(answer["stdout"]) <= 3300
    assert answer["truncated"] is True


def test_grep_reads_on_from_a_cursor(server: Server, grepped: str) -> None:
    whole = server.call("output", job_id=grepped, grep="ERROR|error")["stdout"].splitlines()
    middle = server.call("output", job_id=grepped, since=0, max_chars=20_000)["cursor"]
    later = server.call("output", job_id=grepped, grep="ERROR|error", since=middle)["stdout"].splitlines()
    assert len(whole) == 2
    assert len(later) == 1 and "lower" in later[0]


@pytest.mark.promise("runaway-pattern")
def test_a_catastrophic_regex_is_refused_or_stopped_and_holds_nobody_up(server: Server) -> None:
    job = run_job(server, f'{PYTHON} -I -S -c \'print("a" * 5000 + "b"); print("a" * 60 + "b")\'')
    pending = server.start("output", job_id=job["job_id"], grep=r"(.*a){20}$")
    assert server.call("status", job_id=job["job_id"])["status"] == "completed"
    assert not pending.done, "the server isn't hung by it: the search has a second of processor time"
    try:
        answer = pending.answer()
    except Exception as refusal:
        assert "grep" in str(refusal) or "regex" in str(refusal) or "pattern" in str(refusal)
    else:
        assert "b" not in answer["stdout"].replace("b\n", "") or answer["stdout"] == ""


# separate_stderr


@pytest.mark.promise("output-streams")
def test_separate_stderr_gives_each_stream_on_its_own_and_exact(server: Server) -> None:
    job = run_job(server, "for i in $(seq 1 200); do echo out $i; echo err $i >&2; done; exit 3", separate_stderr=True)
    assert job["exit_code"] == 3
    answer = server.call("output", job_id=job["job_id"])
    assert answer["stdout"] == "".join(f"out {number}\n" for number in range(1, 201))
    assert answer["stderr"] == "".join(f"err {number}\n" for number in range(1, 201))


@pytest.mark.promise("output-streams")
def test_without_separate_stderr_both_come_in_their_true_order(server: Server) -> None:
    text = printed(server, "for i in $(seq 1 200); do echo out $i; echo err $i >&2; done")
    assert text == "".join(f"out {number}\nerr {number}\n" for number in range(1, 201))


def test_with_separate_stderr_both_are_still_a_terminal(server: Server) -> None:
    command = "for n in 0 1 2; do test -t $n && echo $n; done; stty size >&2; tput colors"
    job = run_job(server, command, separate_stderr=True)
    answer = server.call("output", job_id=job["job_id"])
    assert answer["stdout"].startswith("0\n1\n2\n")
    assert answer["stderr"].split()[1] == "200"


def test_with_separate_stderr_the_person_sees_both(server: Server, shared: Sandbox) -> None:
    job_id = server.call("execute", command="echo to stdout; echo to stderr >&2; cat", separate_stderr=True)["job_id"]
    wait_until(lambda: server.call("output", job_id=job_id)["stderr"] == "to stderr\n")

    def seen() -> bool:
        shown = shared.tmux("capture-pane", "-p", "-t", shared.window(job_id))
        return "to stdout" in shown and "to stderr" in shown

    wait_until(seen)
    answer = server.call("interact", job_id=job_id, input="echoed")
    assert answer["stdout"] == "echoed\n"
    assert answer["stderr"] == ""


@pytest.mark.promise("output-streams")
def test_separate_streams_are_whole_at_the_end_and_of_any_bytes(server: Server) -> None:
    script = (
        "import os; "
        "o, e = b'o' * 3000 + b'\\n', 'é漢'.encode() * 500 + b'\\n'; "
        "[(os.write(1, o), os.write(2, e)) for _ in range(40)]; "
        "os.write(2, b'\\x1b[31mlast err\\x1b[0m'); os.write(1, b'last out')"
    )
    job = run_job(server, f'{PYTHON} -I -S -c "{script}"', separate_stderr=True)
    answer = server.call("output", job_id=job["job_id"], max_chars=1_000_000)
    assert answer["stdout"] == ("o" * 3000 + "\n") * 40 + "last out"
    assert answer["stderr"] == ("é漢" * 500 + "\n") * 40 + "last err"


@pytest.mark.promise("output-streams")
def test_tail_and_cursors_know_both_streams(server: Server) -> None:
    job_id = server.call("execute", command="echo o1; echo e1 >&2; read x; echo o2; echo e2 >&2", separate_stderr=True)[
        "job_id"
    ]
    wait_until(lambda: server.call("output", job_id=job_id)["stderr"] == "e1\n")
    first = server.call("output", job_id=job_id)
    server.call("interact", job_id=job_id, input="go")
    ended(server, job_id)
    second = server.call("output", job_id=job_id, since=first["cursor"])
    assert (second["stdout"], second["stderr"]) == ("go\no2\n", "e2\n")
    tail = server.call("tail", job_id=job_id, lines=1)
    assert (tail["stdout"], tail["stderr"]) == ("o2\n", "e2\n")


# the log limit


@pytest.mark.promise("cursor-stays")
def test_the_oldest_output_is_dropped_first_and_cursors_stay_true(shared: Sandbox) -> None:
    server = shared.server(MCP_BG_MAX_OUTPUT_SIZE="64KB")
    job = run_job(server, "seq -f 'row %06.0f' 0 99999")
    total = 12 * 100_000
    answer = server.call("output", job_id=job["job_id"], max_chars=1_000_000)
    dropped = answer["dropped_bytes"]
    assert answer["cursor"] == total
    assert 0 < dropped < total
    whole = "".join(f"row {number:06}\r\n" for number in range(100_000))
    kept = whole[dropped:].replace("\r\n", "\n")
    body = answer["stdout"]
    assert body.endswith(kept[-30_000:])
    assert len(whole) - dropped >= 32 * 1024, "a good part of the limit is kept"

    page = server.call("output", job_id=job["job_id"], since=0, max_chars=1000)
    assert page["dropped_bytes"] > 0
    assert page["stdout"].splitlines()[2] in kept
    since = 12 * 99_990
    late = server.call("output", job_id=job["job_id"], since=since)
    assert late["stdout"] == "".join(f"row {number:06}\n" for number in range(99_990, 100_000))
    assert not late.get("dropped_bytes")
    assert server.call("tail", job_id=job["job_id"], lines=1)["stdout"] == "row 099999\n"


@pytest.mark.promise("dropped-told")
def test_a_reader_from_cursor_to_cursor_is_told_what_it_missed(shared: Sandbox) -> None:
    server = shared.server(MCP_BG_MAX_OUTPUT_SIZE="16KB")
    job_id = server.call("execute", command="seq -f 'row %06.0f' 0 9; read x; seq -f 'row %06.0f' 10 29999")["job_id"]
    shows(server, job_id, "row 000009\n")
    cursor = server.call("output", job_id=job_id)["cursor"]
    server.call("interact", job_id=job_id, input="go", timeout=50)
    ended(server, job_id)
    page = server.call("output", job_id=job_id, since=cursor, max_chars=1_000_000)
    assert page["dropped_bytes"] > 0
    assert page["cursor"] == 12 * 30_000 + len(b"go\r\n")
    assert page["stdout"].endswith("row 029999\n")
    kept_bytes = page["cursor"] - cursor - page["dropped_bytes"]
    assert kept_bytes <= 64 * 1024


# resources


def test_output_and_screen_are_resources_with_job_ids_to_choose_from(server: Server) -> None:
    job_id = server.call("execute", command="echo as a resource; cat")["job_id"]
    shows(server, job_id, "as a resource")
    templates = {one["uriTemplate"] for one in server.request("resources/templates/list")["resourceTemplates"]}
    assert {"job://{job_id}/output", "job://{job_id}/screen"} <= templates
    for kind in ("output", "screen"):
        contents = server.request("resources/read", {"uri": f"job://{job_id}/{kind}"})["contents"]
        assert "as a resource" in contents[0]["text"]
    completed = server.request(
        "completion/complete",
        {
            "ref": {"type": "ref/resource", "uri": "job://{job_id}/output"},
            "argument": {"name": "job_id", "value": job_id[:2]},
        },
    )
    assert job_id in completed["completion"]["values"]
