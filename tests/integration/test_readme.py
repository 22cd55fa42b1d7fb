"""Every block of the README is run, as it stands; what its tables name is there.

A block that no test here runs fails `test_every_block_is_run_by_a_test`.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from mcp_background_job import __version__
from mcp_background_job.cli.parser import DEFAULT_HOST, DEFAULT_PORT, EPILOG, HANDLERS, parser
from mcp_background_job.cli.setup.clients import CLIENTS
from mcp_background_job.config import BackgroundJobConfig, parse_size
from support import readme
from support.readme import TOP
from support.rpc import Server
from support.sandbox import Sandbox, ended
from support.sshd import MISSING, another_machine
from support.terminal import COMMAND, cli
from support.waiting import wait_until

ALIASES = {"interact"}
run_here: set[int] = set()  # lines of the blocks that a test has asked for


def block(begins: str) -> pytest.MarkDecorator:
    """The one block that begins so, as the test's argument `text`."""
    [found] = [one for one in readme.blocks() if one.text.startswith(begins)]
    run_here.add(found.line)
    return pytest.mark.parametrize("text", [found.text], ids=[f"line {found.line}"])


# -- what a newcomer types ------------------------------------------------------------------------------------


def uv_environment(sandbox: Sandbox) -> dict[str, str]:
    """The sandbox's, with what uv needs to find its cache and its package index."""
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("uv is not here")
    cache = subprocess.run([uv, "cache", "dir"], capture_output=True, text=True, check=True, timeout=120)
    passed = re.compile(r"(UV|PIP|SSL|REQUESTS)_|.*_proxy$", re.IGNORECASE)
    ours = {name: value for name, value in os.environ.items() if passed.match(name)}
    return {**sandbox.environment, **ours, "UV_CACHE_DIR": cache.stdout.strip()} | {"PYTHONPATH": ""}


