"""The server as a process: it ends at once, survives garbage, prints protocol only, speaks both eras."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters

from support.rpc import HANDSHAKE_ERA, MODERN_ERA, Refused, RpcError, Server
from support.sandbox import Sandbox, alive, ended, run_job, shows
from support.terminal import PROGRAM
from support.waiting import wait_until

# The contract's, and what was added to it: `pattern` of execute, `since_seconds` of output.
TOOLS = {
    "execute": {"command", "name", "cwd", "env", "timeout", "separate_stderr", "wait", "pattern"},
    "list": {"all"},
    "status": {"job_id"},
    "output": {"job_id", "since", "grep", "context", "max_chars", "since_seconds"},
    "tail": {"job_id", "lines"},
    "interact": {"job_id", "input", "keys", "enter", "timeout", "pattern"},
    "kill": {"job_id", "signal"},
    "wait": {"job_ids", "until", "pattern", "timeout", "since", "all"},
    "screen": {"job_id"},
    "handoff": {"job_id", "message", "take_back"},
}
READ_ONLY = {"list", "status", "output", "tail", "wait", "screen"}
REQUIRED = {"execute": {"command"}, "list": set(), "wait": {"job_ids"}, "handoff": {"job_id"}}
DEFAULTS = {
    ("execute", "separate_stderr"): False,
    ("execute", "wait"): 0,
    ("list", "all"): False,
    ("output", "context"): 0,
    ("tail", "lines"): 50,
    ("interact", "input"): "",
    ("interact", "enter"): True,
    ("interact", "timeout"): 10,
    ("kill", "signal"): "TERM",
    ("wait", "until"): "exit",
    ("wait", "timeout"): 30,
}
# "At once": a promise of time; a call that holds the end up waits for 50 s, and nothing for ever.
AT_ONCE = 20.0


def _stop(server: Server, how: str) -> float:
    """Make the server end; returns how many seconds it took."""
    begin = time.monotonic()
    if how == "EOF":
        assert server.process.stdin is not None
        server.process.stdin.close()
    else:
        server.process.send_signal(getattr(signal, how))
    server.process.wait(60)
    return time.monotonic() - begin


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "EOF"])
@pytest.mark.promise("servers-stop")
def test_the_server_stops_at_once_and_leaves_its_jobs_running(server: Server, shared: Sandbox, how: str) -> None:
    watcher, server = server, shared.server()
    job_id = server.call("execute", command="echo $$; exec sleep 300")["job_id"]
    pid = int(shows(server, job_id, "\n"))
    # In the middle of work as well: a call that waits must not hold the end up.
    server.start("interact", job_id=job_id, input="", timeout=50)
    server.call("status", job_id=job_id)
    assert _stop(server, how) < AT_ONCE
    assert alive(pid)
    assert "Traceback" not in server.stderr
    assert watcher.call("status", job_id=job_id)["status"] == "running"


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks into /proc")
@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "EOF"])
@pytest.mark.promise("servers-stop")
def test_a_server_that_nobody_spoke_to_stops_at_once_too(shared: Sandbox, how: str) -> None:
    server = shared.silent_server()
    wait_until(lambda: _listens(server), what="the server's event loop")
    assert _stop(server, how) < AT_ONCE
    assert "Traceback" not in server.stderr


def _listens(server: Server) -> bool:
    """Whether it has its event loop, which it makes after it has said what signals are to do."""
    try:
        links = [path.readlink().name for path in Path(f"/proc/{server.process.pid}/fd").iterdir()]
    except OSError:  # one was closed between two looks
        return False
    return any("eventpoll" in link for link in links)


@pytest.mark.promise("servers-stop")
def test_a_server_whose_input_ends_exits_with_0_and_its_job_ends_as_it_will(server: Server, shared: Sandbox) -> None:
    leaving = shared.server()
    job_id = leaving.call("execute", command="sleep 0.3; exit 3")["job_id"]
    assert leaving.hang_up() == 0
    assert ended(server, job_id)["exit_code"] == 3


GARBAGE = [
    b"not json at all\n",
    b"\n",
    b"   \n",
    b"{\n",
    b"{}\n",
    b"[]\n",
    b"null\n",
    b"42\n",
    b'"text"\n',
    b'{"jsonrpc": "2.0"}\n',
    b'{"jsonrpc": "1.0", "id": 99, "method": "ping"}\n',
    b'{"jsonrpc": "2.0", "id": {}, "method": "ping"}\n',
    b'{"jsonrpc": "2.0", "id": 98, "method": 7}\n',
    b'{"jsonrpc": "2.0", "id": 97, "method": "no/such/method", "params": {}}\n',
    b'{"jsonrpc": "2.0", "id": 96, "method": "tools/call", "params": {"name": "list", "arguments": 0}}\n',
    b'{"jsonrpc": "2.0", "id": 95, "method": "tools/call", "params": {"name": "nosuch", "arguments": {}}}\n',
    b'{"jsonrpc": "2.0", "id": 94, "result": {}}\n',
    b'{"jsonrpc": "2.0", "method": "notifications/no-such"}\n',
    b'{"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 12345}}\n',
    b"\xff\xfe\x00\x01\n",
    b'{"jsonrpc": "2.0", "id": 93, "method": "ping", "params": {"x": "\xff"}}\n',
    b"\x00\x00\n",
    b"[" * 20_000 + b"]" * 20_000 + b"\n",
    b"x" * 1_000_000 + b"\n",
    b'{"jsonrpc": "2.0", "id": 92, "method": "ping", "params": {"lone": "\\ud800"}}\n',
]


@pytest.mark.promise("server-protocol")
def test_garbage_on_standard_input_is_survived(shared: Sandbox) -> None:
    server = shared.server()
    for garbage in GARBAGE:
        server.write(garbage)
        assert server.process.poll() is None, garbage[:80]
    assert run_job(server, "exit 3")["exit_code"] == 3
    assert not server.noise


@pytest.mark.promise("server-protocol")
def test_garbage_before_the_first_word_is_survived(shared: Sandbox) -> None:
    server = shared.silent_server()
    for garbage in (b"not json\n", b"\xff\xfe\n", b"{}\n", b"\n"):
        server.write(garbage)
    assert run_job(server.open(), "exit 3")["exit_code"] == 3


@pytest.mark.promise("server-protocol")
def test_each_line_that_is_not_a_message_is_answered_once(shared: Sandbox) -> None:
    server = shared.server()
    server.write(b"garbage\n")
    server.write(b'{"jsonrpc": "2.0", "id": null, "method": "ping"}\n')
    pending = server.begin("ping")
    server.write(b'[{"jsonrpc": "2.0", "id": 1, "method": "ping"}]\n')
    assert pending.result() == {}
    assert server.request("ping") == {}
    said = [(message["id"], message["error"]["code"]) for message in server.notifications if "error" in message]
    assert said == [(None, -32700), (None, -32600), (None, -32600)]


@pytest.mark.promise("server-protocol")
def test_an_unknown_prompt_is_refused_without_a_traceback(shared: Sandbox) -> None:
    server = shared.server()
    with pytest.raises(RpcError, match="Unknown prompt") as refused:
        server.request("prompts/get", {"name": "nosuch"})
    assert refused.value.code == -32602
    server.close()
    assert server.stderr == ""


@pytest.mark.promise("limit-unread")
def test_a_client_that_never_reads_takes_little_memory_and_no_time_to_end(shared: Sandbox) -> None:
    """Before: 900 MB for 400 pages, and a process that outlived its client."""
    reader = shared.server()
    job_id = run_job(reader, "yes 0123456789012345678901234567890123456789 | head -c 3000000")["job_id"]
    process = deaf(shared)
    arguments = {"job_id": job_id, "since": 0, "max_chars": 1_000_000}
    for number in range(400):
        say(process, "tools/call", number, name="output", arguments=arguments)
    facts = psutil.Process(process.pid)

    def is_still() -> bool:
        before = facts.cpu_times()
        time.sleep(0.5)  # that it does no more has no other sign
        return facts.cpu_times() == before

    wait_until(is_still)
    assert facts.memory_info().rss < 200 << 20
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(AT_ONCE) == 0
    assert errors(process) == b""


def deaf(sandbox: Sandbox) -> subprocess.Popen[bytes]:
    """A server whose client reads its first answer, and no other."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(PROGRAM, env=sandbox.environment, stdin=pipe, stdout=pipe, stderr=pipe)
    hello = {"protocolVersion": HANDSHAKE_ERA, "capabilities": {}, "clientInfo": {"name": "deaf", "version": "1"}}
    say(process, "initialize", 0, **hello)
    assert process.stdout is not None
    assert b'"result"' in process.stdout.readline()
    say(process, "notifications/initialized")
    return process


