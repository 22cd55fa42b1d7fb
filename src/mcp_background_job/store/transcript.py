"""The transcript of what agents type into a job, for the answers that leave its echo out, and for the person.

Promise: what is typed while the terminal's echo is off is not written down.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .files import append_line
from .log import Log
from .models import timestamp

TRANSCRIPT = "input.jsonl"
SHOWN = 4096  # characters of one input that the transcript keeps


@dataclass(frozen=True)
class Sent:
    """One input: where the log ended when it was sent, and its text."""

    offset: int
    text: str


def record(folder: Path, text: str, keys: Sequence[str], who: str, hidden: bool) -> None:
    """Add one input to the job's transcript, without its text where that is `hidden`.

    A full disk loses the line, not the input.
    """
    entry: dict[str, object] = {
        "time": timestamp(time.time()),
        "who": who or "agent",
        "offset": Log(folder / "log").end,
    }
    if text:
        entry["text"] = "(not echoed, not recorded)" if hidden else text[:SHOWN]
    if keys:
        entry["keys"] = list(keys)
    with suppress(OSError):
        append_line(folder / TRANSCRIPT, (json.dumps(entry, ensure_ascii=False) + "\n").encode(errors="replace"))


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
