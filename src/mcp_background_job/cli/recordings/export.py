"""export --cast: a job's output as an asciicast v2 file (docs.asciinema.org/manual/asciicast/v2), for asciinema.

Promises: the texts of all events together are what the log draws, as a replay shows it: a player is a terminal, too;
times never go back; the file is this user's alone.

There are no resize events: a job's window keeps its size. And no input events: those would hold what agents typed and
not what people did, and what a program echoes is in its output anyway.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from mcp_background_job.cli.lookup import find_job
from mcp_background_job.cli.settings import settings
from mcp_background_job.errors import InvalidInput
from mcp_background_job.jobs.manager import JobManager
from mcp_background_job.output.recording import Recording
from mcp_background_job.store.models import EndedJob, Job
from mcp_background_job.supervisor.jobdir import terminal_type
from mcp_background_job.supervisor.launch import read_pairs
from mcp_background_job.ui.console import note
from mcp_background_job.ui.units import size


def export(options: argparse.Namespace) -> int:
    manager = JobManager(settings())
    job = find_job(manager, options.job)
    recording = Recording(manager.view.folder(job.spec.job_id), job.spec)
    note_what_is_missing(recording)
    if options.cast == "-":
        for line in cast_lines(job, recording, options.max_idle):
            sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
        note_what_was_lost(recording)
        return 0
    path = Path(options.cast).expanduser()
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise InvalidInput(f"{str(path)!r} already exists", "Give another name, or remove it") from None
    try:
        with os.fdopen(fd, "wb") as file:
            file.writelines(cast_lines(job, recording, options.max_idle))
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    note_what_was_lost(recording)
    note(f"play it: asciinema play {path}")
    return 0


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


def cast_lines(job: Job, recording: Recording, max_idle: float | None = None) -> Iterator[bytes]:
    """The file: a header, and a line an event."""
    yield line(header(job, recording, max_idle))
    last = 0.0
    for frame in recording.more():
        last = max(last, frame.time)
        yield from event(last, frame.text)
    yield from event(last, recording.cleaner.finish())


def line(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": ")).encode(errors="replace") + b"\n"


def event(time: float, text: str) -> Iterator[bytes]:
    if text:
        yield line([round(time, 3), "o", text])


def header(job: Job, recording: Recording, max_idle: float | None) -> dict[str, object]:
    """What players want to know: the window's size above all."""
    launch = launched_with(recording)
    fields: dict[str, object] = {
        "version": 2,
        "width": int(launch["columns"]),
        "height": int(launch["rows"]),
        "timestamp": int(job.spec.started + recording.begins),
    }
    if isinstance(job, EndedJob) and job.end.duration is not None:
        fields["duration"] = round(max(0.0, job.end.duration - recording.begins), 3)
    if max_idle is not None:
        fields["idle_time_limit"] = max_idle
    return {**fields, "title": job.spec.name, "env": {"TERM": terminal_type(), "SHELL": launch["shell"]}}


def launched_with(recording: Recording) -> dict[str, str]:
    """The size of the job's window, and its shell."""
    pairs = read_pairs(str(recording.folder / "launch"))
    return {os.fsdecode(name): os.fsdecode(value) for name, value in pairs.items()}
