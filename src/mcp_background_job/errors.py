"""What can be refused, and how the refusal reads.

Each error takes the facts and builds one sentence of what is wrong and one of what to do.

    JobError
    ├── InvalidInput          a parameter that can't be used
    │   └── WrongUsage        arguments of a command that don't go together
    ├── NotAllowed            the allowlist refuses the command
    ├── JobNotFound           no such job id
    ├── JobNotRunning         input for a job that has ended
    ├── TooManyJobs           the session's limit of running jobs is reached
    ├── HumanHolds            a person holds the job's keys
    ├── StoreError            the state folder can't be used
    └── TmuxError             tmux refused or could not be reached
        ├── PaneLost          the job's pane is not where it should be
        ├── InputOff          the pane takes no input
        └── TmuxMissing       tmux is not installed, or is too old
"""

from __future__ import annotations

from collections.abc import Sequence

NAMED = 20  # jobs in one refusal
NOTHING_SENT = "nothing was sent"


class JobError(Exception):
    """Base of every refusal; its text is what the agent or the person reads."""


class InvalidInput(JobError):
    """A parameter has a value that can't be used."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}. {remedy}.")


class WrongUsage(InvalidInput):
    """A command of the person's has an argument too few, or two that don't go together."""


class NotAllowed(JobError):
    """The command has a part that no allowed pattern matches."""

    def __init__(self, why: str, patterns: Sequence[str]) -> None:
        super().__init__(f"Command not allowed: {why}. Use simple commands that match one of: {', '.join(patterns)}")


class JobNotFound(JobError):
    """No job has this id."""

    def __init__(self, job_id: str) -> None:
        shown = job_id if len(job_id) <= 40 else job_id[:40] + "…"
        super().__init__(f"Job {shown!r} not found. Call list to see the jobs.")


class JobNotRunning(JobError):
    """Input was meant for a job that has ended."""

    def __init__(self, job_id: str, status: str) -> None:
        super().__init__(
            f"Job {job_id!r} is not running ({status}). Call output to read what it printed, "
            "or execute to start it again."
        )


class TooManyJobs(JobError):
    """The limit of running jobs is reached."""

    def __init__(self, running: Sequence[str], limit: int) -> None:
        named = ", ".join(running[:NAMED]) + (" …" if len(running) > NAMED else "")
        super().__init__(
            f"{len(running)} jobs are running and the limit is {limit}: {named}. "
            "Call wait for one or kill one, or have the user raise MCP_BG_MAX_JOBS."
        )


class HumanHolds(JobError):
    """A person holds the keys of the job."""

    def __init__(self, job_id: str, absence: str = "", sent: str = NOTHING_SENT, can_take_back: bool = False) -> None:
        where = f" ({absence})" if absence else ""
        back = ", or handoff with take_back=true, since nobody has come" if can_take_back else ""
        super().__init__(
            f"A person holds job {job_id!r}{where}, {sent}. "
            f"Call wait with until=handback to go on when they hand it back{back}."
        )


class StoreError(JobError):
    """The state folder can't be read or written."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"{problem}. Check the state folder (MCP_BG_STATE_DIR).")


class TmuxError(JobError):
    """tmux refused a command or could not be reached."""

    def __init__(self, problem: str, remedy: str = "Try again; `mcp-background-job doctor` says what is wrong") -> None:
        super().__init__(f"{problem}. {remedy}.")


class PaneLost(TmuxError):
    """The job's pane is not on the tmux server at its socket, so that nothing may be sent there."""

    def __init__(self, job_id: str, socket: str, server_pid: int = 0, sent: str = NOTHING_SENT) -> None:
        remedy = f"`kill -USR1 {server_pid}` makes the socket of its tmux server anew" if server_pid else "Call status"
        super().__init__(
            f"The window of job {job_id!r} can't be reached at {socket}, {sent}",
            f"{remedy}; if its window was closed, status says how it ended",
        )


class InputOff(TmuxError):
    """A person has switched the pane's input off."""

    def __init__(self, job_id: str, pane: str, sent: str = NOTHING_SENT) -> None:
        super().__init__(
            f"The window of job {job_id!r} takes no input (select-pane -d), {sent}",
            f"Ask the user to open it again: `tmux select-pane -e -t {pane}`",
        )


class TmuxMissing(TmuxError):
    """tmux is not installed, or is older than 3.2."""
