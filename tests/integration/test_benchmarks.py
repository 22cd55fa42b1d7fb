"""The benchmark command runs, and its figures are there: on ours alone, as the peers come from registries."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.sandbox import Sandbox

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.slow
def test_one_suite_of_the_benchmark_runs_and_writes_its_figures(sandbox: Sandbox) -> None:
    figures = sandbox.path("figures.json")
    command = [sys.executable, str(BENCHMARKS), "--quick", "--without-peers", "--only", "exit", "--json", str(figures)]
    environment = sandbox.environment | {"XDG_CACHE_HOME": str(sandbox.path("cache"))}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    rows = {row["what"]: row for row in json.loads(figures.read_text())["rows"]}
    assert set(rows) == {"exit until status says so", "exit until wait answers"}
    assert all(row["measured"]["ours"]["n"] == 5 and row["met"] is not None for row in rows.values())
