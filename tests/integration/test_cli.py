"""The person's commands beside a server that an agent uses: both see the same jobs."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mcp_background_job.cli.lookup import find_job
from mcp_background_job.config import BackgroundJobConfig
from mcp_background_job.errors import JobNotFound
from mcp_background_job.jobs.manager import JobManager
from support.rpc import Server, ToolError
from support.sandbox import PYTHON, Sandbox, ended, run_job, shows, timeless
from support.terminal import COMMAND, answer, cli, on_a_terminal, start
from support.waiting import wait_until

CSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLOUR = re.compile(r"\x1b\[(?:[0-9]+;)*(?:3[0-7]|9[0-7])(?:;[0-9]+)*m")


def run(sandbox: Sandbox, *arguments: str) -> str:
    """Start a job from the terminal; its id."""
    return cli(sandbox, "run", *arguments).stdout.strip()


def begin(server: Server, command: str, name: str = "") -> str:
    """Start a job as an agent, where how it was started isn't the point; its id."""
    job_id: str = server.call("execute", command=command, name=name)["job_id"]
    return job_id


@pytest.mark.promise("cli-same-jobs")
def test_terminal_and_agent_see_the_same_jobs_in_the_same_fields(shared: Sandbox, server: Server) -> None:
    job_id = server.call("execute", command="echo up; exit 3", name="agents")["job_id"]
    mine = run(shared, "--name", "mine", "echo up; cat")
    ended(server, job_id)
    shows(server, mine, "up")
    assert timeless(answer(shared, "list")) == timeless(server.call("list"))
    assert answer(shared, "status", job_id) == server.call("status", job_id=job_id)
    assert server.call("status", job_id=mine)["cwd"] == str(shared.work)
    assert answer(shared, "output", mine) == server.call("output", job_id=mine)
    assert answer(shared, "tail", "-n", "1", mine) == server.call("tail", job_id=mine, lines=1)
    [listed] = [job for job in server.call("list")["jobs"] if job["job_id"] == mine]
    assert listed["client"] == "terminal"
    assert cli(shared, "kill", mine).stdout == f"{mine} mine: killed\n"
    assert server.call("status", job_id=mine)["reason"] == "kill"


@pytest.mark.promise("cli-whole")
def test_the_list_is_a_line_a_job_and_nothing_of_it_is_cut_in_a_pipe(shared: Sandbox, server: Server) -> None:
    long = "true " + "x" * 150
    run_job(server, long, name="a name of some length for a job")
    shown = cli(shared, "list", "--all").stdout.splitlines()
    assert shown[0].split() == ["JOB", "STATE", "EXIT", "TIME", "NAME", "COMMAND"]
    assert any(line.endswith(long) and "a name of some length for a job" in line for line in shown)
    assert "\x1b" not in "".join(shown)


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_the_list_fits_the_terminal(shared: Sandbox, server: Server, columns: int) -> None:
    run_job(server, "false || exit 5 # " + "日本" * 60, name="日本語" * 10)
    lines = CSI.sub("", on_a_terminal(shared, "list", columns=columns)).replace("\r", "").splitlines()
    from wcwidth import wcswidth

    assert all(wcswidth(line) <= columns for line in lines), lines
    assert any("✗ failed" in line and " 5 " in line for line in lines)


def test_colours_are_for_terminals_and_no_color_is_honoured(shared: Sandbox, server: Server) -> None:
    run_job(server, "exit 1", name="red")
    assert COLOUR.search(on_a_terminal(shared, "list", "--all"))
    assert not COLOUR.search(on_a_terminal(shared, "list", "--all", NO_COLOR="1"))
    assert not COLOUR.search(on_a_terminal(shared, "doctor", NO_COLOR="1"))


@pytest.mark.promise("text-is-text")
def test_a_name_or_command_can_neither_colour_nor_move_the_list(shared: Sandbox, server: Server) -> None:
    evil = "true '\x1b[2J\x1b]0;title\x07' [red]x[/red]\n#\n"
    job = run_job(server, evil, name="n\x1b[31m")
    for command in (("list", "--all"), ("status", job["job_id"])):
        shown = cli(shared, *command).stdout
        assert "\x1b" not in shown and "\x07" not in shown
        assert "[red]x[/red]" in shown


