"""Every promise has a test that holds it, and no test holds one that was never made."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from promises import PROMISES

TESTS = Path(__file__).parents[1]


def held(source: str) -> Iterator[str]:
    """The ids that `pytest.mark.promise` names on the test functions of a file, by decorator or by `pytestmark`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.promise":
            yield from (ast.literal_eval(argument) for argument in node.args)


def in_the_suite() -> dict[str, list[str]]:
    """Promise → the files with a test for it."""
    found: dict[str, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        if path != Path(__file__):
            for promise in held(path.read_text(encoding="utf-8")):
                found.setdefault(promise, []).append(path.name)
    return found


def test_every_promise_has_a_test() -> None:
    assert not PROMISES.keys() - in_the_suite().keys()


def test_no_test_names_a_promise_that_was_never_made() -> None:
    assert not in_the_suite().keys() - PROMISES.keys()


def test_a_promise_is_one_sentence() -> None:
    assert [sentence for sentence in PROMISES.values() if not sentence.endswith(".") or ". " in sentence] == []


def test_a_mark_is_found() -> None:
    assert list(held('@pytest.mark.promise("a", "b")\ndef test_it() -> None: ...')) == ["a", "b"]
