"""What a job's environment is made of, and that a login shell is asked once."""

from __future__ import annotations

import os
from collections.abc import Mapping

import pytest

from mcp_background_job.config import JOB_VARIABLE
from mcp_background_job.jobs import environment
from mcp_background_job.jobs.environment import BaseEnvironment, job_environment
from mcp_background_job.process.login_shell import Told


def test_a_job_has_the_servers_environment_without_the_token_and_the_terminals_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("MCP_BG_HTTP_TOKEN", "COLUMNS", "TERM"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("KEPT", "kept")
    base = BaseEnvironment("inherit").get()
    found = job_environment(base, {"PAGER": "less", "NEW": "new"}, "abc123", "make")
    assert found["KEPT"] == "kept" and found["NEW"] == "new" and found["PAGER"] == "less"
    assert found["GIT_PAGER"] == "cat" and found[JOB_VARIABLE] == "abc123"
    assert "secret" not in found.values()


def asked(monkeypatch: pytest.MonkeyPatch, told: Told) -> list[Mapping[str, str]]:
    """Have the login shell tell this; what it is asked with."""
    calls: list[Mapping[str, str]] = []
    monkeypatch.setenv("PATH", "/usr/bin:/bin")

    def answer(own: Mapping[str, str]) -> Told:
        calls.append(own)
        return told

    monkeypatch.setattr(environment, "ask_login_shell", answer)
    return calls


@pytest.mark.promise("login-environment")
def test_a_login_shell_is_asked_once_and_is_given_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_BG_HTTP_TOKEN", "secret")
    monkeypatch.setenv("CI", "1")
    calls = asked(monkeypatch, Told("/bin/zsh", {"PATH": "/opt", "MCP_BG_HTTP_TOKEN": "secret", "TERM": "xterm"}))
    base = BaseEnvironment("login")
    assert base.get() == base.get() == {"PATH": "/opt"}
    assert os.environ["PATH"] == "/usr/bin:/bin:/opt", "where tmux is looked for"
    assert len(calls) == 1 and calls[0]["CI"] == "1" and "MCP_BG_HTTP_TOKEN" not in calls[0]


@pytest.mark.promise("login-failure")
def test_a_failure_is_told_once_and_jobs_have_the_servers_own(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OWN", "1")
    asked(monkeypatch, Told("/bin/zsh", None, "did not answer in time"))
    base = BaseEnvironment("login")
    assert base.get()["OWN"] == base.get()["OWN"] == "1"
    assert [record.getMessage() for record in caplog.records] == [
        "MCP_BG_ENVIRONMENT=login: /bin/zsh did not answer in time; jobs have the server's own environment"
    ]


def test_nobody_is_asked_where_that_is_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = asked(monkeypatch, Told("/bin/zsh", None))
    base = BaseEnvironment("inherit")
    base.begin()
    assert base.get() and not calls
