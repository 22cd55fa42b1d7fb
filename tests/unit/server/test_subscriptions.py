"""Jobs as resources that change, through the official client on a server object in this process, in both eras."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import anyio
import anyio.lowlevel
import httpx2
import pytest
from mcp import Client, MCPError
from mcp.server.session import ServerSession
from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.subscriptions import ResourcesListChanged, ResourceUpdated
from mcp_types import (
    CallToolResult,
    ResourceListChangedNotification,
    ResourceUpdatedNotification,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from mcp_background_job.config import BackgroundJobConfig
from mcp_background_job.jobs.manager import JobManager
from mcp_background_job.server import sessions, subscriptions
from mcp_background_job.server.app import make_server
from mcp_background_job.server.subscriptions import Peer
from mcp_background_job.system import INOTIFY
from support.jobs import LivingJob, write_ended_job

pytestmark = pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")

LIST = "the list"
MODERN = MODERN_PROTOCOL_VERSIONS[-1]
ERAS = pytest.mark.parametrize("era", ["legacy", MODERN])


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JobManager:
    monkeypatch.setenv("TMUX_TMPDIR", str(tmp_path))
    monkeypatch.setenv("PATH", "/nowhere")
    return JobManager(BackgroundJobConfig.model_validate({"MCP_BG_STATE_DIR": str(tmp_path / "state")}))


class Told:
    """What one client has been told, with when."""

    def __init__(self) -> None:
        self.items: list[tuple[str, float]] = []

    def note(self, what: str) -> None:
        self.items.append((what, time.monotonic()))

    @property
    def names(self) -> list[str]:
        return [what for what, _ in self.items]

    async def until(self, what: str, count: int = 1) -> None:
        with anyio.fail_after(20):
            while self.names.count(what) < count:  # noqa: ASYNC110  # whoever notes it knows no event
                await anyio.sleep(0.01)


@asynccontextmanager
async def listening(
    manager: JobManager, era: str, *uris: str, lists: bool = False, server: Any = None
) -> AsyncIterator[tuple[Client, Told]]:
    """A client that has subscribed, in the way of its era."""
    told = Told()

    async def note(message: object) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            told.note(message.params.uri)
        elif isinstance(message, ResourceListChangedNotification):
            told.note(LIST)

    async def follow(stream: Any) -> None:
        async for event in stream:
            if isinstance(event, ResourceUpdated):
                told.note(event.uri)
            elif isinstance(event, ResourcesListChanged):
                told.note(LIST)

    handler = note if era == "legacy" else None  # a stream's events come to both
    async with Client(server or make_server(manager), mode=era, message_handler=handler) as client:
        if era == "legacy":
            for uri in uris:
                await client.subscribe_resource(uri)
            yield client, told
        else:
            async with (
                client.listen(resource_subscriptions=uris, resources_list_changed=lists) as stream,
                anyio.create_task_group() as group,
            ):
                group.start_soon(follow, stream)
                yield client, told
                group.cancel_scope.cancel()


def run(body: Callable[[], Awaitable[None]]) -> None:
    anyio.run(body)


def left(manager: JobManager) -> tuple[int, int, bool]:
    """How many jobs are followed, how many tasks there are beside this one, and whether the list is followed."""
    events = manager.events
    assert set(events._tasks) == set(events._followers)
    return len(events._tasks), len(asyncio.all_tasks()) - 1, events._list_task is not None


async def nothing_is_left(manager: JobManager) -> None:
    with anyio.fail_after(10):
        while left(manager) != (0, 0, False):  # noqa: ASYNC110  # tasks end when they end
            await anyio.sleep(0.01)


@pytest.mark.promise("resources-told")
@ERAS
def test_an_end_a_hold_and_a_hand_back_are_told_of_the_job_that_is_subscribed_to(manager: JobManager, era: str) -> None:
    async def body() -> None:
        job, other = LivingJob(manager.store, "abcdef"), LivingJob(manager.store, "other1")
        async with listening(manager, era, "job://abcdef") as (_, told):
            other.ends()
            job.prints("no news of the job itself\n")
            job.is_held(True)
            await told.until("job://abcdef", 1)
            job.is_held(False)
            await told.until("job://abcdef", 2)
            ended = time.monotonic()
            job.ends(3)
            await told.until("job://abcdef", 3)
            assert told.items[-1][1] - ended < 1.0, "an end is told within a second"
        assert set(told.names) <= {"job://abcdef", LIST}
        await nothing_is_left(manager)

    run(body)


@pytest.mark.promise("resources-told")
@pytest.mark.parametrize("part", ["output", "screen"])
@ERAS
def test_output_is_told_once_a_second_and_once_more_at_the_end(manager: JobManager, era: str, part: str) -> None:
    uri = f"job://build/{part}"  # by its name

    async def body() -> None:
        job = LivingJob(manager.store, "abcdef")
        async with listening(manager, era, uri) as (_, told):
            begun = time.monotonic()
            while time.monotonic() - begun < 2.5:
                job.prints("a line\n")
                await anyio.sleep(0.02)
            printed = time.monotonic()
            job.ends()
            with anyio.fail_after(20):
                while told.items[-1][1] < printed:  # noqa: ASYNC110  # as above
                    await anyio.sleep(0.01)
            times = [when for what, when in told.items if what == uri]
            fewest = 4 if INOTIFY else 3  # where it is looked for, each half second
            assert fewest <= len(times) <= printed - begun + 2, "at 0, 1 and 2 s, and at the end"
            assert all(later - earlier > 0.95 for earlier, later in pairwise(times[:-1]))
        await nothing_is_left(manager)

    run(body)


@pytest.mark.promise("resources-told")
@ERAS
def test_the_list_is_told_to_have_changed_when_a_job_appears_or_ends_once_a_second(
    manager: JobManager, era: str
) -> None:
    async def body() -> None:
        async with listening(manager, era, lists=True) as (client, told):
            assert (await client.list_resources()).resources == []
            job = LivingJob(manager.store, "abcdef")
            await told.until(LIST, 1)
            assert [one.uri for one in (await client.list_resources(cache_mode="bypass")).resources] == ["job://abcdef"]
            job.prints("output is no change of the list\n")
            job.ends(3)
            await told.until(LIST, 2)
            [found] = (await client.list_resources(cache_mode="bypass")).resources
            assert (found.name, found.title) == ("build", "build (failed, exit code 3)")
            for number in range(20):
                write_ended_job(manager.store, f"jobs{number:02}")
                await anyio.sleep(0.02)
            last = time.monotonic()
            with anyio.fail_after(20):
                while told.items[-1][1] < last:  # noqa: ASYNC110  # as above
                    await anyio.sleep(0.01)
            times = [when for _, when in told.items]
            assert 3 <= len(times) <= 4
            assert all(later - earlier > 0.95 for earlier, later in pairwise(times))
        await nothing_is_left(manager)

    run(body)


@ERAS
def test_an_end_that_nobody_saw_is_told_to_whoever_subscribes_after_it(manager: JobManager, era: str) -> None:
    async def body() -> None:
        write_ended_job(manager.store, "abcdef")
        async with listening(manager, era, "job://abcdef", "job://abcdef/output") as (_, told):
            await told.until("job://abcdef")
            await told.until("job://abcdef/output")

    run(body)


@pytest.mark.promise("resources-told")
def test_two_clients_of_one_server_are_told_each_and_one_that_goes_takes_nothing_from_the_other(
    manager: JobManager,
) -> None:
    async def body() -> None:
        job = LivingJob(manager.store, "abcdef")
        server = make_server(manager)
        async with listening(manager, MODERN, "job://abcdef", server=server) as (_, first):
            async with listening(manager, MODERN, "job://build", "job://abcdef", server=server) as (_, second):
                job.is_held(True)
                await first.until("job://abcdef")
                await second.until("job://build")
                await second.until("job://abcdef")
            job.ends()
            await first.until("job://abcdef", 2)
        assert first.names == ["job://abcdef"] * 2
        await nothing_is_left(manager)

    run(body)


def test_unsubscribing_ends_it(manager: JobManager) -> None:
    async def body() -> None:
        job = LivingJob(manager.store, "abcdef")
        async with listening(manager, "legacy", "job://abcdef", "job://abcdef/output") as (client, told):
            await client.unsubscribe_resource("job://abcdef")
            await client.unsubscribe_resource("job://never")
            job.ends()
            await told.until("job://abcdef/output")
        assert "job://abcdef" not in told.names

    run(body)


class SlowReader:
    """The session of a client that takes one notification at a time."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.takes = asyncio.Semaphore(0)

    async def send_resource_updated(self, uri: str) -> None:
        await self.takes.acquire()
        self.taken.append(uri)

    async def send_resource_list_changed(self) -> None:
        await self.send_resource_updated(LIST)

    async def take(self) -> None:
        self.takes.release()
        count = len(self.taken)
        while len(self.taken) == count:
            await anyio.lowlevel.checkpoint()


