"""For jobs that a version before 0.3 started: their launch files name this path when a log writer is started again."""

import os
import sys

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import mcp_background_job.supervisor.entrypoint  # noqa: F401  # runs what the command line names
