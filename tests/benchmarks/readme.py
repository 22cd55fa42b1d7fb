"""The README's two tables, between marker comments, made from the figures of a run."""

from __future__ import annotations

from pathlib import Path

from figures import FLOOR, Figures, machine

README = Path(__file__).resolve().parents[2] / "README.md"


def write(figures: Figures) -> None:
    """Put both tables into the README, in place of the last ones."""
    others = [who for who in figures.versions if who not in ("ours", *FLOOR)]
    text = README.read_text()
    text = between(text, "measured", measured(figures, others))
    text = between(text, "compared", compared(figures, others))
    README.write_text(text)


def between(text: str, name: str, lines: list[str]) -> str:
    begin, end = f"<!-- {name}: python tests/benchmarks --readme -->", f"<!-- /{name} -->"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise SystemExit(f"README.md has no {begin} … {end}")
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
