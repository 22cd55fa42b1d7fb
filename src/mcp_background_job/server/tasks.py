"""A long `execute` as a task (extension io.modelcontextprotocol/tasks, schema 2026-07-28; SEP-2663).

Promises: the job is all that there is of a task, so every server of the session answers for it, also after kill -9;
what a task was told to have ended with stays; a client that doesn't declare the extension sees none of it.

The server decides which calls become tasks: those that would wait for as long as a call may, without a pattern, for a
job that has not ended within two seconds. A shorter wait is a limit of the agent's own, and most commands end within
two seconds, where a poll would cost more than it gains. A task ends when the job does, or when the call would have had
to leave the job to the agent: it waits for input that no person can give through the client (a password, a screen), or
that they leave to the agent.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from mcp.server.context import ServerRequestContext
from mcp.server.extension import Extension, MethodBinding
from mcp.server.mcpserver import Context, require_client_extension
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import MCP_NAME_HEADER, decode_header_value
from mcp_types import HEADER_MISMATCH, INTERNAL_ERROR, INVALID_PARAMS, ElicitResult, RequestParams
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from mcp_background_job import responses
from mcp_background_job.errors import HumanHolds, InvalidInput, JobError, JobNotFound
from mcp_background_job.jobs.events import Event, JobEvents
from mcp_background_job.jobs.manager import MAX_WAIT, JobManager
from mcp_background_job.jobs.view import JobView
from mcp_background_job.jobs.watched import Outcome
from mcp_background_job.responses.fields import Fields as AnswerFields
from mcp_background_job.store.models import EndedJob, Job, LiveJob, timestamp
from mcp_background_job.store.tasks import claimed_question, is_answered, read_result, write_result

from .callers import AnyContext, client_name
from .clients import Clients
from .elicitation import shows_forms
from .questions import Question, carry_out, elicitation, open_question, read_answer
from .schema import Deferred, success

TASKS = "io.modelcontextprotocol/tasks"
POLL = 1000  # milliseconds between two polls: an end is told within a second
SETTLED = 1.0  # seconds for the output of a job that came to rest to be in its log
CANCELLED = " (task cancelled)"  # behind the name of who had a job killed

AnyRequest = ServerRequestContext[Any, Any]
Status = Literal["working", "input_required", "completed", "cancelled"]
Fields = dict[str, Any]


class TaskParams(RequestParams):
    """Which task is meant."""

    task_id: str


class UpdateParams(TaskParams):
    """What the client's person answers, by the keys of the questions."""

    input_responses: dict[str, dict[str, Any]]