@pytest.mark.promise("resources-told")
def test_a_client_that_reads_slowly_is_told_what_came_first_first_whatever_floods() -> None:
    async def body() -> None:
        reader = SlowReader()
        peer = Peer(cast(ServerSession, reader))
        for uri in ("job://flood/output", "job://ended"):
            peer.tell(uri)
        peer.tell_list()
        for _ in range(4):
            peer.tell("job://flood/output")
            peer.tell("job://flood2/output")
            await reader.take()
        peer.task.cancel()
        assert reader.taken == ["job://flood/output", "job://ended", LIST, "job://flood2/output"]

    run(body)


@pytest.mark.promise("resources-told")
def test_subscriptions_to_ended_jobs_keep_out_no_others(manager: JobManager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "MAX_RESOURCES", 2)
    jobs = [LivingJob(manager.view.store, f"abcde{n}") for n in range(4)]

    async def body() -> None:
        async with listening(manager, "legacy") as (client, told):
            for job in jobs[:2]:
                await client.subscribe_resource(f"job://{job.job_id}")
            await client.subscribe_resource(f"job://{jobs[0].job_id}")  # it is already
            with pytest.raises(MCPError):
                await client.subscribe_resource(f"job://{jobs[2].job_id}")
            jobs[0].ends()
            await told.until(f"job://{jobs[0].job_id}")
            await client.subscribe_resource(f"job://{jobs[2].job_id}")
            with pytest.raises(MCPError):
                await client.subscribe_resource(f"job://{jobs[3].job_id}")

    run(body)
    for job in jobs[1:]:
        job.ends()


