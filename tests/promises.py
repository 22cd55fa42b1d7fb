"""What we promise, one sentence each, by an id.

A test holds a promise by `@pytest.mark.promise("id", …)`; `unit/test_promises.py` fails where a promise has no test
or a test names one that isn't here. A promise is worth what its test breaks: it causes the fault for real.
"""

from __future__ import annotations

PROMISES: dict[str, str] = {
    "kill-tree": "A kill ends the whole tree, whatever its processes ignore or however they left, before it answers.",
    # things that hang
    "stopped-tmux": "A tmux server that is stopped holds up no call for longer than 10 s, and reads not at all.",
    "runaway-pattern": "A pattern that runs away is refused within seconds and holds up no other call.",
}
