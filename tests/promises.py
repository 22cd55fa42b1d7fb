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
    # a person and agents at one job
    "human-holds": "While a person holds a job, agents read it and can neither type into it nor kill it.",
    "hold-lasts": "A person's hold survives every server, and ends when they hand back or the job ends.",
    "typing-counts": "An agent never types into a line that a person is typing.",
    "no-secret-on-disk": "What is typed while the terminal's echo is off is written nowhere.",
    "kill-asks": "No single key of a person kills a job.",
    "own-view": "Several people look at different jobs at once, and leave nothing behind.",
    "watcher": "Whoever attaches read-only can't type.",
    "board-idle": "The board costs next to nothing while nothing happens.",
    "no-shell": "Nothing that the windows and the status line show runs a shell.",
    "text-is-text": "Names, messages and outputs are shown as text and obeyed by nothing.",
    "absent-person-told": "An agent is told that the person who holds a job has gone or is silent, and never takes it.",
    "nothing-global": "The person's other sessions, global options and key bindings stay as they are.",
    "handoff-at-once": "A hand-off answers at once, whether or not anybody sees or answers the client's form.",
    "readme": "Every block of the README runs as it stands, and what its tables name is there.",
    "snapshots": "What an agent is told of tools, resources and instructions changes only on purpose.",
    "troubleshooting": "Each fault of the troubleshooting section has been caused, reads so, and is cured so.",
    "since-seconds": "What a job printed in the last seconds is found whole, and nothing older with it.",
    "replay": "A replay shows the bytes of the log at the pace at which they came, and leaves the terminal as it was.",
    "cast": "The texts of an exported recording are the log, byte for byte, and asciinema plays it.",
}