def test_one_word_is_a_shell_line_and_several_are_a_program_with_arguments(shared: Sandbox) -> None:
    assert cli(shared, "run", "-w", "echo $((40+2)); echo 'a  b' | tr a c").stdout == "42\nc  b\n"
    assert cli(shared, "run", "-w", "printf", "%s|", "a  b", "$HOME", "*", "-n").stdout == "a  b|$HOME|*|-n|"
    assert cli(shared, "run", "-w", "--", "echo", "--wait").stdout == "--wait\n"


def test_run_takes_folder_environment_and_timeout(shared: Sandbox) -> None:
    (shared.work / "sub").mkdir(exist_ok=True)
    done = cli(shared, "run", "-w", "--cwd", "sub", "-e", "A=1=2", "-e", "B=", 'pwd; echo "$A,$B,"')
    assert done.stdout == f"{shared.work}/sub\n1=2,,\n"
    assert "NAME=VALUE" in cli(shared, "run", "-e", "A", "true", status=2).stderr
    cli(shared, "run", "-w", "--timeout", "1", "sleep 1000", status=143)


@pytest.mark.promise("cli-exit-status")
def test_run_wait_shows_both_streams_and_exits_as_the_job(shared: Sandbox) -> None:
    done = cli(shared, "run", "-w", "--separate-stderr", "echo out; echo err >&2; exit 9", status=9)
    assert (done.stdout, done.stderr) == ("out\n", "err\n")
    cli(shared, "run", "-w", "kill -KILL $$", status=137)
    found = answer(shared, "run", "-w", "echo hi; exit 4", status=4)
    assert (found["stdout"], found["exit_code"], found["status"]) == ("hi\n", 4, "failed")


@pytest.mark.promise("job-refused-whole")
def test_a_refused_run_leaves_nothing(shared: Sandbox) -> None:
    before = shared.records()
    for status, arguments in ((2, ()), (1, ("",)), (1, ("--cwd", "/no/such", "true"))):
        done = cli(shared, "run", *arguments, status=status)
        assert done.stdout == "" and re.fullmatch(r"mcp-background-job: .+\. .+\.\n", done.stderr)
    assert shared.records() == before


def test_a_job_is_found_by_id_beginning_of_id_and_name(cleared: Sandbox, server: Server) -> None:
    job_id = begin(server, "cat", "only")
    for given in (job_id, job_id[:5], "only"):
        assert answer(cleared, "status", given)["job_id"] == job_id
    ids = [run_job(server, "true", name="twice")["job_id"] for _ in range(2)]
    refused = cli(cleared, "status", "twice", status=1).stderr
    assert all(job_id in refused for job_id in ids) and "Give the job_id" in refused
    running = begin(server, "cat", "twice")
    assert answer(cleared, "status", "twice")["job_id"] == running
    assert "not found" in cli(cleared, "status", "nosuch", status=1).stderr
    manager = JobManager(BackgroundJobConfig(state_dir=cleared.state))
    assert find_job(manager, "only").spec.job_id == job_id
    for unknown in ("", "../x", "x" * 5000, "%0"):
        with pytest.raises(JobNotFound, match="not found"):
            find_job(manager, unknown)
    cli(cleared, "kill", job_id, "twice")


@pytest.mark.promise("cli-exit-status")
def test_wait_exits_as_the_job_that_ended_first(shared: Sandbox, server: Server) -> None:
    slow, quick = begin(server, "cat"), begin(server, "sleep 0.3; exit 6", "quick")
    done = cli(shared, "wait", slow, quick, status=6)
    assert done.stdout.startswith(f"{quick} quick: failed, exit 6 after ")
    cli(shared, "wait", quick, status=6)
    cli(shared, "wait", slow, "-t", "0.2", status=124)
    assert answer(shared, "wait", slow, "-t", "0.2", status=124)["reason"] == "timeout"
    server.call("kill", job_id=slow)
    cli(shared, "wait", slow, status=143)


