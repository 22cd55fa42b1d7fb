"""What agents type into jobs, byte for byte, and the transcript of it.

Promises: input that can't arrive whole is refused before anything is sent; what is typed while the terminal's echo
is off is not written down.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mcp_background_job.errors import InvalidInput
from mcp_background_job.store.models import RunningJob, timestamp
from mcp_background_job.tmux.panes import type_text
from mcp_background_job.tmux.quoting import is_key
from mcp_background_job.tmux.session import JobsSession

TRANSCRIPT = "input.jsonl"
SHOWN = 4096  # characters of one input that the transcript keeps


@dataclass(frozen=True)
class Sent:
    """One input: where the log ended when it was sent, and its text."""

    offset: int
    text: str


def check_input(tty: str, text: str, keys: Sequence[str]) -> None:
    """Refuse what can't arrive.

    Raises InvalidInput for a key without a name, text that is no Unicode, or a line longer than the terminal takes.
    """
    from mcp_background_job.process.input_state import line_limit

    for key in keys:
        if not is_key(key):
            raise InvalidInput(
                f"{key[:40]!r} is not a key name",
                "Use tmux names such as C-c, Up, Escape, Enter, Tab, F1, M-x; text goes into input",
            )
    try:
        data = text.encode()
    except UnicodeEncodeError:
        raise InvalidInput("The input is not valid Unicode", "Send it as plain text") from None
    limit = line_limit(tty)
    longest = max(map(len, data.split(b"\n")))
    if limit is not None and longest > limit:
        raise InvalidInput(
            f"A line of the input is {longest} bytes long, the limit of the job's terminal in line mode is {limit}",
            "Send shorter lines, or write the data to a file",
        )


def type_into(
    tmux: JobsSession,
    folder: Path,
    job: RunningJob,
    text: str,
    keys: Sequence[str],
    enter: bool,
    who: str,
    by_agent: bool,
) -> None:
    """Type `text`, Enter if asked for, and named keys into the job, in one go.

    Raises InvalidInput, HumanHolds where a person has the keys and `by_agent`, or TmuxError; then nothing was sent.
    """
    if job.run is None:
        raise InvalidInput(f"Job {job.spec.job_id!r} is still starting", "Try again in a second")
    text = text.replace("\r\n", "\n")
    check_input(job.run.tty, text, keys)
    if not text and not keys:
        return
    body = text.rstrip("\n")
    enters = len(text) - len(body)
    if enter and text and not enters:
        enters = 1
    record(folder, job.run.tty, text, keys, who)
    type_text(tmux.pane(job.spec.job_id, job.run.pane, job.run.socket), body.encode(), enters, keys, by_agent)


def record(folder: Path, tty: str, text: str, keys: Sequence[str], who: str) -> None:
    """Add one input to the job's transcript; a full disk loses the line, not the input."""
    from mcp_background_job.process.input_state import echo_on, line_limit
    from mcp_background_job.store.log import Log

    # A REPL's terminal doesn't echo either, but it is not in line mode, and shows what is typed by itself.
    hidden = echo_on(tty) is False and line_limit(tty) is not None
    entry: dict[str, object] = {
        "time": timestamp(time.time()),
        "who": who or "agent",
        "offset": Log(folder / "log").end,
    }
    if text:
        entry["text"] = "(not echoed, not recorded)" if hidden else text[:SHOWN]
    if keys:
        entry["keys"] = list(keys)
    line = (json.dumps(entry, ensure_ascii=False) + "\n").encode(errors="replace")
    with suppress(OSError):
        fd = os.open(folder / TRANSCRIPT, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, line)
        finally:
            os.close(fd)


def sent_since(folder: Path, offset: int) -> list[Sent]:
    """What agents typed since the log had `offset` bytes."""
    try:
        lines = (folder / TRANSCRIPT).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    found: list[Sent] = []
    for line in lines:
        with suppress(ValueError, KeyError, TypeError):
            entry = json.loads(line)
            if entry["offset"] >= offset:
                found.append(Sent(entry["offset"], entry.get("text", "")))
    return found
