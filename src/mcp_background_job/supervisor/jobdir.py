"""The files of a job's folder as the runner reads and writes them.

Part of the runner: the standard library alone, and no JSON parser, which would cost each job 1.5 MB and 12 ms.
"""

from __future__ import annotations

import errno
import os
import signal
import time

from mcp_background_job.supervisor.locks import lock_is_free

RECORD_SIZE = 512  # written ahead, so that a full disk can't lose the record


def writer_state(job: str) -> str:
    """What has become of a job's log writer: `absent` (not there yet), `there`, `done` (has the end mark) or `dead`."""
    path = os.path.join(job, "logwriter.lock")
    if not lock_is_free(path):
        return "there" if os.path.exists(path) else "absent"
    try:
        return "done" if os.stat(path).st_size else "dead"
    except OSError:
        return "absent"


def uptime() -> float:
    """Seconds since the machine was started, by a clock that nobody can set; those asleep count where that is known."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def shown_end(cause: str, code: int | None, signum: int | None, ended: float) -> dict[str, str]:
    """The pane options of a job that has ended; an empty value takes one away."""
    why = {"exit": "", "kill": "", "timeout": "timeout", "window_closed": "window closed", "lost": "lost"}[cause]
    status = "killed"
    if cause == "exit":
        status = "completed" if code == 0 else "failed"
        if code:
            why = f"exit {code}"
        elif signum is not None:
            names = {int(known): known.name for known in signal.Signals}
            why = names.get(signum, f"signal {signum}")
    return {
        "@mcp_status": status,
        "@mcp_exit": why,
        "@mcp_ended": str(int(ended)),
        "@mcp_holder": "",
        "@mcp_message": "",
    }


def read_pairs(path: str) -> dict[str, str]:
    """A file of NUL-separated `name=value` items."""
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        return dict(item.split("=", 1) for item in file.read().split("\0") if item)


def quote(text: str) -> str:
    """A JSON string of a path or a tmux id."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def write_whole(path: str, temporary: str, data: bytes) -> None:
    """Write `data` to `path` so that nobody ever sees a part of it."""
    # Not truncated: the room that was taken ahead for a full disk would be gone.
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while data:
            data = data[os.write(fd, data) :]
    finally:
        os.close(fd)
    os.rename(temporary, path)


def write_record(job: str, text: str) -> None:
    """Write the exit record into the room reserved for it; tried again for a while where the disk refuses."""
    data = text.encode().ljust(RECORD_SIZE)
    for _ in range(50):
        try:
            write_whole(os.path.join(job, "exit.json"), os.path.join(job, "exit.tmp"), data)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return  # somebody removed the folder; there is nobody to tell
            time.sleep(0.1)
        else:
            return


def is_segment(name: str) -> bool:
    """Whether a file of a log folder is the log's own: a person may have put others there."""
    return len(name) == 24 and name.endswith(".log") and name[:-4].isdigit()


def log_size(folder: str) -> int:
    """The offset at which the log ends now."""
    try:
        last = max((name for name in os.listdir(folder) if is_segment(name)), default=None)
        return 0 if last is None else int(last[:-4]) + os.stat(os.path.join(folder, last)).st_size
    except OSError:
        return 0


def append_to_log(folder: str, data: bytes) -> None:
    """Add to a log that has lost its writer."""
    try:
        last = max((name for name in os.listdir(folder) if is_segment(name)), default=f"{0:020d}.log")
        fd = os.open(os.path.join(folder, last), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, data)
        finally:
            os.close(fd)
    except OSError:
        pass  # no room, or no folder


def terminal_type() -> str:
    """tmux-256color where the machine knows it, else what tmux says it is."""
    for folder in ("/usr/share/terminfo", "/lib/terminfo", "/etc/terminfo", "/usr/local/share/terminfo"):
        for letter in ("t", "74"):  # macOS names the folders by the letter's code
            if os.path.exists(f"{folder}/{letter}/tmux-256color"):
                return "tmux-256color"
    return os.environ.get("TERM", "screen")
