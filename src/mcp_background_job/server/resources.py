"""A job's output and screen as resources, by template; completion of job ids and names."""

from __future__ import annotations

import anyio
import anyio.to_thread
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError
from mcp_types import (
    Completion,
    CompletionArgument,
    CompletionContext,
    PromptReference,
    ResourceTemplateReference,
)

from mcp_background_job.errors import JobError, JobNotFound
from mcp_background_job.jobs.manager import JobManager

from .prompts import JOB


def add_resources(server: MCPServer[None], manager: JobManager) -> None:
    """A job's output and screen as resources, by template; completion of job ids and names, here and in prompts."""

    @server.resource("job://{job_id}/output", mime_type="text/plain", description="What a job printed, as text")
    async def job_output(job_id: str) -> str:
        with resource_errors():
            job = manager.view.job(manager.view.id_of(job_id))
            found = await anyio.to_thread.run_sync(manager.view.output, job)
            return found.stdout + found.stderr

    @server.resource("job://{job_id}/screen", mime_type="text/plain", description="A job's window as it looks now")
    async def job_screen(job_id: str) -> str:
        with resource_errors():
            return (await anyio.to_thread.run_sync(manager.screen, manager.view.id_of(job_id))).text

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


class resource_errors:
    """Turns our refusals into the protocol's."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, JobNotFound):
            raise ResourceNotFoundError(str(error)) from error
        if isinstance(error, JobError):
            raise ResourceError(str(error)) from error
