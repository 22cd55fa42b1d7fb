"""For sessions that a version before 0.3 made: window 0 runs `python -m mcp_background_job.board` again and again."""

from mcp_background_job.ui.board import main

if __name__ == "__main__":
    main()
