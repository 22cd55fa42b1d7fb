"""What agents type into jobs, byte for byte, and the transcript of it.

Promises: input that can't arrive whole is refused before anything is sent; what is typed while the terminal's echo
is off is not written down.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from mcp_background_job.errors import InvalidInput
from mcp_background_job.store.files import write_new
from mcp_background_job.store.models import RunningJob
from mcp_background_job.store.transcript import record
from mcp_background_job.tmux.client import TmuxServer
from mcp_background_job.tmux.panes import paste
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
    server: TmuxServer, folder: Path, job: RunningJob, text: str, keys: Sequence[str], enter: bool, who: str
) -> None:
    """Type `text`, Enter if asked for, and named keys into the job, in one go.

    Raises InvalidInput or TmuxError; then nothing was sent.
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
    with private_file(folder, body.encode()) as body_file, private_file(folder, b"\n" * enters) as enter_file:
        paste(server, job.run.pane, body_file, enter_file, keys)


@contextmanager
def private_file(folder: Path, data: bytes) -> Iterator[Path | None]:
    """A file that holds `data` for as long as tmux needs to read it; none for no data."""
    if not data:
        yield None
        return
    path = folder / f"typed-{os.urandom(4).hex()}"
    memory = -1
    try:
        try:
            write_new(path, data)
        except OSError:
            if not hasattr(os, "memfd_create"):
                raise
            # The disk is full, and the job may be asking whether to go on.
            memory = os.memfd_create(path.name)
            with os.fdopen(memory, "wb", closefd=False) as file:
                file.write(data)
        yield path if memory < 0 else Path(f"/proc/{os.getpid()}/fd/{memory}")
    finally:
        if memory >= 0:
            os.close(memory)
        with suppress(OSError):
            path.unlink(missing_ok=True)


def hides_input(tty: str) -> bool:
    """Whether the terminal shows nothing of what is typed: for a password.

    A REPL's terminal doesn't echo either, but it is not in line mode, and shows what is typed by itself.
    """
    from mcp_background_job.process.input_state import echo_on, line_limit

    return echo_on(tty) is False and line_limit(tty) is not None
