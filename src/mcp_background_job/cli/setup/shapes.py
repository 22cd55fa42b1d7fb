"""The shapes that clients give an entry, and what an entry of any of them starts.

Promise: `starts` reads what each shape writes, and what a person has written by hand in the same fields.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

NAME = "jobs"
GOOSE_TIMEOUT = 300  # seconds for a call; Goose's own default


@dataclass(frozen=True)
class Start:
    """How a client starts a server: a program, its arguments, and what is added to its environment."""

    command: str
    args: list[str]
    env: dict[str, str] = field(default_factory=dict)


Shape = Callable[[Start], dict[str, object]]


def plain(start: Start) -> dict[str, object]:
    return {"command": start.command, "args": start.args} | ({"env": start.env} if start.env else {})


def typed(start: Start) -> dict[str, object]:
    return {"type": "stdio"} | plain(start)


def required(start: Start) -> dict[str, object]:
    """Codex begins its first turn without a server that takes longer than a second to start, unless it is required."""
    made = {"command": start.command, "args": start.args, "required": True}
    return made | ({"env": start.env} if start.env else {})


def copilot(start: Start) -> dict[str, object]:
    return {"type": "local"} | plain(start) | {"tools": ["*"]}


def opencode(start: Start) -> dict[str, object]:
    made: dict[str, object] = {"type": "local", "command": [start.command, *start.args]}
    return made | ({"environment": start.env} if start.env else {})


def cline(start: Start) -> dict[str, object]:
    return {"transport": typed(start)}


def goose(start: Start) -> dict[str, object]:
    made: dict[str, object] = {"name": NAME, "type": "stdio", "enabled": True, "cmd": start.command, "args": start.args}
    return made | ({"envs": start.env} if start.env else {}) | {"timeout": GOOSE_TIMEOUT}


def starts(entry: object) -> Start | None:
    """What an entry starts; None where it is of another transport, or not an entry at all."""
    if not isinstance(entry, dict):
        return None
    inner = entry.get("transport")
    facts = inner if isinstance(inner, dict) else entry
    command = facts.get("command", facts.get("cmd"))
    arguments = facts.get("args") or []
    env = facts.get("env") or facts.get("environment") or facts.get("envs") or {}
    if not isinstance(arguments, list) or not isinstance(env, dict):
        return None
    given = [*(command if isinstance(command, list) else [command]), *arguments]
    words = [word for word in given if isinstance(word, str)]
    if len(words) != len(given) or not words[:1] or not words[0]:
        return None
    return Start(words[0], words[1:], {str(name): str(value) for name, value in env.items()})
