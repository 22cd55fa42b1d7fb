"""The files of a job's log and of its timing: their names, and what can be done without the log writer.

A file's name is the offset of its first byte, or of its first entry's, among all that the job ever printed. Imports
`os` alone: `signal` brings `enum`, which would cost the log writer of each job 5 ms.
"""

import os

LOG, TIMING = ".log", ".time"
# Timing: bytes of the next RESOLUTION milliseconds count as of an entry's time, so that a flood of 35 MB/s costs
# 100 entries a second, of five bytes each.
RESOLUTION = 10


def segment_name(offset: int, kind: str = LOG) -> str:
    return f"{offset:020d}{kind}"


def list_offsets(folder: str, kind: str = LOG) -> list[int]:
    """The offsets that the names in a folder give, oldest first; a file with another name is a person's own.

    Raises OSError where the folder can't be listed.
    """
    length = 20 + len(kind)
    names = (name[:20] for name in os.listdir(folder) if len(name) == length and name.endswith(kind))
    return sorted(int(digits) for digits in names if digits.isascii() and digits.isdigit())


def log_size(folder: str) -> int:
    """The offset at which the log ends now."""
    try:
        offsets = list_offsets(folder)
        return offsets[-1] + os.stat(os.path.join(folder, segment_name(offsets[-1]))).st_size if offsets else 0
    except OSError:
        return 0


def append_to_log(folder: str, data: bytes) -> None:
    """Add to a log that has lost its writer."""
    try:
        last = segment_name(max(list_offsets(folder), default=0))
        fd = os.open(os.path.join(folder, last), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(fd, data)
        finally:
            os.close(fd)
    except OSError:
        pass  # no room, or no folder
