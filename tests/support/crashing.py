"""Die by SIGKILL right before the n-th file operation: `python crashing.py WHAT FOLDER`.

Python's audit hook is told of each operation before it happens, so the code under test runs as it is. WHAT is `runner`
with the number of the operation (the runner of the job in FOLDER), or one of ACTIONS, each of which is done again and
again in a state folder of its own, FOLDER/1, FOLDER/2 and so on, with a crash one operation later each time, until
it comes to its end. Prints how many operations there were.
"""

from __future__ import annotations

import os
import signal
import sys
import time

OPERATIONS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.chmod", "fcntl.flock"}
SESSION = "mcp-jobs"


def die_at(number: int, folder: str) -> None:
    """Kill this process before its `number`-th operation on a file with `folder` in its name, or on a descriptor."""
    owner, count = os.getpid(), 0

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal count
        if event not in OPERATIONS or os.getpid() != owner:
            return
        named = arguments[0]
        if isinstance(named, int) or folder in os.fsdecode(str(named)):
            count += 1
            if count == number:
                os.kill(owner, signal.SIGKILL)

    sys.addaudithook(watch)


def act(action: str, base: str) -> int:
    """Do `action` until it is not killed any more; how many operations it has."""
    from pathlib import Path

    sys.path.append(str(Path(__file__).parents[1]))

    from mcp_background_job.store.jobstore import JobStore
    from mcp_background_job.store.models import JobId, Spec
    from mcp_background_job.store.requests import request_kill
    from mcp_background_job.supervisor.jobdir import write_record
    from support.jobs import LAUNCH

    def spec(job_id: str) -> Spec:
        now = time.monotonic()
        return Spec(
            job_id=JobId(job_id), name=job_id, summary="x", started=time.time(), started_monotonic=now, nonce="1"
        )

    number = 0
    while True:
        number += 1
        store = JobStore(Path(base, str(number)), SESSION)
        other = store.create(spec("other2"), b"exit 5", {}, LAUNCH, 10)
        write_record(str(other), '{"cause": "exit", "code": 5, "ended": 1}')
        if action != "create":
            made = store.create(spec("victim"), b"exit 7", {"SECRET": "x"}, LAUNCH, 10)
            if action == "look":
                (made / "runner.lock").touch()  # its runner is gone
        pid = os.fork()
        if pid == 0:
            die_at(number, "")  # files are named relative to a descriptor too
            if action == "create":
                store.create(spec("victim"), b"exit 7", {"SECRET": "x"}, LAUNCH, 10)
            elif action == "look":
                JobStore(Path(base, str(number)), SESSION).load("victim")
            elif action == "discard":
                store.discard("victim")
            elif action == "kill":
                request_kill(store.folder / "victim", 15)
            os._exit(0)
        if os.waitpid(pid, 0)[1] == 0:
            return number - 1


def main() -> None:
    what, folder = sys.argv[1:3]
    if what == "runner":
        number = int(sys.argv[3])
        import fcntl
        import termios

        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        sys.argv[1:] = ["runner", folder]
        from mcp_background_job.supervisor.runner import main as run

        die_at(number, folder)
        run()
    else:
        print(act(what, folder))


if __name__ == "__main__":
    main()
