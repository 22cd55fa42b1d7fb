"""Adding one entry to a YAML file that a person keeps, and leaving every other byte of it as it was.

ruamel.yaml tells where things stand, and the text is cut there: written by it, a document changes its indentation and
quotes. What comes of it is read again, and refused where it holds anything else than it should.
"""

from __future__ import annotations

import json
from typing import Any

from .unreadable import Unreadable

STEP = "  "


def loads(text: str) -> object:
    """The document's value, an empty map where there is none.

    Raises Unreadable.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        found: object = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError) as error:
        raise Unreadable(" ".join(str(error).split())) from None
    return {} if found is None else found


def put(text: str, path: tuple[str, ...], value: dict[str, object]) -> str:
    """`text` with `value` at `path`, which is of two names.

    Raises Unreadable, also where there is something else than a map on the way.
    """
    expected = loads(text)
    section, name = path
    if not isinstance(expected, dict) or not isinstance(expected.get(section) or {}, dict):
        raise Unreadable(f"{section!r} is not a map")
    expected[section] = {**(expected.get(section) or {}), name: value}
    after = inserted(text, section, name, value)
    if loads(after) != expected:
        raise Unreadable("the entry can't be added without a change elsewhere")
    return after


def inserted(text: str, section: str, name: str, value: dict[str, object]) -> str:
    """`text` with the entry cut in; where it lies strangely, what comes of it may be wrong."""
    found = member(compose(text), section)
    if found is None:
        gap = "" if not text or text.endswith("\n") else "\n"
        return f"{text}{gap}{section}:\n{block(name, value, STEP)}"
    key, servers = found
    there = member(servers, name)
    if there is not None:
        start, end = there[0].start_mark, last_leaf(there[1]).end_mark.index
        made = f"{json.dumps(name)}: {scalar(value)}"
        if not servers.flow_style:
            made = block(name, value, " " * start.column).strip()
        end = start.index + len(text[start.index : end].rstrip())
        return text[: start.index] + made + text[end:]
    if getattr(servers, "flow_style", False):
        inside = servers.start_mark.index + 1
        comma = ", " if servers.value else ""
        return f"{text[:inside]}{json.dumps(name)}: {scalar(value)}{comma}{text[inside:]}"
    # In front of the first one, and of the comment above that.
    indent = " " * servers.value[0][0].start_mark.column if isinstance(servers.value, list) else STEP
    line = text.find("\n", key.end_mark.index) + 1
    return text[:line] + block(name, value, indent) + text[line:] if line else f"{text}\n{block(name, value, indent)}"


def compose(text: str) -> Any:
    """The document's nodes, each with where it begins and ends."""
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True).compose(text)


def member(node: Any, name: str) -> tuple[Any, Any] | None:
    """The key and the value called `name` in a map."""
    pairs = node.value if node is not None and isinstance(node.value, list) else []
    return next(((key, value) for key, value in pairs if key.value == name), None)


def last_leaf(node: Any) -> Any:
    """The node with which a node ends: a block's own end is where the next thing begins."""
    while isinstance(node.value, list) and node.value and not node.flow_style:
        inner = node.value[-1]
        node = inner[1] if isinstance(inner, tuple) else inner
    return node


def block(name: str, value: dict[str, object], indent: str) -> str:
    """The lines of an entry."""
    return "".join([f"{indent}{name}:\n", *(f"{indent}{STEP}{key}: {scalar(one)}\n" for key, one in value.items())])


def scalar(value: object) -> str:
    """JSON is YAML's flow style, once DEL is escaped."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