class Tasks(Extension):
    """The tasks of one server."""

    identifier = TASKS
    soon = 2.0  # seconds until a call becomes a task

    def __init__(self, manager: JobManager, events: JobEvents, clients: Clients) -> None:
        self.manager = manager
        self.view = manager.view
        self.events = events
        self.clients = clients
        self._followed: set[str] = set()
        self._rested: set[str] = set()  # those that have come to rest since they are followed
        events.listeners.append(self._hear)

    def methods(self) -> Sequence[MethodBinding]:
        modern = frozenset(MODERN_PROTOCOL_VERSIONS)
        return (
            MethodBinding("tasks/get", TaskParams, self.get, modern),
            MethodBinding("tasks/update", UpdateParams, self.update, modern),
            MethodBinding("tasks/cancel", TaskParams, self.cancel, modern),
        )

    # -- execute --------------------------------------------------------------------------------------------

    def takes(self, ctx: AnyContext, wait: float, pattern: str) -> bool:
        """Whether a call of `execute` is one for a task, if its job doesn't end soon."""
        session = ctx.session
        capabilities = session.client_capabilities
        declared = capabilities is not None and TASKS in (capabilities.extensions or {})
        return declared and session.protocol_version in MODERN_PROTOCOL_VERSIONS and wait >= MAX_WAIT and not pattern

    def begun(self, found: Outcome) -> Deferred:
        """The task in place of the answer."""
        self._follow(found.job.spec.job_id)
        return Deferred({"resultType": "task", **self._fields(found.job, "working")})

    def knows(self, task: str) -> bool:
        try:
            self._job(task)
        except (MCPError, JobError):
            return False
        return True

    # -- the methods ----------------------------------------------------------------------------------------

    async def get(self, request: AnyRequest, params: TaskParams) -> Fields:
        """Where the task is, with its result once it is over."""
        with self._refusals(request, params):
            return await self.state(request, params.task_id)

    async def update(self, request: AnyRequest, params: UpdateParams) -> Fields:
        """Take the answer to the question that is open; one to any other is ignored, as the specification asks."""
        with self._refusals(request, params):
            job = self._unfinished(params.task_id)
            question = open_question(self.manager, job) if job else None
            if job and question and question.key in params.input_responses:
                await self._answer(request, job, question, read_answer(question, params.input_responses[question.key]))
            return {}

    async def cancel(self, request: AnyRequest, params: TaskParams) -> Fields:
        """Kill the job; nothing for a task that is over."""
        with self._refusals(request, params):
            job = self._unfinished(params.task_id)
            if job:
                # Who has killed it is on disk with the kill itself, so no crash can part the two.
                who = client_name(Context(request_context=request)) + CANCELLED
                await self.manager.kill(job.spec.job_id, who=who)
            return {}

    # -- states ---------------------------------------------------------------------------------------------

    async def state(self, request: AnyRequest, task: str) -> Fields:
        """The task as it is now, to the client of `request`.

        Raises MCPError for what is no task's id, or JobError.
        """
        job = self._job(task)
        folder = self.view.folder(job.spec.job_id)
        told = read_result(folder)
        if told is not None:
            return self._completed(request, job, json.loads(told))
        if isinstance(job, EndedJob):
            if job.end.cause == "kill" and job.end.by.endswith(CANCELLED):
                return self._fields(job, "cancelled")
            found = await self.manager.wait([job.spec.job_id], "exit", 0, since={job.spec.job_id: 0})
            return self._completed(request, job, responses.executed(found, ""))
        self._follow(job.spec.job_id)
        question = open_question(self.manager, job)
        answered = question is not None and is_answered(folder, question.key)
        if question is not None and not answered and self._asks(request, job, question):
            asked = elicitation(self.manager, job, question, client_name(Context(request_context=request)))
            return {**self._fields(job, "input_required"), "inputRequests": {question.key: asked}}
        if not answered and self.view.hold(job) is None and self._rests(job):
            left = await self._leave_to_agent(job)
            if left is not None:
                return self._completed(request, job, left)
        return self._fields(job, "working")

    def _asks(self, request: AnyRequest, job: LiveJob, question: Question) -> bool:
        """Whether the question is one for this client, now."""
        about_hold = question.hold is not None
        return shows_forms(request.session.client_capabilities) and (about_hold or self._rests(job))

    async def _answer(self, request: AnyRequest, job: LiveJob, question: Question, found: ElicitResult) -> None:
        with claimed_question(self.view.folder(job.spec.job_id), question.key) as note_answered:
            if note_answered is None:
                return
            if question.hold is None and found.action != "accept":
                await self._leave_to_agent(job)
            elif not await carry_out(self.manager, job, question, found, client_name(Context(request_context=request))):
                return
            note_answered()

    async def _leave_to_agent(self, job: LiveJob) -> Fields | None:
        """End the task with what `execute` answers where a job waits for input; None where it no longer does."""
        job_id = job.spec.job_id
        found = await self.manager.wait([job_id], "input", SETTLED, since={job_id: 0})
        if found.reason != "input":
            return None
        answer = responses.executed(found, self.manager.attach_command(job))
        fields: Fields = json.loads(write_result(self.view.folder(job_id), json.dumps(answer).encode()))
        return fields

    def _completed(self, request: AnyRequest, job: Job, answer: AnswerFields) -> Fields:
        self.clients.note_told(Context(request_context=request), answer)
        result = success(answer).model_dump(by_alias=True, mode="json", exclude_none=True)
        return {**self._fields(job, "completed"), "result": result}

    def _fields(self, job: Job, status: Status) -> Fields:
        """What is told of a task in every state."""
        spec = job.spec
        fields: Fields = {"taskId": task_id(job), "status": status, "createdAt": timestamp(spec.started)}
        if isinstance(job, EndedJob):
            fields["lastUpdatedAt"] = timestamp(job.end.ended)
            kept = job.end.ended - spec.started + self.manager.config.retention_seconds
            fields["ttlMs"] = max(1, round(kept * 1000))
        else:
            fields["lastUpdatedAt"] = timestamp(last_output(self.view, job))
            fields["ttlMs"] = None  # as long as it runs, and the retention from then on
            fields["statusMessage"] = f"Job {spec.name} ({spec.job_id}) runs in {self.manager.attach_command(job)}"
        return {**fields, "pollIntervalMs": POLL}

    # -- what happens to jobs -------------------------------------------------------------------------------

    def _follow(self, job_id: str) -> None:
        if job_id not in self._followed:
            self._followed.add(job_id)
            self.events.follow(job_id)

    def _hear(self, event: Event) -> None:
        if event.job_id not in self._followed:
            return
        if event.kind == "input":
            self._rested.add(event.job_id)
        elif event.kind == "ended":
            self._followed.discard(event.job_id)
            self._rested.discard(event.job_id)

    def _rests(self, job: Job) -> bool:
        """Whether the job waits for input, and not only in passing."""
        return job.spec.job_id in self._rested and self.view.awaiting(job) is not None

    # -- refusals -------------------------------------------------------------------------------------------

    def _job(self, given: str) -> Job:
        """The job of a task.

        Raises MCPError for what is no task's id, or StoreError.
        """
        try:
            job = self.view.job(job_part(given))
            # Who may ask is decided by the connection (a token over HTTP); the id is not to be guessed all the same.
            if job.spec.nonce and hmac.compare_digest(task_id(job).encode(), given.encode()):
                return job
        except JobNotFound:
            pass
        raise MCPError(code=INVALID_PARAMS, message="Task not found: there is none of this id, or its record is gone")

    def _unfinished(self, given: str) -> LiveJob | None:
        """The job of a task that is not over.

        Raises as `_job`.
        """
        job = self._job(given)
        if isinstance(job, EndedJob) or read_result(self.view.folder(job.spec.job_id)) is not None:
            return None
        return job

    @contextmanager
    def _refusals(self, request: AnyRequest, params: TaskParams) -> Iterator[None]:
        """Refuse who may not ask, and turn our refusals into the protocol's."""
        require_client_extension(request, TASKS)
        headers = Context(request_context=request).headers
        if headers is not None and decode_header_value(headers.get(MCP_NAME_HEADER)) != params.task_id:
            raise MCPError(code=HEADER_MISMATCH, message=f"The header {MCP_NAME_HEADER} does not match params.taskId")
        try:
            yield
        except (InvalidInput, HumanHolds) as error:
            raise MCPError(code=INVALID_PARAMS, message=str(error)) from error
        except (JobError, OSError) as error:
            raise MCPError(code=INTERNAL_ERROR, message=str(error)) from error


def task_id(job: Job) -> str:
    """The id of the job, with what nobody can guess behind it."""
    return f"{job.spec.job_id}-{job.spec.nonce}"


def job_part(task: str) -> str:
    """The id of the job in a task's."""
    return task.partition("-")[0]


def last_output(view: JobView, job: LiveJob) -> float:
    """When the job last printed something, in seconds since the epoch; when it was started, if it has not."""
    log = view.log(job.spec.job_id)
    try:
        return max(job.spec.started, Path(log.path(log.starts[-1])).stat().st_mtime)
    except (IndexError, OSError):
        return job.spec.started
