"""The jobs as resources: the list, what is known of each, its output and its screen; completion of ids and names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple
from urllib.parse import quote, unquote

import anyio
import anyio.to_thread
from mcp import MCPError
from mcp.server import MCPServer
from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ResourceError
from mcp_types import (
    INVALID_PARAMS,
    Completion,
    CompletionArgument,
    CompletionContext,
    ListResourcesResult,
    PaginatedRequestParams,
    PromptReference,
    Resource,
    ResourceTemplateReference,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic_core import to_json

from mcp_background_job import responses
from mcp_background_job.errors import JobError, JobNotFound
from mcp_background_job.jobs.manager import JobManager
from mcp_background_job.jobs.view import JobView, start_order
from mcp_background_job.store.models import Job
from mcp_background_job.text import one_line

from .prompts import JOB

PAGE = 50  # jobs in one answer
NOT_FOUND = -32002  # of the protocols with a handshake; since 2026-07-28 it is INVALID_PARAMS
ADDRESS = re.compile(r"job://([^/?#]+)(?:/(output|screen))?")

Part = Literal["", "output", "screen"]
AnyContext = Context[Any, Any]


class Address(NamedTuple):
    """What a URI names: a job, or a part of it."""

    job_id: str
    part: Part


def address(view: JobView, uri: str) -> Address:
    """The job that a URI means by its id or its name.

    Raises JobNotFound, InvalidInput or StoreError.
    """
    found = ADDRESS.fullmatch(uri)
    if found is None:
        raise JobNotFound(uri)
    job_id = view.id_of(unquote(found[1]))
    view.job(job_id)
    part: Part = "output" if found[2] == "output" else "screen" if found[2] == "screen" else ""
    return Address(job_id, part)


def add_resources(server: MCPServer[None], manager: JobManager) -> None:
    """The jobs as resources, by template; completion of job ids and names, here and in prompts."""

    async def found(job_id: str, part: str, ctx: AnyContext) -> Job:
        uri = f"job://{quote(job_id)}{part}"
        with protocol_errors(uri, ctx.session.protocol_version):
            return await anyio.to_thread.run_sync(lambda: manager.view.job(manager.view.id_of(job_id)))

    @server.resource("job://{job_id}", mime_type="application/json", description="What is known of a job, as status")
    async def job(job_id: str, ctx: AnyContext) -> str:
        named = await found(job_id, "", ctx)
        with refusals():
            return to_json(responses.full_status(manager.view, named, manager.attach_command(named))).decode()

    @server.resource("job://{job_id}/output", mime_type="text/plain", description="What a job printed, as text")
    async def job_output(job_id: str, ctx: AnyContext) -> str:
        named = await found(job_id, "/output", ctx)
        with refusals():
            page = await anyio.to_thread.run_sync(manager.view.output, named)
            return page.stdout + page.stderr

    @server.resource("job://{job_id}/screen", mime_type="text/plain", description="A job's window as it looks now")
    async def job_screen(job_id: str, ctx: AnyContext) -> str:
        named = await found(job_id, "/screen", ctx)
        with refusals():
            return (await anyio.to_thread.run_sync(manager.screen, named.spec.job_id)).text

    async def list_jobs(
        ctx: ServerRequestContext[None, Any], params: PaginatedRequestParams | None
    ) -> ListResourcesResult:
        return await anyio.to_thread.run_sync(listed, manager.view, params.cursor if params else None)

    # MCPServer's own handler knows neither cursors nor what comes and goes.
    server._lowlevel_server.add_request_handler("resources/list", PaginatedRequestParams, list_jobs)

    async def complete(
        reference: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        context: CompletionContext | None,
    ) -> Completion | None:
        if argument.name not in ("job_id", JOB):
            return None
        listing = await anyio.to_thread.run_sync(manager.view.jobs, True)
        ids = [job.spec.job_id for job in listing.jobs]
        names = [job.spec.name for job in listing.jobs]
        matching = [one for one in dict.fromkeys([*ids, *names]) if one and one.startswith(argument.value)]
        return Completion(values=matching[:100], total=len(matching), has_more=len(matching) > 100)

    server.completion()(complete)  # type: ignore[no-untyped-call]  # the SDK's decorator has no types


def listed(view: JobView, cursor: str | None) -> ListResourcesResult:
    """A page of the jobs of the plain list, newest first; the cursor is the id of the last one before it."""
    # By their start alone: a job that ends between two pages must not change places.
    jobs = sorted(view.jobs(include_all=False).jobs, key=start_order, reverse=True)
    start = 0
    if cursor is not None:
        start = next((n for n, job in enumerate(jobs, 1) if job.spec.job_id == cursor), 0)
        if not start:
            raise MCPError(code=INVALID_PARAMS, message="The list has changed. List again without a cursor.")
    page = jobs[start : start + PAGE]
    more = page[-1].spec.job_id if start + PAGE < len(jobs) else None
    return ListResourcesResult(resources=[resource(view, job) for job in page], next_cursor=more)


def resource(view: JobView, job: Job) -> Resource:
    """A job as it stands in the list of resources."""
    fields = responses.listed(view, job)
    name = one_line(fields.get("name", "")) or job.spec.job_id
    return Resource(
        uri=f"job://{job.spec.job_id}",
        name=name,
        title=f"{name} ({state(fields)})",
        description=job.spec.summary,
        mime_type="application/json",
    )


def state(fields: responses.ListedJob) -> str:
    """A job's state in a few words."""
    if fields.get("exit_code"):
        return f"{fields['status']}, exit code {fields['exit_code']}"
    if "signal" in fields:
        return f"{fields['status']}, {fields['signal']}"
    if "holder" in fields:
        return f"{fields['status']}, held by a person"
    if "awaiting_input" in fields:
        return f"{fields['status']}, awaits input"
    return fields["status"]


@contextmanager
def refusals() -> Iterator[None]:
    """Turns our refusals into the protocol's."""
    try:
        yield
    except JobError as error:
        raise ResourceError(str(error)) from error


@contextmanager
def protocol_errors(uri: str, version: str) -> Iterator[None]:
    """Turns our refusals of what a URI names into errors of that protocol."""
    try:
        yield
    except JobNotFound as error:
        code = INVALID_PARAMS if version in MODERN_PROTOCOL_VERSIONS else NOT_FOUND
        raise MCPError(code=code, message=str(error), data={"uri": uri}) from error
    except JobError as error:
        raise MCPError(code=INVALID_PARAMS, message=str(error), data={"uri": uri}) from error
