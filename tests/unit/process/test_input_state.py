"""What the terminal and the process table tell, on pseudo terminals and small processes of our own."""

import os
import shutil
import socket
import subprocess
import sys
import termios
import tty as modes
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_background_job.process import input_state as tty
from mcp_background_job.process import procfs, sockets
from support.waiting import wait_until

linux = pytest.mark.linux("only /proc tells who reads a terminal")
tracing = pytest.mark.skipif(not procfs.traces(), reason="other processes' calls can't be read here")


class Terminal(NamedTuple):
    master: int
    slave: int
    path: str

    def change(self, off: int) -> None:
        attributes = termios.tcgetattr(self.slave)
        attributes[3] &= ~off
        termios.tcsetattr(self.slave, termios.TCSANOW, attributes)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    master, slave = os.openpty()
    yield Terminal(master, slave, os.ttyname(slave))
    for fd in (master, slave):
        with suppress(OSError):
            os.close(fd)


@contextmanager
def running(*argv: str, fds: tuple[int, ...] = (), stdin: int | None = subprocess.DEVNULL) -> Iterator[int]:
    child = subprocess.Popen(argv, stdin=stdin, pass_fds=fds)
    try:
        yield child.pid
    finally:
        child.kill()
        child.wait()


@contextmanager
def job(terminal: Terminal, code: str) -> Iterator[int]:
    """Python code as the session leader of the terminal."""
    own = "import fcntl, os, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
    with running(sys.executable, "-I", "-S", "-c", own + code, stdin=terminal.slave) as pid:
        yield pid


@contextmanager
def termios_only() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tty, "_has_process_table", lambda: False)
        tty.certain.cache_clear()
        yield
    tty.certain.cache_clear()


def test_the_settings_of_a_terminal_are_told(terminal: Terminal) -> None:
    assert tty.terminal_of(terminal.path) == (True, True, True, False)
    terminal.change(off=termios.ECHO)
    assert tty.terminal_of(terminal.path) == (True, False, True, False)
    characters = termios.tcgetattr(terminal.slave)
    characters[6][termios.VLNEXT] = b"\0"
    termios.tcsetattr(terminal.slave, termios.TCSANOW, characters)
    assert tty.terminal_of(terminal.path) == (True, False, True, True)
    modes.setraw(terminal.slave)
    assert tty.terminal_of(terminal.path) == (False, False, False, True)


def test_what_is_no_terminal_any_more_tells_nothing(terminal: Terminal, tmp_path: Path) -> None:
    os.close(terminal.slave)
    os.close(terminal.master)
    (tmp_path / "file").touch()
    for path in (terminal.path, str(tmp_path / "file"), str(tmp_path / "none"), "/dev/null"):
        assert tty.terminal_of(path) is None
        assert tty.awaiting_input(path, os.getpid()) is None


@linux
def test_asking_leaves_no_descriptor_open(terminal: Terminal) -> None:
    with job(terminal, "os.read(0, 1)") as pid:
        wait_until(lambda: tty.awaiting_input(terminal.path, pid) == "prompt")
        before = psutil.Process().num_fds()
        tty.awaiting_input(terminal.path, pid)
        tty.terminal_of(terminal.path)
        assert psutil.Process().num_fds() == before


@linux
def test_asking_never_makes_the_terminal_ones_own(terminal: Terminal) -> None:
    code = (
        "import os, sys; os.setsid(); from mcp_background_job.process import input_state as tty, procfs\n"
        "tty.awaiting_input(sys.argv[1], os.getpid()); tty.terminal_of(sys.argv[1])\n"
        "print(procfs.process(os.getpid()).terminal)"
    )
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code, terminal.path], env=env, capture_output=True, text=True)
    assert done.stdout == "0\n"


@linux
def test_a_process_of_another_terminal_waits_for_nothing_here(terminal: Terminal) -> None:
    with job(terminal, "os.read(0, 1)") as pid:
        wait_until(lambda: tty.awaiting_input(terminal.path, pid) == "prompt")
        master, slave = os.openpty()
        assert tty.awaiting_input(os.ttyname(slave), pid) is None
        os.close(master)
        os.close(slave)


