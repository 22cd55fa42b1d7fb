"""What agents type into jobs, byte for byte, and the transcript of it.

Promises: input that can't arrive whole is refused before anything is sent; what is typed while the terminal's echo
is off is not written down.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mcp_background_job.errors import InvalidInput
from mcp_background_job.store.models import RunningJob
from mcp_background_job.store.transcript import record
from mcp_background_job.tmux.panes import JobPane, type_text
from mcp_background_job.tmux.quoting import is_key


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
    pane: JobPane,
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
    text = text.replace("\r\n", "\n")
    check_input(job.run.tty, text, keys)
    if not text and not keys:
        return
    body = text.rstrip("\n")
    enters = len(text) - len(body)
    if enter and text and not enters:
        enters = 1
    record(folder, text, keys, who, hides_input(job.run.tty))
    type_text(pane, body.encode(), enters, keys, by_agent)


def hides_input(tty: str) -> bool:
    """Whether the terminal shows nothing of what is typed: for a password.

    A REPL's terminal doesn't echo either, but it is not in line mode, and shows what is typed by itself.
    """
    from mcp_background_job.process.input_state import echo_on, line_limit

    return echo_on(tty) is False and line_limit(tty) is not None
