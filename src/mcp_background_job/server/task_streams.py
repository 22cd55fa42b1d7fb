"""The states of tasks on a listening stream (`subscriptions/listen` with `taskIds`), for clients that don't poll.

Promises: each is what `tasks/get` answers at that moment, the first of each task at once; a state is told once;
nothing is left of a stream that its client has ended.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, cast

from mcp import MCPError
from mcp.server.context import CallNext, HandlerResult
from mcp.server.mcpserver import require_client_extension
from mcp.server.session import ServerSession
from mcp.server.subscriptions import SUBSCRIPTION_ID_META_KEY
from mcp_types import RequestId, ServerNotification, SubscriptionsAcknowledgedNotification
from pydantic import BaseModel

from mcp_background_job.errors import JobError
from mcp_background_job.jobs.events import Event

from .tasks import TASKS, AnyRequest, Fields, Tasks, job_part

MAX_TASKS = 1000  # of one stream

logger = logging.getLogger(__name__)


class TaskNotification(BaseModel):
    """The state of a task."""

    method: Literal["notifications/tasks"] = "notifications/tasks"
    params: dict[str, Any]  # a model's null would not be sent, and ttlMs may be null


class Acknowledging:
    """The session of a stream, whose acknowledgement names the tasks, too; the SDK's knows nothing of them."""

    def __init__(self, session: ServerSession, tasks: Sequence[str]) -> None:
        self.session = session
        self.tasks = tasks
        self.acknowledged = asyncio.Event()

    async def send_notification(self, notification: ServerNotification, related_request_id: RequestId) -> None:
        if isinstance(notification, SubscriptionsAcknowledgedNotification):
            promised = notification.params.notifications.model_copy(update={"taskIds": list(self.tasks)})
            params = notification.params.model_copy(update={"notifications": promised})
            notification = notification.model_copy(update={"params": params})
        await self.session.send_notification(notification, related_request_id)
        self.acknowledged.set()


class Stream:
    """The tasks of one stream."""

    def __init__(self, tasks: Tasks, request: AnyRequest, wanted: Sequence[str]) -> None:
        self.tasks = tasks
        self.request = request
        self.jobs = {job_part(task): task for task in wanted}
        self.told: dict[str, Fields] = {}
        self.news = dict.fromkeys(self.jobs)  # whose state may be another by now, each once
        self.something = asyncio.Event()
        self.something.set()

    def hear(self, event: Event) -> None:
        # What a job prints changes nothing, unless it had been waiting for input.
        waited = self.told.get(event.job_id, {}).get("status") == "input_required"
        if event.job_id in self.jobs and (event.kind != "output" or waited):
            self.news[event.job_id] = None
            self.something.set()

    async def tell(self, acknowledged: asyncio.Event) -> None:
        """Tell what is new, from the acknowledgement on, until it is cancelled."""
        await acknowledged.wait()
        while True:
            await self.something.wait()
            self.something.clear()
            while self.news:
                await self._tell(next(iter(self.news)))

    async def _tell(self, job_id: str) -> None:
        del self.news[job_id]
        try:
            state = await self.tasks.state(self.request, self.jobs[job_id])
        except (MCPError, JobError, OSError):
            logger.info("task of job %s can no longer be told", job_id, exc_info=True)
            return
        if all(state.get(field) == self.told.get(job_id, {}).get(field) for field in ("status", "inputRequests")):
            return
        self.told[job_id] = state
        number = self.request.request_id
        notification = TaskNotification(params={**state, "_meta": {SUBSCRIPTION_ID_META_KEY: number}})
        await self.request.session.send_notification(cast(Any, notification), number)


class TaskStreams:
    """Sees each request on its way in, and adds tasks to the streams that want them."""

    def __init__(self, tasks: Tasks) -> None:
        self.tasks = tasks

    async def __call__(self, ctx: AnyRequest, call_next: CallNext) -> HandlerResult:
        wanted = task_ids(ctx.params) if ctx.method == "subscriptions/listen" else []
        if not wanted:
            return await call_next(ctx)
        require_client_extension(ctx, TASKS)
        known = [task for task in wanted if self.tasks.knows(task)]
        session = Acknowledging(ctx.session, known)
        stream = Stream(self.tasks, ctx, known)
        self.tasks.events.listeners.append(stream.hear)
        telling = asyncio.get_running_loop().create_task(stream.tell(session.acknowledged))
        try:
            return await call_next(replace(ctx, session=cast(ServerSession, session)))
        finally:
            telling.cancel()
            self.tasks.events.listeners.remove(stream.hear)


def task_ids(params: Mapping[str, Any] | None) -> list[str]:
    """The tasks that a request to listen names."""
    notifications = (params or {}).get("notifications")
    found = notifications.get("taskIds") if isinstance(notifications, dict) else None
    names = found if isinstance(found, list) else []
    return list(dict.fromkeys(name for name in names if isinstance(name, str)))[:MAX_TASKS]
