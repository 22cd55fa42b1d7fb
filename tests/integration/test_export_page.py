"""The exported page in a real browser, without a network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.npm import installed
from support.rpc import Server
from support.sandbox import Sandbox, run_job
from support.terminal import cli

SCRIPT = Path(__file__).parents[1] / "support" / "page.mjs"
PACKAGE = "puppeteer-core@24.8.2"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
HOSTILE = "</script><script>window.marked=1</script><img src=x onerror=window.marked=2><!--<script>"
TITLE = "x</title><script>window.marked=3</script>"


@pytest.fixture(scope="session")
def browser() -> Any:
    """What a browser without a network says of a page."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip("chromium is not installed")
    folder = installed(PACKAGE)

    def said(page: Path) -> dict[str, Any]:
        run = subprocess.run(
            ["node", str(SCRIPT), str(page), program],
            capture_output=True, text=True, timeout=200,
            env={**os.environ, "NODE_PATH": str(folder / "node_modules")},
        )  # fmt: skip
        assert run.returncode == 0, run.stderr[-2000:]
        found: dict[str, Any] = json.loads(run.stdout)
        return found

    return said


@pytest.mark.promise("cast-page")
def test_it_plays_by_itself_offline_and_by_keys_and_runs_nothing_of_the_jobs(
    server: Server, shared: Sandbox, browser: Any
) -> None:
    command = f"echo first '{HOSTILE}'; sleep 4; echo second; sleep .5; echo last"
    job_id = run_job(server, command, name=TITLE)["job_id"]
    path = shared.path("page.html")
    done = cli(shared, "export", job_id, "--html", str(path))
    assert "open it in a browser" in done.stderr and path.stat().st_mode & 0o777 == 0o600
    said = browser(path)
    assert said["errors"] == [], "its policy lets the player do what it has to"
    assert [one for one in said["requests"] if not one.startswith("data:")] == [path.as_uri()]
    assert (said["dialogs"], said["marks"]) == (0, "none")
    assert said["title"] == TITLE
    assert HOSTILE in said["begun"] and "second" not in said["begun"], "as text, at its pace"
    assert "last" in said["ended"] and said["inView"]


def test_a_page_goes_to_standard_output_too(server: Server, shared: Sandbox) -> None:
    job_id = run_job(server, "echo printed")["job_id"]
    path = shared.path("again.html")
    cli(shared, "export", job_id, "--html", str(path))
    assert cli(shared, "export", job_id, "--html").stdout == path.read_text(encoding="utf-8")
    assert "already exists" in cli(shared, "export", job_id, "--html", str(path), status=1).stderr
    assert "--cast" in cli(shared, "export", job_id, "--html", "--format", "3", status=2).stderr