@pytest.fixture(scope="module")
def demo(shared: Sandbox) -> str:
    """What the README's first command prints."""
    [first] = [one for one in readme.blocks() if one.text.rstrip().endswith("mcp-background-job demo")]
    done = subprocess.run(
        ["sh", "-e", "-c", first.text],
        cwd=TOP,
        env=uv_environment(shared),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
@block("./.ci/with-tools uv run mcp-background-job demo")
def test_the_demo_runs(text: str, demo: str) -> None:
    assert text.count("\n") == 1
    assert demo.endswith("All checks passed.\n")


@pytest.mark.slow
@block("→ execute(")
def test_the_agents_transcript_is_the_demos(text: str, demo: str) -> None:
    printed = [without_chance(line) for line in demo.splitlines()]
    for line in map(without_chance, text.splitlines()):
        assert line in printed, line
        printed = printed[printed.index(line) + 1 :]


def without_chance(line: str) -> str:
    """A line of the demo without ids, numbers and the folder of Python."""
    line = re.sub(r"(job_ids?=\[?'?)[a-z0-9]{6}", r"\1ID", line)
    return re.sub(r"\d+", "N", re.sub(r"'/\S*/python", "'python", line)).rstrip()


@pytest.mark.slow
@block("./.ci/with-tools uv run pytest")
def test_the_test_command_finds_the_suite(text: str, shared: Sandbox) -> None:
    [line] = text.splitlines()
    done = subprocess.run(
        ["sh", "-c", f"{line} --collect-only -qq -n 0 tests/unit"],
        cwd=TOP,
        env=uv_environment(shared),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "tests/unit/output/emulator/test_render.py: " in done.stdout


# -- clients --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def uvx(shared: Sandbox) -> dict[str, str]:
    """An environment in which `uvx --from` the clone works; skips where its index can't be reached."""
    environment = uv_environment(shared)
    done = subprocess.run(
        ["uvx", "--from", str(TOP), "mcp-background-job", "--version"],
        env=environment,
        cwd=shared.work,
        capture_output=True,
        text=True,
        timeout=280,
    )
    if done.returncode != 0 and re.search(r"connect|resolve|network|offline|dns", done.stderr, re.IGNORECASE):
        pytest.skip(f"uvx can't reach its package index here: {done.stderr.strip()[-200:]}")
    assert done.returncode == 0, done.stderr
    return environment


def works(sandbox: Sandbox, words: list[str], environment: dict[str, Any]) -> None:
    """Start a server as a client would, from a configuration's words, and run a job through it."""
    words = [str(TOP) if word == "DIR" else word for word in words]
    server = sandbox.silent_server(program=words, **environment)
    # A first start may have to build the package.
    server.begin("ping", patience=280).result()
    server.open()
    started = server.call("execute", command="exit 4")
    assert ended(server, started["job_id"])["exit_code"] == 4
    server.close()


@block("uvx --from DIR mcp-background-job setup claude --write")
def test_setup_writes_what_starts_the_server(text: str, sandbox: Sandbox, uvx: dict[str, str]) -> None:
    words = [str(TOP) if word == "DIR" else word for word in shlex.split(text)]
    ours = {**uvx, **sandbox.environment}
    done = subprocess.run(words, env=ours, cwd=sandbox.work, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    entry = json.loads((sandbox.home / ".claude.json").read_text())["mcpServers"]["jobs"]
    works(sandbox, [entry["command"], *entry["args"]], ours)


def test_every_client_that_setup_knows_has_its_line_with_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    for client in CLIENTS.values():
        monkeypatch.delenv(client.place.variable or "NONE", raising=False)
    monkeypatch.setenv("HOME", "/home/nobody-here")
    rows = [row[:2] + readme.code(row[2])[:1] for row in readme.rows("Add it to your client")]
    expected = [
        [client.title, f"`{name}`", str(client.place.path()).replace("/home/nobody-here", "~")]
        for name, client in CLIENTS.items()
    ]
    assert rows == expected


@block("claude mcp add ")
def test_claude_code_adds_the_server(text: str, shared: Sandbox, uvx: dict[str, str]) -> None:
    words = shlex.split(text)
    end = words.index("--")
    assert words[:end] == ["claude", "mcp", "add", "--scope", "user", "jobs"]
    if shutil.which("claude"):  # the real client takes it so, where there is one
        subprocess.run(words, env=shared.environment, cwd=shared.work, check=True, capture_output=True, timeout=60)
        entry = json.loads((shared.home / ".claude.json").read_text())["mcpServers"]["jobs"]
        assert [entry["command"], *entry["args"]] == words[end + 1 :]
    works(shared, words[end + 1 :], uvx)


@block("[mcp_servers.jobs]")
def test_codex_starts_the_server(text: str, shared: Sandbox, uvx: dict[str, str]) -> None:
    entry = tomllib.loads(text)["mcp_servers"]["jobs"]
    assert entry["required"] is True
    works(shared, [entry["command"], *entry["args"]], uvx)


@block('{"mcpServers": {"jobs": {"command": "uvx"')
def test_cursor_starts_the_server(text: str, shared: Sandbox, uvx: dict[str, str]) -> None:
    entry = json.loads(text)[CLIENTS["cursor"].key]["jobs"]
    works(shared, [entry["command"], *entry["args"]], uvx)


@block("./.mcpb/bundle")
def test_the_bundle_is_made_as_shown(text: str, sandbox: Sandbox) -> None:
    line = f"{text.strip()} {sandbox.work}"
    done = subprocess.run(["sh", "-c", line], cwd=TOP, capture_output=True, text=True, timeout=120)
    made = Path(done.stdout.strip()).name
    assert (sandbox.work / made).is_file(), done.stderr
    assert f"dist/{made.replace(__version__, 'VERSION')}" in readme.code(readme.section("Add it to your client"))


@pytest.mark.skipif(bool(MISSING), reason=MISSING)
@block('{"mcpServers": {"jobs": {"command": "ssh"')
def test_ssh_starts_the_server_on_the_other_machine(text: str, shared: Sandbox) -> None:
    entry = json.loads(text)["mcpServers"]["jobs"]
    assert entry == {"command": "ssh", "args": ["host", "mcp-background-job"]}
    with another_machine(shared) as machine:
        # ssh reads its hosts from the account's home whatever HOME says: here from the machine's own file.
        works(shared, [*machine.ssh(), *entry["args"]], shared.environment)


# -- the person's commands ------------------------------------------------------------------------------------


@pytest.fixture
def path(sandbox: Sandbox) -> dict[str, str]:
    """An environment that has the program on its PATH."""
    folder = sandbox.root / "bin"
    folder.mkdir()
    program = folder / "mcp-background-job"
    program.write_text(f'#!/bin/sh\nexec {COMMAND} "$@"\n')
    program.chmod(0o755)
    return {**sandbox.environment, "PATH": f"{folder}:{sandbox.environment['PATH']}"}


@block("$ mcp-background-job list")
def test_the_list_looks_as_it_is_shown(text: str, sandbox: Sandbox) -> None:
    command, head, *lines = text.splitlines()
    at = {name: head.index(name) for name in ("STATE", "EXIT", "NAME", "COMMAND")}
    for line in reversed(lines):
        name = line[at["NAME"] : at["COMMAND"]].strip()
        cli(sandbox, "run", *(["--name", name] if name else []), line[at["COMMAND"] :])
    expected = [row_without_chance(line) for line in (head, *lines)]
    wait_until(
        lambda: [row_without_chance(line) for line in listed(sandbox, command)] == expected,
        40,
        what=f"a list as the README's: {text}",
    )


def listed(sandbox: Sandbox, line: str) -> list[str]:
    return cli(sandbox, *shlex.split(line)[2:]).stdout.splitlines()


def row_without_chance(line: str) -> str:
    """A row of the list without the job's id and how long it has run; columns stay where they are."""
    return re.sub(r" +\d+(\.\d)?s ", " TIME ", re.sub(r"^[a-z0-9]{6}\b", "ID", line))


@block("umask 077 && openssl rand")
def test_http_is_set_up_as_shown(text: str, sandbox: Sandbox, path: dict[str, str]) -> None:
    first, second = text.splitlines()
    subprocess.run(["sh", "-e", "-c", first], env=path, check=True, timeout=120)
    token = (sandbox.home / ".mcp-jobs-token").read_text().strip()
    errors = sandbox.root / "http.err"
    # The port of the README may be taken by whoever else uses this machine.
    with errors.open("wb") as stderr:
        server = subprocess.Popen(["bash", "-c", f"exec {second} --port 0"], env=path, stderr=stderr)
    try:
        found = wait_until(lambda: re.search(r"listening on http://127\.0\.0\.1:(\d+)/mcp", errors.read_text()))
        assert found is not None
        port = int(found[1])
        assert asks(port, "GET", "/health") == (200, b'{"status":"ok"}')
        assert asks(port, "POST", "/mcp")[0] == 401
        status, body = asks(port, "POST", "/mcp", Authorization=f"Bearer {token}")
        assert status == 200 and b"Background jobs in tmux" in body
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)
    words = readme.section("HTTP")
    assert f"http://{DEFAULT_HOST}:{DEFAULT_PORT}/mcp" in words and '{"status":"ok"}' in words


def asks(port: int, method: str, path: str, **headers: str) -> tuple[int, bytes]:
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "readme", "version": "1"}}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello})
    types = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request(method, path, body if method == "POST" else None, {**types, **headers})
    given = connection.getresponse()
    try:
        return given.status, given.read()
    finally:
        connection.close()


