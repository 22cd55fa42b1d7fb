"""What there is to say of one job: its state, how it ended, how long it took, how it is called. Pure."""

from __future__ import annotations

from mcp_background_job.jobs.launch import name_from
from mcp_background_job.store.models import EndedJob, Exited, Hold, Job, Signaled, StartingJob, signal_name, status_of
from mcp_background_job.text import one_line, shorten

from .units import duration, rough

NAME_WIDTH = 32  # columns of a job's name in a sentence


def state_name(job: Job | None, hold: Hold | None, awaiting: str | None) -> str:
    """The job's state, as a key of STATES; the job is None where its record can't be read."""
    if job is None:
        return "unreadable"
    if isinstance(job, EndedJob):
        return status_of(job)
    if hold is not None:
        return "asked" if hold.message else "held"
    return awaiting or ("starting" if isinstance(job, StartingJob) else "running")


def elapsed(job: Job) -> float:
    """Seconds that the job has run."""
    if isinstance(job, EndedJob):
        return job.end.duration if job.end.duration is not None else max(0.0, job.end.ended - job.spec.started)
    return job.spec.age


def how_it_ended(job: EndedJob) -> str:
    """The exit code, or the signal's name; empty where neither is known."""
    if isinstance(job.end, Exited):
        return str(job.end.code)
    return signal_name(job.end.signal) if isinstance(job.end, Signaled) else ""


def ending_line(job: EndedJob) -> str:
    """One sentence on how a job ended."""
    facts = ("exit " if isinstance(job.end, Exited) else "") + how_it_ended(job)
    reason = f" ({job.end.reason.replace('_', ' ')})" if job.end.status == "killed" else ""
    return f"{label(job)}: {job.end.status}{reason}{', ' + facts if facts else ''} after {duration(elapsed(job))}"


def ending_cause(job: EndedJob) -> str:
    """Why it ended: exit 3, signal SEGV, killed by whom, window closed, timeout, lost."""
    if job.end.cause == "kill":
        return f"killed by {one_line(job.end.by)}" if job.end.by else "killed"
    if job.end.cause == "timeout" and job.spec.timeout:
        return f"timeout of {rough(job.spec.timeout)}"
    if job.end.cause != "exit":
        return job.end.cause.replace("_", " ")
    return ("signal " if isinstance(job.end, Signaled) else "exit ") + how_it_ended(job)


def label(job: Job) -> str:
    """A job in a sentence: its id and its name."""
    return f"{job.spec.job_id} {shorten(one_line(job.spec.name), NAME_WIDTH)}"


def given_name(job: Job) -> str:
    """The job's name; empty where it is only the beginning of its command."""
    return "" if job.spec.name == name_from(job.spec.summary) else one_line(job.spec.name)
