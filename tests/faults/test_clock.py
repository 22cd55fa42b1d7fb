"""The machine's clock is set back or forward under server, tmux and jobs: what is measured stays as it was.

A small library gives every program of the sandbox a clock that a file sets; the monotonic one is left alone, as a
real setting of the clock leaves it. (libfaketime makes sleeps fail.)
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from support.person import Person
from support.sandbox import SESSION, Sandbox, ended, run_job, shows
from support.waiting import stays_true, wait_until

DAY = 86400
SOURCE = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long offset(void) {
    char text[32] = {0};
    int fd = syscall(SYS_openat, AT_FDCWD, getenv("CLOCK_OFFSET"), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    if (read(fd, text, sizeof text - 1) < 0) text[0] = 0;
    close(fd);
    return atol(text);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int status = syscall(SYS_clock_gettime, clock, now);
    if (status == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) && getenv("CLOCK_OFFSET"))
        now->tv_sec += offset();
    return status;
}

int gettimeofday(struct timeval *now, void *zone) {
    struct timespec precise;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *seconds) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (seconds) *seconds = now.tv_sec;
    return now.tv_sec;
}
"""

pytestmark = [
    pytest.mark.promise("clock-set"),
    pytest.mark.skipif(
        not sys.platform.startswith("linux") or shutil.which("cc") is None, reason="needs Linux and a C compiler"
    ),
]


class Clock:
    """The clock of all programs in a sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.file = sandbox.root / "clock"
        self.set(0)
        library = sandbox.root / "clock.so"
        words = ["cc", "-shared", "-fPIC", "-O1", "-x", "c", "-", "-o", str(library)]
        subprocess.run(words, input=SOURCE, text=True, check=True, timeout=120)
        sandbox.environment |= {"LD_PRELOAD": str(library), "CLOCK_OFFSET": str(self.file)}
        # A tmux server that we start gets a clean environment; a person's own brings the clock to the runners.
        sandbox.tmux("new-session", "-d", "-s", "mine", "--", "sleep", "1000")

    def set(self, days: int) -> None:
        new = self.file.with_name("clock.new")
        new.write_text(str(days * DAY))
        new.rename(self.file)


@pytest.fixture
def clock(sandbox: Sandbox) -> Iterator[Clock]:
    yield Clock(sandbox)


def test_the_clock_can_be_set(sandbox: Sandbox, clock: Clock) -> None:
    server = sandbox.server()
    clock.set(-400)
    job = run_job(server, "date +%s")
    then = time.time() - 400 * DAY
    assert abs(int(server.call("output", job_id=job["job_id"])["stdout"]) - then) < 3600
    for name in ("started", "ended"):
        assert abs(datetime.fromisoformat(job[name]).timestamp() - then) < 3600, "server and supervisor have it too"
    assert abs(int(sandbox.ask(job["job_id"], "#{window_activity}")) - then) < 3600, "and tmux"


@pytest.mark.parametrize("days", [-400, 400])
def test_durations_and_timeouts_are_what_they_were(sandbox: Sandbox, clock: Clock, days: int) -> None:
    server = sandbox.server()
    begun = time.monotonic()
    short = server.call("execute", command="echo up; exec sleep 300", timeout=3)["job_id"]
    lasting = server.call("execute", command="echo up; exec sleep 300", timeout=600)["job_id"]
    lost = server.call("execute", command="echo up; exec sleep 300")["job_id"]
    for job_id in (short, lasting, lost):
        shows(server, job_id, "up\n")
    clock.set(days)
    assert 0 <= server.call("status", job_id=lasting)["duration"] <= time.monotonic() - begun
    waited = time.monotonic()
    assert server.call("wait", job_ids=[lasting], timeout=1)["reason"] == "timeout"
    assert 0.9 < time.monotonic() - waited < 30
    job = ended(server, short)
    # The time is the promise: neither early nor late.
    assert (job["status"], job["reason"]) == ("killed", "timeout")
    assert 3.0 <= job["duration"] < 3.0 + 5.0
    assert time.monotonic() - begun >= 3.0
    assert server.call("status", job_id=lasting)["status"] == "running"
    sandbox.runner(lost).kill()
    job = ended(server, lost)
    assert 0 <= job["duration"] <= time.monotonic() - begun + 1
    assert server.call("kill", job_id=lasting) == {"status": "killed"}
    assert 0 <= server.call("status", job_id=lasting)["duration"] <= time.monotonic() - begun
    assert len(server.call("list")["jobs"]) == 3, "all of them ended only now"


def swept(sandbox: Sandbox) -> None:
    """Wait for a tidying that began after now: it takes a folder that lost its maker long ago."""
    bait = sandbox.state / SESSION / ".new-zzzzzz"
    bait.mkdir()
    os.utime(bait, (1, 1))
    wait_until(lambda: not bait.exists(), what="the tidying")


@pytest.mark.parametrize("days", [4000])
def test_a_clock_set_forward_removes_no_job_that_has_just_ended(sandbox: Sandbox, clock: Clock, days: int) -> None:
    server = sandbox.server()
    job = run_job(server, "echo kept; exit 3")
    runner = server.call("execute", command="echo up; exec sleep 300")["job_id"]
    shows(server, runner, "up\n")
    sandbox.runner(runner).kill()
    ended(server, runner)
    clock.set(days)
    heir = sandbox.server()
    swept(sandbox)
    assert {one["job_id"] for one in heir.call("list")["jobs"]} == {job["job_id"], runner}
    assert heir.call("output", job_id=job["job_id"])["stdout"] == "kept\n"
    assert job["job_id"] in sandbox.windows()


@pytest.mark.slow
@pytest.mark.parametrize("days", [-400])
def test_a_clock_set_back_keeps_no_job_for_ever(sandbox: Sandbox, clock: Clock, days: int) -> None:
    server = sandbox.server(MCP_BG_CLEANUP_INTERVAL="10", MCP_BG_RETENTION="12")
    begun = time.monotonic()
    job_id = run_job(server, "exit 3")["job_id"]
    clock.set(days)
    half_made = sandbox.state / SESSION / ".new-yyyyyy"
    half_made.mkdir()
    # The time is the promise: not before the retention, and soon after it.
    stays_true(
        lambda: job_id in sandbox.records() or time.monotonic() > begun + 12,
        begun + 12 - time.monotonic(),
        every=0.2,
    )
    wait_until(lambda: job_id not in sandbox.records(), every=0.1, what="the end of the record")
    assert time.monotonic() - begun >= 12
    assert not sandbox.windows() and server.call("list", all=True) == {"jobs": []}
    assert not half_made.exists()


def test_the_newest_job_comes_first_though_the_clock_was_set_back(sandbox: Sandbox, clock: Clock) -> None:
    server = sandbox.server()
    first = run_job(server, "exit 1")["job_id"]
    clock.set(-2)
    second = run_job(server, "exit 2")["job_id"]
    clock.set(-1)
    third = run_job(server, "exit 3")["job_id"]
    assert [job["job_id"] for job in server.call("list")["jobs"]] == [third, second, first]


def test_a_person_who_looks_on_is_not_taken_for_one_who_types_for_a_day(sandbox: Sandbox, clock: Clock) -> None:
    server = sandbox.server()
    answer = server.call("execute", command="echo up; cat")
    shows(server, answer["job_id"], "up\n")
    person = Person(sandbox, answer["attach"])
    person.sees("up")
    clock.set(-1)
    found = server.call("interact", job_id=answer["job_id"], input="hello", timeout=50)
    assert found["stdout"] == "hello\n"
    person.close()
