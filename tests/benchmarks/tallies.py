"""What the errands cost each server: calls, bytes that the model writes and reads, and whether it was told right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.table import Table


@dataclass(frozen=True)
class Tally:
    """One errand by one server; `outcome` is empty where the answer was right, else says what was wrong or missing."""

    calls: int
    sent: int  # bytes of the tools' names and arguments, which the model writes
    got: int  # bytes of the answers, which it reads
    outcome: str
    seconds: float

    @property
    def right(self) -> bool:
        return not self.outcome

    @property
    def bytes(self) -> int:
        return self.sent + self.got

    @property
    def cost(self) -> tuple[int, int]:
        return self.calls, self.bytes

    def in_full(self) -> str:
        if self.outcome.startswith("missing"):
            return self.outcome
        return f"{self.calls} / {self.sent:,} / {self.got:,} {self.outcome or 'right'} ({self.seconds:.0f} s)"

    def in_short(self) -> str:
        if self.outcome.startswith("missing"):
            return "missing"
        return in_short(self.calls, self.bytes) + ("" if self.right else " wrong")


def in_short(calls: int, size: int) -> str:
    return f"{calls} · {size / 1000:.2f}"


@dataclass
class Tallies:
    """Errand → server → what it cost; and each server's tools/list, which is read once."""

    rows: dict[str, dict[str, Tally]] = field(default_factory=dict)
    listing: dict[str, int] = field(default_factory=dict)
    date: str = ""

    def first(self, errand: str, who: str) -> bool:
        """Whether it is right, and nobody else who is takes fewer calls, or as few and fewer bytes.

        A call is a turn of the model, which reads all that came before it once more.
        """
        mine, others = self.rows[errand][who], self.rows[errand].values()
        return mine.right and mine.cost == min(tally.cost for tally in others if tally.right)

    def right(self, who: str) -> int:
        return sum(who in row and row[who].right for row in self.rows.values())

    def shared(self) -> list[str]:
        """The errands that everybody did right, whose sums can be compared."""
        return [errand for errand, row in self.rows.items() if all(tally.right for tally in row.values())]

    def total(self, who: str) -> str:
        """What the shared errands cost."""
        done = [self.rows[errand][who] for errand in self.shared()]
        return in_short(sum(tally.calls for tally in done), sum(tally.bytes for tally in done))

    def lines(self, who: Sequence[str]) -> list[list[str]]:
        """The cells of a short table: calls and kB."""
        cells = []
        for errand, row in self.rows.items():
            ours, *others = (row[name].in_short() if name in row else "" for name in who)
            cells.append([errand, f"{ours} {'✓' if self.first(errand, 'ours') else '✗'}", *others])
        cells.append([f"the {len(self.shared())} that all did right", *map(self.total, who)])
        cells.append(["right", *(f"{self.right(name)} of {len(self.rows)}" for name in who)])
        cells.append(["tools/list, kB", *(f"{self.listing.get(name, 0) / 1000:.1f}" for name in who)])
        return cells

    def table(self, who: Sequence[str]) -> Table:
        table = Table(title="Errands: calls / bytes that the model writes / bytes that it reads")
        table.add_column("errand")
        for name in who:
            table.add_column(name, overflow="fold")
        for errand, row in self.rows.items():
            full = (row[name].in_full() if name in row else "" for name in who)
            table.add_row(errand, *full, style=None if self.first(errand, "ours") else "red")
        for cells in self.lines(who)[len(self.rows) :]:
            table.add_row(*cells)
        return table

    def as_json(self) -> dict[str, Any]:
        rows = {errand: {who: asdict(tally) for who, tally in row.items()} for errand, row in self.rows.items()}
        return {"date": self.date, "listing": self.listing, "rows": rows}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Tallies:
        rows = {errand: {who: Tally(**tally) for who, tally in row.items()} for errand, row in data["rows"].items()}
        return cls(rows, data["listing"], data["date"])
