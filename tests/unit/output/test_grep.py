"""The search over blocks finds what a search line by line finds, with the same context."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_background_job.output.grep import Matches
from mcp_background_job.regexes.search import matching_lines

atom = st.sampled_from(
    ["a", "b", ".", "x", r"\s", r"\S", "[^a]", r"\w", r"\b", "^", "$", "ab", " ", r"\n", "(?:ab)", "(a|x)"]
)
quantified = st.builds(
    lambda a, q: a + q if a not in ("^", "$", r"\b") else a, atom, st.sampled_from(["", "*", "+", "?"])
)
pattern = st.lists(quantified, min_size=1, max_size=5).map("".join)
ends = st.sampled_from([r"\Z", r"(?=b)", "(?!a)", "a++", "(?i)A", r"\A"])
lines = st.lists(st.text("ab x\u00e9", max_size=8), max_size=40)


def plain(pattern: str, text: list[str], context: int) -> str:
    """What grep -n -C shows, the simple way."""
    hits = {number for number, line in enumerate(text, 1) if re.search(pattern, line)}
    shown = sorted({near for hit in hits for near in range(hit - context, hit + context + 1) if 1 <= near <= len(text)})
    out, last = [], 0
    for number in shown:
        if context and last and number > last + 1:
            out.append("--")
        out.append(f"{number}{':' if number in hits else '-'}{text[number - 1]}")
        last = number
    return "".join(line + "\n" for line in out)


def found(pattern: str, blocks: list[str], context: int) -> str:
    matches = Matches(context, 1_000_000)
    for (text,), (lines,) in matching_lines(pattern, ((block,) for block in blocks)):
        matches.add_block(text, lines)
    return matches.text()


def block(lines: list[str]) -> str:
    return "".join(line + "\n" for line in lines)


@given(
    pattern | st.tuples(pattern, ends).map(lambda p: p[1] + p[0] if p[1] == "(?i)A" else p[0] + p[1]),
    lines,
    lines,
    st.integers(0, 3),
)
@settings(max_examples=400, deadline=None)
@pytest.mark.promise("grep-exact")
def test_blocks_give_what_lines_give(pattern: str, first: list[str], second: list[str], context: int) -> None:
    try:
        re.compile(pattern)
    except re.error:
        return
    assert found(pattern, [block(first), block(second)], context) == plain(pattern, first + second, context)


@pytest.mark.parametrize("pattern", ["a$", "^a", r"a\Z", "[^x]+b", r"\s", "a|b", "$", ""])
def test_the_last_line_may_lack_its_newline(pattern: str) -> None:
    assert found(pattern, ["x a\nb\na"], 0) == plain(pattern, ["x a", "b", "a"], 0)


def test_a_long_line_is_cut_around_its_match_and_hides_no_other() -> None:
    text = block(["ERROR one", "x" * 25_000 + "ERROR in the middle" + "y" * 25_000, "z", "ERROR three"])
    matches = Matches(0, 40_000)
    for (one,), (found_in_it,) in matching_lines("ERROR", [(text,)]):
        matches.add_block(one, found_in_it)
    first, second, third = matches.text().splitlines()
    assert (first, third) == ("1:ERROR one", "4:ERROR three")
    assert second.startswith("2:…x") and "xERROR in the middley" in second and second.endswith("y…")
    assert len(second) < 900


@given(st.integers(1, 400), st.integers(0, 2), st.integers(40, 3000))
@settings(max_examples=100, deadline=None)
@pytest.mark.promise("output-bounded")
def test_beyond_the_room_are_the_first_and_the_last_and_how_many_there_are(count: int, context: int, room: int) -> None:
    text = block([word for number in range(count) for word in ("between", f"ERROR {number}")])
    matches = Matches(context, room)
    for (one,), (found_in_it,) in matching_lines("ERROR", [(text,)]):
        matches.add_block(one, found_in_it)
    shown = matches.text()
    numbers = [int(word) for word in re.findall(r"ERROR (\d+)", shown)]
    if matches.left_out:
        assert f"[… {count - len(numbers)} of {count} matching lines left out: " in shown
        assert len(shown) <= room + 100
        before = [int(word) for word in re.findall(r"ERROR (\d+)", shown.partition("[…")[0])]
        assert numbers == [*before, *range(count - len(numbers) + len(before), count)]
        assert before == list(range(len(before)))
    else:
        assert numbers == list(range(count))


def test_context_is_shown_with_its_match_and_never_without() -> None:
    text = block([f"NEEDLE {number}" if number % 10 == 0 else f"ctx {number}" for number in range(1, 201)])
    for room in (60, 200, 500, 1000):
        matches = Matches(3, room)
        for (one,), (found_in_it,) in matching_lines("NEEDLE", [(text,)]):
            matches.add_block(one, found_in_it)
        groups = re.split(r"--\n|\[….*…\]\n", matches.text())
        assert all("NEEDLE" in group for group in groups if group)
