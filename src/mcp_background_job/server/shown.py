"""What each client has last been shown of each job, so that a wait neither hides what came before it nor repeats it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from mcp.server.mcpserver import Context

MAX_CLIENTS = 1000  # of one server, over HTTP
MAX_JOBS = 1000  # of one client

AnyContext = Context[Any, Any]


class Shown:
    """Cursors, by client and job; of those that were used longest ago none is kept."""

    def __init__(self) -> None:
        self._clients: OrderedDict[str, OrderedDict[str, int]] = OrderedDict()

    def note(self, ctx: AnyContext, job_id: str, cursor: int) -> None:
        """This client has been shown the job's output up to `cursor`."""
        jobs = self._jobs(ctx)
        jobs[job_id] = max(cursor, jobs.pop(job_id, 0))
        if len(jobs) > MAX_JOBS:
            jobs.popitem(last=False)

    def since(self, ctx: AnyContext, job_ids: Sequence[str]) -> dict[str, int]:
        """For each job, the cursor up to which this client has been shown its output; 0 where it has seen nothing."""
        jobs = self._jobs(ctx)
        return {job_id: jobs.get(job_id, 0) for job_id in job_ids}

    def _jobs(self, ctx: AnyContext) -> OrderedDict[str, int]:
        key = client_key(ctx)
        jobs = self._clients.setdefault(key, OrderedDict())
        self._clients.move_to_end(key)
        if len(self._clients) > MAX_CLIENTS:
            self._clients.popitem(last=False)
        return jobs


def client_key(ctx: AnyContext) -> str:
    """Which client this is: over HTTP its session, or where the protocol has none, what it calls itself."""
    session = (ctx.headers or {}).get("mcp-session-id", "")
    params = ctx.session.client_params
    return session or ("" if params is None else params.client_info.name)
