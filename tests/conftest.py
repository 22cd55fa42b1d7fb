"""Fixtures: a sandbox for each test that breaks things, or one for a whole file, cleared before a test where need be.

A server's start is a second of a processor, a board's half of one: most of what this suite would cost.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from mcp_background_job.system import SUBREAPER
from support.rpc import Server
from support.sandbox import Sandbox

# A terminal that closes is told by HUP, which nohup would have every program here ignore.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# The suite tries the same examples each time, so that a run says something of the change; EXPLORE=1 tries others.
# How long one takes is the machine's affair.
settings.register_profile(
    "suite",
    derandomize="EXPLORE" not in os.environ,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("suite")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is promised on Linux alone, where this is another system or plays one (MCP_BG_PORTABLE)."""
    for item in items:
        mark = item.get_closest_marker("linux")
        if mark is not None and not SUBREAPER:
            item.add_marker(pytest.mark.skip(reason=f"Linux alone: {mark.args[0]}"))


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A world of its own, for tests that break things or look at what is left behind."""
    world = Sandbox()
    yield world
    world.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[Sandbox]:
    """The world that the tests of one file share."""
    world = Sandbox()
    yield world
    world.close()


@pytest.fixture
def cleared(shared: Sandbox) -> Sandbox:
    """The shared world without the windows, records and files of the tests before."""
    shared.clear()
    return shared


@pytest.fixture(scope="module")
def server(shared: Sandbox) -> Server:
    """A server in the shared world, with room for the jobs of a whole file."""
    return shared.server(MCP_BG_MAX_JOBS="300")
