"""The three formats that `setup` edits: all but its own entry stays as it was, byte for byte."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_background_job.cli.setup import jsonc, toml_tables, yaml_maps
from mcp_background_job.cli.setup.formats import format_of
from mcp_background_job.cli.setup.unreadable import Unreadable

ENTRY: dict[str, object] = {"command": "/bin/jobs", "args": ["a", "b"], "required": True, "env": {"A": "1"}}
BARE: dict[str, object] = {"command": "/bin/jobs", "args": []}

texts = st.text(alphabet='a{}[]",:/*\\\né', max_size=6)  # what a scanner of JSON could trip over
values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.sampled_from(["servers", "mcpServers", "a", "", "//", '"']), values, max_size=4)


@given(objects, st.sampled_from([None, 1, "\t"]), st.booleans())
@pytest.mark.promise("cli-setup")
def test_any_object_keeps_all_else_when_an_entry_is_put_into_it(
    whole: dict[str, object], indent: int | str | None, commented: bool
) -> None:
    text = json.dumps(whole, indent=indent)
    if commented and text.endswith("}"):
        text = "// first\n" + text[:-1] + " /* , } */ }\n// last"
    there = whole.get("servers", {})
    if not isinstance(there, dict):
        with pytest.raises(Unreadable):
            jsonc.put(text, ("servers", "jobs"), {"command": "x"})
        return
    result = jsonc.put(text, ("servers", "jobs"), {"command": "x"})
    assert jsonc.loads(result) == {**whole, "servers": {**there, "jobs": {"command": "x"}}}
    if commented:
        assert "// first" in result and "/* , } */" in result and result.endswith("// last")


# -- TOML -------------------------------------------------------------------------------------------------------------

OURS = (
    '[mcp_servers.jobs]\ncommand = "/bin/jobs"\nargs = ["a", "b"]\nrequired = true\n\n[mcp_servers.jobs.env]\nA = "1"\n'
)
OLD = [
    '[mcp_servers.jobs]\ncommand = "old"\n',
    '[mcp_servers.jobs] # mine\ncommand = "old"\nargs = [\n  "[tui]", # c\n]\n# why\n[mcp_servers.jobs.env]\nB = "2"\n',
    '[ mcp_servers . "jobs" ]\ncommand = "old"\n\n[mcp_servers.jobs.tools.execute]\napproval_mode = "approve"\n',
]


@pytest.mark.parametrize("old", OLD)
@pytest.mark.promise("cli-setup")
def test_a_table_of_ours_is_replaced_where_it_stands(old: str) -> None:
    before = '# top\nmodel="x"\n\n[mcp_servers.a]\ncommand   =   "y"\n\n'
    after = "\n# about the screen\n[tui]  # last\nx=1\n"
    assert toml_tables.put(before + old + after, ("mcp_servers", "jobs"), ENTRY) == before + OURS + after
    assert toml_tables.put(before + old, ("mcp_servers", "jobs"), ENTRY) == before + OURS


@pytest.mark.parametrize("before", ["", "# mine\n\n", 'model = "x"\n\n[mcp_servers.other]\ncommand = "y"\n\n'])
def test_a_new_table_comes_last(before: str) -> None:
    assert toml_tables.put(before, ("mcp_servers", "jobs"), ENTRY) == before + OURS
    assert toml_tables.put(before.rstrip("\n"), ("mcp_servers", "jobs"), ENTRY) in (before + OURS, OURS)


@pytest.mark.parametrize(
    "text",
    [
        "mcp_servers.jobs.command = 'x'\n",
        "[mcp_servers]\njobs.command = 'x'\n",
        "[mcp_servers]\njobs = {command = 'x'}\n",
        "mcp_servers = {a = {command = 'x'}}\n",
        "mcp_servers = []\n",
    ],
)
def test_servers_in_another_form_are_not_touched(text: str) -> None:
    with pytest.raises(Unreadable):
        toml_tables.put(text, ("mcp_servers", "jobs"), ENTRY)


def test_toml_strings_are_what_they_were() -> None:
    odd = 'a "b" \\ \t \x7f ü 😀 \x1b'
    entry: dict[str, object] = {"command": odd, "args": [odd, ""], "env": {"A": odd}}
    assert tomllib.loads(toml_tables.put("", ("mcp_servers", "jobs"), entry)) == {"mcp_servers": {"jobs": entry}}


pieces = st.lists(
    st.sampled_from(
        [
            "# a comment\n",
            "\n",
            "[mcp_servers.a]\ncommand = 'x'\n",
            "[[things]]\nx = [\n  1,\n]\n",
            '[tui]\ntext = """\n[mcp_servers.jobs]\n"""\n',
            "[mcp_servers.jobsy]\ncommand = 'y'  # not ours\n",
            *OLD,
        ]
    ),
    max_size=6,
    unique_by=lambda piece: piece.partition("]")[0].replace(" ", "").replace('"', "") if piece.strip("\n#") else piece,
)


@given(pieces, st.sampled_from([ENTRY, BARE]))
@pytest.mark.promise("cli-setup")
def test_any_toml_keeps_all_else(parts: list[str], entry: dict[str, object]) -> None:
    text = "".join(parts)
    try:
        after = toml_tables.put(text, ("mcp_servers", "jobs"), entry)
    except Unreadable:
        assert '"""' in text, "only what looks like a table in a string is in the way"
        return
    expected = tomllib.loads(text)
    expected.setdefault("mcp_servers", {})["jobs"] = entry
    assert tomllib.loads(after) == expected
    rest = [part for part in parts if part not in OLD and part.strip()]
    at = 0
    for part in rest:
        at = after.index(part, at) + len(part)