@pytest.mark.promise("resources-told")
@ERAS
def test_what_is_no_job_is_refused_in_the_protocols_own_words(manager: JobManager, era: str) -> None:
    code = -32002 if era == "legacy" else -32602
    uris = ["job://nobody", "job://nobody/output"]

    async def body() -> None:
        async with Client(make_server(manager), mode=era) as client:
            for uri in uris:
                with pytest.raises(MCPError, match="Job 'nobody' not found") as refused:
                    await client.read_resource(uri)
                assert (refused.value.error.code, refused.value.error.data) == (code, {"uri": uri})
            if era == "legacy":
                for uri in [*uris, "job://", "file:///etc/passwd", "job://a/b/c", "job://%2e%2e", "job://%2Fetc"]:
                    with pytest.raises(MCPError, match="not found") as refused:
                        await client.subscribe_resource(uri)
                    assert refused.value.error.code == code
            else:
                async with client.listen(resource_subscriptions=uris, resources_list_changed=True) as stream:
                    assert not stream.honored.resource_subscriptions
                    assert stream.honored.resources_list_changed

    run(body)


@ERAS
def test_the_list_comes_in_pages_newest_first(manager: JobManager, era: str) -> None:
    for number in range(120):
        write_ended_job(manager.store, f"job{number:03}", name=f"name{number}")

    async def body() -> None:
        async with Client(make_server(manager), mode=era) as client:
            found: list[str] = []
            cursor = None
            pages = 0
            while pages == 0 or cursor:
                page = await client.list_resources(cursor=cursor)
                found += [one.uri for one in page.resources]
                cursor, pages = page.next_cursor, pages + 1
            assert pages == 3 and len(set(found)) == len(found) == 120
            with pytest.raises(MCPError, match="List again"):
                await client.list_resources(cursor="gone")

    run(body)


