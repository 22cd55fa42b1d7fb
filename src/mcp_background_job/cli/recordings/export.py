"""export --cast: a job's output for asciinema, as asciicast 2 or 3 (docs.asciinema.org/manual/asciicast).

Promises: the texts of all output events together are what the log draws, as a replay shows it: a player is a terminal,
too; times never go back; the file is this user's alone.

There are no input events: those would hold what agents typed and not what people did, and what a program echoes is in
its output anyway.
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
from mcp_background_job.store.models import EndedJob, Exited, Job
from mcp_background_job.store.sizes import size_at
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
        for line in cast_lines(job, recording, options.max_idle, options.format):
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
            file.writelines(cast_lines(job, recording, options.max_idle, options.format))
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


def cast_lines(job: Job, recording: Recording, max_idle: float | None = None, version: int = 2) -> Iterator[bytes]:
    """The file: a header, and a line an event; of version 3 with the exit code in the last."""
    yield line(header(job, recording, max_idle, version))
    shown = last = 0.0
    for time, kind, data in events(job, recording, version):
        if data:
            last = max(last, time)
            # Version 3 tells the time since the event before: since what was told of it, or the thousandths add up.
            at = max(0.0, round(last - shown, 3)) if version == 3 else round(last, 3)
            shown += at
            yield line([at, kind, data])


def events(job: Job, recording: Recording, version: int) -> Iterator[tuple[float, str, str]]:
    """Seconds, a letter for what it is, and what it is."""
    last = 0.0
    for frame in recording.more():
        last = max(last, frame.time)
        yield (last, "o", frame.text) if frame.size is None else (last, "r", "{1}x{2}".format(*frame.size))
    yield last, "o", recording.cleaner.finish()
    if version == 3 and isinstance(job, EndedJob) and isinstance(job.end, Exited) and job.end.duration is not None:
        yield max(last, job.end.duration - recording.begins), "x", str(job.end.code)


def line(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": ")).encode(errors="replace") + b"\n"


def header(job: Job, recording: Recording, max_idle: float | None, version: int) -> dict[str, object]:
    """What players want to know: the window's size above all."""
    shell = launched_with(recording)["shell"]
    _, columns, rows = size_at(recording.sizes(), recording.dropped)
    begun = int(job.spec.started + recording.begins)
    term: dict[str, object] = {"cols": columns, "rows": rows, "type": terminal_type()}
    fields: dict[str, object] = {"version": version, "title": job.spec.name, "timestamp": begun}
    if max_idle is not None:
        fields["idle_time_limit"] = max_idle
    if version == 3:
        return {**fields, "term": term, "env": {"SHELL": shell}}
    if isinstance(job, EndedJob) and job.end.duration is not None:
        fields["duration"] = round(max(0.0, job.end.duration - recording.begins), 3)
    return {**fields, "width": columns, "height": rows, "env": {"TERM": terminal_type(), "SHELL": shell}}


def launched_with(recording: Recording) -> dict[str, str]:
    """How the job was launched: its shell, among others."""
    pairs = read_pairs(str(recording.folder / "launch"))
    return {os.fsdecode(name): os.fsdecode(value) for name, value in pairs.items()}
