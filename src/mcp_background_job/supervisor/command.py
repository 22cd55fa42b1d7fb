"""Starting the job's command: what it finds when it begins.

Part of the runner: the standard library alone. Promise: the command starts as the foreground process group of a
terminal that has its size, with the signals, the umask and the environment that a program expects.
"""

import os
import signal
import termios

from .jobdir import terminal_type
from .launch import LaunchFile, read_pairs

# The name alone: typing would cost each job memory, and stderr_pty is for those that keep stderr apart.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from .stderr_pty import StderrTerminal

MAX_ARGUMENT = 100_000  # Linux takes 128 KB in one argument; a longer command is read from its file


def take_environment(job: str) -> dict[bytes, bytes]:
    """The job's environment; its file is gone afterwards."""
    path = os.path.join(job, "environment")
    environment = read_pairs(path)
    os.unlink(path)
    for name in (b"TMUX", b"TMUX_PANE"):  # the pane's own, so that tmux commands in the job find it
        if os.environb.get(name):
            environment[name] = os.environb[name]
    environment.setdefault(b"TERM", terminal_type().encode())
    return environment


def size_terminal(rows: int, columns: int) -> None:
    """Give the terminal its size before the command can ask for it: tmux's own resize may come later."""
    try:
        termios.tcsetwinsize(0, (rows, columns))
    except (OSError, termios.error):
        pass


def start(job: str, launch: LaunchFile, environment: dict[bytes, bytes], stderr: "StderrTerminal | None") -> int:
    """Start the command; its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            become_command(os.path.join(job, "command"), launch, environment, stderr)
        except BaseException as error:
            os.write(2, f"cannot start the command: {error}\n".encode(errors="replace"))
        finally:
            os._exit(126)
    try:
        os.setpgid(pid, pid)
    except OSError:
        pass  # the child was quicker and has started the command
    return pid


def become_command(
    path: str, launch: LaunchFile, environment: dict[bytes, bytes], stderr: "StderrTerminal | None"
) -> None:
    signal.set_wakeup_fd(-1)
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    for signum in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        try:
            signal.signal(signum, signal.SIG_DFL)
        except (OSError, ValueError):
            pass  # the C library's own
    if stderr is not None:
        os.dup2(stderr.slave, 2)
    os.umask(launch.umask)
    os.chdir(launch.cwd)
    with open(path, "rb") as file:
        command = launch.instead or file.read()
    if len(command) > MAX_ARGUMENT:
        quoted = os.fsencode(os.path.abspath(path)).replace(b"'", b"'\\''")
        command = b". '" + quoted + b"'"
    os.execve(launch.shell, [launch.shell, b"-c", b"--", command], environment)
