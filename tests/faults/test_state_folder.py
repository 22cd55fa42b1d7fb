"""The state folder is damaged, full, read-only, or gone: what can be known is told, and nobody hangs."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from support.faults import end_all, listed, needs_mount, read_only, small_disk
from support.rpc import Server, ToolError
from support.sandbox import SESSION, Sandbox, alive, ended, run_job, run_jobs, shows
from support.scale import scaled
from support.terminal import cli
from support.waiting import wait_until

SEGMENT = (1 << 20) // 8  # of a limit of 1 MB

Damage = Callable[[Path], object]


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes().rstrip()[:40])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def overwrite(path: Path) -> None:
    path.write_bytes(b"\x00\xff not what it was")


def of_another_kind(path: Path) -> None:
    path.write_text('{"code": {}, "cause": 5, "job_id": [], "tty": null}')


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def remove(path: Path) -> None:
    path.unlink()


DAMAGES: list[Damage] = [halve, empty, overwrite, of_another_kind, make_folder]


# -- damaged ------------------------------------------------------------------------------------------------


# A record without an end is a lost job, which is another promise.
DAMAGED = [(name, damage) for name in ("job.json", "exit.json") for damage in (*DAMAGES, remove)][:-1]
DAMAGED += [("run.json", damage) for damage in DAMAGES]
Broken = dict[tuple[str, Damage], str]


@pytest.fixture(scope="module")
def whole(server: Server) -> str:
    """A job that ended, whose record is as it was."""
    job_id: str = run_job(server, "echo kept; exit 3")["job_id"]
    return job_id


@pytest.fixture(scope="module")
def broken(server: Server, shared: Sandbox) -> Broken:
    """An ended job for each damage, which is done to one file of its record."""
    jobs = run_jobs(server, ["echo kept; exit 3"] * len(DAMAGED))
    found = {case: job["job_id"] for case, job in zip(DAMAGED, jobs, strict=True)}
    for (name, damage), job_id in found.items():
        damage(shared.state / SESSION / job_id / name)
    return found


@pytest.fixture(scope="module")
def fresh(shared: Sandbox, whole: str, broken: Broken) -> Server:
    """A server that never saw those records as they were."""
    return shared.server(MCP_BG_MAX_JOBS="300")


def titled(value: object) -> str:
    return getattr(value, "__name__", str(value))


@pytest.mark.promise("damaged-record")
@pytest.mark.parametrize(("name", "damage"), [case for case in DAMAGED if case[0] != "run.json"], ids=titled)
def test_a_damaged_record_is_named_and_the_others_still_list(
    server: Server, fresh: Server, whole: str, broken: Broken, name: str, damage: Damage
) -> None:
    job_id = broken[name, damage]
    running = server.call("execute", command="echo up; cat")["job_id"]
    for include_all in (False, True):
        found = fresh.call("list", all=include_all)
        assert job_id in found["unreadable"]
        ids = {job["job_id"] for job in found["jobs"]}
        assert {whole, running} <= ids and job_id not in ids
    for tool in ("status", "output", "tail", "kill"):
        with pytest.raises(ToolError, match=f"{job_id}.*MCP_BG_STATE_DIR"):
            fresh.call(tool, job_id=job_id)
    assert run_job(fresh, "exit 4")["exit_code"] == 4
    assert fresh.call("kill", job_id=running) == {"status": "killed"}


@pytest.mark.promise("damaged-record")
@pytest.mark.parametrize("damage", DAMAGES, ids=titled)
def test_a_job_whose_run_record_is_damaged_is_still_listed_and_read(
    fresh: Server, broken: Broken, damage: Damage
) -> None:
    job_id = broken["run.json", damage]
    assert listed(fresh)[job_id]["exit_code"] == 3
    assert fresh.call("output", job_id=job_id)["stdout"] == "kept\n"


@pytest.mark.promise("damaged-record")
def test_what_is_no_job_of_ours_is_named_and_let_be(sandbox: Sandbox) -> None:
    server = sandbox.server()
    job_id = run_job(server, "exit 3")["job_id"]
    assert "unreadable" not in server.call("list")
    session = sandbox.state / SESSION
    (session / "notes.txt").write_text("a person's own")
    (session / "backup").mkdir()
    (session / "zzzzzz").write_text("named as a job, and none")
    (session / "yyyyyy").symlink_to(session / job_id)
    (session / "xxxxxx").mkdir()
    (session / "wwwwww").symlink_to("nowhere")
    shutil.copytree(session / job_id, session / "vvvvvv", ignore=lambda _, names: [n for n in names if n == "control"])
    foreign = {"notes.txt", "backup", "zzzzzz", "yyyyyy", "xxxxxx", "wwwwww", "vvvvvv"}
    found = server.call("list", all=True)
    assert set(found["unreadable"]) == foreign
    assert [job["job_id"] for job in found["jobs"]] == [job_id]
    assert run_job(server, "exit 4")["exit_code"] == 4
    cli(sandbox, "clean", "--all")
    assert foreign <= {path.name for path in session.iterdir()}, "what isn't ours is nobody's to remove"
    assert "notes.txt" in cli(sandbox, "list").stderr


# -- full ---------------------------------------------------------------------------------------------------


def fill(folder: Path) -> Path:
    """Write until the disk takes no more byte."""
    filler = folder / ".filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x")
    return filler


@needs_mount
@pytest.mark.promise("full-disk")
def test_on_a_full_disk_jobs_are_answered_killed_and_told_and_none_is_started(sandbox: Sandbox) -> None:
    with small_disk(sandbox, "2m"):
        server = sandbox.server()
        talk = server.call("execute", command="echo up; while read x; do echo got $x > /dev/null; done; exit 5")
        victim = server.call("execute", command="echo up; exec sleep 300")
        for job in (talk, victim):
            shows(server, job["job_id"], "up\n")
        filler = fill(sandbox.state)
        assert set(listed(server)) == {talk["job_id"], victim["job_id"]}
        with pytest.raises(ToolError, match="MCP_BG_STATE_DIR"):
            server.call("execute", command="true")
        assert sandbox.windows().keys() == {talk["job_id"], victim["job_id"]}, "what was refused has left nothing"
        assert sandbox.records() == {talk["job_id"], victim["job_id"]}
        assert server.call("interact", job_id=talk["job_id"], input="go on", timeout=2)["status"] == "running"
        assert server.call("kill", job_id=victim["job_id"]) == {"status": "killed"}
        assert server.call("status", job_id=victim["job_id"])["reason"] == "kill"
        server.call("interact", job_id=talk["job_id"], keys=["C-d"], timeout=2)
        assert ended(server, talk["job_id"])["exit_code"] == 5
        filler.unlink()
        assert run_job(server, "exit 4")["exit_code"] == 4


@needs_mount
@pytest.mark.promise("full-disk")
def test_a_job_that_floods_a_full_disk_leaves_few_files_and_its_exit_code(sandbox: Sandbox) -> None:
    with small_disk(sandbox, "1m"):
        server = sandbox.server()
        job_id = server.call("execute", command="echo first; seq 1 2000000; echo last; read x; exit 5")["job_id"]
        log = sandbox.state / SESSION / job_id / "log"
        most = 0

        def waits() -> bool:
            nonlocal most
            most = max(most, len(list(log.iterdir())))
            return "last" in sandbox.tmux("capture-pane", "-p", "-t", sandbox.window(job_id))

        wait_until(waits, what="the end of the flood")
        # The limit of 10 MB would be eight segments and the one in the making.
        assert most <= 10
        server.call("interact", job_id=job_id, input="go", timeout=2)
        assert ended(server, job_id)["exit_code"] == 5
        assert server.call("output", job_id=job_id)["stdout"].startswith("first\n1\n2\n")


# -- read-only ----------------------------------------------------------------------------------------------


@needs_mount
@pytest.mark.promise("read-only")
def test_on_a_read_only_disk_everything_is_read_and_jobs_are_answered_and_killed(sandbox: Sandbox) -> None:
    server = sandbox.server()
    done = run_job(server, "echo done; exit 3")
    talk = server.call("execute", command="echo up; while read x; do echo got $x; done")["job_id"]
    victim = server.call("execute", command="echo up; exec sleep 300")["job_id"]
    for job_id in (talk, victim):
        shows(server, job_id, "up\n")
    pid = server.call("status", job_id=victim)["pid"]
    with read_only(sandbox.state):
        for reader in (server, sandbox.server()):
            assert {job["status"] for job in listed(reader).values()} == {"failed", "running"}
            assert reader.call("status", job_id=done["job_id"])["exit_code"] == 3
            assert reader.call("output", job_id=done["job_id"])["stdout"] == "done\n"
            assert reader.call("status", job_id=talk)["status"] == "running"
            assert reader.call("wait", job_ids=[talk], timeout=0.2)["reason"] == "timeout"
            with pytest.raises(ToolError, match="MCP_BG_STATE_DIR"):
                reader.call("execute", command="true")
        assert "got hello" in server.call("interact", job_id=talk, input="hello")["stdout"]
        assert server.call("kill", job_id=victim) == {"status": "killed"}
        assert not alive(pid)
        assert server.call("status", job_id=victim)["status"] == "killed"
    assert server.call("status", job_id=talk)["status"] == "running"
    assert ended(sandbox.server(), victim)["status"] == "killed"
    assert server.call("kill", job_id=talk) == {"status": "killed"}


# -- the limit ----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.promise("limit-log")
def test_a_flood_never_takes_more_of_the_disk_than_the_limit_and_one_segment(sandbox: Sandbox) -> None:
    server = sandbox.server(MCP_BG_MAX_OUTPUT_SIZE="1MB")
    flood = f"yes 'a line of the flood' | head -c {scaled(12, 60) << 20}; echo; echo last"
    job_id = server.call("execute", command=flood)["job_id"]
    log = sandbox.state / SESSION / job_id / "log"
    looks, most, most_on_disk = 0, 0, 0

    def over() -> bool:
        nonlocal looks, most, most_on_disk
        facts = []
        for path in log.glob("*.log"):
            with contextlib.suppress(FileNotFoundError):
                facts.append(path.stat())
        looks += 1
        most = max(most, sum(fact.st_size for fact in facts))
        # What the file system rounds up to a block for each segment is not ours.
        most_on_disk = max(most_on_disk, sum(fact.st_blocks * 512 - 4096 for fact in facts))
        return looks % 50 == 0 and server.call("status", job_id=job_id)["status"] != "running"

    wait_until(over, every=0.002, what="the end of the flood")
    assert looks > 50
    assert (1 << 20) - SEGMENT <= most <= (1 << 20) + SEGMENT
    assert most_on_disk <= (1 << 20) + SEGMENT
    answer = server.call("tail", job_id=job_id, lines=1)
    assert answer["stdout"] == "last\n"
    assert answer["cursor"] > 3 << 20, "it was a flood"


# -- gone ---------------------------------------------------------------------------------------------------


@pytest.mark.promise("state-folder-removed")
@pytest.mark.parametrize("what", ["state", "session", "job"])
def test_a_state_folder_removed_while_jobs_run_hangs_nobody_and_is_tidied(sandbox: Sandbox, what: str) -> None:
    server = sandbox.server()
    job_id = server.call("execute", command="setsid sleep 300 & echo up; while read x; do echo $x; done")["job_id"]
    ends = server.call("execute", command="echo up; read x; exit 5")["job_id"]
    for one in (job_id, ends):
        shows(server, one, "up\n")
    tree = [process.pid for one in (job_id, ends) for process in sandbox.runner(one).children(recursive=True)]
    window = sandbox.window(ends)
    waiting = server.start("wait", job_ids=[job_id], timeout=50)
    session = sandbox.state / SESSION
    if what == "job":
        for one in (job_id, ends):
            shutil.rmtree(session / one)
    else:
        shutil.rmtree(sandbox.state if what == "state" else session)
    with pytest.raises(ToolError, match="not found"):
        waiting.answer()
    assert server.call("list", all=True) == {"jobs": []}
    assert server.call("kill", job_id=job_id) == {"status": "not_found"}
    for tool in ("status", "output", "interact"):
        with pytest.raises(ToolError, match="not found"):
            server.call(tool, job_id=job_id)
    # A job that ends by itself leaves, though there is nowhere to say how; a tidying may already have closed it.
    sandbox.tmux("send-keys", "-t", window, "go", "Enter", check=False)
    wait_until(
        lambda: f"{window} 0" not in sandbox.tmux("list-panes", "-a", "-F", "#{window_id} #{pane_dead}").splitlines(),
        20,
        what="the runner's end",
    )
    assert "Traceback" not in sandbox.tmux("capture-pane", "-p", "-t", window, check=False)
    after = run_job(server, "echo again; exit 6")
    assert after["exit_code"] == 6
    cli(sandbox, "clean")
    wait_until(lambda: sandbox.windows().keys() == {after["job_id"]}, what="the end of windows that nobody can reach")
    wait_until(lambda: not [pid for pid in tree if alive(pid)], what="the end of their processes")
    assert listed(server).keys() == {after["job_id"]}


@pytest.mark.promise("state-folder-removed")
def test_the_windows_of_removed_jobs_are_closed_by_a_server_that_has_no_other_record(sandbox: Sandbox) -> None:
    server = sandbox.server()
    job_id = server.call("execute", command="echo up; exec sleep 300")["job_id"]
    shows(server, job_id, "up\n")
    pid = server.call("status", job_id=job_id)["pid"]
    shutil.rmtree(sandbox.state / SESSION / job_id)
    sandbox.server()
    wait_until(lambda: not sandbox.windows() and not alive(pid), what="the next server's tidying")
    end_all(sandbox)
