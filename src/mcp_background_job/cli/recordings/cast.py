"""A recording as asciicast 2 or 3, asciinema's file (docs.asciinema.org/manual/asciicast).

Promises: the texts of all output events together are what the log draws, as a replay shows it: a player is a terminal,
too; times never go back.

There are no input events: those would hold what agents typed and not what people did, and what a program echoes is in
its output anyway.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

from mcp_background_job.output.recording import Recording
from mcp_background_job.store.models import EndedJob, Exited, Job
from mcp_background_job.store.sizes import size_at
from mcp_background_job.supervisor.jobdir import terminal_type
from mcp_background_job.supervisor.launch import read_pairs


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
