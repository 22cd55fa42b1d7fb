"""Whatever a command, a name, an output, a title or an id holds: it is text, for agents, for tmux and for the person.

`w` is a program that leaves a trace. It is called by every trick that the texts below try, and must never run.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.person import Person
from support.rpc import RpcError, Server, ToolError
from support.sandbox import Sandbox, printed, run_job, shows
from support.terminal import cli
from support.waiting import stays_true, wait_until

TEXTS = [
    # formats and styles of tmux
    "#(w)", "##(w)", "###(w)", "#{E:#(w)}", "#{?1,#(w),}", "#,#(w)", "#}#(w)", "}#(w),", "#{pane_id}", "#[fg=red]#(w)",
    "#[list=on]#[push-default]", "x#", "%H%(w)%n%%",
    # commands of tmux and of the shell
    "x; run w", "' ; run w ; '", '" ; run w ; "', '\\" ; run w', "} ; run w ; {", "x\n run w\n", "`w`", "$(w)", "|w&",
    "\\", "'", ";", "x;",
    # options and targets
    "-t", "--", "=mcp-jobs:0", "%0", "~",
    # what a terminal obeys
    "\x1b]0;#(w)\x07", "\x1bk#(w)\x1b\\", "\x1b[2J\x1b[H", "\x9b2J", "\x1bPtmux;\x1b\x1b]52;c;dw==\x07\x1b\\", "\x07\b",
    "\x1b[7717;1;1m",
    # more than ASCII
    "日本語🙂é", "\u202egnirts", "\u2028x", "a\tb",
]  # fmt: skip
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def plain(text: str) -> bool:
    """Whether a text is to be seen as it stands: `#[` has no way to be quoted everywhere and is parted by a blank."""
    return text.isprintable() and text.isascii() and "#[" not in text


def in_a_window_name(text: str) -> str:
    """tmux itself shows a backslash in a window's name as two."""
    return text.replace("\\", "\\\\")