def say(process: subprocess.Popen[bytes], method: str, request_id: int | None = None, **params: Any) -> None:
    message = {"jsonrpc": "2.0", "method": method, "params": params}
    assert process.stdin is not None
    process.stdin.write(json.dumps(message if request_id is None else {**message, "id": request_id}).encode() + b"\n")
    process.stdin.flush()


def errors(process: subprocess.Popen[bytes]) -> bytes:
    with process:
        assert process.stderr is not None
        return process.stderr.read()


@pytest.mark.promise("server-protocol")
def test_a_client_that_closes_its_end_of_stdout_ends_the_server_without_a_word(shared: Sandbox) -> None:
    process = deaf(shared)
    assert process.stdout is not None
    process.stdout.close()
    say(process, "tools/list", 1)
    assert process.wait(AT_ONCE) == 0
    assert errors(process) == b""


@pytest.mark.promise("server-protocol")
def test_only_protocol_is_printed_whatever_happens(shared: Sandbox) -> None:
    server = shared.server()
    run_job(server, "echo to stdout; echo to stderr >&2; exit 1")
    for tool, arguments in (("status", {"job_id": "nosuch"}), ("execute", {"command": ""}), ("nosuch", {})):
        with pytest.raises(Refused):
            server.call(tool, **arguments)
    server.terminate()
    server.close()
    assert server.noise == []


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", MODERN_ERA])
@pytest.mark.promise("server-protocol")
def test_every_protocol_version_of_both_eras_works(shared: Sandbox, version: str) -> None:
    server = shared.server(protocol=version)
    if version == MODERN_ERA:
        assert version in server.hello["supportedVersions"]
    else:
        assert server.hello["protocolVersion"] == version
    assert {tool["name"] for tool in server.request("tools/list")["tools"]} == set(TOOLS)
    pending = server.start("execute", command="echo hi; exit 3")
    result = pending.result()
    job_id = pending.answer()["job_id"]
    assert result.get("isError") in (None, False)
    assert ended(server, job_id)["exit_code"] == 3
    assert server.call("output", job_id=job_id)["stdout"] == "hi\n"
    server.close()


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_the_sdks_own_client_works_in_both_eras(shared: Sandbox, mode: str) -> None:
    async def use() -> tuple[set[str], object, object]:
        parameters = StdioServerParameters(
            command=sys.executable,
            args=["-m", "mcp_background_job"],
            env=shared.environment,
            cwd=str(shared.work),
        )
        async with Client(parameters, mode=mode) as client:
            tools = {tool.name for tool in (await client.list_tools()).tools}
            started = await client.call_tool("execute", {"command": "exit 3"})
            assert started.structured_content is not None
            refused = await client.call_tool("status", {"job_id": "nosuch"})
            return tools, started.structured_content["job_id"], refused.is_error

    tools, job_id, refused = asyncio.run(asyncio.wait_for(use(), 40))
    assert tools == set(TOOLS)
    assert isinstance(job_id, str)
    assert refused is True


