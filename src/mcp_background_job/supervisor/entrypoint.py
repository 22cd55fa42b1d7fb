"""What tmux starts for a job: `python -I -S entrypoint.py runner|logwriter JOB_DIR`.

As modules of the package both come from their compiled form, which a script never does.
"""

import os
import sys

# Behind the standard library, whose names some of our modules have too.
sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from mcp_background_job.supervisor.naming import name_process

if sys.argv[1] == "runner":
    name_process("mcp-bg-runner")
    from mcp_background_job.supervisor.runner import main
else:
    name_process("mcp-bg-log")
    from mcp_background_job.supervisor.logwriter import main

main()
