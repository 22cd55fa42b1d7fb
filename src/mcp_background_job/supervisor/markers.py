"""Our marks in a job's output: where it ends, where stderr begins and ends, how far an answer goes.

They look like colours that no terminal has, with a number of the job's own in them, so that tmux, cat and less -R
show nothing and no job can make one by accident.
"""

# In a log, where its writer was killed or went with tmux.
INTERRUPTED = b"\r\n[log interrupted here: some output may be missing]\r\n"


def end_mark(nonce: str) -> bytes:
    """Behind the last byte of a job; the log writer takes it out."""
    return f"\x1b[7717;7001;{nonce}m".encode()


def stderr_mark(nonce: str) -> bytes:
    """Before a piece of stderr, where the streams are kept apart."""
    return f"\x1b[7717;7002;{nonce}m".encode()


def stdout_mark(nonce: str) -> bytes:
    """Behind a piece of stderr."""
    return f"\x1b[7717;7003;{nonce}m".encode()


def sync_mark(nonce: str) -> bytes:
    """Behind what a job printed before it came to rest."""
    return f"\x1b[7717;7004;{nonce}m".encode()