def test_completion_is_switched_on_as_shown(sandbox: Sandbox, path: dict[str, str]) -> None:
    lines = [span for span in readme.code(readme.without_blocks()) if "mcp-background-job completion" in span]
    [for_bash] = [line for line in lines if line.startswith("eval")]
    script = f'{for_bash}\ncomplete -p mcp-background-job\nCOMP_LINE="mcp-background-job doc" COMP_POINT=22 COMP_TYPE=9'
    script += "\nCOMP_WORDS=(mcp-background-job doc) COMP_CWORD=1\n_python_argcomplete mcp-background-job"
    script += '\necho "<${COMPREPLY[@]}>"'
    done = subprocess.run(["bash", "-c", script], env=path, capture_output=True, text=True, timeout=120)
    assert "<doctor >" in done.stdout, done.stderr


# -- what is named exists -------------------------------------------------------------------------------------


def commands() -> dict[str, Any]:
    """Name → parser of every command."""
    [action] = [action for action in parser()._actions if action.dest == "command"]
    return dict(action.choices or {})


def options(of: Any) -> set[str]:
    return {option for action in of._actions for option in action.option_strings}


def test_every_command_and_option_of_the_table_exists() -> None:
    named = set()
    for cell, _ in readme.rows("From your own terminal"):
        for span in readme.code(cell):
            name, *words = span.split(" ")
            assert name in HANDLERS, span
            named.add(name)
            used = set(re.findall(r"(?<![\w-])--?[A-Za-z][\w-]*", " ".join(words)))
            assert used <= options(commands()[name]), span
    told = readme.without_blocks()
    others = {name for name in set(HANDLERS) - named if f"`{name}`" in told or f"mcp-background-job {name}" in told}
    assert named | others == set(HANDLERS), "a command that the README doesn't name"


