"""What agents typed into a job lately, for the menu and the command line.

Promise: of what the terminal has not shown, such as a password, the length alone is told.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

LATELY = 200  # inputs that are shown
NOTHING_TYPED = "No agent has typed into this job."


def inputs_of(folder: Path) -> list[dict[str, object]]:
    """The latest inputs of agents into the job with this folder."""
    try:
        entries = (folder / "input.jsonl").read_text(encoding="utf-8", errors="replace").splitlines()[-LATELY:]
    except FileNotFoundError:
        entries = []
    return sent_inputs(entries)


def sent_inputs(entries: Sequence[str]) -> list[dict[str, object]]:
    """The inputs of a transcript, each with its text where a later entry tells that it was shown."""
    found: list[dict[str, object]] = []
    for entry in entries:
        try:
            facts = json.loads(entry)
        except ValueError:
            continue
        if not isinstance(facts, dict):
            continue
        if "time" in facts:
            found.append(facts)
        for earlier in found:
            if earlier.get("offset") == facts.get("offset") and "text" in facts:
                earlier["text"] = facts["text"]
    return found


def sent_lines(facts: Mapping[str, object]) -> list[str]:
    """One input: when, who, then what, line by line; of what was not shown the length."""
    when, who = str(facts.get("time", ""))[11:19], facts.get("who", "")
    text = str(facts.get("text", ""))
    what = [f"  {line}" for line in text.splitlines()]
    hidden = facts.get("characters", 0)
    if isinstance(hidden, int) and hidden > len(text):
        what.append(f"  ({hidden - len(text)} characters that the terminal has not shown: not recorded)")
    keys = facts.get("keys")
    if isinstance(keys, list) and keys:
        what.append("  keys: " + " ".join(map(str, keys)))
    return [f"{when} UTC  {who}", *what]
