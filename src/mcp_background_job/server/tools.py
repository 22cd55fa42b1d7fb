"""The ten tools; their docstrings are what an agent reads."""

from __future__ import annotations

import functools
from typing import Annotated

import anyio
import anyio.to_thread
from mcp_types import ToolAnnotations
from pydantic import Field

from mcp_background_job import responses
from mcp_background_job.errors import InvalidInput
from mcp_background_job.jobs.launch import Request
from mcp_background_job.jobs.manager import MAX_WAIT, JobManager
from mcp_background_job.jobs.matching import check_pattern, in_search_thread
from mcp_background_job.jobs.reporting import Progress
from mcp_background_job.jobs.waiting import started
from mcp_background_job.output.pages import DEFAULT_CHARS
from mcp_background_job.responses.fields import (
    Absence,
    FullStatus,
    HandoffAnswer,
    JobList,
    KillAnswer,
    OutcomeAnswer,
    PageAnswer,
    ScreenAnswer,
)
from mcp_background_job.store.models import EndedJob, Job

from .arguments import Command, JobIds, Keys, Limit, Seconds, Text, Variables, When, with_ids
from .callers import AnyContext, client_name
from .clients import Clients
from .elicitation import Forms
from .schema import Deferred, JobTool, make_tool
from .tasks import Tasks

MAX_CHARS = 1_000_000

MaxChars = Annotated[int, Field(ge=1, le=MAX_CHARS)]

# Only what differs from the protocol's defaults, or what a client must ask its user about.
READS = ToolAnnotations(read_only_hint=True)
ACTS = ToolAnnotations(destructive_hint=True, open_world_hint=True)
ENDS = ToolAnnotations(destructive_hint=True, idempotent_hint=True, open_world_hint=False)