def test_every_command_line_within_a_sentence_is_one_that_the_program_takes() -> None:
    told = re.sub(r"<[^>]+>", "", readme.without_blocks())
    spans = [span for span in readme.code(told) if re.search(r"\bmcp-background-job [\w-]", span)]
    assert len(spans) >= 8
    for span in spans:
        words = re.split(r"[|)]", span.partition("mcp-background-job ")[2])[0]
        words = words.replace("[JOB]", "JOB").replace("COMMAND", "list").replace('"', "")
        try:
            parser().parse_args(shlex.split(words))
        except SystemExit:
            pytest.fail(f"README.md has `{span}`, which the program doesn't take")


def test_the_options_of_http_are_the_programs() -> None:
    cells = readme.rows("HTTP")
    assert {readme.code(option)[0] for option, *_ in cells} == options(parser()) & {
        "--host", "--port", "--token-file", "--allowed-host"
    }  # fmt: skip
    defaults = {readme.code(option)[0]: default.strip("`") for option, default, _ in cells}
    assert (defaults["--host"], defaults["--port"]) == (DEFAULT_HOST, str(DEFAULT_PORT))


def test_the_settings_are_those_of_the_configuration() -> None:
    fields = {str(field.validation_alias): field for field in BackgroundJobConfig.model_fields.values()}
    cells = {readme.code(name)[0]: (default.strip("`"), takes) for name, default, takes in readme.rows("Configuration")}
    assert list(cells) == list(fields)
    for name, (default, takes) in cells.items():
        real = fields[name].default
        if isinstance(real, (int, float)):
            days = re.fullmatch(r"(\d+) days", default)
            assert (int(days[1]) * 86400 if days else parse_size(default)) == real, name
        elif isinstance(real, str):
            assert default == real
        elif not fields[name].default_factory:
            assert not real and default.startswith(("none", "the server's own")), name
        for limit in fields[name].metadata:
            for bound in ("ge", "le"):
                if hasattr(limit, bound):
                    assert str(getattr(limit, bound)) in takes, name


def test_the_tools_are_the_servers(sandbox: Sandbox) -> None:
    server: Server = sandbox.server()
    named = [name for cell, _ in readme.rows("Tools") for name in readme.code(cell)]
    assert sorted(named) == sorted(tool["name"] for tool in server.request("tools/list")["tools"])


def test_what_is_promised_of_security_is_tested_where_it_says() -> None:
    found = [name for _, tested in readme.rows("Security") for name in readme.code(tested)]
    assert len(found) >= 8
    for name in found:
        assert [*TOP.glob(f"tests/{name}"), *TOP.glob(f"tests/*/{name}")], name


def test_every_file_that_is_linked_is_there() -> None:
    told = readme.without_blocks()
    links = [*re.findall(r"\]\(([^)#:]+)\)", told), *re.findall(r'src="([^":]+)"', told)]
    assert links
    assert [link for link in links if not (TOP / link).is_file()] == []


def test_the_exit_statuses_are_the_helps() -> None:
    told = readme.section("From your own terminal")
    for status in re.findall(r"^  (\d+) ", EPILOG, re.MULTILINE):
        assert re.search(rf"\b{status} ", told), status


@pytest.mark.promise("readme")
def test_every_block_is_run_by_a_test() -> None:
    unknown = [f"line {one.line}: {one.first}" for one in readme.blocks() if one.line not in run_here]
    assert unknown == [], "give each a test above"
