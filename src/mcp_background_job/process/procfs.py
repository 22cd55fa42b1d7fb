"""What Linux tells of a process: its place among the others, and what each of its threads is asleep in.

Any process may vanish, or be another user's, between two reads: then the answer is None or nothing, never an
exception. Three depths of sight, tried in turn:

- `/proc/PID/task/TID/syscall` and `/proc/PID/mem`: the call and its descriptors. They need the right to
  trace, which Yama (Ubuntu's default) gives to ancestors only;
- `wchan`, `fd/` and `fdinfo/`: the kernel function it sleeps in, and what it has open, for the processes of
  one's own user (see `names_waits`);
- the state alone, for another user's process such as sudo.
"""

import os
import platform
import stat
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

from mcp_background_job.system import PROC

Call = Literal["read", "poll", "select", "epoll", "unseen"]

# <asm/unistd_64.h> and <asm-generic/unistd.h>. A 32-bit program on a 64-bit kernel has other numbers: those
# that collide are calls that don't sleep, or give addresses that can't be read.
_CALLS: dict[str, dict[int, Call]] = {
    "x86_64": {
        0: "read",
        19: "read",  # readv
        7: "poll",
        271: "poll",  # ppoll
        23: "select",
        270: "select",  # pselect6
        232: "epoll",
        281: "epoll",  # epoll_pwait
        441: "epoll",  # epoll_pwait2
        219: "unseen",  # restart_syscall: a poll or a sleep taken up again after SIGCONT; wchan tells which
    },
    "aarch64": {
        63: "read",
        65: "read",
        73: "poll",
        72: "select",
        22: "epoll",
        441: "epoll",
        128: "unseen",
    },
}
_NUMBERS = _CALLS.get(platform.machine())

# Names differ among kernels 4.x to 6.x, and by what the compiler inlined. `wait_woken` is a TCP socket, an
# inotify descriptor or the master of a pseudo terminal as well: its users look at what is open.
_WCHANS: dict[bytes, Call] = {
    b"n_tty_read": "read",
    b"wait_woken": "read",
    b"do_sys_poll": "poll",
    b"do_poll": "poll",
    b"poll_schedule_timeout": "poll",
    b"do_select": "select",
    b"core_sys_select": "select",
    b"ep_poll": "epoll",
    b"do_epoll_wait": "epoll",
    b"0": "unseen",
    b"": "unseen",
}

_POLLIN = 0x1 | 0x40 | 0x80  # POLLIN, POLLRDNORM, POLLRDBAND
_MANY = 4096  # descriptors in one poll: beyond that it is a server, and not worth the reading


class Process(NamedTuple):
    """The fields of /proc/PID/stat that place a process; `terminal` is a device number, 0 for none."""

    pid: int
    state: str
    parent: int
    group: int
    terminal: int
    foreground: int
    threads: int


class Wait(NamedTuple):
    """What a sleeping thread waits for: `fds` to read from (None where the kernel doesn't show which)."""

    call: Call
    fds: frozenset[int] | None = None
    endless: bool = False  # it has no time limit


def process(pid: int) -> Process | None:
    if not PROC:
        return None
    # The name in parentheses may hold spaces and parentheses itself.
    fields = read_file(f"/proc/{pid}/stat").rpartition(b")")[2].split(None, 18)
    if len(fields) < 18:
        return None
    parent, group, _, terminal, foreground = map(int, fields[1:6])
    return Process(pid, fields[0].decode(), parent, group, terminal & 0xFFFFFFFF, foreground, int(fields[17]))


def threads(member: Process) -> list[int]:
    """Thread ids, the main thread first."""
    if member.threads == 1:
        return [member.pid]
    return sorted(_numbers(f"/proc/{member.pid}/task"), key=lambda tid: (tid != member.pid, tid))


def children(member: Process) -> Iterator[Process]:
    if _lists_children():
        yield from filter(None, map(process, _child_ids(member)))
    else:
        yield from (other for other in _everyone() if other.parent == member.pid)


def foreground(main: Process) -> Iterator[Process]:
    """The foreground group of the terminal of `main`, its leader first."""
    number = main.foreground
    known = {main.pid: main}
    if leader := main if number == main.pid else process(number):
        known[number] = leader
        if leader.group == number:
            yield leader
    # The runner above adopts what the shell leaves behind. Without one: never walk the whole machine.
    top = process(main.parent) if main.parent > 1 else main
    unvisited = [top] if top and _lists_children() else []
    while unvisited:
        for pid in _child_ids(unvisited.pop()):
            if child := known.get(pid) or process(pid):
                unvisited.append(child)
                if child.group == number and child is not leader:
                    yield child
    if not _lists_children():
        yield from (other for other in _everyone() if other.group == number and other.pid != number)


def waiting_call(pid: int, tid: int) -> Wait | None:
    """What the thread is asleep in, None if it runs or sleeps in something other than a read."""
    words = read_file(f"/proc/{pid}/task/{tid}/syscall").split()
    if words and _NUMBERS is not None:
        if len(words) < 7:  # "running", or "-1 SP PC": stopped outside of any call
            return None
        call = _NUMBERS.get(int(words[0]))
        if call is None:
            return None
        if call != "unseen":
            first, second, third, fourth, fifth = (int(word, 16) for word in words[1:6])
            # Minus one, or no pointer where the call takes one. A poll that doesn't wait is never seen waiting.
            # Of a 32-bit minus one the register's upper half is as the C library left it (glibc 2.41: ones).
            limit = {"poll": third, "select": fifth, "epoll": fourth}.get(call, 0)
            endless = limit == 0 or limit & 0xFFFFFFFF == 0xFFFFFFFF
            return Wait(call, _descriptors(pid, call, first, second), endless)
    wchan = read_file(f"/proc/{pid}/task/{tid}/wchan").partition(b".")[0]  # do_poll.constprop.0
    call = _WCHANS.get(wchan)
    if call == "epoll":
        sets = [fd for fd, name in open_files(pid).items() if name == "anon_inode:[eventpoll]"]
        return Wait(call, frozenset().union(*(epoll_fds(pid, fd) for fd in sets)))
    return Wait(call) if call else None


