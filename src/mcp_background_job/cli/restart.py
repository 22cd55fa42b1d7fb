"""`mcp-background-job restart`: a job's command once more, in its place; what is missing for that is asked for.

Promise: a value that is typed here is not shown, nor left in a shell's history.
"""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Mapping

from mcp_background_job.errors import InvalidInput
from mcp_background_job.jobs.manager import JobManager
from mcp_background_job.jobs.restarting import kept_environment, missing, restart
from mcp_background_job.store.models import EndedJob, Job
from mcp_background_job.ui.console import note, print_json
from mcp_background_job.ui.wording import label

from .follow import run_to_end
from .lookup import find_job
from .run import CLIENT, environment
from .settings import settings


def restart_job(options: argparse.Namespace) -> int:
    """End it, if it runs and that is wanted, and start it again; the new job's id."""
    manager = JobManager(settings())
    job, given, kill = find_job(manager, options.job), environment(options.env), options.kill
    kept = kept_environment(job) is not None
    if sys.stdin.isatty():
        kill = kill or asked_to_end(job)
        if not kept:
            given = given | asked_for(job, given)
    started = run_to_end(lambda: restart(manager, job, given, CLIENT, kill=kill))
    if options.json:
        print_json({"job_id": started.job_id, "status": "running", "attach": started.attach})
        return 0
    print(started.job_id)
    if not kept:
        note("its environment is this terminal's: what the first run had beside that is not kept")
    return 0


def asked_to_end(job: Job) -> bool:
    """Whether a job that runs is to be ended.

    Raises InvalidInput for a no.
    """
    if isinstance(job, EndedJob):
        return False
    print(f"End {label(job)} and start it again? y or n: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise InvalidInput("Nothing was ended", "The job runs on")
    return True


def asked_for(job: Job, given: Mapping[str, str]) -> dict[str, str]:
    """The values that are not kept, typed by the person."""
    names = missing(job, given)
    if names:
        print("An agent gave it these values, which are not kept.", file=sys.stderr)
    return {name: getpass.getpass(f"{ascii(name)[1:-1]}=") for name in names}