@pytest.mark.promise("cli-exit-status")
def test_wait_any_tells_a_script_which_of_several_was_first(cleared: Sandbox, server: Server) -> None:
    slow, quick = begin(server, "exec sleep 99"), begin(server, "read -r x; exit 6")
    waiting = start(cleared, "wait", "--any", "--json")
    wait_until(partial(waits, waiting), what="the command is in its wait")
    server.call("interact", job_id=quick, input="go")
    out, err = waiting.communicate(timeout=120)
    told = json.loads(out)
    assert (waiting.returncode, told["job_id"], told["exit_code"], err) == (6, quick, 6, "")
    assert answer(cleared, "wait", "--any", quick, slow, status=6)["job_id"] == quick
    server.call("kill", job_id=slow)
    assert "No job is running" in cli(cleared, "wait", "--any", status=1).stderr
    assert "--any" in cli(cleared, "wait", status=2).stderr


def test_wait_for_a_pattern_or_input_succeeds_only_if_it_comes(shared: Sandbox, server: Server) -> None:
    job_id = begin(server, "printf 'name? '; read -r name; echo hello $name")
    assert answer(shared, "wait", "-u", "input", job_id)["awaiting_input"] == "prompt"
    assert cli(shared, "wait", "-p", "na..", "--since", "0", job_id).stdout.endswith("matched\n")
    waiting = start(shared, "wait", "-p", "good.bye", job_id)
    wait_until(partial(waits, waiting), what="the command is in its wait")
    server.call("interact", job_id=job_id, input="Ann")
    out, _ = waiting.communicate(timeout=120)
    assert waiting.returncode == 1, f"the job ended with 0, but without the pattern: {out}"
    assert "--since" in cli(shared, "wait", "--since", "0", job_id, job_id, job_id, status=None).stderr


def test_send_types_and_shows_the_answer(shared: Sandbox, server: Server) -> None:
    job_id = begin(server, f"{PYTHON} -q -i")
    server.call("wait", job_ids=[job_id], until="input")
    assert "42\n" in cli(shared, "send", job_id, "6 * 7").stdout
    assert answer(shared, "interact", job_id, "'a' + 'b'")["reason"] == "input"
    cli(shared, "send", job_id, "x = 7", "--no-enter", "-t", "0.2")
    assert "7\n" in cli(shared, "send", job_id, "; x").stdout
    assert "nothing to send" in cli(shared, "send", job_id, status=2).stderr
    assert "not a key" in cli(shared, "send", job_id, "-k", "Foo", status=1).stderr
    cli(shared, "send", job_id, "-k", "C-d")
    ended(server, job_id)
    assert "not running" in cli(shared, "send", job_id, "x", status=1).stderr


@pytest.mark.promise("human-holds")
def test_a_person_takes_a_job_and_only_they_type_and_kill(shared: Sandbox, server: Server) -> None:
    def holder() -> str:
        return str(server.call("status", job_id=job_id)["holder"])

    job_id = begin(server, "cat", "held")
    assert job_id in cli(shared, "take", job_id).stdout
    assert answer(shared, "status", job_id)["holder"] == holder() == "human"
    assert answer(shared, "give", job_id) == {"job_id": job_id, "holder": "agent"}
    assert answer(shared, "take", job_id)["holder"] == "human"
    assert "@ held" in cli(shared, "list").stdout
    for refused in (("interact", {"input": "x"}), ("kill", {})):
        with pytest.raises(ToolError, match="person"):
            server.call(refused[0], job_id=job_id, **refused[1])
    assert cli(shared, "send", job_id, "from the person").stdout == "from the person\n"
    assert answer(shared, "wait", "-u", "input", job_id)["reason"] == "input"
    cli(shared, "give", job_id)
    assert holder() == "agent"
    cli(shared, "take", job_id)
    assert "not a valid signal" in cli(shared, "kill", "-s", "NOPE", job_id, status=1).stderr
    assert holder() == "human"
    cli(shared, "kill", job_id)
    assert "already terminated" in cli(shared, "kill", job_id).stdout


