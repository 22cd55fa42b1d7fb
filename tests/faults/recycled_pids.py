"""What test_recycled_pids runs in a pid namespace: `python recycled_pids.py lost|ended|churn`."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil

from support.faults import tries
from support.rpc import Server
from support.sandbox import Sandbox, ended, run_job, shows
from support.terminal import cli
from support.waiting import stays_true, wait_until

LAST_PID = Path("/proc/sys/kernel/ns_last_pid")
TREE = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 300 & done; echo up; wait"


def none_runs(processes: list[psutil.Process]) -> bool:
    def runs(process: psutil.Process) -> bool:
        try:
            return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    return not any(map(runs, processes))


def witness_with(pid: int) -> subprocess.Popen[bytes]:
    """A process of nobody's job that has this pid, and dies of nearly any signal."""
    assert not psutil.pid_exists(pid)
    for _ in range(100):
        LAST_PID.write_text(str(pid - 1))
        process = subprocess.Popen(["sleep", "300"])
        if process.pid == pid:
            return process
        process.kill()
        process.wait()
    raise AssertionError(f"could not get pid {pid}")


def wait_until_free(sandbox: Sandbox, *pids: int) -> None:
    tmux = sandbox.tmux_server()
    assert tmux is not None

    def free() -> bool:
        tmux.send_signal(signal.SIGCHLD)  # tmux 3.3a may have missed that of a runner's end
        return not any(psutil.pid_exists(pid) for pid in pids)

    wait_until(free)


def nobody_is_hit(witnesses: list[subprocess.Popen[bytes]]) -> bool:
    return all(witness.poll() is None for witness in witnesses)


def lost(sandbox: Sandbox, server: Server) -> None:
    """The runner and its job are killed, and others get both their pids before anybody looks."""
    job_id = server.call("execute", command="echo up; exec sleep 300")["job_id"]
    shows(server, job_id, "up\n")
    runner, pid = sandbox.runner(job_id), server.call("status", job_id=job_id)["pid"]
    server.kill9()
    runner.kill()
    with suppress(psutil.Error):  # the terminal's hang-up may have come first
        psutil.Process(pid).kill()
    wait_until_free(sandbox, pid, runner.pid)
    witnesses = [witness_with(pid), witness_with(runner.pid)]
    heir = sandbox.server()
    job = ended(heir, job_id)
    assert (job["status"], job["reason"]) == ("killed", "lost"), job
    assert heir.call("kill", job_id=job_id, signal="KILL") == {"status": "already_terminated"}
    cli(sandbox, "kill", job_id)
    cli(sandbox, "clean", "--all")
    stays_true(lambda: nobody_is_hit(witnesses), 1.0)
    for witness in witnesses:
        witness.kill()


def over(sandbox: Sandbox, server: Server) -> None:
    """A job has ended by itself, and others have got its pids when it is killed once more."""
    job = run_job(server, "exit 3")
    pid = job["pid"]
    runner = int(sandbox.ask(job["job_id"], "#{pane_pid}"))
    wait_until_free(sandbox, pid, runner)
    witnesses = [witness_with(pid), witness_with(runner)]
    for one in (server, sandbox.server()):
        assert one.call("kill", job_id=job["job_id"], signal="KILL") == {"status": "already_terminated"}
        assert one.call("status", job_id=job["job_id"]) == job
    cli(sandbox, "clean", "--all")
    stays_true(lambda: nobody_is_hit(witnesses), 1.0)
    for witness in witnesses:
        witness.kill()


def churn(sandbox: Sandbox, server: Server) -> None:
    """While a tree is taken down, its pids go to others as soon as they are free."""
    reused = 0
    for number in range(tries(3)):
        job_id = server.call("execute", command=TREE)["job_id"]
        shows(server, job_id, "up\n")
        runner = sandbox.runner(job_id)
        processes = runner.children(recursive=True)
        tree = {process.pid for process in processes}
        witnesses: list[subprocess.Popen[bytes]] = []
        over = threading.Event()

        def take_over(
            wanted: set[int] = tree, found: list[subprocess.Popen[bytes]] = witnesses, end: threading.Event = over
        ) -> None:
            while not end.is_set():
                LAST_PID.write_text(str(min(wanted) - 1))
                process = subprocess.Popen(["sleep", "300"])
                if process.pid in wanted:
                    found.append(process)
                else:  # none of theirs is free yet, however long that takes
                    process.kill()
                    process.wait()

        taking = threading.Thread(target=take_over)
        taking.start()
        if number % 3 == 2:
            runner.kill()  # what it leaves is ended by the server
            ended(server, job_id)
        else:
            answer = server.call("kill", job_id=job_id, signal="KILL" if number % 3 else "TERM")
            assert answer == {"status": "killed"}
        over.set()
        taking.join()
        reused += len(tree & {witness.pid for witness in witnesses})
        assert nobody_is_hit(witnesses), [witness.returncode for witness in witnesses]
        # Told by their start, too: a thread of the server may have got a pid of theirs as well.
        wait_until(partial(none_runs, processes), what="the end of the tree")
        for witness in witnesses:
            witness.kill()
        for witness in witnesses:
            witness.wait()
    assert reused, "no pid was used again"
    print(f"{reused} pids used again")


def main() -> None:
    sandbox = Sandbox()
    try:
        {"lost": lost, "ended": over, "churn": churn}[sys.argv[1]](sandbox, sandbox.server())
    finally:
        sandbox.close()
    print("never signalled")


if __name__ == "__main__":
    main()
