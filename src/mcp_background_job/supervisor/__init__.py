"""What runs inside a job's window: the standard library alone, started in milliseconds."""