@pytest.mark.promise("cli-whole")
def test_tail_follows_to_the_end_with_whole_lines(shared: Sandbox, server: Server) -> None:
    script = "seq 1 5; for i in 1 2 3; do printf '%s%%\\r' $i; sleep .1; done; echo done; printf half; sleep .3; echo"
    job_id = begin(server, f"{script}; seq 6 900; printf end")
    done = cli(shared, "tail", "-f", "-n", "1000", job_id)
    whole = "".join(f"{n}\n" for n in range(1, 6)) + "done\nhalf\n" + "".join(f"{n}\n" for n in range(6, 901))
    assert done.stdout == whole + "end"
    assert cli(shared, "tail", "-f", "-n", "3", job_id).stdout == "899\n900\nend"
    assert cli(shared, "tail", "-n", "2", job_id).stdout == "900\nend"


@pytest.mark.promise("cli-ctrl-c")
def test_ctrl_c_ends_the_look_and_not_the_job(shared: Sandbox, server: Server) -> None:
    job_id = begin(server, "while sleep .1; do echo tick; done")
    shows(server, job_id, "tick")
    # The first is interrupted while it begins.
    for command in (("tail", "-f", job_id), ("wait", job_id), ("run", "-w", "sleep 99")):
        process = start(shared, *command)
        if command[0] == "tail":
            assert process.stdout is not None
            assert process.stdout.readline() == "tick\n"
        else:
            wait_until(partial(waits, process), what="the command is in its wait")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
        assert (process.returncode, err) == (130, "")
    assert server.call("status", job_id=job_id)["status"] == "running"
    [other] = [job for job in server.call("list")["jobs"] if job["command"] == "sleep 99"]
    assert other["status"] == "running"
    for one in (job_id, other["job_id"]):
        server.call("kill", job_id=one)


def waits(process: subprocess.Popen[str]) -> bool:
    """Whether a command watches files: it does so last before it waits."""
    try:
        links = [path.readlink().name for path in Path(f"/proc/{process.pid}/fd").iterdir()]
    except OSError:
        return False
    return any("inotify" in link for link in links)


def test_a_progress_bar_is_drawn_over_on_a_terminal(shared: Sandbox) -> None:
    def goes_on(shown: str) -> None:
        """Each step ends once it has been seen, however late that is."""
        for step in re.findall(r"at (\d) of 3", shown):
            shared.path(f"seen{step}").touch()

    steps = "for i in 1 2 3; do printf '\\rat %s of 3' $i; until [ -e seen$i ]; do sleep .02; done; done"
    shown = on_a_terminal(shared, "run", "-w", f"{steps}; echo; echo fin", watch=goes_on)
    assert "\r\x1b[Kat 2 of 3" in shown
    assert shown.count("at 3 of 3\r\n") == 1
    assert "fin\r\n" in shown and "completed, exit 0" in shown


@pytest.mark.promise("cli-whole")
def test_output_is_whole_however_long(shared: Sandbox) -> None:
    json_answer = answer(shared, "run", "-w", "seq 1 400000", MCP_BG_MAX_OUTPUT_SIZE="100MB")
    job_id = json_answer["job_id"]
    assert json_answer["truncated"]
    assert cli(shared, "output", job_id).stdout == "".join(f"{n}\n" for n in range(1, 400001))
    assert len(answer(shared, "output", job_id)["stdout"]) <= 41_000
    assert cli(shared, "output", "--grep", "^39999[89]$", "-C", "1", job_id).stdout.splitlines() == [
        "399997-399997",
        "399998:399998",
        "399999:399999",
        "400000-400000",
    ]
    assert cli(shared, "output", "-g", "nothing", job_id, status=1).stdout == ""