def open_files(pid: int) -> dict[int, str]:
    """Descriptors and what they are open on, as in `ls -l /proc/PID/fd`; empty for another user's process."""
    files = {}
    for fd in _numbers(f"/proc/{pid}/fd"):
        try:
            files[fd] = str(Path(f"/proc/{pid}/fd/{fd}").readlink())
        except OSError:
            continue
    return files


def device(pid: int, fd: int) -> int | None:
    """The device number of a character device, found without opening it; None for anything else."""
    try:
        facts = Path(f"/proc/{pid}/fd/{fd}").stat()
    except OSError:
        return None
    return facts.st_rdev if stat.S_ISCHR(facts.st_mode) else None


def epoll_fds(pid: int, fd: int) -> frozenset[int]:
    """What an epoll instance watches for input."""
    watched = set()
    for line in read_file(f"/proc/{pid}/fdinfo/{fd}", whole=True).splitlines():
        words = line.split()
        if words[:1] == [b"tfd:"] and int(words[3], 16) & _POLLIN:
            watched.add(int(words[1]))
    return frozenset(watched)


@cache
def names_waits() -> bool:
    """Whether this kernel's wchan tells anything: on x86 before 5.16, and without symbols, it is always 0."""
    thread = threading.Thread(target=(wake := threading.Event()).wait, daemon=True)
    thread.start()
    folder = f"/proc/self/task/{thread.native_id}"
    try:
        for _ in range(1000):
            if read_file(f"{folder}/stat").rpartition(b")")[2].split()[:1] in ([b"S"], []):
                break
            time.sleep(0.001)
        return read_file(f"{folder}/wchan") not in (b"", b"0")
    finally:
        wake.set()
        thread.join()


def traces() -> bool:
    """Whether the calls of one's own processes can be read: Yama at 1 gives them to ancestors only."""
    scope = read_file("/proc/sys/kernel/yama/ptrace_scope").strip()
    return PROC and _NUMBERS is not None and scope in (b"", b"0") and Path("/proc/self/syscall").exists()


def _child_ids(member: Process) -> list[int]:
    folder = f"/proc/{member.pid}/task"
    return [int(word) for tid in threads(member) for word in read_file(f"{folder}/{tid}/children", whole=True).split()]


@cache
def _lists_children() -> bool:
    return Path(f"/proc/self/task/{os.getpid()}/children").exists()


def _everyone() -> Iterator[Process]:
    for pid in _numbers("/proc"):
        if other := process(pid):
            yield other


def _descriptors(pid: int, call: Call, first: int, second: int) -> frozenset[int] | None:
    """The descriptors that a call with these first two arguments reads from."""
    if call == "read":
        return frozenset({first})
    if call == "epoll":
        return epoll_fds(pid, first)
    if call == "poll":
        polled = _memory(pid, first, min(second, _MANY) * 8)
        if polled is None:
            return None
        return frozenset(fd for fd, events, _ in struct.iter_unpack("ihh", polled) if events & _POLLIN)
    # The kernel works on a copy of the sets: until the call ends the program's own are as it passed them.
    readable = _memory(pid, second, (min(first, _MANY) + 63) // 64 * 8) if second else b""
    if readable is None:
        return None
    bits = int.from_bytes(readable, "little")
    return frozenset(fd for fd in range(min(first, _MANY)) if bits >> fd & 1)


def _memory(pid: int, address: int, size: int) -> bytes | None:
    try:
        fd = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
    except OSError:
        return None
    try:
        data = os.pread(fd, size, address)
    except (OSError, OverflowError):  # no such address: the numbers were another architecture's
        return None
    finally:
        os.close(fd)
    return data if len(data) == size else None


def _numbers(folder: str) -> list[int]:
    try:
        with os.scandir(folder) as entries:
            return [int(entry.name) for entry in entries if entry.name.isdigit()]
    except OSError:
        return []


def read_file(path: str, whole: bool = False) -> bytes:
    """A file's first 4 KB, which all but the lists fit into."""
    # Path.read_bytes takes three times as long, and such reads are most of the work.
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        data = os.read(fd, 4096)
        while whole and (more := os.read(fd, 4096)):
            data += more
        return data
    except OSError:
        return b""
    finally:
        os.close(fd)


def times_slept(pid: int) -> int:
    """How often the processes in the foreground of the job `pid` have gone to sleep; 0 where it can't be told."""
    main = process(pid)
    if main is None:
        return 0
    total = 0
    for member in foreground(main):
        with suppress(OSError, ValueError, IndexError):
            text = Path(f"/proc/{member.pid}/status").read_text(encoding="utf-8", errors="replace")
            total += member.pid + int(text.split("\nvoluntary_ctxt_switches:", 1)[1].split(None, 1)[0])
    return total
