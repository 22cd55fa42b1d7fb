"""The answers of the tools: the contract's fields, without those that have nothing to say."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mcp_background_job.jobs.control import Handoff
from mcp_background_job.jobs.manager import Killed
from mcp_background_job.jobs.presence import Presence
from mcp_background_job.jobs.view import JobView, Listing
from mcp_background_job.jobs.watched import Outcome
from mcp_background_job.output.pages import Page
from mcp_background_job.store.holds import was_declined
from mcp_background_job.store.models import (
    EndedJob,
    Exited,
    Job,
    Signaled,
    run_of,
    signal_name,
    status_of,
    timestamp,
)
from mcp_background_job.text import escaped, one_line, shorten, without_rules
from mcp_background_job.tmux.panes import Capture

from .fields import (
    Absence,
    Ending,
    FullStatus,
    JobList,
    KillAnswer,
    ListedJob,
    OutcomeAnswer,
    PageAnswer,
    ScreenAnswer,
)

MAX_NAME, MAX_NAMES = 80, 20  # characters and number of unreadable folders, whose names may be anything
MAX_LEFT = 200  # columns of a left process's command line


def killed(found: Killed) -> KillAnswer:
    """What a kill did."""
    fields: KillAnswer = {"status": found.status}
    if found.ended_processes:
        fields["ended_processes"] = found.ended_processes
    return fields


def add_ending(fields: Ending, job: Job) -> None:
    """The exit code, or the signal that ended the main process."""
    if isinstance(job, EndedJob):
        if isinstance(job.end, Exited):
            fields["exit_code"] = job.end.code
        elif isinstance(job.end, Signaled):
            fields["signal"] = signal_name(job.end.signal)


def add_absence(fields: Absence, away: Presence | None) -> None:
    """How long the person who holds a job has been away or silent; nothing while they seem to be there."""
    if away is not None:
        fields["watching"], fields["idle"] = away.attached, round(away.idle_seconds)


def add_page(fields: PageAnswer, found: Page, job: Job) -> None:
    """Output; stdout and stderr are always there, so that nobody has to ask whether they are."""
    fields["stdout"], fields["stderr"] = found.stdout, found.stderr
    fields["cursor"], fields["status"] = found.cursor, status_of(job)
    if found.truncated:
        fields["truncated"] = True
    if found.dropped_bytes:
        fields["dropped_bytes"] = found.dropped_bytes


def listed(view: JobView, job: Job) -> ListedJob:
    """One job of a list, which may be of a thousand."""
    spec = job.spec
    fields: ListedJob = {
        "job_id": spec.job_id,
        "name": spec.name,
        "status": status_of(job),
        "command": spec.summary,
        "started": timestamp(spec.started),
    }
    if not spec.name:  # an older version's record
        del fields["name"]
    if isinstance(job, EndedJob):
        if job.end.duration is not None:
            fields["duration"] = round(job.end.duration, 3)
        add_ending(fields, job)
    else:
        fields["duration"] = round(spec.age, 3)
        if awaiting := view.awaiting(job):
            fields["awaiting_input"] = awaiting
        if view.hold(job):
            fields["holder"] = "human"
    if spec.client:
        fields["client"] = spec.client
    if spec.restart_of:
        fields["restart_of"] = spec.restart_of
    return fields


def listing(view: JobView, found: Listing) -> JobList:
    """The jobs of a list, and the folders whose record can't be read."""
    fields: JobList = {"jobs": [listed(view, job) for job in found.jobs]}
    if found.unreadable:
        fields["unreadable"] = [shorten(one_line(escaped(name)), MAX_NAME) for name in found.unreadable[:MAX_NAMES]]
    return fields


def full_status(view: JobView, job: Job, attach: str) -> FullStatus:
    """All that is known of a job, from its files and the kernel; `attach` is how a person gets to its window."""
    spec = job.spec
    fields: FullStatus = {"job_id": spec.job_id}
    if spec.name:
        fields["name"] = spec.name
    fields["status"] = status_of(job)
    fields["command"] = view.command(spec.job_id)
    fields["cwd"] = spec.cwd
    fields["started"] = timestamp(spec.started)
    if spec.restart_of:
        fields["restart_of"] = spec.restart_of
    awaiting = view.awaiting(job)
    if awaiting:
        fields["awaiting_input"] = awaiting
    if not isinstance(job, EndedJob):
        fields["holder"] = "human" if view.hold(job) else "agent"
    if view.may_have_window(job):
        fields["attach"] = attach
    fields["log"] = str(view.folder(spec.job_id) / "log")
    add_ending(fields, job)
    run = run_of(job)
    if run is not None:
        fields["pid"] = run.pid
    if not isinstance(job, EndedJob):
        fields["duration"] = round(spec.age, 3)
        if not awaiting and view.stopped(job):
            fields["stopped"] = True
        return fields
    end = job.end
    fields["reason"] = end.reason
    if end.by:
        fields["killed_by"] = end.by
    left = view.left_running(job)
    if left:
        fields["left_running"] = [
            {"pid": pid, "command": shorten(one_line(escaped(command)), MAX_LEFT)} for pid, command in left[:MAX_NAMES]
        ]
    fields["ended"] = timestamp(end.ended)
    if end.duration is not None:
        fields["duration"] = round(end.duration, 3)
    if end.cpu is not None:
        fields["cpu_seconds"] = round(end.cpu, 3)
    if end.peak_memory is not None:
        fields["peak_memory_bytes"] = end.peak_memory
    if end.survivors:
        fields["survivors"] = end.survivors
    return fields


