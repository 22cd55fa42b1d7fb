"""Output on a person's terminal: its colours, the times of its lines, marked matches, a page of HTML."""

from __future__ import annotations

import re
from datetime import datetime

import pytest

from support.person import Person
from support.rpc import Server
from support.sandbox import Sandbox, run_job
from support.terminal import cli

PRINTS = (
    r"printf '\033[1;31mred\033[0m plain \033[38;5;208morange\033[m é中\n'; sleep 2;"
    r"printf '50%%\r\033[32m100%%\033[m\n';"
    r"printf '\033[4mone\ntwo\033[0m\n\033]0;title\007\033[2Kthree\n\033[5Cmoved\n'; printf 'ERROR one ERROR two\n'"
)
TEXT = "red plain orange é中\n100%\none\ntwo\nthree\n     moved\nERROR one ERROR two\n"
COLOURED = (
    "\x1b[1;31mred\x1b[m plain \x1b[38;5;208morange\x1b[m é中\n\x1b[32m100%\x1b[m\n\x1b[4mone\x1b[m\n\x1b[4mtwo\x1b[m\n"
    "three\n     moved\nERROR one ERROR two\n"
)
STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} "


@pytest.fixture(scope="module")
def job(server: Server) -> str:
    job_id: str = run_job(server, PRINTS)["job_id"]
    return job_id


@pytest.mark.promise("person-looks")
def test_colours_are_shown_where_they_are_asked_for(shared: Sandbox, job: str) -> None:
    for command in (["output"], ["tail"], ["tail", "-f"]):
        assert cli(shared, *command, job).stdout == TEXT, "not in a pipe"
        assert cli(shared, *command, "--color=always", job).stdout == COLOURED
        assert cli(shared, *command, "--color=never", job).stdout == TEXT
    assert cli(shared, "run", "-w", "--color=always", r"printf '\033[31mx\033[m\n'").stdout == "\x1b[31mx\x1b[m\n"


@pytest.mark.promise("person-looks")
def test_a_terminal_gets_them_unless_it_has_no_color(shared: Sandbox, job: str) -> None:
    for before, expected in (("", True), ("NO_COLOR=1 ", False)):
        person = Person(shared, f"{before}mcp-background-job output {job}; echo done", columns=100, rows=30)
        try:
            person.sees("done")
            shown = person.screen(colours=True)
        finally:
            person.close()
        assert ("\x1b[1m\x1b[31mred" in shown) == expected and "orange" in shown


@pytest.mark.promise("person-looks")
def test_each_line_has_the_time_at_which_it_was_printed(shared: Sandbox, job: str) -> None:
    for command in (["output"], ["tail"]):
        lines = cli(shared, *command, "--timestamps", job).stdout.splitlines()
        assert [re.sub(f"^{STAMP}", "", line) for line in lines] == TEXT.splitlines()
        times = [datetime.fromisoformat(line[:23]) for line in lines]
        assert times == sorted(times) and (times[1] - times[0]).total_seconds() > 0.2
    both = cli(shared, "output", "--timestamps", "--color=always", job).stdout
    assert re.sub(f"^{STAMP}", "", both, flags=re.MULTILINE) == COLOURED


@pytest.mark.promise("person-looks")
def test_a_search_marks_its_matches(shared: Sandbox, job: str) -> None:
    assert cli(shared, "output", "-g", "ERR.R", job).stdout == "7:ERROR one ERROR two\n"
    marked = cli(shared, "output", "--color=always", "-g", "ERR.R", job).stdout
    assert marked == "7:\x1b[1;31mERROR\x1b[m one \x1b[1;31mERROR\x1b[m two\n"
    assert (
        cli(shared, "output", "--color=always", "-g", "^one$|x*", "-C", "1", job).stdout.count("\x1b[1;31mone\x1b[m")
        == 1
    )


@pytest.mark.promise("person-looks")
def test_a_page_of_html_has_the_colours_and_no_markup_of_the_job(server: Server, shared: Sandbox, job: str) -> None:
    page = cli(shared, "output", "--html", job).stdout
    assert page.startswith("<!DOCTYPE html>") and ">red</span> plain" in page and "\x1b" not in page
    hostile = run_job(server, "echo '<script>alert(1)</script> & <b>'", name="<i>&")["job_id"]
    page = cli(shared, "output", "--html", hostile).stdout
    assert "<script>" not in page and "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &lt;b&gt;" in page
    assert "<title>&lt;i>&amp;" in page


@pytest.mark.promise("person-looks")
def test_nothing_but_colours_gets_through(server: Server, shared: Sandbox) -> None:
    job_id = run_job(
        server, r"printf '\033]52;c;aGk=\007\033[6n\033[31m\033[?1049hx\033[?1049l\033[3J\342\200\256ok\033[m\n'"
    )
    shown = cli(shared, "output", "--color=always", job_id["job_id"]).stdout
    assert re.sub("\x1b\\[[0-9;]*m", "", shown).isprintable() or "\x1b" not in re.sub("\x1b\\[[0-9;]*m", "", shown)
