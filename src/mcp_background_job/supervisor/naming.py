"""A name of its own for a process, so that whoever ends all of Python's by name means others.

Part of the runner: the standard library alone.
"""

from mcp_background_job.system import PROC


def name_process(name: str) -> None:
    """What ps calls this process from now on, in at most 15 characters; on Linux alone."""
    if not PROC:
        return
    try:
        with open("/proc/self/comm", "w") as file:
            file.write(name)
    except OSError:
        pass
