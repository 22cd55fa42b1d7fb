"""export --gif: what agg is given, what comes of it, and what is said without it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
from pathlib import Path

import pytest

from support.rpc import Server
from support.sandbox import PYTHON, Sandbox, run_job
from support.terminal import cli, start
from support.waiting import wait_until

# Notes its arguments and the recording, and draws as much of a picture as a test needs.
AGG = f"""#!{PYTHON}
import json, os, pathlib, sys
*options, recording, picture = sys.argv[1:]
pathlib.Path(os.environ["NOTED"]).write_text(json.dumps([options, pathlib.Path(recording).read_text(), picture]))
{{}}
"""
DRAWS = "pathlib.Path(picture).write_bytes(b'GIF89a' + bytes(3_000_000))"
FAILS = "pathlib.Path(picture).write_bytes(b'half'); sys.exit('> Error: no faces matching font family \\x1b[31mX')"
HANGS = "import time; pathlib.Path(picture).write_bytes(b'half'); time.sleep(600)"


def with_agg(sandbox: Sandbox, does: str) -> dict[str, str]:
    """An environment in which an agg that does this is installed."""
    folder = sandbox.root / "agg"
    folder.mkdir(exist_ok=True)
    agg = folder / "agg"
    agg.write_text(AGG.replace("{}", does))
    agg.chmod(0o700)
    noted = folder / "noted"
    noted.unlink(missing_ok=True)
    temporary = sandbox.root / "temporary"
    temporary.mkdir(exist_ok=True)
    return {"PATH": f"{folder}:{sandbox.environment['PATH']}", "NOTED": str(noted), "TMPDIR": str(temporary)}


@pytest.mark.promise("cast-gif")
def test_agg_draws_the_recording_into_a_new_file(server: Server, shared: Sandbox) -> None:
    job_id = run_job(server, "echo drawn")["job_id"]
    environment = with_agg(shared, DRAWS)
    path = shared.path("job.gif")
    done = cli(shared, "export", "-i", "2", job_id, "--gif", str(path), status=0, **environment)
    options, recording, picture = json.loads(Path(environment["NOTED"]).read_text())
    assert options == ["--cols", "200", "--rows", "50"]
    header = json.loads(recording.splitlines()[0])
    assert (header["version"], header["idle_time_limit"]) == (2, 2.0) and "drawn" in recording
    assert path.read_bytes() == b"GIF89a" + bytes(3_000_000) and stat.S_IMODE(path.stat().st_mode) == 0o600
    assert done.stdout == "" and str(path) in done.stderr
    assert not Path(picture).exists() and list(Path(environment["TMPDIR"]).iterdir()) == []
    Path(environment["NOTED"]).unlink()
    assert "already exists" in cli(shared, "export", job_id, "--gif", str(path), status=1, **environment).stderr
    assert not Path(environment["NOTED"]).exists(), "nor was it drawn for nothing"


@pytest.mark.promise("cast-gif")
def test_without_agg_a_line_says_what_to_install(server: Server, shared: Sandbox) -> None:
    job_id = run_job(server, "echo drawn")["job_id"]
    done = cli(shared, "export", job_id, "--gif", "none.gif", status=1, PATH=str(shared.root))
    assert done.stderr.count("\n") == 1 and "brew install agg" in done.stderr and "--html" in done.stderr
    assert not shared.path("none.gif").exists()


@pytest.mark.promise("cast-gif")
def test_where_agg_fails_its_own_words_are_told_and_nothing_is_left(server: Server, shared: Sandbox) -> None:
    job_id = run_job(server, "echo drawn")["job_id"]
    environment = with_agg(shared, FAILS)
    done = cli(shared, "export", job_id, "--gif", "failed.gif", status=1, **environment)
    assert done.stderr.count("\n") == 1 and "no faces matching font family" in done.stderr
    assert "\x1b" not in done.stderr
    assert not shared.path("failed.gif").exists() and list(Path(environment["TMPDIR"]).iterdir()) == []


@pytest.mark.promise("cast-gif")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_it_leaves_neither_a_file_nor_agg(server: Server, shared: Sandbox, number: signal.Signals) -> None:
    job_id = run_job(server, "echo drawn")["job_id"]
    environment = with_agg(shared, HANGS)
    process = start(shared, "export", job_id, "--gif", "half.gif", **environment)
    wait_until(lambda: Path(environment["NOTED"]).exists())
    os.kill(process.pid, number)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (128 + number, "")
    assert not shared.path("half.gif").exists() and list(Path(environment["TMPDIR"]).iterdir()) == []
    assert shared.with_words(str(shared.root / "agg" / "agg")) == []


@pytest.mark.promise("cast-gif")
@pytest.mark.skipif(shutil.which("agg") is None, reason="agg is not installed")
def test_agg_itself_draws_it(server: Server, shared: Sandbox) -> None:
    job_id = run_job(server, r"printf '\033[31mred\n'; sleep .3; echo drawn")["job_id"]
    path = shared.path("real.gif")
    cli(shared, "export", job_id, "--gif", str(path))
    assert path.read_bytes()[:6] == b"GIF89a"
