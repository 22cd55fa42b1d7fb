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

# Faults: what is killed, stopped, damaged, full, set wrong or moved about.
PROMISES |= {
    "server-killed-in-execute": "A server killed at any moment of execute leaves whole jobs or none.",
    "server-killed-in-kill": "A server killed at any moment of kill leaves a job that runs, or one that is gone whole.",
    "server-killed-in-cleanup": "A cleanup killed at any moment leaves whole records or none; the next one goes on.",
    "server-killed": "Whatever server is killed, the next one has the same jobs with the same facts.",
    "tmux-killed": "When the tmux server is killed its jobs are lost, told so, and gone with all their processes.",
    "runner-killed": "A job whose supervisor was killed is lost, no false success, and leaves no process.",
    "log-writer-killed": "A killed log writer is replaced, and the log says that something may be missing.",
    "exit-codes": "Every exit code from 0 to 255 is told as it was.",
    "signals": "A job that dies of a signal is told by that signal's name.",
    "grace": "A TERM handler that needs most of the grace finishes.",
    "kill-twice": "Kills at once or one after the other, from one server or two, come true once and say so.",
    "kill-meets-end": "A kill that meets the job's own end tells one truth, which never changes.",
    "stopped-job": "A stopped job runs and asks for nothing, and can be killed, its supervisor stopped or not.",
    "timeout-without-server": "A timeout holds though every server is gone.",
    "clock-set": "A clock set back or forward changes no duration, timeout, wait or order, nor how long a job is kept.",
    "recycled-pid": "A process that has got a pid of a job's is never signalled, nor taken for the job's.",
    "damaged-record": "What is damaged or foreign in the state folder is named, and all others still list.",
    "full-disk": "On a full disk jobs go on, are answered, killed and told; a start is refused whole.",
    "read-only": "With a read-only state folder everything can be read, and jobs can be answered and killed.",
    "log-limit": "A job's log never takes more of the disk than its limit and one segment.",
    "state-folder-removed": "A state folder removed while jobs run hangs nobody, and what nobody can reach is ended.",
    "window-moved": "Wherever a person moves a job's window or pane, nothing that is known or done of the job changes.",
    "window-respawned": "A job whose window is respawned is killed, and what a person runs there is theirs.",
    "window-closed": "A job whose window or session a person closes is killed, and told so.",
}