def page(found: Page, job: Job) -> PageAnswer:
    """One page of output."""
    fields: PageAnswer = {}
    add_page(fields, found, job)
    return fields


def outcome_of_all(view: JobView, job_ids: Sequence[str], found: Outcome) -> OutcomeAnswer:
    """What a wait for all of several jobs ended with: how each is."""
    jobs: list[ListedJob] = []
    for job_id in dict.fromkeys(job_ids):
        job = view.job(job_id)
        fields: ListedJob = {"job_id": job_id, "name": job.spec.name, "status": status_of(job)}
        add_ending(fields, job)
        if awaiting := view.awaiting(job):
            fields["awaiting_input"] = awaiting
        jobs.append(fields)
    return {"reason": found.reason, "jobs": jobs}


def outcome(found: Outcome) -> OutcomeAnswer:
    """What a wait ended with."""
    fields: OutcomeAnswer = {}
    add_outcome(fields, found, always_stderr=True)
    return fields


def add_outcome(fields: OutcomeAnswer, found: Outcome, always_stderr: bool = False) -> None:
    """What a wait ended with, behind what is in `fields` already; stderr where it was to be kept apart."""
    add_page(fields, found.page, found.job)
    fields["stdout"] = without_rules(found.page.stdout)
    if not (always_stderr or found.job.spec.separate_stderr):
        del fields["stderr"]
    # The job's own limit is its reason; where the wait's time was over, the job is running.
    own_limit = isinstance(found.job, EndedJob) and found.job.end.cause == "timeout"
    fields["reason"] = "timeout" if found.reason == "exit" and own_limit else found.reason
    if found.screen:
        fields["screen"] = found.screen
    if found.screen or isinstance(found.job, EndedJob):
        from mcp_background_job.output.emulator.render import ALTERNATE_NOTE

        fields["stdout"] = fields["stdout"].replace(ALTERNATE_NOTE + "\n", "")
    if found.last_words:
        from mcp_background_job.output.emulator.render import PAST_NOTE

        before, note, behind = fields["stdout"].rpartition(PAST_NOTE)
        fields["stdout"] = before + note.replace("]", f"; its last line: {found.last_words}]") + behind
    if found.match not in found.screen + found.page.stdout + found.page.stderr:
        fields["match"] = found.match
    if found.unsearched:
        fields["unsearched_bytes"] = found.unsearched
    if found.awaiting:
        fields["awaiting_input"] = found.awaiting
    if found.command_exit_code is not None:
        fields["exit_code"] = found.command_exit_code
    add_ending(fields, found.job)


def executed(found: Outcome, attach: str) -> OutcomeAnswer:
    """What `execute` answers once it has waited; `attach` is how a person gets to the window of a job that runs."""
    fields: OutcomeAnswer = {"job_id": found.job.spec.job_id, "status": status_of(found.job)}
    if not isinstance(found.job, EndedJob):
        fields["attach"] = attach
    add_outcome(fields, found)
    return fields


def declined(view: JobView, found: Outcome) -> bool:
    """Whether the person who handed back said that they won't do what they were asked for."""
    return found.reason == "handback" and was_declined(view.folder(found.job.spec.job_id))


def asked(view: JobView, job_ids: Sequence[str], attach: Callable[[Job], str]) -> str:
    """Whom a wait for the hand-back waits for, in the words of a progress message."""
    texts: list[str] = []
    for job_id in job_ids:
        job = view.job(job_id)
        hold = view.hold(job)
        if hold is not None:
            texts.append(f"{job.spec.name}: {hold.message or 'held by a person'} ({attach(job)})")
    return "".join(f"; {text}" for text in texts)


def form(found: Handoff, client: str) -> str:
    """What a person reads in their client's form."""
    return (
        f"{client or 'An agent'} asks you to go on with job {found.job.spec.name} ({found.job.spec.job_id}):\n\n"
        f"{found.hold.message if found.hold else ''}\n\n"
        f"Do it in its window, and type nothing secret here: {found.attach}\n"
        "Decline to hand the keys back undone."
    )


def screen(found: Capture) -> ScreenAnswer:
    """The window of a job as a person sees it."""
    return {
        "screen": found.text,
        "cursor": {"row": found.row, "column": found.column},
        "rows": found.rows,
        "columns": found.columns,
        "alternate": found.alternate,
    }
