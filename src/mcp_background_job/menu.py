"""For sessions that a version before 0.3 made: their keys run `python -m mcp_background_job.menu`."""

from mcp_background_job.ui.menu import main

if __name__ == "__main__":
    main()
