"""Asks a login shell for its environment, in a process of its own (login_shell.py starts it).

    python -I -S shell_asker.py ask SECONDS SHELL    prints the environment, NUL behind each item; a reason on stderr
    python -I -S shell_asker.py tell FOLDER          what the shell is made to run

The standard library alone. The environment comes through a socket: files of the shell's may print, redirect or close
whatever they like, so no stream of it would do, and a stream could be sent to a file.

Promises: there is an answer within SECONDS, whatever the shell's files do; where the shell gave none, or the server
has ended meanwhile, all that it started is killed; else only what has become a daemon stays (ssh-agent is in use).
"""

import os
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress

# Behind the standard library, whose names some of our modules have too.
sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))  # noqa: PTH100, PTH120

from mcp_background_job.supervisor.naming import name_process
from mcp_background_job.supervisor.process_tree import Process, become_subreaper, descendants, send

SOCKET = "answer"  # in a folder of its own; by its whole path it could be too long for a socket
LOOK = 0.02  # seconds between two looks at whether the shell and the server live
LEAVE = 1.0  # seconds for the shell to end by itself once it has told
ROUNDS = 50  # looks at most for what is to be killed: those that were forked during the last one are found by the next


def tell(folder: str) -> None:
    """Send this process's environment to who asks; two NULs say that it is whole."""
    os.chdir(folder)
    with socket.socket(socket.AF_UNIX) as answer:
        answer.connect(SOCKET)
        answer.sendall(b"".join(b"%s=%s\0" % item for item in os.environb.items()) + b"\0")


def ask(seconds: float, shell: str) -> int:
    """Print the environment of `shell`, and on stderr what is wrong; 1 where it told none."""
    server, deadline = os.getppid(), time.monotonic() + seconds
    become_subreaper()
    told, why, folder, home = b"", "", "", os.getcwd()  # noqa: PTH109
    try:
        folder = tempfile.mkdtemp(prefix="mcp-bg-")
        os.chdir(folder)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(SOCKET)
            listener.listen(1)
            for options in ways(shell):
                asked = Asked(start(shell, [*options, "-c", telling(folder)], home), listener, deadline, server)
                told = asked.answer()
                if told:
                    sys.stdout.buffer.write(told)
                if told or asked.why:
                    why = asked.why or why
                    break
                why = "runs no command when it is interactive, so what its files set for that is missing"
            else:
                why = "ended without running the command that it was given"
    except OSError as error:
        why = f"can't be asked: {error.strerror or error}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(why, file=sys.stderr)
    return 0 if told else 1


def ways(shell: str) -> list[list[str]]:
    """The options to try in turn: a file for interactive shells may `exec` another program."""
    login = [] if os.path.basename(shell) in ("csh", "tcsh") else ["-l"]  # noqa: PTH119 - theirs is the name "-csh"
    return [[*login, "-i"], login]


def telling(folder: str) -> str:
    """The command line for the shell, in words that every kind of shell reads alike."""
    return shlex.join([sys.executable, "-I", "-S", "-X", "utf8", os.path.abspath(__file__), "tell", folder])  # noqa: PTH100


def start(shell: str, options: list[str], home: str) -> "subprocess.Popen[bytes]":
    """The shell, in a session without a terminal: none is printed on, none stops it, no person is asked at one.

    Raises OSError.
    """
    null = subprocess.DEVNULL
    name = f"-{os.path.basename(shell)}"  # noqa: PTH119
    return subprocess.Popen(
        [name, *options], executable=shell, cwd=home, stdin=null, stdout=null, stderr=null, start_new_session=True
    )


class Asked:
    """One run of the shell."""

    def __init__(self, shell: "subprocess.Popen[bytes]", listener: socket.socket, deadline: float, server: int) -> None:
        self.shell = shell
        self.listener = listener
        self.deadline = deadline
        self.server = server
        self.why = ""  # why there is no use in another run

    def answer(self) -> bytes:
        """The environment that was told, or nothing."""
        told = b""
        if self.wait_for(self.listener):
            with self.listener.accept()[0] as connection:
                while self.wait_for(connection) and (piece := connection.recv(1 << 16)):
                    told += piece
        whole = told.endswith(b"\0\0")
        if whole:
            self.let_leave()
        self.end(everything=not whole)
        return told[:-1] if whole else b""

    def wait_for(self, source: socket.socket) -> bool:
        """Whether there is something to read, before the shell ends, the time is up or the server is gone."""
        while True:
            ended = self.shell.poll() is not None
            if select.select([source], [], [], 0 if ended else LOOK)[0]:
                return True
            if ended:
                return False
            if time.monotonic() >= self.deadline:
                self.why = "did not answer in time"
                return False
            if os.getppid() != self.server:
                self.why = "is not waited for any more"
                return False

    def let_leave(self) -> None:
        with suppress(subprocess.TimeoutExpired):
            self.shell.wait(LEAVE)

    def end(self, everything: bool) -> None:
        """Kill what the shell has left: everything, or what is in its session still."""
        for _ in range(ROUNDS):
            self.shell.poll()
            left = [process for process in descendants(self.shell.pid) if everything or self.is_in_session(process)]
            if not left:
                return
            for process in left:
                send(process, signal.SIGKILL)
            time.sleep(LOOK / 4)

    def is_in_session(self, process: Process) -> bool:
        try:
            return os.getsid(process.pid) == self.shell.pid
        except OSError:
            return False  # it has ended


def main() -> None:
    if sys.argv[1] == "tell":
        tell(sys.argv[2])
        return
    name_process("mcp-bg-asker")
    sys.exit(ask(float(sys.argv[2]), sys.argv[3]))


if __name__ == "__main__":
    main()
