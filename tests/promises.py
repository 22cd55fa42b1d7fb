"""What we promise, one sentence each, by an id.

A test holds a promise by `@pytest.mark.promise("id", …)`; `unit/test_promises.py` fails where a promise has no test
or a test names one that isn't here. A promise is worth what its test breaks: it causes the fault for real.
"""

from __future__ import annotations

PROMISES: dict[str, str] = {
    "kill-tree": "A kill ends the whole tree, whatever its processes ignore or however they left, before it answers.",
}