def test_a_reader_that_goes_away_is_no_error(shared: Sandbox) -> None:
    job_id = answer(shared, "run", "-w", "seq 1 300000", MCP_BG_MAX_OUTPUT_SIZE="100MB")["job_id"]
    line = f"{COMMAND} output {job_id} | head -n 2; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", line], env=shared.environment, cwd=shared.work, capture_output=True, text=True, timeout=120
    )
    assert (done.stdout, done.stderr) == ("1\n2\n141\n", "")


@pytest.mark.parametrize("command", ["output {}", "replay {}", "export {} --cast"])
def test_without_a_standard_output_it_says_so_and_writes_into_nothing_else(
    shared: Sandbox, server: Server, command: str
) -> None:
    job_id = run_job(server, "echo printed")["job_id"]

    def closed(what: str) -> subprocess.CompletedProcess[str]:
        line = f"exec {COMMAND} {command.format(job_id)} {what}"
        return subprocess.run(["sh", "-c", line], env=shared.environment, capture_output=True, text=True, timeout=120)

    without = closed(">&-")
    assert (without.returncode, without.stderr.count("\n")) == (1, 1) and "Bad file descriptor" in without.stderr
    mute = closed("2>&-")
    assert mute.returncode == 0 and "printed" in mute.stdout and "mcp-background-job:" not in mute.stdout
    assert closed("<&-").returncode == 0


@pytest.mark.promise("cli-clean")
def test_clean_removes_what_has_ended_and_nothing_that_runs(cleared: Sandbox, server: Server) -> None:
    running = begin(server, "cat")
    done = [run_job(server, "true")["job_id"] for _ in range(2)]
    assert answer(cleared, "clean")["removed"] == [], "list still shows them"
    assert "Kept 2 that list still shows; clean --all" in cli(cleared, "clean").stdout
    found = answer(cleared, "clean", "--all")
    assert found["removed"] == sorted(done) and found["freed_bytes"] > 0
    assert [job["job_id"] for job in answer(cleared, "list", "--all")["jobs"]] == [running]
    assert set(cleared.windows()) == {running}
    assert cli(cleared, "clean", "--all").stdout.startswith("Removed 0 ")
    server.call("kill", job_id=running)


@pytest.mark.promise("cli-clean")
def test_clean_removes_what_a_killed_server_left_where_there_is_no_job(sandbox: Sandbox) -> None:
    left = sandbox.state / "mcp-jobs" / ".new-abcdef-gone"
    left.mkdir(parents=True, mode=0o700)
    (left / "job.json").touch()
    os.utime(left, (0, 0))
    cli(sandbox, "clean")
    assert not left.exists()


def test_an_empty_world_is_no_error(sandbox: Sandbox) -> None:
    assert answer(sandbox, "list") == {"jobs": []}
    assert "run COMMAND" in cli(sandbox, "list").stderr
    cli(sandbox, "clean")
    assert "not found" in cli(sandbox, "tail", "-f", "x", status=1).stderr
    assert not sandbox.state.exists()


def test_config_says_where_each_value_comes_from_and_hides_the_token(shared: Sandbox) -> None:
    environment: dict[str, Any] = {"MCP_BG_MAX_JOBS": "7", "MCP_BG_HTTP_TOKEN": "a-long-secret-of-mine"}
    rows = {row["variable"]: row for row in answer(shared, "config", **environment)["settings"]}
    assert rows["MCP_BG_MAX_JOBS"] == {"variable": "MCP_BG_MAX_JOBS", "value": 7, "from": "environment"}
    assert rows["MCP_BG_RETENTION"]["from"] == "default" and rows["MCP_BG_RETENTION"]["value"] == 604800
    assert rows["MCP_BG_HTTP_TOKEN"]["value"] == "(hidden)"
    shown = cli(shared, "config", **environment).stdout
    assert re.search(r"MCP_BG_MAX_JOBS +7  ← environment", shown)
    assert "a-long-secret" not in shown
    bad = cli(shared, "config", MCP_BG_MAX_JOBS="0", status=2).stderr
    assert bad.count("\n") == 1 and "MCP_BG_MAX_JOBS" in bad
    assert "MCP_BG_MAXJOBS is not a setting" in cli(shared, "list", MCP_BG_MAXJOBS="1").stderr


