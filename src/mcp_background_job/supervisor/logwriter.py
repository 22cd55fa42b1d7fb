"""The log of one job: what its window prints, byte for byte, in segment files.

Runs at the other end of `tmux pipe-pane`, as `python -I -S entrypoint.py logwriter JOB_DIR`, on the standard library
alone.

Promises: it goes on reading whatever the disk does, since tmux has no back-pressure and would grow; a segment's
name is the offset of its first byte among all that the job ever printed; once the job's end mark has come, every
byte before it is in the files, and the lock is free and one byte long: a free lock without it was held by a writer
that has died; when a byte came is on disk before the byte is.
"""

import fcntl
import os
import sys
import time

from .launch import LaunchFile
from .locks import hold_new
from .markers import INTERRUPTED, end_mark
from .segments import RESOLUTION, TIMING, list_offsets, segment_name

CHUNK = 1 << 17
# In a flood tmux sends pieces of its own buffer's size; taking several at once costs a third of the processor time.
FLOOD = 2048  # bytes
GATHER = 0.001  # seconds
# Eight segments and the one in the making: what is dropped at a time is at most an eighth of the limit.
SEGMENTS = 8
MIN_SEGMENT = 512
MAX_SEGMENT = 8 << 20
# Timing comes on top of the log's limit: whoever asked for 10 MB of output gets them. A job that prints something every
# second fills the 1.2 MB beside them in five days; then the oldest output has no timing any more.
TIMING_SHARE = 8
MIN_TIMING, MAX_TIMING = 64 << 10, 8 << 20
TIMING_FILE = 64 << 10  # bytes, which are read in 10 ms