# -- YAML -------------------------------------------------------------------------------------------------------------

JOBS = 'jobs:\n    command: "/bin/jobs"\n    args: []\n'
GOOSE = """\
# my Goose
GOOSE_MODE:   'smart_approve'   # quoted so
extensions:  # mine
  # the shell
  developer:
    enabled: true
    args:
    - a

# last
zz: {a: 1}
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "extensions:\n  " + JOBS),
        ("a: 1", "a: 1\nextensions:\n  " + JOBS),
        ("# only\n", "# only\nextensions:\n  " + JOBS),
        ("extensions:\na: 1\n", "extensions:\n  " + JOBS + "a: 1\n"),
        ("extensions: {}\n", 'extensions: {"jobs": {"command": "/bin/jobs", "args": []}}\n'),
        ("extensions: {a: {b: 1}}\n", 'extensions: {"jobs": {"command": "/bin/jobs", "args": []}, a: {b: 1}}\n'),
        ("extensions: {jobs: 1, a: 2}", 'extensions: {"jobs": {"command": "/bin/jobs", "args": []}, a: 2}'),
        (GOOSE, GOOSE.replace("# mine\n", "# mine\n  " + JOBS)),
        (
            GOOSE.replace(
                "  developer:", "  jobs: # old\n    cmd: x\n    args:\n    - 'b'  # c\n\n  # next\n  developer:"
            ),
            GOOSE.replace("  developer:", "  " + JOBS[:-1] + "  # c\n\n  # next\n  developer:"),
        ),
        ("extensions:\n  jobs:\n    cmd: x\n", "extensions:\n  " + JOBS),
        ("extensions:\n  jobs:\n    cmd: x\n    envs: {}", "extensions:\n  " + JOBS[:-1]),
    ],
)
@pytest.mark.promise("cli-setup")
def test_an_entry_is_cut_into_yaml_where_it_belongs(before: str, after: str) -> None:
    assert yaml_maps.put(before, ("extensions", "jobs"), BARE) == after


@pytest.mark.parametrize(
    "text", ["a: b: c", "- 1", "extensions: 3", "extensions: ~\n", "a: 1\n...\n---\nb: 2\n", "a: 1\n...\n"]
)
def test_yaml_in_another_form_is_not_touched(text: str) -> None:
    with pytest.raises(Unreadable):
        yaml_maps.put(text, ("extensions", "jobs"), BARE)


def test_yaml_strings_are_what_they_were() -> None:
    odd = 'a: "b" \\ \t \x7f ü 😀 \x1b # no'
    entry: dict[str, object] = {"cmd": odd, "args": [odd, ""], "envs": {"A": odd}}
    text = yaml_maps.put(GOOSE, ("extensions", "jobs"), entry)
    found = format_of(Path("x.yaml")).entry(Path("x.yaml"), text, ("extensions", "jobs"))
    assert found == entry


def test_the_command_line_starts_without_the_yaml_library() -> None:
    import subprocess
    import sys

    code = "import sys, mcp_background_job.cli.setup.command; sys.exit('ruamel.yaml' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
