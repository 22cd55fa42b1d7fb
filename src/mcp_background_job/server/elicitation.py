"""A hand-off in the client's own form, beside the bell and the message in tmux.

Promises: no answer of a tool waits for it; whatever the client does with it (nothing, an error, leaving), the hold
stays what tmux and the disk say; it is withdrawn as soon as the hold that it is about is over; it asks for no secret.

Only in the protocols with a handshake. Since 2026-07-28 a server can't ask beside an answer but only in its place
(InputRequiredResult): the agent would hear nothing until a person fills in the form, and nothing could take the form
away when the job is handed back in tmux. There the request shows in the progress of `wait until=handback`, and
in a task (questions.py).
"""

from __future__ import annotations

import asyncio
import logging
import time

import anyio
import anyio.to_thread
from mcp.server.session import ServerSession
from mcp_types import ClientCapabilities, ElicitResult
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from mcp_background_job.errors import JobError
from mcp_background_job.jobs.control import Control
from mcp_background_job.jobs.manager import JobManager
from mcp_background_job.store.models import Hold

logger = logging.getLogger(__name__)

READING = 0.5  # seconds; an answer that comes sooner is not a person's: Codex without prompts declines in milliseconds
LOOK = 0.5  # seconds between two looks whether the hold is over; each reads one small file
# A field to fill in, since clients send a form without any as soon as it is opened.
SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {
        "done": {
            "type": "boolean",
            "title": "Done: hand the keys back",
            "description": "yes: the agent goes on; no: you keep the keys until you hand them back in tmux",
        }
    },
    "required": ["done"],
}


def can_ask(version: str, capabilities: ClientCapabilities | None) -> bool:
    """Whether the client shows forms, and may be asked for one while no request of its own is open."""
    return version not in MODERN_PROTOCOL_VERSIONS and shows_forms(capabilities)


def shows_forms(capabilities: ClientCapabilities | None) -> bool:
    forms = capabilities.elicitation if capabilities is not None else None
    # A bare {} is what clients declared before there were two modes.
    return forms is not None and (forms.form is not None or forms.url is None)


async def obey(control: Control, job_id: str, hold: Hold, found: ElicitResult) -> None:
    """Hand the keys back where the person says so: that they are done, or that they won't do it.

    Raises JobNotFound.
    """
    declined = found.action == "decline"
    if declined or (found.action == "accept" and (found.content or {}).get("done") is True):
        await anyio.to_thread.run_sync(control.release, job_id, hold, declined)


class Forms:
    """The forms that are open in clients now."""

    def __init__(self, manager: JobManager) -> None:
        self.manager = manager
        self.tasks: set[asyncio.Task[None]] = set()

    def open_form(self, session: ServerSession, job_id: str, hold: Hold, text: str) -> None:
        """Ask beside everything else, where the client can."""
        if can_ask(session.protocol_version, session.client_capabilities):
            task = asyncio.get_running_loop().create_task(self.ask(session, job_id, hold, text))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def ask(self, session: ServerSession, job_id: str, hold: Hold, text: str) -> None:
        """Show the form until it is answered or the hold is over, and do what the person says."""
        found: ElicitResult | None = None
        begun = time.monotonic()
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self.until_over, job_id, hold, group.cancel_scope)
                # Not tied to the hand-off's request, which is answered already.
                found = await session.elicit_form(text, SCHEMA)
                group.cancel_scope.cancel()
        except Exception:
            # The client refused, answered with something else or has gone; tmux shows the request all the same.
            logger.info("the client's form for job %s failed", job_id, exc_info=True)
        if found is None or time.monotonic() - begun < READING:
            return
        try:
            await obey(self.manager.control, job_id, hold, found)
        except (JobError, OSError):
            logger.warning("job %s could not be handed back", job_id, exc_info=True)

    async def until_over(self, job_id: str, hold: Hold, scope: anyio.CancelScope) -> None:
        while self.hold(job_id) == hold:  # noqa: ASYNC110  # a fact on disk, that anybody may change
            await anyio.sleep(LOOK)
        scope.cancel()

    def hold(self, job_id: str) -> Hold | None:
        """The hold on the job as it is now; none on one that has gone."""
        try:
            return self.manager.view.hold(self.manager.view.job(job_id))
        except (JobError, OSError):
            return None
