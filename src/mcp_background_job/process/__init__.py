"""What the kernel tells of a job's processes and its terminal."""
