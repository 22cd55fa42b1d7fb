"""CPU and memory of jobs, from the process table."""

from __future__ import annotations

import os
import sys

import pytest

from mcp_background_job.process import usage


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_proc_tells_what_psutil_tells() -> None:
    sum(number * number for number in range(300_000))
    fast, slow = usage.linux_table()[os.getpid()], usage.any_table()[os.getpid()]
    assert fast[0] == slow[0] == os.getppid()
    assert fast[1] == pytest.approx(slow[1], abs=0.5) and fast[1] > 0
    assert fast[2] == pytest.approx(slow[2], rel=0.2)


def test_a_second_look_gives_a_rate() -> None:
    meter = usage.Meter()
    first = meter.look({"job": os.getppid()})["job"]
    sum(number * number for number in range(300_000))
    second = meter.look({"job": os.getppid()})["job"]
    assert first.cpu is None and first.memory > 1 << 20
    assert second.cpu is not None and second.cpu > 0
