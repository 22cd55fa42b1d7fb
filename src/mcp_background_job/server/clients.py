"""What each client has been shown and told of each job: the cursors from which a wait goes on, and its news.

Promises: a wait neither hides what came before it nor repeats it; each client is told once of what happens to the jobs
that it started or asked about, and of nothing that an answer tells anyway, also where it has had to start its server
anew.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal

from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from mcp_background_job.errors import JobError
from mcp_background_job.jobs.events import Event, JobEvents
from mcp_background_job.jobs.view import JobView
from mcp_background_job.responses import add_ending
from mcp_background_job.responses.fields import Ending, Fields
from mcp_background_job.store.clients import ClientRecords
from mcp_background_job.store.models import LiveJob, Status, status_of

from .callers import AnyContext, client_key, connection_of, has_hung_up, http_session, identity
from .channel import GRACE, Channel

MAX_CLIENTS = 1000  # of one server, over HTTP
MAX_JOBS = 1000  # of one client
MAX_NEWS = 5  # in one answer
ENDED = {"completed", "failed", "killed", "already_terminated"}

Following = Literal["", "followed", "over"]  # over: it has ended, and the client was told so


class Item(Ending, total=False):
    """One thing that happened to a job."""

    job_id: str
    name: str
    event: str
    status: Status


@dataclass
class Known:
    """What one client knows of one job."""

    shown: int = 0  # it has been shown the output up to here
    told: int = -1  # where the output ended when it was last told that the job needs input
    held: bool = False  # a person had the keys when it was last told
    state: Following = ""


@dataclass
class Client:
    """One client: what it knows, and what it is still to be told, oldest first."""

    number: int
    who: str
    jobs: OrderedDict[str, Known] = field(default_factory=OrderedDict)
    news: list[Event] = field(default_factory=list)
    asking: Counter[str] = field(default_factory=Counter)  # about which jobs calls are open
    saved: bytes = b""

    def known(self, job_id: str) -> Known:
        """What it knows of a job, from now on among what was used last."""
        known = self.jobs.setdefault(job_id, Known())
        self.jobs.move_to_end(job_id)
        return known


class Clients:
    """The clients of one server; of those that were used longest ago none is kept."""

    def __init__(self, view: JobView, events: JobEvents, channel: Channel | None = None) -> None:
        self.view = view
        self.events = events
        self.channel = channel
        self.records = ClientRecords(view.store.folder)
        self._clients: OrderedDict[str, Client] = OrderedDict()
        events.listeners.append(self._hear)

    # -- cursors --------------------------------------------------------------------------------------------

    def shown(self, ctx: AnyContext, job_ids: Sequence[str]) -> dict[str, int]:
        """For each job, the cursor up to which this client has been shown its output; 0 where it has seen nothing."""
        jobs = self._client(ctx).jobs
        return {job_id: jobs[job_id].shown if job_id in jobs else 0 for job_id in job_ids}

    # -- news -----------------------------------------------------------------------------------------------

    async def with_news(self, ctx: AnyContext, arguments: Mapping[str, Any], fields: Fields) -> Fields:
        """An answer with what this client has not been told of its jobs yet."""
        client = self._client(ctx)
        for job_id in asked(arguments, fields):
            self._follow(client, job_id)
        if await has_hung_up(ctx):
            return fields  # which nobody gets: what it tells is still to be told
        for told in answers_of(arguments, fields):
            self._note_told(client, told)
            if not arguments.get("grep"):
                self._note_shown(client, told)
        items = list(self._take(client))
        self._save(client)  # a server may be killed right behind its answer
        return {**fields, "news": items} if items else fields

    def note_told(self, ctx: AnyContext, fields: Fields) -> None:
        """What an answer without news tells of a job is none any more."""
        client = self._client(ctx)
        self._note_told(client, fields)
        self._save(client)

    def _note_shown(self, client: Client, told: Fields) -> None:
        """This client has been shown the job's output up to the answer's cursor."""
        known, cursor = client.jobs.get(str(told["job_id"])), told.get("cursor")
        if known is not None and isinstance(cursor, int):
            known.shown = max(known.shown, cursor)

    def _note_told(self, client: Client, told: Fields) -> None:
        """Nothing that this part of an answer tells of a job is news any more."""
        job_id = str(told["job_id"])
        if job_id not in client.jobs:
            return
        known = client.jobs[job_id]
        if told.get("status") in ENDED:
            self._unfollow(client, job_id)
            known.state = "over"
        elif "awaiting_input" in told:
            cursor = told.get("cursor")
            known.told = cursor if isinstance(cursor, int) else self.view.log(job_id).end
        if told.get("reason") == "handback" or told.get("holder") == "agent":
            if known.held:
                self.events.look(job_id)
            client.news = [event for event in client.news if (event.job_id, event.kind) != (job_id, "handback")]
        elif told.get("holder") == "human":
            known.held = True
            if not any((event.job_id, event.kind) == (job_id, "handback") for event in client.news):
                self.events.was_held(job_id)

    def _take(self, client: Client) -> Iterable[Item]:
        """The oldest news, which are none after this."""
        count = 0
        while client.news and count < MAX_NEWS:
            event = client.news.pop(0)
            if self._is_still_news(client, event):
                count += 1
                item: Item = {"job_id": event.job_id, "name": event.job.spec.name, "event": event.kind}
                item["status"] = status_of(event.job)
                add_ending(item, event.job)
                yield item

    def _is_still_news(self, client: Client, event: Event) -> bool:
        """Whether an event is still true, and no answer has told it."""
        if event.kind == "ended":
            return True
        known = client.jobs.get(event.job_id)
        if known is None:
            return False
        with suppress(JobError):
            job = self.view.job(event.job_id)
            if not isinstance(job, LiveJob) or event.kind == "handback":
                return isinstance(job, LiveJob)
            known_before = known.told >= 0 and not self.view.shows_more(job, known.told, event.offset)
            if known_before or self.view.shows_more(job, event.offset, self.view.log(event.job_id).end):
                return False
            known.told = event.offset
            return True
        return False

    def _hear(self, event: Event) -> None:
        for client in self._clients.values():
            known = client.jobs.get(event.job_id)
            if known is None or known.state != "followed":
                continue
            if event.kind in ("ended", "input", "handback"):
                client.news.append(event)
                if self.channel is not None:
                    self._wake_later(self.channel, client, event)
            known.held = event.kind == "held" or (known.held and event.kind != "handback")
            if event.kind == "ended":
                known.state = "over"
            if event.kind in ("held", "handback"):
                self._save(client)

    @contextmanager
    def call(self, ctx: AnyContext, arguments: Mapping[str, Any]) -> Iterator[None]:
        """While a call is open its jobs wake nobody: its answer tells of them."""
        asking = self._client(ctx).asking
        job_ids = asked(arguments, {})
        asking.update(job_ids)
        try:
            yield
        finally:
            asking.subtract(job_ids)

    def _wake_later(self, channel: Channel, client: Client, event: Event) -> None:
        asyncio.get_running_loop().call_later(GRACE, self._wake, channel, client, event)

    def _wake(self, channel: Channel, client: Client, event: Event) -> None:
        """Tell by the channel what no answer has told meanwhile."""
        untold = [one for one in client.news if one is not event]
        if len(untold) == len(client.news):
            return
        if client.asking[event.job_id] > 0:
            self._wake_later(channel, client, event)
            return
        client.news = untold
        if self._is_still_news(client, event):
            channel.send(event)
        self._save(client)

    def follow(self, ctx: AnyContext, job_id: str) -> None:
        """Let this client have news of a job that no answer names."""
        self._follow(self._client(ctx), job_id)

    def _follow(self, client: Client, job_id: str, held: bool | None = None) -> None:
        """Let this client have news of a job."""
        known = client.known(job_id)
        if known.state:
            return
        known.state = "followed"
        self.events.follow(job_id, held)
        while len(client.jobs) > MAX_JOBS:
            self._unfollow(client, next(iter(client.jobs)))
            client.jobs.popitem(last=False)

    def _unfollow(self, client: Client, job_id: str) -> None:
        known = client.jobs[job_id]
        if known.state == "followed":
            known.state = ""
            self.events.unfollow(job_id)
        client.news = [event for event in client.news if event.job_id != job_id]

    # -- who it is ------------------------------------------------------------------------------------------

    def greet(self, ctx: AnyContext) -> None:
        """A client that says hello is told at once, by the channel, of what it has missed while it had no server."""
        if self.channel is not None:
            self._client(ctx)

    def _client(self, ctx: AnyContext) -> Client:
        if self.channel is not None:
            self.channel.session = ctx.session
        key = client_key(ctx)
        client = self._clients.get(key)
        if client is None:
            taken = {one.number for one in self._clients.values()}
            number = next(number for number in count() if number not in taken)
            client = self._clients[key] = Client(number, identity(ctx))
            self._take_up(client)
            if http_session(ctx) and ctx.session.protocol_version not in MODERN_PROTOCOL_VERSIONS:
                connection_of(ctx.session).exit_stack.callback(self._forget, key)
        self._clients.move_to_end(key)
        if len(self._clients) > MAX_CLIENTS:
            self._forget(next(iter(self._clients)))
        return client

    def _forget(self, key: str) -> None:
        """Follow nothing for a client any more: it will not come back, or was there longest ago."""
        gone = self._clients.pop(key, None)
        if gone is not None:
            for job_id in list(gone.jobs):
                self._unfollow(gone, job_id)

    def _take_up(self, client: Client) -> None:
        """Go on where a server was killed that this client had before."""
        record = self.records.adopt(client.number, lambda data: record_of(data).get("who") == client.who)
        if record is None:
            return
        for job_id, known in record_of(record).get("jobs", {}).items():
            with suppress(TypeError, ValueError):
                told, held, state = known
                client.jobs[job_id] = Known(0, int(told), bool(held), "over" if state == "over" else "")
                if state == "followed":
                    self._follow(client, job_id, bool(held))

    def _save(self, client: Client) -> None:
        """Save what a client knows, where that has changed."""
        untold = {event.job_id for event in client.news}
        jobs = {
            job_id: (known.told, known.held, "followed" if job_id in untold else known.state)
            for job_id, known in client.jobs.items()
        }
        record = json.dumps({"who": client.who, "jobs": jobs}).encode()
        if record != client.saved:
            client.saved = record
            self.records.save(client.number, record)


def record_of(data: bytes) -> dict[str, Any]:
    """A client's record, empty where it isn't one."""
    with suppress(ValueError):
        found = json.loads(data)
        if isinstance(found, dict):
            return found
    return {}


def asked(arguments: Mapping[str, Any], fields: Fields) -> list[str]:
    """The jobs that a call is about: those it names, and the one that it started."""
    one = arguments.get("job_id") or fields.get("job_id")
    many = arguments.get("job_ids") or []
    return [job_id for job_id in dict.fromkeys([one, *many]) if isinstance(job_id, str)]


def answers_of(arguments: Mapping[str, Any], fields: Fields) -> list[Fields]:
    """What an answer tells of each job."""
    jobs = fields.get("jobs")
    if isinstance(jobs, list):
        return jobs
    one = fields.get("job_id") or arguments.get("job_id")
    return [{**fields, "job_id": one}] if one else []
