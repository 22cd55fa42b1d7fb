"""The tmux client that is started ahead does what one started for the call does, and is never in the way."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator

import psutil
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mcp_background_job.errors import TmuxError
from mcp_background_job.tmux import client as tmux_module
from mcp_background_job.tmux import warm_client
from mcp_background_job.tmux.client import TmuxServer
from mcp_background_job.tmux.quoting import join_commands
from support.rpc import Server
from support.sandbox import Sandbox, alive, printed, run_job, words_of
from support.waiting import wait_until

WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs", "Cc")), max_size=40)


def has_ended(process: psutil.Process) -> bool:
    return not alive(process.pid)


def warm_clients(server: Server) -> list[psutil.Process]:
    return [one for one in psutil.Process(server.process.pid).children() if "source-file" in words_of(one)]


@pytest.fixture(scope="module")
def both(shared: Sandbox) -> Iterator[tuple[TmuxServer, TmuxServer]]:
    """The same tmux server, asked by clients that are ready and by others."""
    shared.tmux("-f", "/dev/null", "new-session", "-d", "-s", "plain", "sleep 1000")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMUX_TMPDIR", str(shared.sockets))
        ready, plain = (TmuxServer() for _ in range(2))
        ready.stays = True
        yield ready, plain


def by_warm_client(tmux: TmuxServer, *arguments: str) -> warm_client.Answer:
    """As `run`, once there is a ready client."""
    wait_until(lambda: tmux._warm is not None and tmux._warm._client)
    answer = tmux.run(*arguments)
    assert isinstance(answer, warm_client.Answer), "this was to be answered by a client that was ready"
    return answer


@example(["it's", "#{pane_id}", "$HOME ~ \\ ;", "a;", ";", "{ }", "%1", "\\;", "'", '"', "-x", "", "ü€ 🙂"])
@given(st.lists(WORDS, max_size=6))
@settings(max_examples=40)
def test_every_word_reaches_tmux_as_it_is(both: tuple[TmuxServer, TmuxServer], words: list[str]) -> None:
    ready, plain = both
    commands = [["set-option", "-s", "--", f"@word{number}", word] for number, word in enumerate(words)]
    show = [["show-options", "-sv", f"@word{number}"] for number in range(len(words))]
    ready.run("display-message", "-p", "x")
    by_warm_client(ready, *join_commands([*commands, ["display-message", "-p", "done"]]))
    if words:
        assert by_warm_client(ready, *join_commands(show)).stdout == plain.run(*join_commands(show)).stdout
        found = [plain.run(*command).stdout for command in show]
        assert found == [[word] if word else [] for word in words]


def test_refusals_are_the_same(both: tuple[TmuxServer, TmuxServer]) -> None:
    ready, plain = both
    ready.run("display-message", "-p", "x")
    for command in (
        ["kill-pane", "-t", "%999"],
        ["no-such-command"],
        ["display-message", "-p", "first", ";", "kill-pane", "-t", "%999", ";", "display-message", "-p", "never"],
        ["set-option", "-p"],
    ):
        answer, expected = by_warm_client(ready, *command), plain.run(*command)
        assert answer.returncode == expected.returncode == 1, command
        assert (answer.stdout, answer.stderr) == (expected.stdout, expected.stderr), command


def test_a_word_of_several_lines_goes_by_a_client_of_its_own(both: tuple[TmuxServer, TmuxServer]) -> None:
    ready, plain = both
    text = "one\n  # two\n   three"
    ready.run("set-option", "-s", "@lines", text)
    assert plain.run("show-options", "-sv", "@lines").stdout == text.split("\n")


def test_a_job_starts_though_the_tmux_server_of_the_warm_client_has_gone(sandbox: Sandbox) -> None:
    server = sandbox.server()
    for _ in range(3):
        assert printed(server, "echo up") == "up\n"
        [client] = wait_until(lambda: warm_clients(server))
        assert sandbox.tmux("list-clients") == "", "nobody is attached"
        sandbox.tmux("kill-server")
        wait_until(functools.partial(has_ended, client))


def test_a_job_starts_while_the_tmux_server_before_is_still_ending(sandbox: Sandbox) -> None:
    server = sandbox.server(MCP_BG_MAX_JOBS="100")
    for _ in range(20):
        server.call("execute", command="sleep 100")
        sandbox.tmux("kill-server")
        # The client that was ready may not have gone yet, and says of what it has not done that all is well.
        assert server.call("execute", command="echo up", wait=50)["stdout"] == "up\n"
        sandbox.tmux("kill-server")


def test_none_outlives_a_server_that_is_killed(sandbox: Sandbox) -> None:
    server = sandbox.server()
    run_job(server, "true")
    [client] = wait_until(lambda: warm_clients(server))
    server.process.kill()
    wait_until(lambda: not client.is_running())


def test_one_that_is_not_used_lets_its_tmux_server_end(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm_client, "LIFE", 2.0)
    monkeypatch.setenv("TMUX_TMPDIR", str(sandbox.sockets))
    sandbox.tmux("-f", "/dev/null", "new-session", "-d", "-s", "last", "sleep 1000")
    tmux = TmuxServer()
    tmux.stays = True
    tmux.run("display-message", "-p", "x")
    begun = time.monotonic()
    ready = tmux._warm
    assert ready is not None
    wait_until(lambda: ready._client is not None)
    sandbox.tmux("kill-session", "-t", "last")
    wait_until(lambda: sandbox.tmux_server() is None)
    assert time.monotonic() - begun > 0.5, "it was there for a while"
    assert ready.take() is None


@pytest.mark.promise("stopped-tmux")
@pytest.mark.parametrize("stopped_before", [True, False])
def test_one_whose_tmux_server_is_stopped_holds_nobody_up(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, stopped_before: bool
) -> None:
    others = set(psutil.Process().children())
    monkeypatch.setattr(tmux_module, "PATIENCE", 2.0)
    monkeypatch.setenv("TMUX_TMPDIR", str(sandbox.sockets))
    sandbox.tmux("-f", "/dev/null", "new-session", "-d", "-s", "plain", "sleep 1000")
    tmux = TmuxServer()
    tmux.stays = True
    tmux.run("display-message", "-p", "x")
    ready = tmux._warm
    assert ready is not None
    wait_until(lambda: ready._client is not None)
    server = sandbox.tmux_server()
    assert server is not None
    server.suspend()
    try:
        if stopped_before:
            # One that has not even been let in yet.
            unused = ready.take()
            assert unused is not None
            warm_client.end(unused)
            ready.prepare()
            wait_until(lambda: ready._client is not None)
        begun = time.monotonic()
        for _ in range(5):
            with pytest.raises(TmuxError, match="no answer"):
                tmux.run("display-message", "-p", "x")
        assert 1.9 < time.monotonic() - begun < 5 * 2, "who has waited once need not wait again"
        # One that is being started meanwhile is let go within a second.
        wait_until(lambda: not set(psutil.Process().children()) - others)
    finally:
        server.resume()

    def answers() -> bool:
        try:
            return tmux.run("display-message", "-p", "x").stdout == ["x"]
        except TmuxError:
            return False

    wait_until(answers)
