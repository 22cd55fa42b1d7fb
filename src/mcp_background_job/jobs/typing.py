"""What agents type into jobs, byte for byte.

Promise: input that can't arrive whole is refused before anything is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from mcp_background_job.errors import InvalidInput
from mcp_background_job.store.models import RunningJob
from mcp_background_job.tmux.panes import JobPane, type_text
from mcp_background_job.tmux.quoting import is_key

Note = TypeVar("Note")
MAX_KEYS = 500  # in one call; tmux's parser takes a few thousand words


def check_input(tty: str, text: str, keys: Sequence[str]) -> None:
    """Refuse what can't arrive.

    Raises InvalidInput for a key without a name, text that is no Unicode, or a line longer than the terminal takes.
    """
    from mcp_background_job.process.input_state import line_limit

    if len(keys) > MAX_KEYS:
        raise InvalidInput(f"{len(keys)} keys are more than {MAX_KEYS}", "Send fewer at a time; text goes into input")
    for key in keys:
        if not is_key(key):
            raise InvalidInput(
                f"{key[:40]!r} is not a key name that terminals have a sequence for",
                "Use tmux names such as C-c, Up, Escape, Enter, S-Tab, F1, M-x; text goes into input",
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
    pane: JobPane,
    job: RunningJob,
    text: str,
    keys: Sequence[str],
    enter: bool,
    by_agent: bool,
    note: Callable[[bool], Note],
) -> Note | None:
    """Type `text`, Enter if asked for, and named keys into the job, in one go.

    Before, `note` is called with whether the terminal hides it as a password; what it gives is returned.

    Raises InvalidInput, HumanHolds where a person has the keys and `by_agent`, or TmuxError; then nothing was sent.
    """
    text = text.replace("\r\n", "\n")
    check_input(job.run.tty, text, keys)
    if not text and not keys:
        return None
    body = text.rstrip("\n")
    enters = len(text) - len(body)
    if enter and text and not enters:
        enters = 1
    noted = note(hides_input(job.run.tty))
    type_text(pane, body.encode(), enters, keys, by_agent)
    return noted


def hides_input(tty: str) -> bool:
    """Whether the terminal shows nothing of what is typed: for a password.

    A REPL's terminal doesn't echo either, but it is not in line mode, and shows what is typed by itself.
    """
    from mcp_background_job.process.input_state import echo_on, line_limit

    return echo_on(tty) is False and line_limit(tty) is not None
