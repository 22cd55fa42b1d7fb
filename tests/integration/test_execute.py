"""A job is what a person would type: a shell on a real terminal, in the caller's environment and folder."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.person import Person
from support.rpc import Server, ToolError
from support.sandbox import PYTHON, Sandbox, ended, printed, run_job, run_jobs, shows, words_of
from support.waiting import wait_until


def test_execute_answers_with_an_id_a_status_and_the_line_to_attach_with(server: Server) -> None:
    answer = server.call("execute", command="true")
    assert set(answer) == {"job_id", "status", "attach"}
    assert answer["job_id"].isalnum() and answer["job_id"] == answer["job_id"].lower()
    assert answer["status"] in ("running", "completed")
    assert re.fullmatch("tmux attach -t %[0-9]+", answer["attach"])


def test_a_job_prints_what_the_command_printed(server: Server) -> None:
    assert printed(server, "echo hello") == "hello\n"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("printf 'b\\na\\n' | sort | tr a-z A-Z", "A\nB\n"),
        ("true && echo yes || echo no", "yes\n"),
        ("cat <<'END'\n$HOME `date` \\t\nEND\necho after", "$HOME `date` \\t\nafter\n"),
        ("# a comment only above\necho below # and behind", "below\n"),
        ('echo "it\'s" \'a "quote"\'', 'it\'s a "quote"\n'),
        ("for i in 1 2 3\ndo\n  echo line $i\ndone", "line 1\nline 2\nline 3\n"),
        ("echo ';' '#{pane_id}' '#(id)' '%H' '-x' '\\;'", "; #{pane_id} #(id) %H -x \\;\n"),
        ("echo héllo 漢字 😀", "héllo 漢字 😀\n"),
        ("-x 2>/dev/null; echo $?", "127\n"),
        ("f() { return 3; }; f; echo $?", "3\n"),
        ("(sleep 0.1; echo late) & wait; echo all", "late\nall\n"),
        ("echo one;", "one\n"),
        ("echo tail\\\n  continued", "tail continued\n"),
    ],
)
@pytest.mark.promise("job-as-typed")
def test_shell_syntax_means_what_it_means_in_a_terminal(server: Server, command: str, expected: str) -> None:
    assert printed(server, command) == expected


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
@pytest.mark.promise("job-as-typed")
def test_the_shell_is_bash_where_there_is_one(server: Server) -> None:
    assert printed(server, 'a=(x y z); [[ ${#a[@]} == 3 ]] && echo "${BASH_VERSION:+bash}"') == "bash\n"


@pytest.mark.promise("job-verbatim")
def test_a_command_of_200_kilobytes_runs_whole(server: Server) -> None:
    body = "\n".join(f": filler line {number:06} of a long command" for number in range(5400))
    command = f"{body}\necho reached the end"
    assert len(command) > 200_000
    job = run_job(server, command)
    assert job["status"] == "completed"
    assert job["command"] == command
    assert server.call("output", job_id=job["job_id"])["stdout"] == "reached the end\n"


@pytest.mark.promise("job-verbatim")
def test_a_here_document_of_200_kilobytes_arrives_byte_for_byte(server: Server) -> None:
    text = "".join(f'{number:06} it\'s "text" with $dollars `ticks` \\ and %s\n' for number in range(4000))
    assert len(text) > 190_000
    command = f"cat > copy <<'END'\n{text}END\ncksum < copy; pwd"
    job = run_job(server, command)
    folder = server.call("output", job_id=job["job_id"])["stdout"].splitlines()[-1]
    assert (Path(folder) / "copy").read_text() == text


@pytest.mark.parametrize("command", ["echo 'unbalanced", 'echo "unbalanced', "if true; then echo x", "echo $(date"])
def test_unbalanced_syntax_fails_fast_and_says_why(server: Server, command: str) -> None:
    job = run_job(server, command)
    assert (job["status"], job["reason"]) == ("failed", "exit")
    assert job["exit_code"] != 0
    assert server.call("output", job_id=job["job_id"])["stdout"].strip()


def test_a_missing_program_fails_with_127(server: Server) -> None:
    job = run_job(server, "no-such-program-anywhere")
    assert (job["status"], job["exit_code"]) == ("failed", 127)


@pytest.mark.promise("job-as-typed")
def test_all_three_standard_streams_are_a_terminal_of_the_jobs_own(server: Server) -> None:
    text = printed(server, "for n in 0 1 2; do test -t $n && echo $n; done; tty >/dev/null && : </dev/tty && echo own")
    assert text == "0\n1\n2\nown\n"


@pytest.mark.promise("job-as-typed")
def test_the_terminal_is_about_200_columns_wide_from_the_first_moment(server: Server) -> None:
    commands = ["stty size"] * 8 + ["tput cols"]
    pending = [run_job(server, command)["job_id"] for command in commands]
    texts = [server.call("output", job_id=job_id)["stdout"].split() for job_id in pending]
    columns = {int(words[-1]) for words in texts}
    assert columns == {200}
    assert {int(words[0]) for words in texts[:-1]} <= set(range(20, 200))


def test_term_is_one_that_full_screen_programs_know(server: Server) -> None:
    text = printed(server, "echo $TERM; tput cup 3 4 >/dev/null && echo known")
    term, known = text.splitlines()
    assert known == "known"
    assert term.startswith(("screen", "tmux", "xterm"))


@pytest.fixture(scope="module")
def odd_world() -> Iterator[Sandbox]:
    """A world of its own: what its server is given must not come from a tmux server that ran before."""
    world = Sandbox()
    yield world
    world.close()


@pytest.fixture(scope="module")
def odd(odd_world: Sandbox) -> Server:
    """A server whose environment has everything in it that must, or must not, reach a job."""
    return odd_world.server(
        TERM="dumb",
        LANG="C",
        LC_ALL="C",
        FROM_SERVER="seen",
        SERVER_SECRET="secret-of-the-server",
        BOTH="server",
        MCP_BG_HTTP_TOKEN="the-token-of-the-server",
        MCP_BG_WORKING_DIR=str(odd_world.home),
    )


def test_a_dumb_term_of_the_client_does_not_reach_the_job(odd: Server) -> None:
    assert printed(odd, "echo $TERM").startswith(("screen", "tmux", "xterm"))


@pytest.mark.promise("job-no-pager")
def test_pagers_are_off_unless_env_asks_for_one(server: Server) -> None:
    assert printed(server, 'echo "$PAGER $GIT_PAGER"') == "cat cat\n"
    assert printed(server, 'echo "$PAGER $GIT_PAGER"', env={"PAGER": "less -R"}) == "less -R cat\n"
    assert printed(server, 'echo "$GIT_PAGER"', env={"GIT_PAGER": "more"}) == "more\n"


@pytest.mark.skipif(shutil.which("git") is None, reason="no git here")
@pytest.mark.promise("job-no-pager")
def test_git_log_does_not_hang_in_a_pager(server: Server) -> None:
    text = printed(
        server,
        "rm -rf repo && git init -q repo && cd repo"
        " && export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b"
        ' && for i in $(seq 60); do git commit -q --allow-empty -m "change $i"; done && git log --oneline',
    )
    lines = text.splitlines()
    assert len(lines) == 60
    assert lines[0].endswith("change 60") and lines[-1].endswith("change 1")


@pytest.mark.promise("job-environment")
def test_a_job_has_the_servers_environment_and_what_env_adds(odd: Server) -> None:
    text = printed(
        odd,
        'printf "%s|" "$FROM_SERVER" "$BOTH" "$ADDED" "$EMPTY" "${EMPTY+set}"; echo',
        env={"BOTH": "env", "ADDED": "two\nlines 'and' \"quotes\" $x ; # %", "EMPTY": ""},
    )
    assert text == "seen|env|two\nlines 'and' \"quotes\" $x ; # %||set|\n"


@pytest.mark.promise("private-token")
def test_a_job_does_not_see_the_token_of_the_server(odd: Server) -> None:
    assert printed(odd, "env | grep -i token; echo none") == "none\n"


@pytest.mark.promise("private-environment")
def test_the_environment_is_left_neither_on_disk_nor_on_a_command_line_nor_in_tmux(
    odd: Server, odd_world: Sandbox
) -> None:
    job = odd.call(
        "execute",
        command='echo "got $JOB_SECRET $SERVER_SECRET" | tr s S; cat',
        env={"JOB_SECRET": "secret-of-env"},
    )
    shows(odd, job["job_id"], "got Secret-of-env Secret-of-the-Server")
    for path, content in odd_world.stored_bytes():
        assert b"secret-of-" not in content, path
    for process in odd_world.processes():
        assert not any("secret-of-" in word for word in words_of(process)), process
    shown = odd_world.tmux("show-environment", "-g") + odd_world.tmux("show-environment", "-t", "=mcp-jobs:")
    assert "secret-of-" not in shown
    tmux_server = odd_world.tmux_server()
    assert tmux_server is not None
    assert not any("secret-of-" in value for value in tmux_server.environ().values())


@pytest.mark.promise("job-environment")
def test_a_job_starts_in_cwd(server: Server, shared: Sandbox) -> None:
    folder = shared.path("a folder; with #{odd} $(chars) %H 漢")
    folder.mkdir()
    job = run_job(server, 'pwd; echo "$PWD"', cwd=str(folder))
    assert job["cwd"] == str(folder)
    text = server.call("output", job_id=job["job_id"])["stdout"]
    assert text == f"{folder}\n{folder}\n"


@pytest.mark.promise("job-environment")
def test_without_cwd_a_job_starts_where_the_server_is(server: Server, shared: Sandbox) -> None:
    assert printed(server, "pwd") == f"{shared.work}\n"


def test_working_dir_is_the_folder_that_jobs_start_in(odd: Server, odd_world: Sandbox) -> None:
    assert printed(odd, "pwd") == f"{odd_world.home}\n"
    assert printed(odd, "pwd", cwd=str(odd_world.work)) == f"{odd_world.work}\n"


@pytest.mark.promise("job-as-typed")
def test_a_job_handles_signals_like_a_command_in_a_terminal(server: Server) -> None:
    # A runner that ignores INT, QUIT, TSTP or blocks HUP must not pass that on.
    job = run_job(server, "grep -E '^Sig(Blk|Ign)' /proc/self/status | tr -s '\\t ' ' '; true")
    if not Path("/proc/self/status").exists():
        pytest.skip("no /proc here")
    text = server.call("output", job_id=job["job_id"])["stdout"]
    blocked, ignored = (int(line.split()[1], 16) for line in text.splitlines())
    assert blocked == 0
    assert ignored & ~(0b11 << 31) == 0, "32 and 33 are the C library's own; nobody can set them back"


@pytest.mark.promise("job-environment")
def test_a_job_inherits_no_file_of_ours(server: Server) -> None:
    if not Path("/proc/self/fd").exists():
        pytest.skip("no /proc here")
    text = printed(
        server, f"{PYTHON} -I -S -c 'import os; print(sorted(int(n) for n in os.listdir(\"/proc/self/fd\")))'"
    )
    opened = json.loads(text)
    # The fourth is the listing's own.
    assert opened == [0, 1, 2, 3]


@pytest.mark.promise("job-as-typed")
def test_ctrl_c_reaches_the_job_and_not_its_supervisor(server: Server) -> None:
    job_id = server.call("execute", command="trap 'echo caught; exit 7' INT; echo ready; while :; do sleep 0.1; done")[
        "job_id"
    ]
    shows(server, job_id, "ready")
    server.call("interact", job_id=job_id, keys=["C-c"])
    job = ended(server, job_id)
    assert (job["status"], job["reason"], job["exit_code"]) == ("failed", "exit", 7)
    assert "caught" in server.call("output", job_id=job_id)["stdout"]


def test_a_client_in_the_c_locale_still_gets_unicode(odd: Server) -> None:
    job = run_job(odd, "printf 'h\\303\\251 \\346\\274\\242\\n'; echo $LC_ALL", name="näme 漢")
    assert odd.call("output", job_id=job["job_id"])["stdout"] == "hé 漢\nC\n"
    assert job["name"] == "näme 漢"


def test_a_job_carries_its_name_wherever_it_is_shown(server: Server, shared: Sandbox) -> None:
    name = "#(touch pwned) #{pane_id} % ; 'build'"
    job = run_job(server, "true", name=name)
    assert job["name"] == name
    listed = {one["job_id"]: one for one in server.call("list", all=True)["jobs"]}
    assert listed[job["job_id"]]["name"] == name
    assert not list(shared.root.rglob("pwned"))


def test_status_tells_the_facts_of_a_running_and_of_an_ended_job(server: Server, shared: Sandbox) -> None:
    job_id = server.call("execute", command="echo up; cat", name="facts")["job_id"]
    shows(server, job_id, "up")
    running = server.call("status", job_id=job_id)
    assert running["job_id"] == job_id
    assert (running["status"], running["name"], running["command"]) == ("running", "facts", "echo up; cat")
    assert running["cwd"] == str(shared.work)
    assert running["started"].endswith("Z")
    assert running["pid"] > 1
    assert running["holder"] == "agent"
    assert "attach" in running
    assert Path(running["log"]).exists()
    absent = {"reason", "exit_code", "signal", "ended"} & set(running)
    assert not absent, "facts that aren't there yet are left out"

    server.call("interact", job_id=job_id, keys=["C-d"])
    done = ended(server, job_id)
    assert (done["status"], done["reason"], done["exit_code"]) == ("completed", "exit", 0)
    assert done["started"] == running["started"]
    assert done["ended"].endswith("Z") and done["ended"] >= done["started"]
    assert done["duration"] >= 0
    assert "signal" not in done and "awaiting_input" not in done
    assert None not in done.values(), "absent facts are left out, not null"
    assert server.call("status", job_id=job_id) == done, "once ended it never changes"


def test_peak_memory_and_cpu_seconds_are_told_once_known(server: Server) -> None:
    job = run_job(server, f"{PYTHON} -I -S -c 'x = bytearray(60 << 20); sum(range(3_000_000))'")
    facts = {key: value for key, value in job.items() if "cpu" in key or "mem" in key or "rss" in key}
    assert len(facts) >= 2, sorted(job)
    cpu = next(value for key, value in facts.items() if "cpu" in key)
    assert 0 < cpu < 30


@pytest.mark.promise("job-many-at-once")
def test_ten_jobs_started_at_once_are_ten_jobs(server: Server) -> None:
    jobs = run_jobs(server, [f"echo job {number}; exit {number}" for number in range(10)])
    assert len({job["job_id"] for job in jobs}) == 10
    for number, job in enumerate(jobs):
        assert job["exit_code"] == number
        assert server.call("output", job_id=job["job_id"])["stdout"] == f"job {number}\n"


@pytest.mark.promise("pair-attach")
def test_the_line_to_attach_with_shows_the_job_to_a_person(shared: Sandbox, server: Server) -> None:
    answer = server.call("execute", command="echo for $((6 * 7)) eyes; cat")
    person = Person(shared, answer["attach"])
    person.sees("for 42 eyes")
    person.type("typed by hand")
    person.press("Enter")
    shows(server, answer["job_id"], "typed by hand\ntyped by hand\n")
    person.close()
    assert server.call("status", job_id=answer["job_id"])["status"] == "running"


def test_a_default_state_folder_is_the_platforms(sandbox: Sandbox) -> None:
    server = sandbox.server(without=["MCP_BG_STATE_DIR"], XDG_STATE_HOME=str(sandbox.root / "xdg"))
    job = run_job(server, "echo kept")
    log = Path(job["log"])
    assert log.is_relative_to(sandbox.root)
    wait_until(lambda: log.exists())
    assert not (sandbox.work / "mcp-jobs").exists()


@pytest.mark.promise("job-refused-whole")
def test_an_allowed_command_runs_and_another_is_refused_without_a_trace(sandbox: Sandbox) -> None:
    server = sandbox.server(MCP_BG_ALLOWED_COMMANDS="^echo ,^true$")
    assert printed(server, "echo fine && true") == "fine\n"
    before = sandbox.records()
    for command in ("touch x", "echo hi; touch x", "echo $(touch x)", "echo hi > x", "ECHO hi"):
        with pytest.raises(ToolError, match="not allowed") as refusal:
            server.call("execute", command=command)
        assert "^echo" in str(refusal.value)
    assert sandbox.records() == before
    assert not sandbox.path("x").exists()
