"""Whether a job waits for input, from its terminal and the process table, and never from what it printed.

Nothing here disturbs the job: the terminal is opened without becoming anybody's, asked, and closed again.
Where the kernel doesn't show who sleeps in a terminal read, the answer is less (None), not a guess.
"""

import os
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fcntl import ioctl
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

from mcp_background_job.system import DISABLED, PROC

from . import procfs, sockets

Awaiting = Literal["prompt", "password", "screen"]
# How a reader rests, by what the kernel tells; the traps are in `_rest`.
Rest = Literal["line", "read", "poll", "relay"]

_DEV_TTY = os.makedev(5, 0)  # stands for the controlling terminal of the process that has it open
_SERIAL = {4, 166, 188, 204}  # ttyS, ttyACM, ttyUSB, ttyAMA
_PTS = 136  # the major number of every Unix 98 pseudo terminal
# Beside a terminal, the things whose readers sleep in `wait_woken` as a terminal's do.
_LIKE_TERMINALS = ("/dev/ptmx", "/dev/pts/ptmx", "anon_inode:inotify", "/dev/net/tun")


class Resting(NamedTuple):
    """What a job waits for, and how sure it is that nothing more comes unasked."""

    awaiting: Awaiting
    rest: Rest


class Terminal(NamedTuple):
    """How a terminal is set (termios)."""

    canonical: bool  # line mode: ICANON
    echo: bool
    signals: bool = True  # C-c is the terminal's, not the program's: ISIG
    quotes_itself: bool = False  # the program has switched VLNEXT off, as line editors do, which have C-v themselves


def awaiting_input(tty: str, pid: int) -> Awaiting | None:
    """What the job waits for, as `resting` tells it."""
    found = resting(tty, pid)
    return found.awaiting if found else None


def resting(tty: str, pid: int) -> Resting | None:
    """Whether the job on terminal `tty` (such as /dev/pts/5) waits for input right now.

    `pid` is the job's main process, its shell. None: it works, or it can't be told. One look: a program that
    redraws now and then, such as top, is at work in that instant. Where `certain()` is False the answer says
    what the terminal is set to, and is to be believed once the job has been quiet for a while.
    """
    with _opened(tty) as fd:
        if fd is None:
            return None
        modes = _modes(fd)
        if modes is None:
            return None
        if not _has_process_table():
            return Resting(_kind(modes), "poll") if not _pending(fd) and modes[:2] != (True, True) else None
        terminal = os.fstat(fd).st_rdev
        main = procfs.process(pid)
        if main is None or main.terminal != terminal or main.foreground <= 0:
            return None
        if main.state == "R" and main.group == main.foreground:
            return None
        for member in procfs.foreground(main):
            if member.state == "S" and (found := _reading(member, terminal, modes)):
                # Input on its way to the reader, or a mode changed since: it is about to wake, or just has.
                if _pending(fd) or _modes(fd) != modes:
                    return None
                tid, wait = found
                if not modes.canonical:
                    return _behind(member, terminal, wait)
                blocks = tid == member.pid and (wait.call == "read" or wait.endless)
                return Resting(_kind(modes), "line" if blocks else "poll")
        if not modes.canonical and any(map(_handed_over, procfs.foreground(main))) and not _pending(fd):
            return Resting("screen", "relay")
    return None


@cache
def certain() -> bool:
    """Whether this platform tells who sleeps in a terminal read; if not, believe it after quiet only."""
    return _has_process_table() and (procfs.names_waits() or procfs.traces())


def stopped(pid: int) -> bool:
    """Whether a job's first process is stopped and has the terminal; the latter is not known without /proc."""
    if not PROC:
        import psutil

        with suppress(psutil.Error):
            return psutil.Process(pid).status() == psutil.STATUS_STOPPED
        return False
    # A shell with job control is not: it takes the terminal back from what it has stopped.
    main = procfs.process(pid)
    return main is not None and main.state == "T" and main.group == main.foreground


