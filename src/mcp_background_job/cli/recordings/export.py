"""export: a job's recording as a file: for asciinema (--cast), a page that plays it (--html), a picture (--gif).

Promise: the file is this user's alone; one that exists is left as it is, and none is left half written.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from mcp_background_job.cli.lookup import find_job
from mcp_background_job.cli.settings import settings
from mcp_background_job.errors import InvalidInput, WrongUsage
from mcp_background_job.jobs.manager import JobManager
from mcp_background_job.output.recording import Recording
from mcp_background_job.store.models import Job
from mcp_background_job.ui.console import note
from mcp_background_job.ui.units import size

from .cast import cast_lines
from .endings import end_by_exception
from .gif import drawn_by_agg, find_agg
from .page import page

STDOUT = "-"


def export(options: argparse.Namespace) -> int:
    manager = JobManager(settings())
    job = find_job(manager, options.job)
    recording = Recording(manager.view.folder(job.spec.job_id), job.spec)
    if options.format is not None and options.cast is None:
        raise WrongUsage("--format is asciicast's version", "Give it with --cast")
    target = next(file for file in (options.cast, options.html, options.gif) if file is not None)
    end_by_exception()
    parts, hint = exported(options, job, recording)
    note_what_is_missing(recording)
    if target == STDOUT:
        for part in parts:
            sys.stdout.buffer.write(part)
        sys.stdout.buffer.flush()
    else:
        path = Path(target).expanduser()
        write_new(path, parts)
        hint += str(path)
    note_what_was_lost(recording)
    if target != STDOUT:
        note(hint)
    return 0


def exported(options: argparse.Namespace, job: Job, recording: Recording) -> tuple[Iterator[bytes], str]:
    """What the file holds, made as it is read, and what to tell of it."""
    if options.html is not None:
        return page(job.spec.name, cast_lines(job, recording, options.max_idle)), "open it in a browser: "
    if options.gif is not None:
        agg = find_agg()  # before anything is written
        return drawn_by_agg(agg, cast_lines(job, recording, options.max_idle), recording.sizes()), "drawn: "
    return cast_lines(job, recording, options.max_idle, options.format or 2), "play it: asciinema play "


def write_new(path: Path, parts: Iterable[bytes]) -> None:
    """Write a file that did not exist before."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise InvalidInput(f"{str(path)!r} already exists", "Give another name, or remove it") from None
    try:
        with os.fdopen(fd, "wb") as file:
            file.writelines(parts)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def note_what_is_missing(recording: Recording) -> None:
    """For the person: what a recording lacks."""
    if recording.dropped:
        note(f"the oldest {size(recording.dropped)} of output are no longer kept")
    if not recording.timed and recording.untimed:
        note("the log has no timing: all of it is played at once")
    elif recording.untimed:
        note(f"the timing of the first {size(recording.untimed)} is no longer kept: they are played at once")


def note_what_was_lost(recording: Recording) -> None:
    """For the person, afterwards: what turned out to be missing."""
    if recording.lost:
        note(f"{size(recording.lost)} are missing: dropped in the meantime, or not logged because the disk was full")
