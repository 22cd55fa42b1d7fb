"""Adding one entry to a JSON file that a person keeps, and leaving every other byte of it as it was.

Takes JSON with comments and trailing commas, as VS Code, Zed and opencode write it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from .unreadable import Unreadable

TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*|/\*.*?\*/)|(?P<string>"(?:[^"\\]|\\.)*")|(?P<mark>[{}\[\]:,])|(?P<word>[^\s{}\[\]:,"/]+)""",
    re.DOTALL,
)


@dataclass(frozen=True)
class Token:
    """A string, a word or a mark, and where it stands."""

    text: str
    start: int
    stop: int


@dataclass(frozen=True)
class Member:
    """One entry of an object: where its value stands."""

    name: str
    start: int
    stop: int


def tokens(text: str) -> list[Token]:
    """All but blanks and comments.

    Raises Unreadable.
    """
    found: list[Token] = []
    position = 0
    while position < len(text):
        match = TOKEN.match(text, position)
        if match is None:
            raise Unreadable(f"line {text.count(chr(10), 0, position) + 1}")
        if match.lastgroup != "space":
            found.append(Token(match[0], match.start(), match.end()))
        position = match.end()
    return found


def loads(text: str) -> object:
    """The value, with comments and trailing commas passed over.

    Raises Unreadable.
    """
    plain: list[str] = []
    for token in tokens(text):
        if token.text in "}]" and plain and plain[-1] == ",":
            plain.pop()
        plain.append(token.text)
    try:
        return json.loads(" ".join(plain))
    except ValueError as error:
        raise Unreadable(str(error)) from None


def members(text: str, start: int) -> tuple[list[Member], int]:
    """The entries of the object that begins at `start`, and where its closing brace stands."""
    depth, name, began = 0, "", -1
    found: list[Member] = []
    before = Token("", start, start)
    for token in (token for token in tokens(text) if token.start >= start):
        closing = token.text in ("}", "]")
        if depth == 1 and began >= 0 and token.text in (",", "}"):
            found.append(Member(name, began, before.stop))
            began = -1
        elif depth == 1 and began < 0 and before.text == ":":
            began = token.start
        elif depth == 1 and began < 0 and token.text.startswith('"'):
            name = json.loads(token.text)
        depth += (token.text in ("{", "[")) - closing
        if closing and depth == 0:
            return found, token.start
        before = token
    raise Unreadable("an object has no end")


def put(text: str, path: tuple[str, ...], value: object) -> str:
    """`text` with `value` at `path`, whose objects are made where they are missing.

    Raises Unreadable, also where something on the way is not an object.
    """
    whole = text if text.strip() else "{}\n"
    if not isinstance(loads(whole), dict):
        raise Unreadable("it does not hold an object")
    result = put_into(whole, tokens(whole)[0].start, path, value)
    expected = loads(whole)
    at = expected
    for name in path[:-1]:
        assert isinstance(at, dict)
        at = at.setdefault(name, {})
    assert isinstance(at, dict)
    at[path[-1]] = value
    if loads(result) != expected:
        raise Unreadable("the entry can't be added without a change elsewhere")
    return result


def put_into(text: str, start: int, path: tuple[str, ...], value: object, depth: int = 1) -> str:
    """As `put`, for the object that begins at `start` and lies `depth` deep."""
    found, end = members(text, start)
    there = [member for member in found if member.name == path[0]]
    if there and len(path) > 1:
        if text[there[-1].start] != "{":
            raise Unreadable(f"{path[0]!r} is not an object")
        return put_into(text, there[-1].start, path[1:], value, depth + 1)
    for name in reversed(path[1:]):
        value = {name: value}
    step = indent_of(text)
    made = json.dumps(value, indent=step, ensure_ascii=False).replace("\n", "\n" + step * depth)
    if there:
        return text[: there[-1].start] + made + text[there[-1].stop :]
    entry = f"{json.dumps(path[0])}: {made}"
    if found:
        # In front of the first one: what stands behind the last one may be a comma, a comment, or both.
        return f"{text[: start + 1]}\n{step * depth}{entry},{text[start + 1 :]}"
    inside = text[start + 1 : end].rstrip()
    return f"{text[: start + 1]}{inside}\n{step * depth}{entry}\n{step * (depth - 1)}{text[end:]}"


def indent_of(text: str) -> str:
    """The indentation that the file uses; two blanks where it shows none."""
    match = re.search(r'^([ \t]+)"', text, re.MULTILINE)
    return match[1] if match else "  "
