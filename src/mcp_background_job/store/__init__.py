"""A job's folder, seen from outside."""