@pytest.fixture(scope="module")
def completion(shared: Sandbox, server: Server) -> Path:
    """The script for bash, and a job whose name it can complete."""
    for shell in ("zsh", "fish"):
        assert "mcp-background-job" in cli(shared, "completion", shell).stdout
    run_job(server, "true", name="completeme")
    script = shared.root / "complete.sh"
    script.write_text(cli(shared, "completion", "bash").stdout)
    return script


@pytest.mark.parametrize(
    ("typed", "expected"), [("sta", {"status"}), ("status comp", {"completeme"}), ("wait --un", {"--until"})]
)
def test_a_shell_completes_commands_options_and_jobs(
    shared: Sandbox, completion: Path, typed: str, expected: set[str]
) -> None:
    folder = shared.work / "bin"
    folder.mkdir(exist_ok=True)
    program = folder / "mcp-background-job"
    program.write_text(f'#!/bin/sh\nexec {COMMAND} "$@"\n')
    program.chmod(0o755)
    words = f"mcp-background-job {typed}"
    test = (
        f'. {completion}; COMP_LINE="{words}"; COMP_POINT=${{#COMP_LINE}}; COMP_WORDS=({words}); COMP_TYPE=9; '
        f'COMP_CWORD={len(words.split()) - 1}; _python_argcomplete mcp-background-job; echo "${{COMPREPLY[@]}}"'
    )
    path = f"{folder}:{shared.environment['PATH']}"
    done = subprocess.run(
        ["bash", "-c", test], env={**shared.environment, "PATH": path}, capture_output=True, text=True, timeout=120
    )
    assert {word.strip() for word in done.stdout.split()} == expected, done.stderr


def test_nothing_runs_on_after_a_person_has_looked(cleared: Sandbox, server: Server) -> None:
    job_id = begin(server, "echo up; cat")
    shows(server, job_id, "up")
    before = set(cleared.processes())
    for command in (("list",), ("status", job_id), ("tail", job_id)):
        cli(cleared, *command)
    # The board has a tmux client now and then, which ends.
    wait_until(lambda: not set(cleared.processes()) - before)
    server.call("kill", job_id=job_id)


@pytest.mark.promise("watch-plain")
@pytest.mark.parametrize("how", ["--plain", "ACCESSIBLE"])
def test_watch_tells_a_screen_reader_each_change_in_a_line(shared: Sandbox, server: Server, how: str) -> None:
    talk = begin(server, "read -p 'Your name? ' x; exec sleep 1000", name=f"talk{how}")
    options = [how] if how == "--plain" else []
    watch = start(shared, "watch", *options, **({} if options else {"ACCESSIBLE": "1"}))
    lines = watch.stdout
    assert lines is not None
    found: list[str] = []

    def tells(line: str) -> None:
        def came() -> bool:
            found.append(lines.readline().rstrip("\n"))
            return re.fullmatch(line, found[-1]) is not None

        wait_until(came, what=line)

    try:
        tells(rf"talk{how} {talk} waits for your input: Your name\?")
        server.call("handoff", job_id=talk, message="type it, please")
        tells(f"talk{how} {talk} is held by you, an agent asks: type it, please")
        cli(shared, "give", talk)
        tells(rf"talk{how} {talk} waits for your input: Your name\?")
        server.call("interact", job_id=talk, input="me", timeout=0)
        tells(f"talk{how} {talk} runs")
        server.call("kill", job_id=talk)
        tells(rf"talk{how} {talk} ended: killed by \S+ after \d.*")
        assert len([line for line in found if f" {talk} " in line]) == 5, "told more than once"
        assert "".join(found).isprintable()
    finally:
        watch.send_signal(signal.SIGINT)
        watch.communicate()
    assert watch.returncode == 130
