"""What only some systems have, decided once: what each is used for, what takes its place elsewhere, what is less there.

The standard library alone, and none of its slow parts: every job's runner imports this.

PROC: /proc
- the processes below a runner (supervisor/process_tree): `ps`, 10 to 20 ms a look;
- the processes with a job's id in their environment (process/orphans): psutil;
- who sleeps in a read of the terminal (process/procfs, input_state, sockets): the terminal's modes once it is quiet.
  `prompt` is never told (interact answers after 2 s of quiet, jobs/waiting), `password` and `screen` after 0.4 s; a
  program that redraws may be told as waiting;
- start times (process_tree, jobs/agents, server/clients) and the pid namespace (store/clock): the pid alone. One that
  was given away again is taken for the process that had it;
- boot_id (store/clock): none. The ages of jobs go by the clock, which can be set;
- how much processor time and memory a job takes (process/usage): psutil, slower;
- names of our processes (supervisor/naming; regexes/worker tries it by itself): none. All are called python.

PIDFD
- a signal to the process that was looked at (process_tree, orphans): kill(2). A pid can pass on in between;
- being woken by the end of a log writer (supervisor/log_guard): a look each second, of 0.2 ms.

SUBREAPER: orphans come to the runner (process_tree). Elsewhere they are found by the job's session; what has left that
(setsid) and has lost its parent, by its environment (process/orphans): when `kill` is called, not at a timeout or a
closed window, and not where the system hides the environment, as macOS does for programs of its own.

INOTIFY: being woken by files (store/inotify). A look each 20 ms, the board's every 2 s.

MEMFD: input for a tmux client that is ready, in no file (tmux/client). A client for each input, 3 ms.

PEERCRED: which process is behind a tmux socket that doesn't answer (tmux/client). The error doesn't name it.

UPTIME_CLOCK: seconds since the machine's start, those asleep included (supervisor/jobdir). CLOCK_MONOTONIC.

TUNABLE: glibc's heaps, the size of stdout's pipe (server/app). 5 MB more, long pages slower.

LINE_LIMIT, DISABLED, MAXRSS_UNIT, SOCKET_LIMIT: the kernel's own numbers (jobs/typing, process/input_state,
supervisor/runner, tmux/place).

With MCP_BG_PORTABLE=1 in the environment, which children and our tmux server get too, all but the numbers are
switched off: for tests, not a setting.
"""

import os
import sys
import time

PORTABLE = "MCP_BG_PORTABLE"

_LINUX = sys.platform == "linux" and os.environ.get(PORTABLE) != "1"

PROC = _LINUX and os.path.exists("/proc/self/stat")  # noqa: PTH110 - pathlib would cost each job 12 ms
PIDFD = _LINUX and hasattr(os, "pidfd_open")  # not on kernels before 5.3: there each use fails with OSError
SUBREAPER = _LINUX
INOTIFY = _LINUX
MEMFD = PROC and hasattr(os, "memfd_create")
PEERCRED = _LINUX
TUNABLE = _LINUX
UPTIME_CLOCK: int = time.CLOCK_BOOTTIME if _LINUX else time.CLOCK_MONOTONIC

# The most bytes a line may have in line mode, its newline not counted: N_TTY_BUF_SIZE less that. The 1024 of BSD and
# macOS (MAX_CANON) is from their headers, not tried.
LINE_LIMIT = 4095 if sys.platform == "linux" else 1023
DISABLED = b"\0" if sys.platform == "linux" else b"\xff"  # _POSIX_VDISABLE
SOCKET_LIMIT = 107 if sys.platform == "linux" else 103  # bytes in the path of a Unix socket
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes there, kilobytes on Linux and BSD
