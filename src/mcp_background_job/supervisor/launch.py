"""The files of NUL-separated `name=value` items in a job's folder: `launch`, and the job's environment.

`launch` is written by the server (store/models.py: Launch) and read by the runner and the log writer, which have no
JSON parser: that would cost each job 1.5 MB and 12 ms.
"""

import os


def read_pairs(path: str) -> dict[bytes, bytes]:
    with open(path, "rb") as file:
        return dict(item.split(b"=", 1) for item in file.read().split(b"\0") if item)


class LaunchFile:
    """How a job is to be run and logged."""

    def __init__(self, job: str) -> None:
        pairs = read_pairs(os.path.join(job, "launch"))
        self.cwd = pairs[b"cwd"]
        self.shell = pairs[b"shell"]
        self.timeout = float(pairs[b"timeout"] or b"inf")  # seconds
        self.grace = float(pairs[b"grace"])  # seconds between the signal and KILL
        self.umask = int(pairs[b"umask"], 8)
        self.rows = int(pairs[b"rows"])
        self.columns = int(pairs[b"columns"])
        self.separate_stderr = pairs[b"separate_stderr"] == b"1"
        self.nonce = pairs[b"nonce"].decode()
        self.log_limit = int(pairs[b"log_limit"])  # bytes
        self.tmux = os.fsdecode(pairs[b"tmux"])  # the program's path
        self.pipe = os.fsdecode(pairs[b"pipe"])  # the shell command that starts the log writer
        self.instead = pairs.get(b"instead", b"")  # of the command
        self.lifeline = pairs.get(b"lifeline", b"")  # a path; missing where another version has written the file
