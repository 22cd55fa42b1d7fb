"""What runs inside a job's window: the standard library alone, started in milliseconds.

No module here imports `__future__`: it is a file like any other, and each costs every job's start 0.1 to 0.3 ms.
"""
