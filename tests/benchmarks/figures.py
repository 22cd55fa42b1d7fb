"""What was measured: rows of samples per contender, each with its reach; as a table, as JSON, as the README's lines."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from tallies import Tallies

FLOOR = ("bare", "tmux")  # a bare MCPServer and a bare tmux: what nobody who builds on them can be faster than


@dataclass
class Row:
    """One line of the table. `reach` is what ours is held to, `met` whether it was."""

    what: str
    unit: str = "ms"
    reach: str = ""
    met: bool | None = None
    judged: float | None = None
    samples: dict[str, list[float]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    def median(self, who: str) -> float | None:
        return statistics.median(self.samples[who]) if self.samples.get(who) else None

    def high(self, who: str) -> float | None:
        """The 99th percentile."""
        values = sorted(self.samples.get(who, ()))
        return values[min(len(values) - 1, len(values) * 99 // 100)] if values else None

    def cell(self, who: str, high: bool = False) -> str:
        middle = self.median(who)
        if middle is None:
            return self.notes.get(who, "")
        text = number(middle)
        if high and len(self.samples[who]) >= 20:
            text += f" ({number(self.high(who) or 0.0)})"
        return f"{text} {self.notes[who]}" if who in self.notes else text

    def floor(self) -> str:
        """The floor's figure, and how many times it ours is."""
        for who in FLOOR:
            low, mine = self.median(who), self.median("ours")
            if low is not None:
                times = f" (x{mine / low:.2f})" if mine is not None and low > 0 else ""
                return f"{number(low)}{times}"
        return ""

    @property
    def sign(self) -> str:
        return "" if self.met is None else "✓" if self.met else "✗"

    def as_json(self) -> dict[str, Any]:
        measured = {
            who: {"median": self.median(who), "99th": self.high(who), "n": len(values)}
            for who, values in self.samples.items()
            if values
        }
        return {"what": self.what, "unit": self.unit, "reach": self.reach, "met": self.met, "judged": self.judged} | {
            "measured": measured,
            "samples": {who: [round(value, 4) for value in values] for who, values in self.samples.items()},
            "notes": self.notes,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Row:
        names = ("what", "unit", "reach", "met", "judged", "samples", "notes")
        return cls(**{name: data[name] for name in names})


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


class Figures:
    """All rows of a run, in the order in which they came."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.features: dict[str, dict[str, str]] = {}
        self.errands = Tallies()
        self.versions: dict[str, str] = {}
        self.conditions: list[str] = []  # of each run that is in here: its date, few tries, a busy machine
        self.tried = ""  # the date of the features
        self.date = datetime.now(UTC).date().isoformat()
        self.console = Console(highlight=False)

    def add(self, what: str, who: str, values: list[float], unit: str = "ms", note: str = "") -> None:
        row = self.rows.setdefault(what, Row(what, unit))
        row.samples[who] = values
        row.notes.pop(who, None)  # of an earlier run
        if note:
            row.notes[who] = note
        shown = f"{row.cell(who, high=True)} {unit}"
        self.say(f"  {what:52} {who:18} {shown}")

    def say(self, line: str) -> None:
        self.console.print(line, markup=False, soft_wrap=True)

    def note(self, what: str, who: str, note: str, unit: str = "ms") -> None:
        """A contender that has no figure here, and why."""
        row = self.rows.setdefault(what, Row(what, unit))
        row.samples.pop(who, None)
        row.notes[who] = note

    def reach(self, what: str, text: str, value: float | None, most: float) -> None:
        """Hold ours to a reach: `value` must not be above `most`; both negative where more is better."""
        row = self.rows[what]
        row.reach, row.judged = text, value
        row.met = None if value is None else value <= most

    def median(self, what: str, who: str) -> float:
        found = self.rows[what].median(who)
        assert found is not None, f"{what}: nothing measured for {who}"
        return found

    def above(self, what: str) -> float:
        """How much ours is above the floor: the median of the differences within a round."""
        return statistics.median(mine - low for mine, low in self._pairs(what))

    def times(self, what: str) -> float:
        """How many times the floor ours is: the median of the ratios within a round."""
        return statistics.median(mine / low for mine, low in self._pairs(what))

    def _pairs(self, what: str) -> list[tuple[float, float]]:
        samples = self.rows[what].samples
        floor = next(samples[who] for who in FLOOR if who in samples)
        return list(zip(samples["ours"], floor, strict=True))

    def as_json(self) -> dict[str, Any]:
        return {
            "date": self.date,
            "machine": machine(),
            "conditions": self.conditions,
            "tried": self.tried,
            "versions": self.versions,
            "rows": [row.as_json() for row in self.rows.values()],
            "features": self.features,
            "errands": self.errands.as_json(),
        }

    def save(self, file: Path) -> None:
        """Write the figures; rows of an earlier run that were not measured now are kept."""
        file.write_text(json.dumps(self.as_json(), indent=1, ensure_ascii=False) + "\n")

    def load(self, file: Path) -> None:
        """Take over what an earlier run has measured."""
        data = json.loads(file.read_text())
        self.rows = {row["what"]: Row.from_json(row) for row in data["rows"]}
        self.features, self.versions = data["features"], data["versions"]
        self.conditions, self.tried = data["conditions"], data["tried"]
        if "errands" in data:
            self.errands = Tallies.from_json(data["errands"])

    def condition(self, quick: bool) -> None:
        """Say of this run what a reader must know."""
        said = f"{self.date}{', few tries (--quick)' if quick else ''}, load average {os.getloadavg()[1]:.0f}"
        if said not in self.conditions:
            self.conditions.append(said)

    def table(self, others: list[str]) -> Table:
        table = Table(title=f"{self.date}, {machine()}. Medians, in brackets the 99th percentile")
        table.add_column("what")
        for name in ("ours", "reach", "", "floor (ours is x of it)", *others):
            table.add_column(name, justify="right", overflow="fold")
        for row in self.rows.values():
            cells = [row.cell(who) for who in others]
            style = "red" if row.met is False else None
            head = f"{row.what}, {row.unit}" if row.unit not in ("", "bytes") else row.what
            table.add_row(head, row.cell("ours", True), row.reach, row.sign, row.floor(), *cells, style=style)
        return table

    def feature_table(self, who: list[str]) -> Table:
        table = Table(title="Tried on the real servers")
        for name in ("what", *who):
            table.add_column(name, overflow="fold")
        for what, cells in self.features.items():
            table.add_row(what, *(cells.get(name, "") for name in who))
        return table


def machine() -> str:
    """The machine in general words."""
    words = [f"{os.cpu_count()} cores"]
    try:
        words.append(platform.freedesktop_os_release()["PRETTY_NAME"])
    except OSError:
        words.append(platform.system())
    tmux = subprocess.run(["tmux", "-V"], capture_output=True, text=True, check=False).stdout.strip()
    return ", ".join([*words, tmux, f"Python {platform.python_version()}"])


def timed(action: Callable[[], object]) -> float:
    """Milliseconds that it takes."""
    begun = time.perf_counter()
    action()
    return (time.perf_counter() - begun) * 1000
