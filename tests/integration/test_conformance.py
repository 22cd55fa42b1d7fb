"""The MCP conformance suite (npm) against the program as it is, over HTTP with its token.

What it finds wrong stands in support/conformance.yml, with a reason each; a check that fails without being there fails
the test, and so does one that is there and passes. `./.ci/everywhere conformance` runs it.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from support.npm import conformance
from support.sandbox import Sandbox
from support.terminal import PROGRAM
from support.waiting import wait_until

ASKED = "MCP_BG_TEST_CONFORMANCE"
TOKEN = "a-token-of-enough-characters"
SUPPORT = Path(__file__).parents[1] / "support"
EXPECTED = SUPPORT / "conformance.yml"


def test_each_expected_failure_has_its_reason() -> None:
    entries = [line for line in EXPECTED.read_text().splitlines() if line.lstrip().startswith("- ")]
    assert entries and all(re.fullmatch(r"  - \S+:\S+ # .*\w.*", line) for line in entries)


@pytest.mark.skipif(ASKED not in os.environ, reason="./.ci/everywhere conformance runs it")
@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
def test_the_suite_finds_nothing_wrong_but_what_is_expected(sandbox: Sandbox, version: str) -> None:
    words = conformance()
    errors = sandbox.root / "http.err"
    with errors.open("w") as stderr:
        process = subprocess.Popen(
            [*PROGRAM, "--transport", "http", "--port", "0"],
            env={**sandbox.environment, "MCP_BG_HTTP_TOKEN": TOKEN},
            cwd=sandbox.work,
            stderr=stderr,
        )
    found = wait_until(lambda: re.search(r"listening on (http://\S+)\n", errors.read_text()))
    assert found
    done = subprocess.run(
        [
            *(words[0], "--require", str(SUPPORT / "conformance_token.cjs"), *words[1:]),
            *("server", "--url", found[1], "--suite", "all", "--spec-version", version),
            *("--expected-failures", str(EXPECTED)),
        ],
        env={**sandbox.environment, "TOKEN": TOKEN},
        cwd=sandbox.work,
        capture_output=True,
        text=True,
        timeout=240,
    )
    process.kill()
    process.wait()
    told = done.stdout.partition("=== SUMMARY ===")[2]
    assert done.returncode == 0, told + done.stderr
    assert "✓ tools-list" in told and "✓ dns-rebinding-protection" in told, done.stdout + done.stderr
