"""What stands on the board now: the jobs that are wanted, the notes below them, and the panel that is open.

Promise: what a person is asked about is what they see, so a question whether to kill a job shows that job's command.
"""

from __future__ import annotations

import time

from rich.text import Text

from mcp_background_job.errors import JobError
from mcp_background_job.jobs.manager import JobManager
from mcp_background_job.store.models import LISTED_COMMAND, EndedJob
from mcp_background_job.text import escaped, one_line, padding_shown, wrap

from . import board_rows, board_view
from .actions import Actions
from .board_rows import JobRow
from .last_lines import LastLines
from .observer import Observer, Seen
from .sparklines import Histories, sparkline
from .states import STATES
from .wording import state_name

FULL_CPU = 100.0  # percent of a core at a sparkline's highest bar, unless a job has used more
HIGH = 20  # lines of a terminal, below which a panel leaves out what can be seen elsewhere
DETAIL_BARS = 24  # columns of a sparkline among the details


class Painter:
    """Puts together what the observer has seen and what the person has chosen."""

    def __init__(self, manager: JobManager, observer: Observer, actions: Actions) -> None:
        self.manager = manager
        self.observer = observer
        self.actions = actions
        self.histories = Histories()
        self.last_lines = LastLines(manager.view)

    def frame(self, columns: int, lines: int) -> board_view.Frame:
        """The whole screen."""
        every = sorted(self.observer.seen.values(), key=board_rows.order)
        shown = [seen for seen in every if self.is_wanted(seen)] if self.actions.filter.text else every
        rows = [self.row(seen) for seen in shown]
        entries = board_rows.grouped(rows) if self.actions.grouped else rows
        self.actions.take_up([entry for entry in entries if isinstance(entry, JobRow)])
        self.last_lines.forget_others(self.observer.seen, lines)
        states = [state_name(seen.job, seen.hold, seen.awaiting) for seen in every]
        return board_view.frame(
            entries,
            self.actions.current(),
            states,
            self.panel(columns, lines),
            self.notes(len(rows), len(every), columns),
            self.manager.config.session_name,
            columns,
            lines,
        )

    def row(self, seen: Seen) -> JobRow:
        job_id = seen.job_id
        cpu = sparkline(self.histories.cpu(job_id), board_view.BARS, FULL_CPU)
        memory = sparkline(self.histories.memory(job_id), board_view.BARS)
        return board_rows.row_of(seen, self.last_lines.last(seen), self.histories.last(job_id), cpu, memory)

    def is_wanted(self, seen: Seen) -> bool:
        """Whether the words that were typed are in the job's name, id, command, state, client or folder."""
        facts = [seen.job_id, state_name(seen.job, seen.hold, seen.awaiting)]
        if seen.job is not None:
            spec = seen.job.spec
            facts += [STATES[facts[1]].word, spec.name, spec.client, spec.cwd, self.command(seen)]
            facts += [board_rows.ending_word(seen.job)] if isinstance(seen.job, EndedJob) else []
        return board_rows.matches(self.actions.filter.text, facts)

    def command(self, seen: Seen) -> str:
        """All of it, as far as its file can be read."""
        if seen.job is None:
            return ""
        if len(seen.job.spec.summary) < LISTED_COMMAND:
            return seen.job.spec.summary
        try:
            return self.manager.view.command(seen.job_id)
        except (JobError, OSError):
            return seen.job.spec.summary

    def notes(self, shown: int, of: int, columns: int) -> list[Text]:
        """At the bottom: the filter while it is on, and the question or the remark."""
        found: list[Text] = []
        if self.actions.filter.on:
            found.append(Text(" " + self.actions.filter.line(shown, of), "bold"))
        text, until = self.actions.note
        if self.actions.to_kill:
            asked = f"Kill {self.actions.name_of(self.actions.to_kill)} and everything it started? y or n"
            found += [Text(f" {line}", "bold white on red") for line in wrap(asked, columns - 1)]
        elif time.monotonic() < until:
            found += [Text(f" {line}", "bold reverse") for line in wrap(text, columns - 1)]
        return found

    def panel(self, columns: int, lines: int) -> list[Text]:
        """What is shown below the jobs."""
        panel, seen = self.actions.panel, self.observer.seen.get(self.actions.current())
        if self.actions.to_kill:
            # Whoever is asked whether to kill a job sees all of its command that there is room for.
            panel, seen = "command", self.observer.seen.get(self.actions.to_kill)
        if panel == "help":
            keys = self.actions.keys
            body = board_view.help_lines(columns, keys.menu, keys.prefix)
            return board_view.boxed("keys", body, columns, max(2, lines - (4 if lines >= HIGH else 1)))
        if seen is None or seen.job is None or not panel:
            return []
        spec = seen.job.spec
        title = f"{one_line(spec.name)} {seen.job_id}"
        where = one_line(f"in {spec.cwd}" + (f", for {spec.client}" if spec.client else ""))
        if panel == "command":
            command = self.command(seen).rstrip("\n").split("\n")
            body = [escaped(padding_shown(line.expandtabs())) for line in command]
            return board_view.boxed(
                title, [*body, where], columns, max(2, lines - 6 if self.actions.to_kill else lines // 2)
            )
        row = self.row(seen)
        cpu = sparkline(self.histories.cpu(seen.job_id), DETAIL_BARS, FULL_CPU)
        memory = sparkline(self.histories.memory(seen.job_id), DETAIL_BARS)
        bars = f"CPU {cpu:>{DETAIL_BARS}} {row.cpu:>4}   memory {memory:>{DETAIL_BARS}} {row.memory:>4}"
        state = ", ".join(filter(None, (row.word, row.remark, row.elapsed)))
        facts = [state]
        if lines >= HIGH:
            facts = [f"{state} {where}", *([bars] if row.memory else [])]
        return board_view.details(title, facts, self.last_lines.of(seen, lines), columns, max(3, lines // 2))