class World:
    """A server whose tmux finds `w`, and a job for each text: in its command, its name, its output and its title."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.trace = sandbox.root / "it-ran"
        tools = sandbox.root / "bin"
        tools.mkdir()
        (tools / "w").write_text(f"#!/bin/sh\ntouch {self.trace}\n")
        (tools / "w").chmod(0o755)
        self.server = sandbox.server(PATH=f"{tools}:{os.environ['PATH']}", MCP_BG_MAX_JOBS="300")
        begun = [self.server.start("execute", command=self.command(text), name=text) for text in TEXTS]
        self.jobs = [one.answer()["job_id"] for one in begun]
        for job_id in self.jobs:
            shows(self.server, job_id, "END")

    @staticmethod
    def command(text: str) -> str:
        quoted = shlex.quote(text)
        return f"printf '%s\\n\\033]2;%s\\007\\033k%s\\033\\\\END\\n' {quoted} {quoted} {quoted}; exec cat"

    def start(self, text: str) -> str:
        job_id: str = self.server.call("execute", command="exec cat", name=text)["job_id"]
        return job_id

    def go_to(self, job_id: str) -> None:
        self.sandbox.tmux("select-window", "-t", self.sandbox.window(job_id))

    def nothing_ran(self) -> None:
        assert not self.trace.exists()


@pytest.fixture(scope="module")
def world(shared: Sandbox) -> World:
    return World(shared)


@pytest.fixture
def person(world: World) -> Iterator[Person]:
    """Somebody who is attached, where the longest name has room beside the sign of a window that is cut."""
    person = Person(world.sandbox, columns=120, rows=24)
    person.sees("F12 menu")
    yield person
    person.close()
    # A shell that a format starts runs by the status line's interval of a second.
    stays_true(lambda: not world.trace.exists(), 1.2)


def test_the_trap_works(world: World) -> None:
    world.sandbox.tmux("run-shell", "w")
    wait_until(world.trace.exists)
    world.trace.unlink()


@pytest.mark.promise("text-is-text")
def test_answers_hold_the_text_and_nothing_that_a_terminal_obeys(world: World) -> None:
    listed = {job["job_id"]: job for job in world.server.call("list")["jobs"]}
    for text, job_id in zip(TEXTS, world.jobs, strict=True):
        command = world.command(text)
        job = listed[job_id]
        assert job["command"] == (command if len(command) <= 200 else command[:200] + "…")
        status = world.server.call("status", job_id=job_id)
        assert not CONTROLS.search(status["name"]) and "\n" not in status["name"]
        assert (status["status"], status["command"]) == ("running", command)
        for answer in (
            world.server.call("output", job_id=job_id)["stdout"],
            world.server.call("tail", job_id=job_id)["stdout"],
            world.server.call("screen", job_id=job_id)["screen"],
        ):
            assert not CONTROLS.search(answer), repr(text)
            assert "END" in answer
            if text.isprintable() and text.isascii():
                assert answer.startswith(text + "\n")
    world.nothing_ran()


def sees_match(person: Person, regex: str) -> str:
    """Wait until the whole screen matches; returns it."""

    def matching() -> str:
        shown = person.screen()
        return shown if re.search(regex, shown.rstrip("\n")) else ""

    return wait_until(matching, what=f"{regex!r} on the person's screen")


@pytest.mark.promise("text-is-text")
def test_the_status_line_the_border_and_the_menu_stand(world: World, person: Person) -> None:
    for text, job_id in zip(TEXTS, world.jobs, strict=True):
        if not text.isprintable():
            continue  # its name is of what is left without the controls, as others are
        world.go_to(job_id)
        # The border above the job and the second status line: both in full, with what stands behind the name. tmux
        # draws them one after the other, and a border whose state has just changed in two steps.
        standing = (
            rf"^── \S .* {job_id} since \d\d:\d\d:\d\d ─+\n(?s:.*)F12 menu *\n.* \d+:\d\d .* {job_id}( +cut .*)? *$"
        )
        lines = sees_match(person, standing).rstrip("\n").split("\n")
        person.press("F12")
        menu = person.sees("Take over", "Kill it", "Detach", "Help")
        person.press("q")
        if plain(text):
            shown = in_a_window_name(text)
            assert f" {shown} {job_id}" in lines[0], (text, lines[0])
            assert f" {shown} {job_id}" in lines[-1], (text, lines[-1])
            assert f" {shown} " in next(line for line in menu.split("\n") if "┌" in line), (text, menu)
        wait_until(lambda: "Take over" not in person.screen())


@pytest.mark.promise("pair-menu")
def test_the_menu_acts_on_the_job_and_on_no_other(world: World, person: Person) -> None:
    job_id = world.start("'; run w; #(w)")
    world.go_to(job_id)
    person.sees(f" {job_id}")
    person.press("F12")
    person.sees("Take over")
    person.type("t")
    person.sees("you hold the keys")
    wait_until(lambda: world.server.call("status", job_id=job_id).get("holder") == "human")
    with pytest.raises(ToolError, match="person"):
        world.server.call("kill", job_id=job_id)
    person.press("F12")
    person.sees("Hand the keys back")
    person.type("k")
    person.sees(f"Kill job {job_id}")
    person.type("y")
    wait_until(lambda: world.server.call("status", job_id=job_id)["status"] == "killed")
    assert all(world.server.call("status", job_id=other)["status"] == "running" for other in world.jobs)


def test_the_board_shows_a_row_for_each(world: World) -> None:
    person = Person(world.sandbox, columns=120, rows=len(TEXTS) + 30)
    try:
        person.sees("F12 menu")
        world.sandbox.tmux("select-window", "-t", "=mcp-jobs:0")
        shown_as = [text if text.isprintable() and text.isascii() else "" for text in TEXTS]

        def each_has_its_row() -> bool:
            rows = person.screen().split("\n")
            found = [[line for line in rows if job_id in line] for job_id in world.jobs]
            return all(len(of) == 1 and text in of[0] for text, of in zip(shown_as, found, strict=True))

        wait_until(each_has_its_row)
    finally:
        person.close()
    world.nothing_ran()


@pytest.mark.promise("text-is-text")
def test_a_message_of_a_hand_off_is_shown_as_it_stands(world: World, person: Person) -> None:
    job_id = world.start("asks")
    world.go_to(job_id)
    person.sees(f" {job_id}")
    texts = ("#(w)", "#{E:#(w)}", "' ; run w ; '", '"; run w', "} ; run w ; {", "%H %(w)", "\x1b]0;#(w)\x07", "x;")
    for number, text in enumerate(texts):
        message = f"{text} please {number}"
        world.server.call("handoff", job_id=job_id, message=message)
        person.sees(f"please {number}")
        person.press("Escape")  # the message itself covers the status line for four seconds
        person.sees("F12 menu", f"asks: {message}" if plain(text) else f"please {number}")
    assert world.server.call("status", job_id=job_id)["holder"] == "human"
    person.press("F12")
    person.sees("What the agent sent")
    person.type("i")
    person.sees("An agent asks you")
    person.type("q")
    wait_until(lambda: "An agent asks you" not in person.screen(), what="the popup closed")
    person.press("F12")
    person.sees("Hand the keys back")
    person.type("t")
    wait_until(lambda: world.server.call("status", job_id=job_id)["holder"] == "agent")


@pytest.mark.promise("text-is-text")
def test_a_window_that_was_renamed_breaks_nothing(world: World, person: Person) -> None:
    job_id = world.start("renamed")
    world.go_to(job_id)
    for text in ("#(w)", "#{E:#(w)}", "#[fg=red]#(w)", "' ; run w ; '", "} ; run w ; {", "#,#(w)", "%H", "-t"):
        # A name given by rename-window is a format of its own, hence the doubling: the name itself is to be hostile.
        given = text.replace("#", "##").replace("##[", "#[")
        world.sandbox.tmux("rename-window", "-t", world.sandbox.window(job_id), "--", given)
        assert world.sandbox.ask(job_id, "#{window_name}") == text
        person.sees(f" {job_id} since ")
        person.press("F12")
        person.sees("Take over")
        person.press("q")
        wait_until(lambda: "Take over" not in person.screen())


@pytest.mark.promise("interact-verbatim")
def test_input_is_typed_as_it_stands(world: World) -> None:
    job_id = world.server.call("execute", command="exec cat >typed")["job_id"]
    texts = [text for text in TEXTS if not CONTROLS.search(text) and "\n" not in text]
    for text in texts:
        world.server.call("interact", job_id=job_id, input=text, timeout=0.1)
    typed = world.sandbox.path("typed")
    wait_until(lambda: typed.read_text(encoding="utf-8").count("\n") == len(texts))
    assert typed.read_text(encoding="utf-8").split("\n")[:-1] == texts
    for key in ("; run w", "#(w)", "C-c;", "-t", "x\n", "%0;", "Enter Enter"):
        with pytest.raises(ToolError, match="not a key name"):
            world.server.call("interact", job_id=job_id, keys=[key])
    world.nothing_ran()


@pytest.mark.promise("text-is-text")
def test_folders_and_variables_may_be_named_so_too(world: World) -> None:
    for text in TEXTS[::3]:
        name = text.replace("/", "_")
        folder = world.sandbox.path("in " + name)
        folder.mkdir()
        job = run_job(world.server, "pwd; printenv WORD", cwd=str(folder), env={"WORD": text}, wait=20)
        assert job["status"] == "completed", repr(text)
        assert job["cwd"] == str(folder)
    world.nothing_ran()


HOSTILE_IDS = [
    "", ".", "..", "../mcp-jobs", "../../etc", "/etc/passwd", "aaaaaa/../aaaaaa", "aaaaaa/", "a" * 100_000, "%0", "@0",
    "mcp-jobs:0", "#{pane_id}", "#(w)", "; run w", "$(w)", "`w`", "aaaaaa\n", "\naaaaaa", "aaaaaa\x00", "AAAAAA",
    "\uff41aaaaa", "a\u0661\u0662\u0663\u0664\u0665", "*", "??????", ".new-aaaaaa", "lock", "\x1b[2J", "-h", "--help",
]  # fmt: skip


@pytest.mark.promise("safe-ids")
def test_an_id_that_is_none_finds_nothing(world: World) -> None:
    names = {job["name"] for job in world.server.call("list", all=True)["jobs"]}  # by which a job may be found
    for job_id in HOSTILE_IDS:
        if job_id in names:
            continue
        for tool, more in (("status", {}), ("output", {}), ("tail", {}), ("screen", {}), ("interact", {"input": "x"})):
            with pytest.raises(ToolError, match="not found") as refused:
                world.server.call(tool, job_id=job_id, **more)
            assert not CONTROLS.search(str(refused.value)) and len(str(refused.value)) < 300
        with pytest.raises(ToolError, match="not found"):
            world.server.call("wait", job_ids=[job_id])
        with pytest.raises(ToolError, match="not found"):
            world.server.call("handoff", job_id=job_id, message="x")
        assert world.server.call("kill", job_id=job_id) == {"status": "not_found"}
    for uri in ("job://../output", "job://%2e%2e%2fx/output", "job://aaaaaa%2f..%2faaaaaa/output", "job://#(w)/screen"):
        with pytest.raises(RpcError):
            world.server.request("resources/read", {"uri": uri})
    world.nothing_ran()


@pytest.mark.promise("text-is-text")
def test_the_persons_commands_print_nothing_that_a_terminal_obeys(world: World) -> None:
    for arguments in (["list"], *(["status", job_id] for job_id in world.jobs[-4:])):
        shown = cli(world.sandbox, *arguments).stdout
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\u2028]", shown), arguments
    listed = json.loads(cli(world.sandbox, "list", "--json").stdout)
    assert len(listed["jobs"]) >= len(world.jobs)
    world.nothing_ran()


def test_a_program_named_like_a_tmux_command_is_still_the_jobs_own(world: World) -> None:
    tool = world.sandbox.path("kill-server")
    Path(tool).write_text("#!/bin/sh\necho mine\n")
    tool.chmod(0o755)
    assert printed(world.server, "./kill-server ; :") == "mine\n"


def test_after_all_that_every_job_runs_and_the_server_answers(world: World) -> None:
    server: Server = world.server
    assert {server.call("status", job_id=job_id)["status"] for job_id in world.jobs} == {"running"}
    assert server.noise == []
    world.nothing_ran()
