"""output since_seconds: what a job printed in the last seconds."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from support.rpc import Answer, Server, ToolError
from support.sandbox import PYTHON, Sandbox, ended, run_job, shows
from support.terminal import answer as answer_of
from support.terminal import cli
from support.waiting import wait_until

# Prints a line whenever a file appears, and then its own clock into another, so that the test knows when it was.
TICKER = """
import os, sys, time
for number in range(100):
    while not os.path.exists(f"go{number}"):
        time.sleep(.005)
    sys.stdout.write(open(f"go{number}").read())
    sys.stdout.flush()
    open(f"done{number}", "w").write(str(time.monotonic()))
"""


PAUSE = 15  # seconds


class Ticker:
    """A job that prints what and when the test says."""

    def __init__(self, world: Sandbox, server: Server, **options: object) -> None:
        world.path("ticker.py").write_text(TICKER)
        self.folder = world.path(f"ticker{len(world.records())}")
        self.folder.mkdir()
        command = f"exec {PYTHON} -I -S ../ticker.py"
        self.server = server
        self.job_id: str = server.call("execute", command=command, cwd=str(self.folder), **options)["job_id"]
        self.count = 0

    def print(self, text: str) -> float:
        """Have `text` printed; when it was, on the monotonic clock."""
        waiting = self.folder / "waiting"
        waiting.write_text(text)
        waiting.rename(self.folder / f"go{self.count}")
        done = self.folder / f"done{self.count}"
        self.count += 1
        printed = wait_until(lambda: done.exists() and done.read_text())
        shows(self.server, self.job_id, text.strip())
        return float(str(printed))

    def kill(self) -> None:
        self.server.call("kill", job_id=self.job_id)


def after(moment: float, seconds: float) -> None:
    """Wait until `seconds` have passed since `moment`."""
    wait_until(lambda: time.monotonic() > moment + seconds)


def asked(
    server: Server, job_id: str, seconds: Callable[[], float], *, margin: float = 1.0, **arguments: object
) -> Answer:
    """What a job printed within the last `seconds()` and a margin, before which there is nothing for longer than that.

    Asked anew where the machine took as long as the margin to ask: then the seconds were over.
    """

    def answer() -> Answer | None:
        begun = time.monotonic()
        found = server.call("output", job_id=job_id, since_seconds=seconds() + margin, **arguments)
        return found if time.monotonic() - begun < margin * 0.9 else None

    found = wait_until(answer)
    assert found is not None
    return found


def kept(log: Path) -> Iterator[bytes]:
    """The segments of a log, less those that are dropped meanwhile."""
    for path in sorted(log.glob("*.log")):
        with suppress(FileNotFoundError):
            yield path.read_bytes()


def in_parts(
    sandbox: Sandbox, server: Server, *parts: tuple[str, bytes], pause: float = 1.5, **options: object
) -> tuple[str, list[float]]:
    """A job that has ended, and when each of its parts began, on the monotonic clock.

    A part is a command and what it prints last; the next one begins `pause` seconds after that is in the log, where a
    busy machine may have it late.
    """
    folder = Path(tempfile.mkdtemp(dir=sandbox.work))
    steps = (f"until [ -e {folder}/{number} ]; do sleep 0.02; done; {part}" for number, (part, _) in enumerate(parts))
    job_id = server.call("execute", command="; ".join(steps), **options)["job_id"]
    log = sandbox.state / "mcp-jobs" / job_id / "log"
    began = []
    for number, (_, last) in enumerate(parts):
        began.append(time.monotonic())
        (folder / str(number)).touch()
        wait_until(lambda last=last: any(last in data for data in kept(log)))  # type: ignore[misc]
        after(time.monotonic(), pause)
    ended(server, job_id)
    return job_id, began


@pytest.fixture
def ticker(shared: Sandbox, server: Server) -> Ticker:
    return Ticker(shared, server)


@pytest.fixture(scope="module", autouse=True)
def parted(server: Server) -> str:
    """A job with a long pause between its lines, which begins before the other tests so that none waits for it."""
    command = f"echo early; sleep {PAUSE}; echo late; echo last"
    job_id: str = server.call("execute", command=command)["job_id"]
    return job_id


def since_end(sandbox: Sandbox, job_id: str) -> float:
    """Seconds since the job ended."""
    record = json.loads((sandbox.state / "mcp-jobs" / job_id / "exit.json").read_bytes())
    return time.time() - float(record["ended"])


def seconds_since(moment: float) -> float:
    return time.monotonic() - moment


@pytest.mark.promise("since-seconds")
def test_what_a_running_job_printed_in_the_last_seconds(ticker: Ticker) -> None:
    server, job_id = ticker.server, ticker.job_id
    ticker.print("old\n")
    after(time.monotonic(), 1.5)
    first = ticker.print("first\n")
    ticker.print("second\n")
    found = asked(server, job_id, lambda: seconds_since(first))
    assert (found["stdout"], found["status"]) == ("first\nsecond\n", "running")
    after(time.monotonic(), 0.6)
    assert server.call("output", job_id=job_id, since_seconds=0.3)["stdout"] == ""
    # The cursor goes on behind it, and neither loses nor repeats.
    ticker.print("third\n")
    assert server.call("output", job_id=job_id, since=found["cursor"])["stdout"] == "third\n"
    assert server.call("output", job_id=job_id, since_seconds=1e9)["stdout"] == "old\nfirst\nsecond\nthird\n"
    ticker.kill()


def test_it_goes_together_with_grep_and_max_chars_and_not_with_since(ticker: Ticker) -> None:
    server, job_id = ticker.server, ticker.job_id
    ticker.print("hit 0\n")
    after(time.monotonic(), 1.5)
    moment = ticker.print("miss\nhit 1\nmiss\n" + "x" * 150 + "\nhit 2\n")
    found = asked(server, job_id, lambda: seconds_since(moment), grep="hit")
    assert found["stdout"] == "3:hit 1\n6:hit 2\n"
    cut = asked(server, job_id, lambda: seconds_since(moment), max_chars=60)
    assert cut["truncated"] and cut["stdout"].startswith("miss\nhit 1\n") and cut["stdout"].endswith("hit 2\n")
    assert "left out" in cut["stdout"] and cut["cursor"] == found["cursor"]
    with pytest.raises(ToolError, match="since and since_seconds"):
        server.call("output", job_id=job_id, since_seconds=5, since=1)
    with pytest.raises(ToolError, match="since_seconds"):
        server.call("output", job_id=job_id, since_seconds=-1)
    ticker.kill()


def test_no_character_and_no_escape_sequence_is_cut(server: Server, shared: Sandbox) -> None:
    pieces = [rb"a\303", rb"\251\033[3", rb"1mred\033[0m\360\237", rb"\246\212\n"]
    signs = [b"a\xc3", b"\xa9\x1b[3", b"\x1b[0m\xf0\x9f", b"\xa6\x8a\r\n"]
    parts = [(f"printf '{piece.decode()}'", sign) for piece, sign in zip(pieces, signs, strict=True)]
    job_id, began = in_parts(shared, server, *parts, pause=0.4)
    end = time.monotonic()
    whole = server.call("output", job_id=job_id)["stdout"]
    assert whole == "aéred🦊\n"
    seen = set()
    for tenths in range(int((end - began[0]) * 10) + 20):
        text = server.call("output", job_id=job_id, since_seconds=seconds_since(end) + tenths / 10)["stdout"]
        assert whole.endswith(text) and "�" not in text
        seen.add(text)
    assert len(seen) >= 4, seen


def test_an_ended_jobs_seconds_are_counted_from_now(server: Server, shared: Sandbox) -> None:
    job_id, began = in_parts(shared, server, ("echo early", b"early"), ("echo late", b"late"))
    assert asked(server, job_id, lambda: seconds_since(began[1]))["stdout"] == "late\n"
    assert server.call("output", job_id=job_id, since_seconds=seconds_since(began[0]) + 30)["stdout"] == "early\nlate\n"
    wait_until(lambda: server.call("output", job_id=job_id, since_seconds=0.5)["stdout"] == "")


def test_what_the_limit_dropped_is_said_to_be_missing(shared: Sandbox) -> None:
    server = shared.server(MCP_BG_MAX_OUTPUT_SIZE="20000")
    parts = (("echo first", b"first"), ("seq 1 20000", b"20000\r\n"), ("echo last", b"last"))
    job_id, began = in_parts(shared, server, *parts)
    found = server.call("output", job_id=job_id, since_seconds=1e6)
    whole = server.call("output", job_id=job_id, since=0)
    assert found["stdout"] == whole["stdout"] and found["dropped_bytes"] == whole["dropped_bytes"] > 80_000
    assert asked(server, job_id, lambda: seconds_since(began[2]))["stdout"] == "last\n"
    # Of the flood it knows how much is gone, and that `first` is older.
    flood = asked(server, job_id, lambda: seconds_since(began[1]))
    assert 0 < found["dropped_bytes"] - flood["dropped_bytes"] <= len("first\r\n") + 1


def test_stderr_that_is_apart_stays_apart(server: Server, shared: Sandbox) -> None:
    parts = (("echo o1; echo e1 >&2", b"e1"), ("echo e2 >&2; echo o2", b"o2"))
    job_id, began = in_parts(shared, server, *parts, separate_stderr=True)
    found = asked(server, job_id, lambda: seconds_since(began[1]))
    assert (found["stdout"], found["stderr"]) == ("o2\n", "e2\n")


def test_a_job_of_before_says_that_its_times_are_not_known(server: Server, shared: Sandbox) -> None:
    job = run_job(server, "echo hello")
    shutil.rmtree(shared.state / "mcp-jobs" / job["job_id"] / "timing")
    with pytest.raises(ToolError, match=r"no timing\. Call tail"):
        server.call("output", job_id=job["job_id"], since_seconds=1000)
    assert server.call("output", job_id=job["job_id"])["stdout"] == "hello\n"
    silent = run_job(server, "true")
    shutil.rmtree(shared.state / "mcp-jobs" / silent["job_id"] / "timing")
    assert server.call("output", job_id=silent["job_id"], since_seconds=5)["stdout"] == ""


def test_the_terminal_has_it_too(server: Server, shared: Sandbox, parted: str) -> None:
    job_id = parted
    ended(server, job_id)

    def young() -> str:
        """Less than the pause of the job; the command's own start takes of it, on a busy machine some seconds."""
        return str(since_end(shared, job_id) + PAUSE - 1)

    assert cli(shared, "output", "--last", young(), job_id).stdout == "late\nlast\n"
    assert answer_of(shared, "output", "--last", young(), job_id)["stdout"] == "late\nlast\n"
    assert cli(shared, "output", "--last", young(), "-g", "la", job_id).stdout == "2:late\n3:last\n"
    assert cli(shared, "output", "--since", "7", "-g", "la", job_id).stdout == "2:late\n3:last\n"
    for more in ((), ("--json",)):
        refused = cli(shared, "output", *more, "--since", "0", "--last", "5", job_id, status=1)
        assert "Leave one of them out" in refused.stderr


def test_a_log_writer_that_was_killed_keeps_the_times(server: Server, shared: Sandbox) -> None:
    ticker = Ticker(shared, server)
    ticker.print("before\n")
    folder: Path = shared.state / "mcp-jobs" / ticker.job_id
    [writer] = shared.with_words("logwriter", str(folder))
    writer.kill()
    restarted: Callable[[], bool] = lambda: "log interrupted" in cli(shared, "output", ticker.job_id).stdout  # noqa: E731
    wait_until(restarted)
    after(time.monotonic(), 1.5)
    moment = ticker.print("after\n")
    found = asked(server, ticker.job_id, lambda: seconds_since(moment))
    assert found["stdout"] == "after\n"
    assert server.call("output", job_id=ticker.job_id, since_seconds=1e6)["stdout"].startswith("before\n")
    ticker.kill()
    ended(server, ticker.job_id)