@linux
def test_input_on_its_way_is_no_waiting(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    # A reader stays asleep for a moment after the bytes have come; stopped, it does for good.
    with job(terminal, "os.read(0, 1)") as pid:
        wait_until(lambda: tty.awaiting_input(terminal.path, pid) == "prompt")
        psutil.Process(pid).suspend()
        wait_until(lambda: (now := procfs.process(pid)) is not None and now.state == "T")
        monkeypatch.setattr(procfs, "process", lambda p, true=procfs.process: true(p)._replace(state="S"))
        assert tty.awaiting_input(terminal.path, pid) == "prompt"
        os.write(terminal.master, b"half a line")
        assert tty.awaiting_input(terminal.path, pid) == "prompt"
        os.write(terminal.master, b"\n")
        wait_until(lambda: tty.awaiting_input(terminal.path, pid) is None)


def test_without_a_process_table_the_modes_tell_less(terminal: Terminal) -> None:
    with termios_only():
        assert not tty.certain()
        assert tty.awaiting_input(terminal.path, os.getpid()) is None
        terminal.change(off=termios.ECHO)
        assert tty.awaiting_input(terminal.path, os.getpid()) == "password"
        os.write(terminal.master, b"secret\n")
        wait_until(lambda: tty.awaiting_input(terminal.path, os.getpid()) is None, what="it is being read")
        termios.tcflush(terminal.slave, termios.TCIFLUSH)
        terminal.change(off=termios.ICANON)
        assert tty.awaiting_input(terminal.path, os.getpid()) == "screen"


@linux
@pytest.mark.parametrize(("off", "answer"), [(0, None), (termios.ECHO, "password"), (termios.ICANON, "screen")])
def test_of_another_users_process_only_the_modes_and_its_sleep_are_known(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, off: int, answer: str | None
) -> None:
    monkeypatch.setattr(procfs, "waiting_call", lambda pid, tid: procfs.Wait("unseen"))
    monkeypatch.setattr(procfs, "open_files", lambda pid: {})
    terminal.change(off=off)
    with job(terminal, "os.read(0, 1)") as pid:
        wait_until(lambda: (now := procfs.process(pid)) is not None and now.state == "S" and now.foreground == pid)
        wait_until(lambda: tty.awaiting_input(terminal.path, pid) == answer)
    with job(terminal, "import subprocess; subprocess.run(['sleep', '60'], start_new_session=True)") as pid:
        wait_until(lambda: psutil.Process(pid).children())
        assert tty.awaiting_input(terminal.path, pid) is None, "it has a child to wait for"
        for child in psutil.Process(pid).children():
            child.kill()


@linux
@pytest.mark.parametrize(("master", "answer"), [("", "screen"), ("os.openpty()\n", None)])
def test_a_child_that_is_not_on_its_terminal_yet_is_at_work(
    terminal: Terminal, master: str, answer: str | None
) -> None:
    # sudo and script are at rest on the raw terminal before the child that they forked has opened its own.
    modes.setraw(terminal.slave)
    fork = "import time\nif not os.fork(): os.setsid(); time.sleep(60)\n"
    with job(terminal, f"{master}{fork}os.read(0, 1)") as pid:
        child = wait_until(psutil.Process(pid).children)[0]
        wait_until(lambda: (found := procfs.waiting_call(pid, pid)) is not None and found.call == "read")
        assert tty.awaiting_input(terminal.path, pid) == answer
        child.kill()


@linux
def test_where_the_kernel_names_no_waits_ones_own_process_needs_the_terminal_open(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(procfs, "waiting_call", lambda pid, tid: procfs.Wait("unseen"))
    modes.setraw(terminal.slave)
    with job(terminal, "os.read(0, 1)") as pid:
        monkeypatch.setattr(procfs, "names_waits", lambda: False)
        wait_until(lambda: tty.awaiting_input(terminal.path, pid) == "screen")
        monkeypatch.setattr(procfs, "names_waits", lambda: True)
        assert tty.awaiting_input(terminal.path, pid) is None, "it was awake when asked"
    monkeypatch.setattr(procfs, "names_waits", lambda: False)
    away = "os.dup2(os.open('/dev/null', os.O_RDONLY), 0); os.execvp('sleep', ['sleep', '60'])"
    with job(terminal, away) as pid:
        wait_until(lambda: psutil.Process(pid).name() == "sleep")
        assert tty.awaiting_input(terminal.path, pid) is None


@linux
def test_a_kernel_that_lists_no_children_is_scanned(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(procfs, "_lists_children", lambda: False)
    code = "child = os.fork()\nif child: os.waitpid(child, 0)\nelse: os.read(0, 1)"
    with job(terminal, code) as pid:
        wait_until(lambda: tty.awaiting_input(terminal.path, pid) == "prompt")
        assert [child.pid for child in children(pid)] == [child.pid for child in psutil.Process(pid).children()]


def children(pid: int) -> list[procfs.Process]:
    found = procfs.process(pid)
    return list(procfs.children(found)) if found else []


@linux
def test_a_name_that_looks_like_fields_misleads_nobody(tmp_path: Path) -> None:
    sleep = shutil.which("sleep")
    assert sleep
    odd = tmp_path / "a) R 1 (b"
    odd.symlink_to(sleep)
    with running(str(odd), "60") as pid:
        wait_until(lambda: psutil.Process(pid).name() == odd.name)
        found = wait_until(lambda: (now := procfs.process(pid)) and now.state == "S" and now)
        assert found
        assert (found.pid, found.parent, found.group, found.threads) == (pid, os.getpid(), os.getpgrp(), 1)


@linux
def test_a_process_that_is_gone_tells_nothing() -> None:
    with running("sleep", "60") as pid:
        gone = wait_until(lambda: procfs.process(pid))
    assert gone
    assert procfs.process(pid) is None
    assert list(procfs.children(gone)) == []
    assert procfs.open_files(pid) == {}
    assert procfs.device(pid, 0) is None
    assert procfs.epoll_fds(pid, 3) == frozenset()
    assert not [found for found in procfs.foreground(gone) if found.pid == pid]


@linux
def test_every_thread_is_asked(terminal: Terminal) -> None:
    code = "import threading; threading.Thread(target=os.read, args=(0, 1)).start()"
    with job(terminal, code) as pid:
        wait_until(lambda: tty.awaiting_input(terminal.path, pid) == "prompt")
        found = procfs.process(pid)
        assert found
        assert sorted(procfs.threads(found)) == sorted(thread.id for thread in psutil.Process(pid).threads())
        assert procfs.threads(found)[0] == pid


@linux
def test_only_sockets_to_the_network_count_as_such() -> None:
    near, far = socket.socketpair()
    with near, far, socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        pid = os.getpid()
        assert sockets.is_network_socket(pid, tcp.fileno())
        assert sockets.is_network_socket(pid, udp.fileno())
        assert not sockets.is_network_socket(pid, near.fileno())
        assert not sockets.is_network_socket(pid, 0)


@linux
def test_connected_is_what_has_somebody_else_at_its_other_end(tmp_path: Path) -> None:
    pid = os.getpid()
    near, far = socket.socketpair()
    with near, far, socket.create_server(("127.0.0.1", 0)) as listener:
        with socket.create_connection(listener.getsockname()) as tcp:
            told = [sockets.is_connected(pid, one.fileno()) for one in (near, far, listener, tcp)]
        assert told == [False, False, False, True]
    for name, counts in [("docker.sock", True), ("dbus-session", False), (".X11-unix-X0", False)]:
        with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
            listener.bind(str(tmp_path / name))
            listener.listen()
            assert not sockets.is_connected(pid, client.fileno())
            client.connect(str(tmp_path / name))
            served, _ = listener.accept()
            with served:
                assert sockets.is_connected(pid, client.fileno()) == counts, name
                assert not sockets.is_connected(pid, listener.fileno())
    assert not sockets.is_connected(pid, 0)


POLLED = """
import os, select, sys
call, (source, *fds) = sys.argv[1], map(int, sys.argv[2:])
for fd in fds:
    os.dup2(source, fd)
if call == "poll":
    poll = select.poll()
    poll.register(source, select.POLLPRI)  # no reading
    for fd in fds:
        poll.register(fd, select.POLLIN)
    poll.poll()
elif call == "select":
    select.select(fds, [], [source])
else:
    epoll = select.epoll()
    epoll.register(source, select.EPOLLPRI)
    for fd in fds:
        epoll.register(fd, select.EPOLLIN)
    epoll.poll()
"""
SETS = st.sets(st.integers(20, 900), min_size=1, max_size=12)


@linux
@tracing
@settings(max_examples=12, deadline=None)
@given(fds=SETS)
@pytest.mark.parametrize("call", ["poll", "select", "epoll"])
def test_the_descriptors_waited_for_are_those_that_were_asked_for(call: str, fds: set[int]) -> None:
    source, sink = os.pipe()
    argv = [sys.executable, "-I", "-S", "-c", POLLED, call, str(source), *map(str, fds)]
    with running(*argv, fds=(source,)) as pid:
        wait_until(lambda: (found := procfs.waiting_call(pid, pid)) and found.call == call)
        found = procfs.waiting_call(pid, pid)
    os.close(source)
    os.close(sink)
    assert found
    assert found.fds == frozenset(fds)
    assert found.endless


@linux
@pytest.mark.promise("awaiting-told")
@pytest.mark.parametrize(
    ("timeout", "endless"),
    [("0xffffffff", True), ("0xffffffffffffffff", True), ("0x7f12ffffffff", True), ("0x1388", False)],
)
def test_an_epoll_without_a_time_limit_is_told_whatever_the_c_library_left_in_the_register(
    timeout: str, endless: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """glibc 2.41 and later leave ones in the upper half of a 32-bit minus one."""
    asleep = f"232 0x5 0x7f1200000000 0x400 {timeout} 0x0 0x8 0x7ffd00000000 0x7f1200000001\n".encode()
    watched = b"pos:\t0\ntfd:        0 events:       19 data:                0  pos:0 ino:3 sdev:19\n"
    monkeypatch.setattr(procfs, "_NUMBERS", procfs._CALLS["x86_64"])
    monkeypatch.setattr(procfs, "read_file", lambda path, whole=False: asleep if path.endswith("syscall") else watched)
    assert procfs.waiting_call(1, 1) == procfs.Wait("epoll", frozenset({0}), endless)
