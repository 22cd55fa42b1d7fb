"""What tmux starts for a job: `python -I -S entrypoint.py runner|logwriter JOB_DIR`.

As modules of the package both come from their compiled form, which a script never does.
"""

import os
import sys

# Behind the standard library, whose names some of our modules have too.
sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

if sys.argv[1] == "runner":
    from mcp_background_job.supervisor.runner import main
else:
    from mcp_background_job.supervisor.logwriter import main

main()
