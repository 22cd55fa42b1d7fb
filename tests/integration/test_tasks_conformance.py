"""The conformance suite's scenarios for tasks (npm), against our server under the suite's tool names."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.npm import conformance
from support.sandbox import Sandbox

pytestmark = pytest.mark.promise("tasks")
SCENARIOS = {
    "tasks-lifecycle": {
        # No answer of ours about a command that failed is an error of the tool, nor any a JSON-RPC error.
        "sep-2663-tool-error-uses-completed-status",
        "sep-2663-tasks-get-status-failed",
    },
    "tasks-capability-negotiation": set(),
    "tasks-wire-fields": set(),
    "tasks-request-state-removal": set(),
    "tasks-mrtr-input": {"tasks-mrtr-partial-fulfillment"},  # a terminal asks one question at a time
    "tasks-request-headers": set(),
    "tasks-dispatch-and-envelope": set(),
    # Left out: tasks-required-task-error and tasks-mrtr-composition, of tools that can't be called without a task or
    # that ask before they begin; tasks-status-notifications, which checks nothing yet.
}


@pytest.fixture(scope="module")
def url(shared: Sandbox) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "support.conformance_server"],
        env={**shared.environment, "PYTHONPATH": str(Path(__file__).parents[1])},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    yield f"http://127.0.0.1:{int(process.stdout.readline())}/mcp"
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_suite_finds_nothing_but_what_we_have_not(shared: Sandbox, url: str, scenario: str) -> None:
    results = shared.path(scenario)
    done = subprocess.run(
        [
            *conformance(),
            *("server", "--url", url, "--scenario", scenario, "--output-dir", str(results)),
        ],
        env=shared.environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    files = list(results.rglob("checks.json"))
    assert files, done.stdout + done.stderr
    checks = [check for file in files for check in json.loads(file.read_text())]
    failed = {check["id"]: check.get("errorMessage") for check in checks if check["status"] == "FAILURE"}
    assert set(failed) == SCENARIOS[scenario], failed
    assert any(check["status"] == "SUCCESS" for check in checks)
