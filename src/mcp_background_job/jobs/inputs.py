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
PARTS = re.compile("[ \t]*\t[ \t]*|.", re.DOTALL)  # a TAB with the blanks around it, or a character
BLANKS, FOLD = re.compile("[ \t]+"), re.compile(r"\\?\n")
SHORT = 4  # characters; fewer begin or end many a line by chance
FIRST_LINES = 3  # in which an input's echo begins
MOST_STARTS = 200  # places that are looked at for an echo
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

    def lines_since(self, job_id: str, folder: Path, offset: int) -> list[str]:
        """The lines that were typed since the log had `offset` bytes."""
        return [line for sent in self.since(job_id, folder, offset) for line in sent.text.split("\n") if line]


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


def without_echo(text: str, typed: Sequence[str], first: bool) -> tuple[str, list[int]]:
    """`text`, printed since the lines `typed` were sent, without their echo, and where each one's echo ended in it.

    The first line's echo, if it is still to come (`first`), is where the output begins; each other's is at the end of
    a line, behind a prompt. One that has a line to itself takes the line break along. What only looks like an echo
    further on is the program's own.
    """
    parts: list[str] = []
    ends: list[int] = []
    position = 0
    for number, line in enumerate(typed):
        found = find_echo(text, position, line, first and not number)
        if found is None:
            break
        parts.append(text[position : found[0]])
        position = found[1]
        if (not found[0] or text[found[0] - 1] == "\n") and text.startswith("\n", position):
            position += 1
        ends.append(position)
    return "".join(parts) + text[position:], ends


def find_echo(text: str, position: int, typed: str, first: bool) -> tuple[int, int] | None:
    """Where the echo of a typed line begins and ends; of the `first` one, in the first lines from `position` on."""
    limit = len(text)
    if first:
        for _ in range(1 if len(typed) < SHORT else FIRST_LINES):
            limit = text.find("\n", position if limit == len(text) else limit + 1)
            if limit < 0:
                limit = len(text)
                break
    start = position if first else text.find(typed[:1], position)
    for _ in range(MOST_STARTS):
        if not 0 <= start < max(limit, position + 1):
            return None
        end = echo_end(text, start, typed)
        if end is not None:
            rest = text[end : text.find("\n", end) if "\n" in text[end:] else None]
            # Behind it is nothing, a right prompt, or what was printed behind an input without Enter.
            if not rest.strip(" ") or ((len(typed) >= SHORT or rest.startswith("  ")) and start == position):
                return start, end
        start = text.find(typed[:1], start + 1)
    return None


def echo_end(text: str, start: int, typed: str) -> int | None:
    """Where the echo of `typed` ends that begins at `start`; line editors fold a long line, with a backslash or not."""
    at = start
    for character in PARTS.findall(typed):
        if at >= len(text):
            return at  # the rest of it is still to come
        if "\t" in character:
            blanks = BLANKS.match(text, at)
            if blanks is None:
                return None
            at = blanks.end()
            continue
        if CONTROL.match(character):
            at += 2 * text.startswith("^" + chr(ord(character) ^ 64), at)
            continue
        if not text.startswith(character, at):
            fold = FOLD.match(text, at)
            if fold is None or not text.startswith(character, fold.end()):
                return None
            at = fold.end()
        at += 1
    return at


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
