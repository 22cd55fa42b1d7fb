"""The answers of the tools: the contract's fields, without those that have nothing to say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from mcp_background_job.jobs.control import Handoff
from mcp_background_job.jobs.manager import JobManager
from mcp_background_job.jobs.presence import Presence
from mcp_background_job.jobs.view import Listing
from mcp_background_job.jobs.waiting import Outcome
from mcp_background_job.output.pages import Page
from mcp_background_job.store.models import EndedJob, Job, signal_name, status_of, timestamp
from mcp_background_job.tmux.panes import Capture

Fields = dict[str, object]


class Ending(TypedDict, total=False):
    """How a job ended."""

    exit_code: int
    signal: str


def ending(job: Job) -> Ending:
    """The exit code, or the signal that ended the main process."""
    found: Ending = {}
    if isinstance(job, EndedJob):
        if job.end.code is not None:
            found["exit_code"] = job.end.code
        if job.end.signal is not None:
            found["signal"] = signal_name(job.end.signal)
    return found


def holder(manager: JobManager, job: Job) -> str | None:
    """Who has the keys of a running job."""
    if isinstance(job, EndedJob):
        return None
    return "human" if manager.view.hold(job) else "agent"


def without_absent(fields: Mapping[str, object]) -> Fields:
    return {name: value for name, value in fields.items() if value is not None and value != ""}


def listed(manager: JobManager, job: Job) -> Fields:
    """One job of a list, which may be of a thousand."""
    spec = job.spec
    fields: Fields = {
        "job_id": spec.job_id,
        "name": spec.name,
        "status": status_of(job),
        "command": spec.summary,
        "started": timestamp(spec.started),
    }
    if not spec.name:  # an older version's record
        del fields["name"]
    if isinstance(job, EndedJob):
        fields |= ending(job)
    elif manager.view.hold(job):
        fields["holder"] = "human"
    if spec.client:
        fields["client"] = spec.client
    return fields


def listing(manager: JobManager, found: Listing) -> Fields:
    fields: Fields = {"jobs": [listed(manager, job) for job in found.jobs]}
    if found.unreadable:
        fields["unreadable"] = found.unreadable
    return fields


def full_status(manager: JobManager, job: Job) -> Fields:
    """All that is known of a job, from its files and the kernel."""
    fields: Fields = {
        "job_id": job.spec.job_id,
        "name": job.spec.name,
        "status": status_of(job),
        "command": manager.view.command(job.spec.job_id),
        "cwd": job.spec.cwd,
        "started": timestamp(job.spec.started),
        "awaiting_input": manager.view.awaiting(job),
        "holder": holder(manager, job),
        "attach": manager.attach_command(job),
        "log": str(manager.view.folder(job.spec.job_id) / "log"),
        **ending(job),
    }
    if job.run is not None:
        fields["pid"] = job.run.pid
    if isinstance(job, EndedJob):
        fields["reason"] = job.end.reason
        fields["ended"] = timestamp(job.end.ended)
        fields["duration"] = job.end.duration
        fields["cpu_seconds"] = job.end.cpu
        fields["peak_memory_bytes"] = job.end.peak_memory
        fields["survivors"] = job.end.survivors or None
    else:
        fields["duration"] = job.spec.age
    for name in ("duration", "cpu_seconds"):
        value = fields.get(name)
        if isinstance(value, float):
            fields[name] = round(value, 3)
    return without_absent(fields)


def absence(away: Presence | None) -> Fields:
    """How long the person who holds a job has been away or silent; nothing while they seem to be there."""
    return {} if away is None else {"watching": away.attached, "idle": round(away.idle_seconds)}


def page(found: Page, job: Job) -> Fields:
    """Output; stdout and stderr are always there, so that nobody has to ask whether they are."""
    fields: Fields = {
        "stdout": found.stdout,
        "stderr": found.stderr,
        "cursor": found.cursor,
        "status": status_of(job),
    }
    if found.truncated:
        fields["truncated"] = True
    if found.dropped_bytes:
        fields["dropped_bytes"] = found.dropped_bytes
    return fields


def outcome(found: Outcome) -> Fields:
    """What a wait ended with."""
    fields = page(found.page, found.job)
    fields["reason"] = found.reason
    if found.match not in found.page.stdout + found.page.stderr:
        fields["match"] = found.match
    if found.awaiting:
        fields["awaiting_input"] = found.awaiting
    return {**fields, **ending(found.job)}


def declined(manager: JobManager, found: Outcome) -> Fields:
    """Whether the person who handed back said that they won't do what they were asked for."""
    no = found.reason == "handback" and manager.store.declined(found.job.spec.job_id)
    return {"declined": True} if no else {}


def asked(manager: JobManager, job_ids: Sequence[str]) -> str:
    """Whom a wait for the hand-back waits for, in the words of a progress message."""
    texts: list[str] = []
    for job_id in job_ids:
        job = manager.view.job(job_id)
        hold = manager.view.hold(job)
        if hold is not None:
            texts.append(f"{job.spec.name}: {hold.message or 'held by a person'} ({manager.attach_command(job)})")
    return "".join(f"; {text}" for text in texts)


def form(found: Handoff, client: str) -> str:
    """What a person reads in their client's form."""
    return (
        f"{client or 'An agent'} asks you to go on with job {found.job.spec.name} ({found.job.spec.job_id}):\n\n"
        f"{found.hold.message}\n\n"
        f"Do it in its window, and type nothing secret here: {found.attach}\n"
        "Decline to hand the keys back undone."
    )


def screen(found: Capture) -> Fields:
    return {
        "screen": found.text,
        "cursor": {"row": found.row, "column": found.column},
        "rows": found.rows,
        "columns": found.columns,
        "alternate": found.alternate,
    }
