"""The README's three tables and ARCHITECTURE's of programs, between marker comments, made from the figures of a run."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

from figures import FLOOR, Figures, Row, machine
from programs import FIRST, TYPED, WRONG

ROOT = Path(__file__).resolve().parents[2]
README, ARCHITECTURE = ROOT / "README.md", ROOT / "ARCHITECTURE.md"

ORDER = ("line", "read", "poll", "relay", "")


def write(figures: Figures) -> None:
    """Put each table whose figures were taken into its file, in place of the last one."""
    others = [who for who in figures.versions if who not in ("ours", *FLOOR)]
    of_programs = {what: row for what, row in figures.rows.items() if what.startswith((FIRST, TYPED))}
    if of_programs:
        ARCHITECTURE.write_text(between(ARCHITECTURE, "resting", resting(of_programs)))
    if figures.errands.rows:
        README.write_text(between(README, "errands", errands(figures, others)))
    if set(figures.rows) - set(of_programs) - {WRONG}:
        README.write_text(between(README, "measured", measured(figures, others)))
        README.write_text(between(README, "compared", compared(figures, others)))


def between(file: Path, name: str, lines: list[str]) -> str:
    """The text of a file with other lines between the two comments of that name."""
    begin, end = f"<!-- {name}: python tests/benchmarks --readme -->", f"<!-- /{name} -->"
    before, found, rest = file.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise SystemExit(f"{file.name} has no {begin} … {end}")
    return "\n".join([before + begin, *lines, end]) + after


def measured(figures: Figures, others: list[str]) -> list[str]:
    """One line for each row that has a reach or a peer."""
    lines = [
        f"{machine()}; {'; '.join(figures.conditions)}. Medians, in brackets the 99th percentile; ✓ and ✗ say",
        "whether ours is within its reach.",
        "",
        line("", "ours", "reach", "floor", *(named(figures, who) for who in others)),
        line("---", *["---:"] * (3 + len(others))),
    ]
    for row in figures.rows.values():
        if not row.reach and not any(who in row.samples for who in others):
            continue
        unit = f", {row.unit}" if row.unit not in ("", "bytes") else ""
        ours = f"{row.cell('ours', True)} {row.sign}".strip()
        lines.append(line(row.what.strip() + unit, ours, row.reach, row.floor(), *(row.cell(who) for who in others)))
    return lines


def resting(rows: Mapping[str, Row]) -> list[str]:
    """Programs by their rest: two in a line, which keeps the table on a screen."""
    cells = []
    for what, row in rows.items():
        if what.startswith(FIRST):
            name = what.removeprefix(FIRST)
            typed = rows.get(TYPED + name)
            answer = f"{typed.median('ours'):.0f}" if typed else ""
            cells.append((name, row.notes.get("ours", ""), f"{row.median('ours'):.0f}", answer))
    cells.sort(key=lambda cell: ORDER.index(cell[1]))
    half = (len(cells) + 1) // 2
    lines = ["", line(*("program", "rest", "first, ms", "typed, ms") * 2), line(*("---", "---", "---:", "---:") * 2)]
    lines += [
        line(*one, *other)
        for one, other in itertools.zip_longest(cells[:half], cells[half:], fillvalue=("", "", "", ""))
    ]
    return lines


def errands(figures: Figures, others: list[str]) -> list[str]:
    return [
        f"{figures.errands.date}; calls · kB to and from the model. ✓ and ✗ say whether ours is right, and nobody else",
        "who is needs fewer calls, or as few and fewer bytes: a call is a turn, for which the model reads all again.",
        "",
        line("", "ours", *(named(figures, who) for who in others)),
        line("---", *["---:"] * (1 + len(others))),
        *(line(*cells) for cells in figures.errands.lines(["ours", *others])),
    ]


def compared(figures: Figures, others: list[str]) -> list[str]:
    lines = [
        f"Each cell is a try of {figures.tried} against the real server (`python tests/benchmarks --only features`).",
        "",
        line("", "ours", *(named(figures, who) for who in others)),
        line("---", *["---"] * (1 + len(others))),
    ]
    for what, cells in figures.features.items():
        lines.append(line(what, *(cells.get(who, "") for who in ("ours", *others))))
    return lines


def named(figures: Figures, who: str) -> str:
    version = figures.versions[who]
    return f"mcp-background-job {who}" if who == version else f"{who} {version}"


def line(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