@pytest.mark.promise("server-contract")
def test_tools_parameters_and_defaults_are_the_contracts(server: Server) -> None:
    tools = {tool["name"]: tool for tool in server.request("tools/list")["tools"]}
    assert {name: set(tool["inputSchema"]["properties"]) for name, tool in tools.items()} == TOOLS
    for name, tool in tools.items():
        schema = tool["inputSchema"]
        assert set(schema.get("required", [])) == REQUIRED.get(name, {"job_id"}), name
        assert tool["description"]
    for (name, parameter), default in DEFAULTS.items():
        assert tools[name]["inputSchema"]["properties"][parameter]["default"] == default, (name, parameter)


@pytest.mark.promise("server-contract")
def test_tools_carry_the_contracts_hints(server: Server) -> None:
    hints = {tool["name"]: tool["annotations"] for tool in server.request("tools/list")["tools"]}
    assert {name for name, hint in hints.items() if hint.get("readOnlyHint")} == READ_ONLY
    for name in ("execute", "interact"):
        assert hints[name]["destructiveHint"] is True and hints[name]["openWorldHint"] is True
    assert hints["kill"]["destructiveHint"] is True and hints["kill"]["idempotentHint"] is True


@pytest.mark.promise("limit-tokens")
def test_the_tool_list_and_the_instructions_are_cheap(server: Server, shared: Sandbox) -> None:
    pending = server.begin("tools/list")
    pending.result()
    assert server.size_of(pending) <= 10_000
    assert 0 < len(server.hello["instructions"].encode()) <= 1_500
    modern = shared.server(protocol=MODERN_ERA)
    assert len(modern.hello["instructions"].encode()) <= 1_500
    modern.close()


def test_the_server_says_who_it_is(server: Server) -> None:
    assert "background" in server.hello["serverInfo"]["name"]
    version = subprocess.run(
        [sys.executable, "-m", "mcp_background_job", "--version"], capture_output=True, text=True, timeout=120
    )
    assert version.returncode == 0
    assert server.hello["serverInfo"]["version"] in version.stdout


def test_help_names_the_commands_and_the_variables(shared: Sandbox) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "mcp_background_job", "--help"],
        env=shared.environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert answer.returncode == 0
    assert "demo" in answer.stdout


def test_ping_and_unknown_methods_are_answered(server: Server) -> None:
    assert server.request("ping") == {}
    with pytest.raises(RpcError) as refusal:
        server.request("no/such/method")
    assert refusal.value.code == -32601


def test_many_calls_at_once_are_all_answered(server: Server) -> None:
    job = run_job(server, "seq 1 100")
    pending = [server.start("tail", job_id=job["job_id"], lines=number + 1) for number in range(60)]
    for number, one in enumerate(pending):
        assert len(one.answer()["stdout"].splitlines()) == number + 1
