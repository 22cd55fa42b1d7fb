"""What agents have typed: in this server's memory, and on disk as far as the terminal has shown it.

Promise: a text that no output has shown, such as a password, is never written down, whatever the terminal's mode was,
however it was typed, and whichever program sat between.
"""

from __future__ import annotations

import re
from collections import OrderedDict, deque
from collections.abc import Sequence
from pathlib import Path

from mcp_background_job.store.transcript import SHOWN, Sent, note_sent, note_shown, shown_since
from mcp_background_job.tmux.quoting import is_character

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f]")  # which a terminal shows as ^X (termios: ECHOCTL)
SHORT = 4  # characters; fewer begin or end many a line by chance
REMEMBERED = 20  # inputs of one job
JOBS = 100  # whose inputs are remembered
LOOKED_AT = 16 << 10  # bytes of output in which an input's echo begins


class Inputs:
    """The inputs of a server's jobs."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, deque[Sent]] = OrderedDict()

    def note(self, job_id: str, folder: Path, text: str, keys: Sequence[str], who: str, hidden: bool) -> Sent:
        """Note an input that is about to be typed: its text in memory, its length and named keys on disk.

        Of one that the terminal is told to hide not even the memory has the text.
        """
        text = text.replace("\r\n", "\n")
        characters = len(text.removesuffix("\n")) + sum(map(is_character, keys))
        offset = note_sent(folder, characters, [key for key in keys if not is_character(key)], who)
        sent = Sent(offset, "" if hidden else text[:SHOWN])
        self._jobs.setdefault(job_id, deque(maxlen=REMEMBERED)).append(sent)
        self._jobs.move_to_end(job_id)
        if len(self._jobs) > JOBS:
            self._jobs.popitem(last=False)
        return sent

    def since(self, job_id: str, folder: Path, offset: int) -> list[Sent]:
        """What was typed since the log had `offset` bytes, by this server or, as far as it was shown, by any."""
        known = [sent for sent in self._jobs.get(job_id, ()) if sent.offset >= offset]
        offsets = {sent.offset for sent in known}
        known += [sent for sent in shown_since(folder, offset) if sent.offset not in offsets]
        return sorted(known, key=lambda sent: sent.offset)


def note_if_shown(folder: Path, sent: Sent, output: str) -> None:
    """Write down the lines of an input that `output`, what the job printed since it was sent, has shown."""
    shown = shown_lines(sent.text, output)
    if shown:
        note_shown(folder, Sent(sent.offset, "\n".join(shown)))


def shown_lines(text: str, output: str) -> list[str]:
    """The first lines of `text`, as far as `output` shows one after the other, each at a line's beginning or end.

    The first must be in the first line: behind a password's Enter comes a line break, or what is no longer the
    terminal's echo. Several are pasted at once, and each may have lines of its answer before the next.
    """
    typed = text.removesuffix("\n").split("\n")
    lines = output.split("\n")
    found: list[str] = []
    position = 0
    for line in typed:
        last = len(lines) if found else 1
        at = next((i for i in range(position, last) if holds(lines[i], line)), None)
        if at is None:
            break
        found.append(line)
        position = at + 1
    return found if any(found) else []


def holds(shown: str, typed: str) -> bool:
    """Whether a line of output is a typed line, behind a prompt or before what came after it."""
    echo = echo_of(typed).pattern
    if len(typed) < SHORT:
        return re.search(f"(?:^|[ ]){echo}$", shown.rstrip()) is not None
    return re.search(f"^{echo}|{echo}$", shown.rstrip() if not typed.endswith(" ") else shown) is not None


def echo_of(typed: str) -> re.Pattern[str]:
    """What shows a typed line: the line, but for a TAB, which is drawn as blanks, and for what is not drawn: as ^X.

    A line editor obeys that, and draws nothing of it.
    """
    return re.compile("".join(map(echo_of_character, typed)))


def echo_of_character(character: str) -> str:
    if character == "\t":
        return "[ \t]{1,8}"
    if CONTROL.match(character):
        return f"(?:{re.escape(character)}|\\^{re.escape(chr(ord(character) ^ 64))})?"
    return re.escape(character)