class Tools:
    """The tools of one server; their docstrings are what an agent reads."""

    def __init__(self, manager: JobManager, clients: Clients) -> None:
        self.manager = manager
        manager.prepare_to_serve()
        self.forms = Forms(manager)
        self.clients = clients
        self.tasks = Tasks(manager, manager.events, clients)

    async def execute(
        self,
        ctx: AnyContext,
        command: Annotated[Command, Field(description="for bash -c, on a terminal")],
        name: Annotated[Text, Field(description="short window name")] = "",
        cwd: Annotated[Text, Field(description="default: the server's folder")] = "",
        env: Annotated[Variables, Field(description="added to the server's own")] = {},  # noqa: B006
        timeout: Annotated[Limit | None, Field(description="seconds after which it is killed")] = None,
        separate_stderr: bool = False,
        wait: Annotated[Seconds, Field(description="seconds to wait, max 50")] = 0,
        pattern: Annotated[
            str,
            Field(
                description="Python regex, searched in each line, also unfinished: with wait, return once it matches"
            ),
        ] = "",
    ) -> OutcomeAnswer | Deferred:
        """Run a shell command as a background job; returns its job_id at once. With wait, returns once it ends or
        asks for input, at the latest after that many seconds, with exit_code and output (of much output its first
        and last lines): for builds and tests; with pattern too, for servers. stderr comes merged into
        stdout, in true order, unless separate_stderr.
        """
        if pattern and wait <= 0:
            raise InvalidInput("A pattern is given, but no wait to look for it in", "Give wait its seconds too")
        await check_pattern(pattern)
        request = Request(command, name, cwd, env, timeout, separate_stderr, client_name(ctx))
        new = await anyio.to_thread.run_sync(self.manager.start, request)
        if wait <= 0:
            return {"job_id": new.job_id, "status": "running", "attach": new.attach}
        as_task = self.tasks.takes(ctx, wait, pattern)
        seconds = self.tasks.soon if as_task else min(wait, MAX_WAIT)
        try:
            found = await self.manager.wait(
                [new.job_id], "input", seconds, pattern, {new.job_id: 0}, progress=reporter(ctx, wait)
            )
        except anyio.get_cancelled_exc_class():
            self.clients.follow(ctx, new.job_id)  # no answer will ever name it
            raise
        if as_task and not isinstance(found.job, EndedJob) and found.reason == "timeout":
            return self.tasks.begun(found)
        return with_clamp(responses.executed(found, new.attach), wait)

    async def list(
        self, all: Annotated[bool, Field(description="also older ones, whose window is closed")] = False
    ) -> JobList:
        """The jobs, newest first: running ones and those that ended lately, of every agent in this session."""
        found = await anyio.to_thread.run_sync(self.manager.view.jobs, all)
        return responses.listing(self.manager.view, found)

    async def status(self, job_id: str) -> FullStatus:
        """One job in full: status, reason, exit_code, pid, duration, whether it awaits input, how to attach, where
        its log is. To wait for a change use wait instead.
        """
        job = await started(self.manager.view, job_id)
        fields = responses.full_status(self.manager.view, job, self.manager.attach_command(job))
        await self.add_absence(fields, job)
        return fields

    async def output(
        self,
        job_id: str,
        since: Annotated[int | None, Field(ge=0, description="cursor (raw bytes) of an earlier answer")] = None,
        grep: Annotated[str, Field(description="Python regex: only matching lines, numbered")] = "",
        context: Annotated[int, Field(ge=0, le=1000, description="lines around each match")] = 0,
        max_chars: MaxChars = DEFAULT_CHARS,
        since_seconds: Annotated[float | None, Field(gt=0, description="printed in the last s")] = None,
    ) -> PageAnswer:
        """What the job printed, as a person would read it: without escape codes, progress bars in their last state.
        All of it (head and tail where it is long), or the next page from a cursor (again while truncated), or the
        lines that match grep. dropped_bytes: so much of the oldest output is gone, as the log is limited (10 MB; where
        more comes, give execute or wait a pattern from the start).
        """
        job = self.manager.view.job(job_id)
        read = functools.partial(self.manager.view.output, job, since, grep, context, max_chars, since_seconds)
        in_thread = in_search_thread if grep else anyio.to_thread.run_sync
        found = await in_thread(read)
        return responses.page(found, job)

    async def tail(self, job_id: str, lines: Annotated[int, Field(ge=1, le=1000)] = 50) -> PageAnswer:
        """The last lines that the job printed."""
        job = self.manager.view.job(job_id)
        view = self.manager.view
        quick = view.tail_is_quick(job, lines)
        found = view.tail(job, lines) if quick else await anyio.to_thread.run_sync(view.tail, job, lines)
        return responses.page(found, job)

    async def interact(
        self,
        ctx: AnyContext,
        job_id: str,
        input: Annotated[
            Text,
            Field(
                description='text to type, also of several lines (end them with "\\n\\n" in a Python REPL); '
                'Enter alone is keys=["Enter"]'
            ),
        ] = "",
        keys: Annotated[
            Keys, Field(description="tmux key names, sent after input and its Enter: C-c, Up, Escape")
        ] = [],  # noqa: B006
        enter: Annotated[bool, Field(description="press Enter after input")] = True,
        timeout: Annotated[Seconds, Field(description="seconds")] = 10,
        pattern: Annotated[str, Field(description="regex: return once new output (never the echo) matches")] = "",
    ) -> OutcomeAnswer:
        """Type into a running job and get what it printed from then on (without the echo), once it waits for input
        again, ends or matches pattern, or after timeout. For REPLs, questions, full-screen programs (the answer has
        the screen), other agents' prompts (give a pattern); keys=["C-c"] interrupts. In a local shell, exit_code is
        that of the command.
        """
        found = await self.manager.interact(
            job_id, input, keys, enter, timeout, pattern, who=client_name(ctx), progress=reporter(ctx, timeout)
        )
        return with_clamp(responses.outcome(found), timeout)

    async def kill(
        self,
        ctx: AnyContext,
        job_id: str,
        signal: Annotated[
            Text, Field(description="KILL follows after 5 s; CONT, STOP, USR1, USR2 only reach its foreground")
        ] = "TERM",
    ) -> KillAnswer:
        """End a job and every process it started, also what an ended one left running; returns once all of them have
        ended. To interrupt only the current command of a shell or REPL, use interact with keys=["C-c"].
        """
        return responses.killed(await self.manager.kill(job_id, signal, who=client_name(ctx)))

    async def wait(
        self,
        ctx: AnyContext,
        job_ids: JobIds,
        until: Annotated[When, Field(description="its end always counts, too")] = "exit",
        pattern: Annotated[str, Field(description="Python regex, in each line after since")] = "",
        timeout: Annotated[Seconds, Field(description="seconds, max 50")] = 30,
        since: Annotated[int | None, Field(ge=0, description="one job's cursor; default: last shown to you")] = None,
        all: Annotated[bool, Field(description="until all have ended; tells how, without output")] = False,
    ) -> OutcomeAnswer:
        """Wait until any of the jobs ends; or sooner, as you ask: until it prints what pattern matches, needs input,
        is quiet for 2 s, or a person hands it back. Returns at once when it happens, with that job's output that you
        have not been shown yet (unsearched_bytes of it were dropped before pattern could see them); news tells of the
        others. Use it instead of polling or sleeping; call it again after
        reason=timeout.
        """
        if since is not None and len(job_ids) > 1:
            raise InvalidInput("since is for one job, and several are given", "Wait for one job, or leave since out")
        if all and (until != "exit" or pattern):
            raise InvalidInput("all is for ends alone", "Leave until and pattern out, or wait for any of them")
        asked = responses.asked(self.manager.view, job_ids, self.manager.attach_command) if until == "handback" else ""
        progress = reporter(ctx, timeout, asked)
        if asked and progress is not None:
            await progress(0.0, "")
        starts = self.clients.shown(ctx, job_ids) if since is None else {job_ids[0]: since}
        found = await self.manager.wait(
            job_ids, until, min(timeout, MAX_WAIT), pattern, starts, progress=progress, all_of_them=all
        )
        if all:
            return with_clamp(responses.outcome_of_all(self.manager.view, job_ids, found), timeout)
        fields: OutcomeAnswer = {"job_id": found.job.spec.job_id}
        responses.add_outcome(fields, found)
        with_clamp(fields, timeout)
        if responses.declined(self.manager.view, found):
            fields["declined"] = True
        await self.add_absence(fields, found.job)
        return fields

    async def handoff(
        self,
        ctx: AnyContext,
        job_id: str,
        message: Annotated[str, Field(description="what the person should do")] = "",
        take_back: Annotated[bool, Field(description="end your hand-off, while nobody has come")] = False,
    ) -> HandoffAnswer:
        """Ask a person to take over a job: to type a secret, decide, or look. They get the keys, the message and a
        bell; interact and kill are refused until they hand it back (wait until=handback; declined=true: they won't).
        If watching is 0, show the user the attach line. watching and idle (seconds without a key) in later answers:
        they seem to have left.
        """
        if take_back:
            found = await anyio.to_thread.run_sync(self.manager.take_back, job_id)
        else:
            found = await anyio.to_thread.run_sync(self.manager.handoff, job_id, message)
        if found.hold is not None:
            self.forms.open_form(ctx.session, job_id, found.hold, responses.form(found, client_name(ctx)))
        return {"holder": "human" if found.hold else "agent", "attach": found.attach, "watching": found.watching}

    async def add_absence(self, fields: Absence, job: Job) -> None:
        """What there is to tell of the person who holds a job; tmux is asked only where one does."""
        if self.manager.view.hold(job) is not None:
            away = await anyio.to_thread.run_sync(self.manager.control.absent_holder, job)
            responses.add_absence(fields, away)

    async def screen(self, job_id: str) -> ScreenAnswer:
        """The job's window as a person sees it now: for full-screen programs such as vi, top, less. cursor counts
        from 0. For plain output use tail.
        """
        await started(self.manager.view, job_id)
        return responses.screen(await anyio.to_thread.run_sync(self.manager.screen, job_id))


