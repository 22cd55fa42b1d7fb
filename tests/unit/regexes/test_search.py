"""A pattern means what `re` makes of it, line by line, whatever the worker skips; and nothing ends but the worker."""

from __future__ import annotations

import os
import random
import re
import signal
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_background_job.errors import InvalidInput
from mcp_background_job.regexes import search, worker
from mcp_background_job.regexes.search import MAX_PATTERN, a_worker, check_patterns, first_line, match_any
from support.scale import FULL
from support.waiting import DEADLINE

HOSTILE = {
    "ended the server": "(?:(?:a+|b){1000}){300}",
    "999 KB": "(a|b)" * 199_800,
    "20 s to compile": "(?:" * 20 + "a{1,99}" + "){1,99}" * 20,
    "43 s to compile": "(?i)" + "[\\x00-\U0010ffff]" * 500,
    "nested": "(" * 4_000 + ")" * 4_000,
    "memory": "(?:(a)|b)*" * 50 + "c",
    "huge repeat": "a{4294967294}",
    "exponential": "(a+)+$",
}

atom = st.sampled_from(["ab", "b", "x", "\u017f", "s", "K", r"\w", ".", "[^a]", "^", "$", r"\b", "é"])
piece = st.builds(lambda a, q: f"(?:{a}){q}", atom, st.sampled_from(["", "*", "+", "?", "{2}", "{0,3}"]))
group = st.builds(
    lambda f, a, b, e: f"{f}{a}|{b}{e}", st.sampled_from(["(", "(?i:", "(?=", "(?!", "(?>"]), piece, piece, st.just(")")
)
patterns = st.tuples(st.sampled_from(["", "(?i)", "(?x) "]), st.lists(piece | group, max_size=4).map("".join)).map(
    "".join
)


@given(patterns, st.text("abxsSkK\u017f\u212aé \n", max_size=60))
@settings(max_examples=500, deadline=None)
@pytest.mark.promise("grep-exact")
def test_lines_that_are_skipped_do_not_match(pattern: str, text: str) -> None:
    try:
        compiled = re.compile(pattern)
    except re.error:
        return
    lines = text.removesuffix("\n").split("\n") if text else []
    found = search.found_lines(worker.find_lines(pattern, text, False))
    assert found.count == len(lines)
    shown = [(number, text[start:end]) for start, end, _, number in found.spans()]
    assert shown == [(number, line) for number, line in enumerate(lines) if compiled.search(line)]


@pytest.mark.parametrize(
    ("pattern", "literals"),
    [
        ("ERROR", {"ERROR"}),
        (r"^\s*(FAIL|ERROR): x", {"FAIL", "ERROR"}),
        (r"(FAIL|ERROR)\d", {"FAIL", "ERROR"}),
        (r"\bwarn(ing)?\b", {"warn"}),
        (r"(?i)Error", {"Error"}),
        (r"(?i:Error)", set()),
        (r"a|\d", set()),
        (r"(?=abc)", set()),
        (r"(abc)*", set()),
        (r"(abc)+x", {"abc"}),
    ],
)
def test_the_literals_that_a_line_must_contain(pattern: str, literals: set[str]) -> None:
    assert worker.required(pattern) == literals


@pytest.mark.parametrize("pattern", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.promise("hostile-pattern")
def test_a_hostile_pattern_costs_a_second_and_ends_nothing(pattern: str) -> None:
    begun = time.monotonic()
    try:
        check_patterns([pattern])
        first_line(pattern, "a" * 5_000 + "!\n" + "ab" * 3_000)
    except InvalidInput as error:
        assert re.search("too long|not a regular expression|has 999000 characters", str(error))
    assert time.monotonic() - begun < DEADLINE, "two requests of a second of processor time, on a busy machine"
    assert first_line("b$", "a\nab\n") == "ab"


def hostile(chosen: random.Random) -> str:
    """A pattern made of what makes compiling or matching expensive."""
    pattern = chosen.choice(["a", ".", "\\w", "[\x00-\U0010ffff]", "(?i:ß)", "a|a", "", "\\b", "(?=a)", "(?<=a)"])
    for _ in range(chosen.randint(1, 8)):
        low, high = chosen.randint(0, 1000), chosen.randint(1000, 9999)
        pattern = chosen.choice(
            [
                f"({pattern})+",
                f"(?:{pattern}){{{low},{high}}}",
                f"({pattern}|{pattern})*",
                f"(?i)(?:{pattern})*?",
                f"(?={pattern}){pattern}",
                f"(?<!{pattern})",
                f"(?P<n>{pattern})(?P=n)",
                pattern * chosen.randint(2, 9),
                pattern + chosen.choice("([{\\?*+^$|)"),
            ]
        )[: 2 * MAX_PATTERN]
    return pattern


@pytest.mark.timeout(3 * 3600 if FULL else 300)
@pytest.mark.promise("hostile-pattern")
def test_hostile_patterns_by_the_thousand() -> None:
    chosen = random.Random(16)
    slowest = 0.0
    for _ in range(10_000 if FULL else 60):
        pattern = hostile(chosen)
        begun = time.monotonic()
        try:
            check_patterns([pattern])
            match_any([pattern], ["a" * 200 + "!"])
        except InvalidInput as error:
            assert len(str(error)) < 400
        slowest = max(slowest, time.monotonic() - begun)
    assert slowest < DEADLINE, "two requests of a second of processor time, on a busy machine"


def test_a_worker_is_kept_and_one_that_was_killed_is_replaced() -> None:
    assert first_line("b", "abc") == "abc"
    with a_worker() as kept:
        pid = kept.process.pid
    with a_worker() as again:
        assert again.process.pid == pid
        os.kill(pid, signal.SIGKILL)
        again.process.wait()
    with pytest.raises(InvalidInput, match="too long"):
        first_line("b", "abc")
    assert first_line("b", "abc") == "abc"


def test_a_worker_ends_with_its_server() -> None:
    started = search.Worker()
    started.process.stdin and started.process.stdin.close()
    assert started.process.wait(10) == 0
    started.close()
