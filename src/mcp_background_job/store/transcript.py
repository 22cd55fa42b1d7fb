"""The transcript of what agents type into a job, for the answers that leave its echo out, and for the person.

Promise: an input's text is written down only after the job's output has shown it; before, and for ever where it is not
shown, there is its length alone.
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


def note_sent(folder: Path, characters: int, keys: Sequence[str], who: str) -> int:
    """Add an input to the job's transcript: its length and its named keys; where the log ended at that moment.

    A full disk loses the line, not the input.
    """
    offset = Log(folder / "log").end
    entry: dict[str, object] = {"time": timestamp(time.time()), "who": who or "agent", "offset": offset}
    if characters:
        entry["characters"] = characters
    if keys:
        entry["keys"] = list(keys)
    _append(folder, entry)
    return offset


def note_shown(folder: Path, sent: Sent) -> None:
    """Add the text of an input that was noted before, now that the job's output has shown it."""
    _append(folder, {"offset": sent.offset, "text": sent.text[:SHOWN]})


def transcript_size(folder: Path) -> int:
    """Bytes of the transcript, which tell whether anything has been typed since they were last asked for."""
    try:
        return (folder / TRANSCRIPT).stat().st_size
    except OSError:
        return 0


def _append(folder: Path, entry: dict[str, object]) -> None:
    with suppress(OSError):
        append_line(folder / TRANSCRIPT, (json.dumps(entry, ensure_ascii=False) + "\n").encode(errors="replace"))


def shown_since(folder: Path, offset: int) -> list[Sent]:
    """What agents typed since the log had `offset` bytes, as far as the output has shown it."""
    try:
        lines = (folder / TRANSCRIPT).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    found: list[Sent] = []
    for line in lines:
        with suppress(ValueError, KeyError, TypeError):
            entry = json.loads(line)
            if entry["offset"] >= offset and "text" in entry:
                found.append(Sent(entry["offset"], entry["text"]))
    return found