def terminal_of(tty: str) -> Terminal | None:
    """How a terminal is set now; None once it has been closed."""
    with _opened(tty) as fd:
        return None if fd is None else _modes(fd)


def unread(tty: str) -> bool:
    """Whether something was typed that the program has not read yet."""
    with _opened(tty) as fd:
        return fd is not None and _pending(fd)


def _kind(modes: Terminal) -> Awaiting:
    if not modes.canonical:
        return "screen"
    return "prompt" if modes.echo else "password"


def _reading(member: procfs.Process, terminal: int, modes: Terminal) -> tuple[int, procfs.Wait] | None:
    """The thread of a process that reads the terminal, and the wait in which it does."""
    return next(((tid, wait) for tid, wait in _waits(member) if _reads_in(wait, member, tid, terminal, modes)), None)


def _rest(wait: procfs.Wait, member: procfs.Process, terminal: int) -> Rest:
    """How a reader of a raw terminal rests.

    read: a call that only input ends, as readline's. Traps: Go reads the terminal in one thread and the network in
    another; psql's readline has a connection open, too, but does not listen to it meanwhile.
    poll: a call with a time limit, or for something else as well: an event loop's. Between two frames of a spinner or
    a test runner, or while another thread works (Codex), it looks the same as at its end. In line mode, too, a thread
    that is not the first may listen while the others work (the console of a Java server).
    relay: it waits for the other side as well (ssh, docker exec, a serial console): what the other side does now
    is not known here. Traps: a dev server listens for connections, and has none; a pipe or a pair of sockets to
    itself is a wake-up; an editor listens to the display and the bus; what looks at the terminal through epoll is an
    event loop with a connection that it keeps (npm, Claude). So a relay that is one is taken for a poll.
    """
    if _relays(wait, member, terminal):
        return "relay"
    alone = all(_is_terminal(member.pid, fd, terminal) for fd in wait.fds or ())
    return "read" if wait.call == "read" or (wait.endless and alone) else "poll"


def _relays(wait: procfs.Wait, member: procfs.Process, terminal: int) -> bool:
    if wait.call == "epoll":
        return False
    beside = [fd for fd in wait.fds or () if not _is_terminal(member.pid, fd, terminal)]
    if wait.call == "read" and member.threads > 1:
        beside += [fd for _, other in _waits(member) if other.call != "read" for fd in other.fds or ()]
    if any(sockets.is_connected(member.pid, fd) for fd in beside):
        return True
    if wait.call not in ("poll", "select"):
        return False
    if any(os.major(procfs.device(member.pid, fd) or 0) in _SERIAL for fd in beside):
        return True
    names = list(procfs.open_files(member.pid).values()) if beside else []
    files = procfs.open_files(member.pid) if beside else {}
    return any(files.get(fd, "").startswith("pipe:") and names.count(files[fd]) == 1 for fd in beside)


def _handed_over(member: procfs.Process) -> bool:
    """Whether a process sleeps for nothing but the server to which it has passed its terminal, as tmux does."""
    wait = procfs.waiting_call(member.pid, member.pid) if (member.state, member.threads) == ("S", 1) else None
    if wait is None or not wait.endless or wait.call not in ("poll", "select"):
        return False
    peers = [sockets.unix_peer(member.pid, fd) for fd in wait.fds or ()]
    return any(peer and not peer.own for peer in peers) and not any(procfs.children(member))


def _waits(member: procfs.Process) -> Iterator[tuple[int, procfs.Wait]]:
    for tid in procfs.threads(member):
        if found := procfs.waiting_call(member.pid, tid):
            yield tid, found