class TimingLog:
    """Writes down when the output came, in files named by the offset of their first entry; drops the oldest.

    An entry is two numbers of 7 bits a byte, lowest first, the high bit on all bytes but a number's last: bytes and
    milliseconds since the entry before. A file's first entry counts from the file's name and from the zero of the
    monotonic clock, which nobody can set back. After an error a new file is begun, so only a file's end can be torn.
    """

    def __init__(self, folder: str, log_limit: int) -> None:
        self.folder = folder
        self.limit = min(max(log_limit // TIMING_SHARE, MIN_TIMING), MAX_TIMING)
        self.file_size = min(self.limit // SEGMENTS, TIMING_FILE)
        self.kept: list[tuple[int, int]] = []  # (offset in the name, bytes), oldest first
        self.fd = -1
        self.offset = self.time = self.due = 0
        try:
            os.makedirs(folder, 0o700, exist_ok=True)
            for offset in list_offsets(folder, TIMING):
                self.kept.append((offset, os.stat(self.path(offset)).st_size))
        except OSError:
            return  # a log without timing is better than none

    def note(self, offset: int) -> None:
        """The byte at `offset` comes now."""
        now = time.monotonic_ns() // 1_000_000
        if now < self.due:
            return
        self.due = now + RESOLUTION
        try:
            if self.fd < 0 or self.kept[-1][1] >= self.file_size:
                self.start_file(offset)
            entry = number(offset - self.offset) + number(now - self.time)
            if os.write(self.fd, entry) < len(entry):
                self.close()
        except OSError:
            self.leave_file()
            return
        self.offset, self.time = offset, now
        name, size = self.kept[-1]
        self.kept[-1] = (name, size + len(entry))

    def start_file(self, offset: int) -> None:
        self.close()
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
        self.fd = os.open(self.path(offset), flags, 0o600)
        self.offset, self.time = offset, 0
        self.kept = [*(one for one in self.kept if one[0] != offset), (offset, 0)]
        while sum(size for _, size in self.kept) > self.limit - self.file_size:
            try:
                os.unlink(self.path(self.kept.pop(0)[0]))
            except OSError:
                continue

    def leave_file(self) -> None:
        """Close a file that the disk refuses; an empty one goes, or a full disk would collect them."""
        self.close()
        if self.kept and not self.kept[-1][1]:
            try:
                os.unlink(self.path(self.kept.pop()[0]))
            except OSError:
                pass

    def path(self, offset: int) -> str:
        return os.path.join(self.folder, segment_name(offset, TIMING))

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class SizeLog:
    """Writes down at which offset of the log the job's terminal has another size: lines of `offset rows columns`.

    A size is looked at when output comes, since it is what is drawn that depends on it.
    """

    def __init__(self, job: str, rows: int, columns: int) -> None:
        self.path = os.path.join(job, "sizes")
        self.run = os.path.join(job, "run.json")
        self.terminal = ""
        self.size = rows, columns
        try:
            with open(self.path) as file:  # of a log writer that has died
                last = file.read().split()[-2:]
            self.size = int(last[0]), int(last[1])
        except (OSError, ValueError, IndexError):
            pass

    def note(self, offset: int) -> None:
        """The byte at `offset` comes now."""
        try:
            if not self.terminal:
                with open(self.run) as file:
                    self.terminal = file.read().split('"tty": "', 1)[1].split('"', 1)[0]
            fd = os.open(self.terminal, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
            try:
                columns, rows = os.get_terminal_size(fd)
            finally:
                os.close(fd)
            if (rows, columns) != self.size:
                with open(self.path, "a") as file:
                    file.write(f"{offset} {rows} {columns}\n")
                self.size = rows, columns
        except (OSError, IndexError):
            pass  # not begun yet, or ended; a disk that takes nothing


def number(value: int) -> bytes:
    """`value` in as few bytes as it takes, 7 bits in each."""
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)


class SegmentLog:
    """Appends bytes to the segments of one folder and drops the oldest past `limit` bytes."""

    def __init__(self, folder: str, limit: int, timing: TimingLog | None = None, sizes: SizeLog | None = None) -> None:
        self.folder = folder
        self.limit = limit
        self.timing = timing
        self.sizes = sizes
        self.segment_size = min(max(limit // SEGMENTS, MIN_SEGMENT), MAX_SEGMENT)
        self.kept: list[tuple[int, int]] = []  # (offset of the first byte, bytes on disk), oldest first
        for offset in list_offsets(folder):
            self.kept.append((offset, os.stat(self.path(offset)).st_size))
        self.end = sum(self.kept[-1]) if self.kept else 0
        self.fd = -1
        self.full = False  # the segment was ended at a line's end, short of its size
        self.line_begins = False  # the last byte was a line's end

    def append(self, data: bytes) -> None:
        """Write `data`; on a disk error its bytes are counted and lost, and the next segment starts behind them."""
        view = memoryview(data)
        if self.timing is not None and view:
            self.timing.note(self.end)
        if self.sizes is not None and view:
            self.sizes.note(self.end)
        if len(view) > self.limit:  # all but its end would be dropped at once
            self.end += len(view) - self.limit
            view = view[-self.limit :]
            self.close()
        if self.fd >= 0 and not os.fstat(self.fd).st_nlink:
            self.begin_anew()
        while view:
            if self.fd < 0 or self.full or self.kept[-1][1] >= self.segment_size:
                try:
                    self.start_segment()
                except OSError:
                    self.end += len(view)
                    return
            start, size = self.kept[-1]
            part = view[: self.segment_size - size]
            if len(part) < len(view):
                # At a line's end: once it is the oldest, nothing begins inside a line or a sequence.
                lines = bytes(part).rfind(b"\n") + 1
                self.full = True
                if not lines and self.line_begins and size:
                    continue
                part = part[: lines or len(part)]
            try:
                written = os.write(self.fd, part)
            except OSError:
                self.end += len(view)
                self.leave_segment()
                return
            self.kept[-1] = (start, size + written)
            self.line_begins = bytes(part[written - 1 : written]) == b"\n"
            self.end += written
            view = view[written:]
            self.drop_oldest()

    def start_segment(self) -> None:
        """Open the segment that begins at the present end."""
        self.close()
        self.full = False
        self.fd = os.open(self.path(self.end), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        if not self.kept or self.kept[-1][0] != self.end:
            self.kept.append((self.end, 0))

    def begin_anew(self) -> None:
        """The segment has been removed by something else, perhaps with its folder: what comes now is kept again."""
        self.close()
        self.kept = []
        try:
            os.mkdir(self.folder, 0o700)
        except OSError:
            pass

    def leave_segment(self) -> None:
        """Close a segment that the disk refuses; an empty one goes, or a full disk would collect one for each piece."""
        self.close()
        start, size = self.kept[-1]
        if not size:
            self.kept.pop()
            try:
                os.unlink(self.path(start))
            except OSError:
                pass

    def drop_oldest(self) -> None:
        """Remove whole segments until at most `limit` bytes are kept; an empty one keeps nothing."""
        total = sum(size for _, size in self.kept)
        while len(self.kept) > 1 and (total > self.limit or self.kept[0][1] == 0):
            start, size = self.kept.pop(0)
            total -= size
            try:
                os.unlink(self.path(start))
            except OSError:
                continue

    def path(self, offset: int) -> str:
        return os.path.join(self.folder, segment_name(offset))

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def held_back(data: bytes, mark: bytes) -> int:
    """How many bytes at the end of `data` may be the beginning of `mark`; all others go to disk at once."""
    start = data.rfind(b"\x1b", max(0, len(data) - len(mark) + 1))
    return len(data) - start if start >= 0 and mark.startswith(data[start:]) else 0


def copy_until_mark(source: int, log: SegmentLog, mark: bytes) -> bool:
    """Append all that `source` gives to `log`, up to `mark` or the end; True where the mark came."""
    pending = b""
    while True:
        chunk = os.read(source, CHUNK)
        data = pending + chunk if pending else chunk
        found = data.find(mark)
        if found >= 0:
            log.append(data[:found])
            return True
        if not chunk:
            log.append(data)
            return False
        keep = held_back(data, mark)
        pending = data[len(data) - keep :] if keep else b""
        log.append(data[: len(data) - keep] if keep else data)
        if len(chunk) >= FLOOD:
            time.sleep(GATHER)


def main() -> None:
    """Log the job whose folder the command line names, from stdin."""
    os.umask(0o077)
    job = sys.argv[2]
    path = os.path.join(job, "logwriter.lock")
    lock = hold_new(path)
    again = lock < 0  # another one has died
    if again:
        lock = os.open(path, os.O_RDWR)
        fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        with open(os.path.join(job, "logwriter.pid"), "w") as pid:
            pid.write(str(os.getpid()))
    except OSError:
        pass  # a full disk: the runner looks now and then whether we live
    launch = LaunchFile(job)
    timing = TimingLog(os.path.join(job, "timing"), launch.log_limit)
    sizes = SizeLog(job, launch.rows, launch.columns)
    log = SegmentLog(os.path.join(job, "log"), launch.log_limit, timing, sizes)
    if again or log.kept:
        log.append(INTERRUPTED)
    whole = copy_until_mark(0, log, end_mark(launch.nonce))
    log.close()
    if whole:
        os.ftruncate(lock, 1)  # takes no room on a full disk
