"""README.md taken apart: its fenced blocks, its tables, its entries and its words of code."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).parents[2]
README = TOP / "README.md"


@dataclass(frozen=True)
class Block:
    """What stands between two fences."""

    language: str
    text: str
    line: int

    @property
    def first(self) -> str:
        return self.text.partition("\n")[0]


def text() -> str:
    return README.read_text(encoding="utf-8")


def blocks() -> list[Block]:
    """All fenced blocks, in their order."""
    whole = text()
    found = re.finditer(r"^```(\w*)\n(.*?)^```$", whole, re.MULTILINE | re.DOTALL)
    return [Block(match[1], match[2], whole.count("\n", 0, match.start()) + 1) for match in found]


def without_blocks() -> str:
    return re.sub(r"^```.*?^```$", "", text(), flags=re.MULTILINE | re.DOTALL)


def section(title: str) -> str:
    """The text under a heading, up to the next of its kind."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", without_blocks(), re.MULTILINE | re.DOTALL)
    assert found is not None, f"README.md has no section {title!r}"
    return found[1]


def rows(title: str) -> list[list[str]]:
    """The cells of the tables of a section, without their heads."""
    found = []
    lines = section(title).splitlines()
    for number, line in enumerate(lines):
        if line.startswith("|") and not line.startswith("|---") and not lines[number + 1].startswith("|---"):
            found.append([cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return found


def code(words: str) -> list[str]:
    """What stands between backticks."""
    return [" ".join(found.split()) for found in re.findall(r"`([^`]+)`", words)]


def entries(title: str) -> list[str]:
    """The entries of a section's list."""
    return [" ".join(found.split()) for found in re.split(r"^- ", section(title), flags=re.MULTILINE)[1:]]


def says(pattern: str, printed: str) -> bool:
    """Whether something was printed as the README has it, where … stands for anything."""
    return re.search(".*".join(re.escape(part) for part in pattern.split("…")), printed) is not None