@ERAS
def test_a_job_reads_as_its_status(manager: JobManager, era: str) -> None:
    write_ended_job(manager.store, "abcdef")

    async def body() -> None:
        async with Client(make_server(manager), mode=era) as client:
            status: CallToolResult = await client.call_tool("status", {"job_id": "abcdef"})
            for uri in ("job://abcdef", "job://build"):
                [read] = (await client.read_resource(uri)).contents
                assert read.mime_type == "application/json"
                assert read.text == status.content[0].text  # type: ignore[union-attr]

    run(body)


@pytest.mark.parametrize("era", ["legacy", "auto"])
def test_what_can_be_had_is_announced(manager: JobManager, era: str) -> None:
    async def body() -> None:
        async with Client(make_server(manager), mode=era) as client:
            resources = client.server_capabilities.resources
            assert resources is not None and resources.subscribe and resources.list_changed
            assert client.server_capabilities.experimental is None
            tools, prompts = client.server_capabilities.tools, client.server_capabilities.prompts
            assert tools is not None and prompts is not None
            assert (tools.list_changed, prompts.list_changed) == (False, False), "they never change"

    run(body)


@pytest.mark.promise("resources-told")
@pytest.mark.parametrize("end", ["by its client", "by the server"])
def test_nothing_is_left_of_an_http_session_that_has_ended(
    manager: JobManager, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    monkeypatch.setattr(sessions, "MAX_SESSIONS", 1)
    kept = {"accept": "application/json, text/event-stream"}
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "tests", "version": "1"}}

    async def body() -> None:
        job = LivingJob(manager.store, "abcdef")
        open_door = TransportSecuritySettings(enable_dns_rebinding_protection=False)
        app = make_server(manager).streamable_http_app(streamable_http_path="/mcp", transport_security=open_door)
        transport = httpx2.ASGITransport(app=sessions.Sessions(app))
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=kept) as web,
        ):

            async def say(method: str, params: dict[str, Any], number: int | None, session: str = "") -> str:
                message = {"jsonrpc": "2.0", "method": method, "params": params}
                headers = {"mcp-session-id": session} if session else {}
                said = await web.post("/mcp", json=message | ({"id": number} if number else {}), headers=headers)
                assert said.status_code in (200, 202) and '"error"' not in said.text, said.text
                return str(said.headers.get("mcp-session-id", session))

            session = await say("initialize", hello, 1)
            # Those of the session that takes its place; or this one and that of the SSE library, which stays.
            tasks = len(asyncio.all_tasks()) if end == "by the server" else 2
            await say("notifications/initialized", {}, None, session)
            for part in ("", "/output"):
                await say("resources/subscribe", {"uri": f"job://abcdef{part}"}, 2, session)
            await say("tools/call", {"name": "status", "arguments": {"job_id": "abcdef"}}, 3, session)
            assert manager.events._followers == {"abcdef": 3} and manager.events._list_followers
            if end == "by its client":
                await web.delete("/mcp", headers={"mcp-session-id": session})
            else:
                await say("initialize", hello, 4)
            with anyio.fail_after(10):
                while manager.events._followers or manager.events._list_followers:  # noqa: ASYNC110
                    await anyio.sleep(0.01)
                while len(asyncio.all_tasks()) > tasks:  # noqa: ASYNC110
                    await anyio.sleep(0.01)
        job.ends()

    run(body)
