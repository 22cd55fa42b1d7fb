"""Adding one table to a TOML file that a person keeps, and leaving every other byte of it as it was.

A library that keeps the style of a document (tomlkit 0.15) was tried and moves or drops comments around a table that it
replaces, hence lines. What comes of them is read again, and refused where it holds anything else than it should.
"""

from __future__ import annotations

import json
import re
import tomllib

from .unreadable import Unreadable

HEADER = re.compile(r"\s*\[+\s*([^\]\n]+?)\s*\]")


def loads(text: str) -> object:
    """The document's value.

    Raises Unreadable.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Unreadable(str(error)) from None


def put(text: str, path: tuple[str, ...], value: dict[str, object]) -> str:
    """`text` with the table `value` at `path`: in the place of the one that is there, or at the end.

    Raises Unreadable, also where a table is there in another form, such as an inline one.
    """
    expected = loads(text)
    at = expected
    for name in path[:-1]:
        assert isinstance(at, dict)
        at = at.setdefault(name, {})
    if not isinstance(at, dict):
        raise Unreadable(f"{path[-2]!r} is not a table")
    at[path[-1]] = value
    after = replaced(text, ".".join(path), table(path, value))
    try:
        same = tomllib.loads(after) == expected
    except tomllib.TOMLDecodeError:
        same = False
    if not same:
        raise Unreadable(f"the table can't be put into it as [{'.'.join(path)}]")
    return after


def replaced(text: str, name: str, made: str) -> str:
    """`text` without the tables `name` and below it, and with the lines `made` where the first of them was."""
    lines = text.splitlines(keepends=True)
    heads = [number for number, line in enumerate(lines) if HEADER.match(line)]
    ours = [number for number in heads if f"{header(lines[number])}.".startswith(f"{name}.")]
    if not ours:
        gap = "" if not text or text.endswith("\n\n") else "\n" if text.endswith("\n") else "\n\n"
        return text + gap + made
    result = lines
    for start in reversed(ours):
        end = next((number for number in heads if number > start), len(lines))
        # What stands right before the next table is about that one.
        while (
            end not in ours
            and end > start + 1
            and (not lines[end - 1].strip() or lines[end - 1].lstrip().startswith("#"))
        ):
            end -= 1
        result = [*result[:start], *([made] if start == ours[0] else []), *result[end:]]
    return "".join(result)


def header(line: str) -> str:
    """The name in a table's header, without blanks and quotes."""
    found = HEADER.match(line)
    return re.sub(r"[\s\"']", "", found[1]) if found else ""


def table(path: tuple[str, ...], value: dict[str, object]) -> str:
    """The lines of a table, its own tables last."""
    name = ".".join(path)
    plain = {key: one for key, one in value.items() if not isinstance(one, dict)}
    lines = [f"[{name}]", *(f"{key} = {scalar(one)}" for key, one in plain.items())]
    for key, one in value.items():
        if isinstance(one, dict):
            lines += ["", f"[{name}.{key}]", *(f"{inner} = {scalar(of)}" for inner, of in one.items())]
    return "\n".join(lines) + "\n"


def scalar(value: object) -> str:
    """JSON's strings, booleans and arrays are TOML's, too, once DEL is escaped."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
