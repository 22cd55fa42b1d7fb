"""`python -m mcp_background_job`: the same as the console script."""

from mcp_background_job.cli.main import main

if __name__ == "__main__":
    main()
