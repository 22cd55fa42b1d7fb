"""Jobs whose records another version of the program has written: listed, read, ended."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.rpc import Server
from support.sandbox import SESSION, Sandbox, run_job, shows
from support.waiting import wait_until

RECORDS = Path(__file__).with_name("records")
YEARS = "3000000000"  # seconds; the records in the fixtures are old


def put(sandbox: Sandbox, fixture: str) -> str:
    """Lay a recorded job into the state folder as it was on disk; its id."""
    job_id: str = json.loads((RECORDS / fixture / "job.json").read_text())["job_id"]
    folder = sandbox.state / SESSION
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    sandbox.state.chmod(0o700)
    shutil.copytree(RECORDS / fixture, folder / job_id)
    return job_id


def rewrite(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


@pytest.mark.promise("record-older")
@pytest.mark.parametrize(
    ("fixture", "command", "code", "printed"),
    [
        (
            "version1",
            "echo kept from the first version; printf '\\033[31mred\\033[0m\\n'; exit 3",
            3,
            "kept from the first version\nred\n",
        ),
        ("older", "make all; exit 2", 2, "built long ago\n"),
    ],
)
def test_a_finished_job_of_an_older_version_is_listed_and_read(
    sandbox: Sandbox, fixture: str, command: str, code: int, printed: str
) -> None:
    job_id = put(sandbox, fixture)
    server = sandbox.server(MCP_BG_RETENTION=YEARS)
    new = run_job(server, "echo new")["job_id"]
    listed = server.call("list", all=True)
    assert "unreadable" not in listed
    assert [job["job_id"] for job in listed["jobs"]] == [new, job_id]
    assert (listed["jobs"][1]["command"], listed["jobs"][1]["exit_code"]) == (command, code)
    assert "" not in listed["jobs"][1].values(), "what is not known is left out"
    status = server.call("status", job_id=job_id)
    assert (status["status"], status["reason"], status["command"]) == ("failed", "exit", command)
    output = server.call("output", job_id=job_id)
    assert (output["stdout"], output["status"]) == (printed, "failed")
    assert server.call("tail", job_id=job_id, lines=1)["stdout"] == printed.splitlines(keepends=True)[-1]
    assert server.call("output", job_id=job_id, grep="kept|long")["stdout"] == f"1:{printed.splitlines()[0]}\n"
    assert server.call("wait", job_ids=[job_id])["reason"] == "exit"
    assert server.call("kill", job_id=job_id) == {"status": "already_terminated"}


def upgraded(sandbox: Sandbox, server: Server, job_id: str) -> None:
    """See a running job through a server that knows it from its files alone, then end it."""
    server.kill9()
    heir = sandbox.server()
    assert [job["status"] for job in heir.call("list")["jobs"]] == ["running"]
    status = heir.call("status", job_id=job_id)
    assert status["status"] == "running"
    assert 0 <= status["duration"] < 3600
    assert heir.call("interact", job_id=job_id, input="still there?")["stdout"].endswith("still there?\n")
    assert heir.call("kill", job_id=job_id) == {"status": "killed"}
    assert heir.call("status", job_id=job_id)["reason"] == "kill"


@pytest.mark.promise("record-older")
def test_a_job_that_runs_across_an_upgrade_goes_on(sandbox: Sandbox) -> None:
    server = sandbox.server()
    job_id = server.call("execute", command="echo up; cat")["job_id"]
    shows(server, job_id, "up\n")
    kept = {"job_id", "started", "nonce"}  # an older version's log writer has that nonce
    rewrite(
        sandbox.state / SESSION / job_id / "job.json",
        lambda fields: {name: value for name, value in fields.items() if name in kept},
    )
    upgraded(sandbox, server, job_id)


@pytest.mark.promise("record-newer")
def test_what_a_newer_version_adds_hides_no_job(server: Server, cleared: Sandbox) -> None:
    ended = run_job(server, "echo done; exit 4")
    job_id = server.call("execute", command="echo up; cat")["job_id"]
    shows(server, job_id, "up\n")
    folder = cleared.state / SESSION
    added = {"version": 99, "planet": {"name": "Mars", "moons": [1, 2]}, "colour": None}
    for record in (folder / ended["job_id"] / "job.json", folder / ended["job_id"] / "exit.json"):
        rewrite(record, lambda fields: fields | added)
    for record in (folder / job_id / "job.json", folder / job_id / "run.json"):
        rewrite(record, lambda fields: fields | added)
    (folder / ended["job_id"] / "a-new-file").write_bytes(b"\0")
    heir = cleared.server()
    assert heir.call("status", job_id=ended["job_id"]) == ended
    assert {job["job_id"] for job in heir.call("list")["jobs"]} == {ended["job_id"], job_id}
    heir.call("interact", job_id=job_id, keys=["C-d"], timeout=50)
    wait_until(lambda: heir.call("status", job_id=job_id)["status"] == "completed")


@pytest.mark.promise("record-foreign")
def test_a_persons_own_file_beside_the_log_changes_nothing(server: Server, shared: Sandbox) -> None:
    job_id = server.call("execute", command="echo up; read x; echo $x; exit 5")["job_id"]
    shows(server, job_id, "up\n")
    log = shared.state / SESSION / job_id / "log"
    for name in ("mine.log", "7.log", f"{9 * 10**19}.log.gz", "notes"):
        (log / name).write_text("not the log's\n")
    assert server.call("interact", job_id=job_id, input="on")["exit_code"] == 5
    assert server.call("output", job_id=job_id)["stdout"] == "up\non\non\n"


@pytest.mark.promise("record-foreign")
def test_a_copied_job_folder_or_one_without_its_record_is_named_and_hides_no_other(
    server: Server, cleared: Sandbox
) -> None:
    job_id = run_job(server, "exit 3")["job_id"]
    folder = cleared.state / SESSION
    shutil.copytree(folder / job_id, folder / "zzcopy", ignore=shutil.ignore_patterns("control"))
    (folder / "zzbare").mkdir()
    (folder / "zzfile").write_text("no folder")
    for one in (server, cleared.server()):
        listed = one.call("list", all=True)
        assert [job["job_id"] for job in listed["jobs"]] == [job_id]
        assert listed["unreadable"] == ["zzbare", "zzcopy", "zzfile"]
    assert server.call("status", job_id=job_id)["exit_code"] == 3
