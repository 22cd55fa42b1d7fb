"""How a person names a job: by its id, a beginning of the id that only one has, or its name.

Promises: a name that could mean several jobs is refused with the jobs that it could mean, unless just one of them
runs; an id in full always means that job.
"""

from __future__ import annotations

from mcp_background_job.config import load_config
from mcp_background_job.errors import JobNotFound
from mcp_background_job.jobs.manager import JobManager
from mcp_background_job.jobs.view import JobView, only_one
from mcp_background_job.store.models import Job


def find_job(manager: JobManager, given: str) -> Job:
    """The job that `given` means.

    Raises JobNotFound, or InvalidInput that lists the jobs it could mean.
    """
    known = manager.store.ids()
    if given in known:
        return manager.view.job(given)
    candidates = [
        job
        for job in manager.view.jobs(include_all=True).jobs
        if given and (job.spec.name == given or job.spec.job_id.startswith(given))
    ]
    found = only_one(given, candidates)
    if found is None:
        raise JobNotFound(given)
    return found


def names_for_completion(prefix: str) -> list[str]:
    """Ids and names of jobs that begin with `prefix`; nothing at all where something is wrong."""
    try:
        jobs = JobView(load_config()).jobs(include_all=True).jobs
    except Exception:  # a message would stand in the person's prompt
        return []
    names = {name for job in jobs for name in (job.spec.job_id, job.spec.name) if " " not in name}
    return sorted(name for name in names if name.startswith(prefix))