def with_clamp(fields: OutcomeAnswer, seconds: float) -> OutcomeAnswer:
    """`fields` with the time limit that held, where it is not the one that was asked for."""
    if seconds > MAX_WAIT:
        fields["effective_timeout"] = round(MAX_WAIT)
    return fields


def reporter(ctx: AnyContext, total: float, what: str = "") -> Progress | None:
    """Sends MCP progress, where the client asked for it; `what` stands in it, or the last line that was printed."""
    if (ctx.request_context.meta or {}).get("progress_token") is None:
        return None

    async def report(seconds: float, line: str) -> None:
        tail = what or (line and f": {line}")
        await ctx.report_progress(seconds, min(total, MAX_WAIT), f"waiting for {seconds:.0f} s{tail}")

    return report


def all_tools(tools: Tools) -> list[JobTool]:
    """The ten, with their hints."""
    acts = (tools.interact, tools.handoff)
    reads = (tools.list, tools.status, tools.output, tools.tail, tools.wait, tools.screen)
    by_name = functools.partial(with_ids, tools.manager.view)
    clients = tools.clients
    made = functools.partial(make_tool, resolve=by_name, during=clients.call, complete=clients.with_news)
    return [
        made(tools.execute, ACTS),
        *(made(function, ACTS) for function in acts),
        *(made(function, READS) for function in reads),
        made(tools.kill, ENDS),
    ]
