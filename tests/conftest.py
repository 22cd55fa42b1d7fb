"""Fixtures: a sandbox for each test, or one for a whole file where isolation isn't the point."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.rpc import Server
from support.sandbox import Sandbox


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


@pytest.fixture(scope="module")
def server(shared: Sandbox) -> Server:
    """A server in the shared world, with room for the jobs of a whole file."""
    return shared.server(MCP_BG_MAX_JOBS="300")
