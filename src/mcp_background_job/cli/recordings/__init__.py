"""A job's output with its timing: played back in the terminal, or written to a file for other players."""