def _reads_in(wait: procfs.Wait, member: procfs.Process, tid: int, terminal: int, modes: Terminal) -> bool:
    plain = modes[:2] == (True, True)
    if wait.call == "unseen":
        return not plain and tid == member.pid and _rests_unseen(member, terminal)
    if wait.fds is None:
        return _reads_blindly(wait.call, member, terminal, plain)
    if not any(_is_terminal(member.pid, fd, terminal) for fd in wait.fds):
        return False
    if wait.call == "read" or not plain:
        return True
    # In the plain mode many listen to the terminal in passing: ssh running a command, a server.
    if any(sockets.is_network_socket(member.pid, fd) for fd in wait.fds):
        return False
    # libuv leaves the terminal in its epoll set when it stops reading. But a node that waits without a timer,
    # for no socket and no child, would have ended if it weren't for the terminal.
    return wait.call != "epoll" or (wait.endless and not any(procfs.children(member)))


def _reads_blindly(call: procfs.Call, member: procfs.Process, terminal: int, plain: bool) -> bool:
    """The kernel names the function it sleeps in, but not for which descriptor."""
    files = procfs.open_files(member.pid)
    inputs = _inputs(member, files, terminal)
    if not inputs or call != "read":
        return bool(inputs) and not plain
    # ssh asking about a host key has a connection open too; but who opens /dev/tty means to ask.
    return any(files[fd] == "/dev/tty" for fd in inputs) or not any(
        name.startswith(_LIKE_TERMINALS) or sockets.is_network_socket(member.pid, fd) for fd, name in files.items()
    )


def _rests_unseen(member: procfs.Process, terminal: int) -> bool:
    """The kernel tells nothing of it but that it sleeps: another user's process (sudo), or an old kernel."""
    files = procfs.open_files(member.pid)
    if files and (procfs.names_waits() or not _inputs(member, files, terminal)):
        return False  # one's own that names no wait was awake at that moment
    if any(procfs.children(member)):
        return False
    again = procfs.process(member.pid)
    return again is not None and again.state == "S"


def _inputs(member: procfs.Process, files: dict[int, str], terminal: int) -> list[int]:
    return [fd for fd in files if fd not in (1, 2) and _is_terminal(member.pid, fd, terminal)]


def _is_terminal(pid: int, fd: int, terminal: int) -> bool:
    # Members of the foreground group share the controlling terminal.
    return procfs.device(pid, fd) in (terminal, _DEV_TTY)


def _behind(member: procfs.Process, terminal: int, wait: procfs.Wait) -> Resting | None:
    """A raw terminal is as ready as what is behind: sudo, script and apt hand keys on to a pty of theirs."""
    children = list(procfs.children(member))
    inner = [c for c in children if c.terminal not in (0, terminal) and os.major(c.terminal) == _PTS]
    if inner:
        answers = (resting(f"/dev/pts/{os.minor(c.terminal)}", c.pid) for c in inner)
        return next(filter(None, answers), None)
    # Between fork and exec the child isn't on its terminal yet.
    relays = children and any(name.endswith("ptmx") for name in procfs.open_files(member.pid).values())
    return None if relays else Resting("screen", _rest(wait, member, terminal))


@cache
def _has_process_table() -> bool:
    # gVisor has a /proc/PID/stat without terminals, and neither of these.
    return (
        PROC
        and procfs.process(os.getpid()) is not None
        and any(Path(f"/proc/self/{name}").exists() for name in ("syscall", "wchan"))
    )


@contextmanager
def _opened(tty: str) -> Iterator[int | None]:
    try:
        fd = os.open(tty, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        yield None
        return
    try:
        yield fd
    finally:
        os.close(fd)


def _modes(fd: int) -> Terminal | None:
    try:
        *_, local, _, _, characters = termios.tcgetattr(fd)
    except (termios.error, OSError):
        return None
    canonical, echo, signals = (bool(local & flag) for flag in (termios.ICANON, termios.ECHO, termios.ISIG))
    return Terminal(canonical, echo, signals, characters[termios.VLNEXT] == DISABLED)


def _pending(fd: int) -> bool:
    """Input lies ready that nobody has read yet; in canonical mode only whole lines count."""
    try:
        return ioctl(fd, termios.FIONREAD, bytes(4)) != bytes(4)
    except OSError:
        return True
