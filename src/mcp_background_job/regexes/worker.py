"""The process that compiles and searches: `python -I -S worker.py`, requests on stdin, answers on stdout.

Promises: it does nothing but regular expressions of the standard library's `re`; a request that takes more processor
time than it was given, or more memory than MEMORY, ends this process and nothing else; it ends with its server, and
after LIFE without a request.

A request is its size and its seconds (HEAD) and then `marshal`: the name of a function below and its arguments. An
answer is its size (SIZE) and then `marshal`: what was found, and which pattern is not a regular expression and why.
"""

from __future__ import annotations

import marshal
import re
import resource
import signal
import struct
import sys
from array import array
from functools import lru_cache
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:  # `typing` would cost a third of this process's start
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

HEAD = struct.Struct("=Qd")
SIZE = struct.Struct("=Q")
MEMORY = 256 << 20  # bytes of address space, of which Python takes 20
LIFE = 300  # seconds
LITERALS = 32  # alternatives; a prefilter of more is no faster than the search itself


class Unusable(Exception):
    """A pattern that is not a regular expression, and why."""


class Prepared:
    """A compiled pattern, and what a line must contain to be looked at."""

    def __init__(self, pattern: str) -> None:
        pattern = in_a_line(pattern)
        try:
            self.compiled = re.compile(pattern)
        except RecursionError:
            raise Unusable(pattern, "it is nested too deeply") from None
        except MemoryError:
            raise Unusable(pattern, "it takes too much memory") from None
        except (re.error, OverflowError, ValueError) as error:
            raise Unusable(pattern, str(error)) from None
        self.folded = bool(self.compiled.flags & re.IGNORECASE)
        literals = required(pattern)
        if self.folded:
            # Without case, `s` also matches U+017F: this holds for ASCII text alone.
            literals = {text.lower() for text in literals} if all(text.isascii() for text in literals) else set()
        self.filter = re.compile("|".join(map(re.escape, sorted(literals)))) if literals else None

    def lines(self, text: str) -> Iterator[tuple[int, int]]:
        """Where the lines begin and end that may match, in order."""
        if self.filter is None or (self.folded and not text.isascii()):
            start = 0
            for line in text.removesuffix("\n").split("\n") if text else ():
                yield start, start + len(line)
                start += len(line) + 1
            return
        if self.folded:
            text = text.lower()
        search, position = self.filter.search, 0
        while found := search(text, position):
            start = text.rfind("\n", 0, found.start()) + 1
            end = text.find("\n", found.start())
            end = len(text) if end < 0 else end
            yield start, end
            position = end + 1


def in_a_line(pattern: str) -> str:
    """A pattern as it is meant in one line: a line break at its end is the line's end.

    Raises Unusable for one that only several lines could match.
    """
    body = pattern.removesuffix("\n")
    if body == pattern and pattern.endswith("\\n") and (len(pattern) - len(pattern[:-1].rstrip("\\"))) % 2 == 0:
        body = pattern[:-2]
    body += "$" if body != pattern else ""
    try:
        parsed = import_module("re._parser").parse(body)
    except Exception:  # what is wrong with it is told where it is compiled
        return body
    if any(repr(operation) == "LITERAL" and argument == 10 for operation, argument in parsed):
        raise Unusable(pattern, "it has a line break, and is searched in one line at a time")
    return body


prepared = lru_cache(maxsize=16)(Prepared)


def check(patterns: Sequence[str]) -> None:
    """Nothing: that they compile is the answer."""
    for pattern in patterns:
        prepared(pattern)


def match_any(patterns: Sequence[str], texts: Sequence[str]) -> list[bool]:
    """For each text whether one of the patterns matches at its beginning."""
    compiled = [prepared(pattern).compiled for pattern in patterns]
    return [any(pattern.match(text) for pattern in compiled) for text in texts]


def match_spans(pattern: str, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
    """For each text where the matches that are not empty begin and end."""
    find = prepared(pattern).compiled.finditer
    return [[match.span() for match in find(text) if match.end() > match.start()] for text in texts]


def find_lines(pattern: str, text: str, first: bool) -> tuple[bytes, int]:
    """Four numbers for each line of `text` that matches: where it begins and ends, where the match does in it, and how
    many lines are before it.

    And how many lines there are; up to the first that matches if `first`.
    """
    found = array("q")
    position = line = 0
    ready = prepared(pattern)
    search = ready.compiled.search
    for start, end in ready.lines(text):
        if match := search(text[start:end]):
            line += text.count("\n", position, start)
            position = start
            found.extend((start, end, match.start(), line))
            if first:
                return found.tobytes(), line + 1
    return found.tobytes(), line + text.count("\n", position) + (text[-1:] not in ("", "\n"))


def required(pattern: str) -> set[str]:
    """Literals of which every line that matches contains one; none where that can't be told."""
    try:
        literals = _required(import_module("re._parser").parse(pattern))
    except Exception:  # the parser is the interpreter's own affair; without it all lines are looked at
        return set()
    return literals if len(literals) <= LITERALS else set()


def _required(parsed: Iterable[tuple[object, Any]]) -> set[str]:
    """The best of what the items of a sequence require, each for itself; a run of characters is one item."""
    best: set[str] = set()
    run = ""
    for operation, argument in parsed:
        name = repr(operation)
        if name == "LITERAL" and argument != 10:
            run += chr(argument)
            best = max(best, {run}, key=_worth)
            continue
        run = ""
        best = max(best, _required_by(name, argument), key=_worth)
    return best


def _required_by(name: str, argument: Any) -> set[str]:
    if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        return _required(argument[2]) if argument[0] else set()
    if name == "SUBPATTERN":
        flags_changed = argument[1] or argument[2]
        return set() if flags_changed else _required(argument[3])
    if name == "ATOMIC_GROUP":
        return _required(argument)
    if name == "BRANCH":
        each = [_required(alternative) for alternative in argument[1]]
        return set[str]().union(*each) if all(each) else set()
    return set()


def _worth(literals: set[str]) -> tuple[int, int]:
    """Few long literals are rare in a text."""
    return (min(map(len, literals)), -len(literals)) if literals else (0, 0)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "check": check,
    "match_any": match_any,
    "match_spans": match_spans,
    "find_lines": find_lines,
}


def answer(name: str, *arguments: Any) -> tuple[Any, Any]:
    try:
        return FUNCTIONS[name](*arguments), None
    except Unusable as error:
        return None, error.args


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C at the server's terminal is the server's
    try:
        with open("/proc/self/comm", "w") as name:  # noqa: PTH123 - as supervisor/naming.py, which is out of reach here
            name.write("mcp-bg-regex")
    except OSError:
        pass
    try:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (OSError, ValueError):
        pass  # macOS has no limit of address space
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    while True:
        signal.alarm(LIFE)
        head = requests.read(HEAD.size)
        signal.alarm(0)
        if len(head) < HEAD.size:
            return
        size, seconds = HEAD.unpack(head)
        request = marshal.loads(requests.read(size))
        signal.setitimer(signal.ITIMER_PROF, seconds)  # its signal ends this process
        found = marshal.dumps(answer(*request))
        signal.setitimer(signal.ITIMER_PROF, 0)
        answers.write(SIZE.pack(len(found)))
        answers.write(found)
        answers.flush()


if __name__ == "__main__":
    main()
