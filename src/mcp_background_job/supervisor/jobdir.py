"""The files of a job's folder as the runner writes them.

Part of the runner: the standard library alone, and no JSON parser, which would cost each job 1.5 MB and 12 ms.
"""

import errno
import os
import time

from mcp_background_job.system import UPTIME_CLOCK

# What tmux draws, best first: macOS up to 13 lacks the first.
TERMINALS = ("tmux-256color", "screen-256color", "screen")
TERMINFO = ("/usr/share/terminfo", "/lib/terminfo", "/etc/terminfo", "/usr/local/share/terminfo")
RECORD_SIZE = 512  # written ahead, so that a full disk can't lose the record


def uptime() -> float:
    """Seconds since the machine was started, by a clock that nobody can set; those asleep count where that is known."""
    return time.clock_gettime(UPTIME_CLOCK)


def quote(text: str) -> str:
    """A JSON string of a path or a tmux id."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def write_file(path: str, data: bytes, flags: int = 0) -> None:
    """Write a file that only this user can read; without os.O_TRUNC the room taken ahead for a full disk stays."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o600)
    try:
        while data:
            data = data[os.write(fd, data) :]
    finally:
        os.close(fd)


def write_whole(path: str, temporary: str, data: bytes) -> None:
    """Write `data` to `path` so that nobody ever sees a part of it."""
    write_file(temporary, data)
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


def terminal_type() -> str:
    """What a job's terminal is called: a name that the machine knows, else what tmux says it is."""
    return known_terminal() or os.environ.get("TERM", "screen")


def known_terminal() -> str:
    """The first of TERMINALS that terminfo describes on this machine; empty where it has none of them."""
    for name in TERMINALS:
        for folder in TERMINFO:
            for letter in (name[0], f"{ord(name[0]):x}"):  # macOS names the folders by the letter's code
                if os.path.exists(f"{folder}/{letter}/{name}"):
                    return name
    return ""
