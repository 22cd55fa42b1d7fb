"""Whatever the allowlist accepts is run for real, and nothing runs but what the patterns saw.

Three witnesses: stub programs that log their arguments, the shell's own trace, which has the builtins and
assignments too, and the folder, where no file may appear. MCP_BG_FUZZ_EXAMPLES sets how many commands each
test makes up.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_background_job.errors import NotAllowed
from mcp_background_job.jobs.allowlist import check_command
from unit.jobs.test_allowlist import ACCEPTED, OTHER_COMMANDS, TRICKS

ALLOWED = ("echo", "ls", "wc")
FORBIDDEN = ("id", "rm", "cat", "tee", "env", "pwn", "a", "b", "x")
SHELLS = [path for path in map(shutil.which, ("bash", "dash")) if path]
UNIT, RECORD, TRACE = "\x1f", "\x1e", "\x1d"  # no accepted command has these

fuzzed = settings(max_examples=int(os.environ.get("MCP_BG_FUZZ_EXAMPLES", "200")), deadline=None, database=None)
pytestmark = [
    pytest.mark.skipif(not SHELLS, reason="neither bash nor dash is here"),
    # One test runs several hundred shells, and many more where MCP_BG_FUZZ_EXAMPLES says so.
    pytest.mark.timeout(0 if "MCP_BG_FUZZ_EXAMPLES" in os.environ else 60),
]


@dataclass(frozen=True)
class Run:
    """What the witnesses saw."""

    arguments: list[tuple[str, ...]]
    traced_names: list[str]
    new_files: set[Path]

    def strays(self, seen: list[str]) -> list[object]:
        """Return whatever ran or appeared that the patterns' texts don't account for."""
        unseen = Counter(self.arguments) - Counter(tuple(shlex.split(text)) for text in seen)
        return [*unseen, *(name for name in self.traced_names if name not in ALLOWED), *self.new_files]


class Sandbox:
    """A folder with stub programs, in which a shell runs one command at a time."""

    def __init__(self, root: Path) -> None:
        self.root, self.log, self.home = root, root / "log", root / "home"
        self.setup = root / "setup"
        programs = root / "bin"
        for folder in (self.home, programs):
            folder.mkdir()
        # One printf, so that the members of a pipeline append whole records. wc fails, for the sake of `||`.
        stub = f"#!/bin/sh\nprintf '%s{UNIT}' \"${{0##*/}}\" \"$@\" '{RECORD}' >>{shlex.quote(str(self.log))}\n"
        for path in [*(programs / name for name in ALLOWED + FORBIDDEN), self.home / "pwn"]:
            path.write_text(stub + ("exit 1\n" if path.name == "wc" else ""))
            path.chmod(0o755)
        for name in ("a", "ab", "-x", "ls", "x y"):  # for a glob to find
            (self.home / name).touch()
        # bash run by root takes no PS4 from the environment. Its echo is off so that the stub is called.
        self.setup.write_text(f"enable -n echo\nPS4='{TRACE}'\nset -x\n")
        self.environment = {"PATH": str(programs), "HOME": str(self.home), "PS4": TRACE, "LC_ALL": "C.UTF-8"}
        self.log.touch()
        self.files = set(root.rglob("*"))

    def run(self, shell: str, command: str) -> Run:
        self.log.write_text("")
        is_bash = Path(shell).name == "bash"
        process = subprocess.Popen(
            [shell, "-c" if is_bash else "-xc", command],
            cwd=self.home,
            env=self.environment | ({"BASH_ENV": str(self.setup)} if is_bash else {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            _, trace = process.communicate(timeout=10)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        records = self.log.read_text(errors="surrogateescape").split(UNIT + RECORD + UNIT)[:-1]
        if not is_bash and "|" in command:
            trace = b""  # dash writes it piecemeal, so that the members of a pipeline garble each other's
        lines = trace.decode(errors="surrogateescape").split("\n")
        new_files = set(self.root.rglob("*")) - self.files
        for path in new_files:
            path.unlink()
        return Run(
            arguments=[tuple(record.split(UNIT)) for record in records],
            traced_names=[line.lstrip(TRACE).split(" ")[0] for line in lines if line.startswith(TRACE)],
            new_files=new_files,
        )


PATTERN = r"(echo|ls|wc)( |$)"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    return Sandbox(tmp_path_factory.mktemp("sandbox"))


def check_by_running(sandbox: Sandbox, command: str) -> list[str] | None:
    """Run the command if it is accepted; return what the patterns saw, None if it is refused."""
    seen: list[str] = []

    def match_any(patterns: Sequence[str], texts: Sequence[str]) -> list[bool]:
        seen.extend(texts)
        return [re.match(PATTERN, text) is not None for text in texts]

    with patch("mcp_background_job.jobs.allowlist.match_any", match_any):
        try:
            check_command(command, [PATTERN])
        except NotAllowed:
            return None
    for shell in SHELLS:
        run = sandbox.run(shell, command)
        assert run.strays(seen) == [], f"{shell} -c {command!r}"
        assert run.traced_names or run.arguments or "|" in command, f"{shell} can't run {command!r}"
    return seen


DATA = st.text(
    st.sampled_from("ab1-=:~#{},.!^@/+%") | st.sampled_from(" \t\n'\"\\$`;&|<>()*?[]") | st.sampled_from("éƒ漢"),
    max_size=8,
)


@st.composite
def spellings(draw: st.DrawFn, data: str) -> str:
    """Spell an argument in one of the many ways a shell has for it, most of them quoted."""
    pieces: list[str] = []
    while data or not pieces:
        size = draw(st.integers(1, max(1, len(data))))
        piece, data = data[:size], data[size:]
        single = "'" + piece.replace("'", "'\\''") + "'"
        double = '"' + re.sub(r'([$`"\\])', r"\\\1", piece) + '"'
        escaped = re.sub(r"([^\w\n])", r"\\\1", piece).replace("\n", "'\n'")
        pieces.append(draw(st.sampled_from([single, double, escaped or "''", piece or '""'])))
    return "".join(pieces)


ARGUMENTS = DATA.flatmap(spellings)
WORDS = st.lists(ARGUMENTS | st.sampled_from(["2>&1", ">&2", "-x", "a"]), max_size=4)
SIMPLE_COMMANDS = st.tuples(st.sampled_from(ALLOWED), WORDS).map(lambda words: " ".join([words[0], *words[1]]))
OPERATORS = st.sampled_from([";", "\n", " && ", "||", " | ", "|\n", "; ", "&&\n\t", "\n\n"])


@st.composite
def command_lists(draw: st.DrawFn) -> str:
    """Join allowed commands that are spelled in odd ways; most of these are accepted."""
    text = draw(SIMPLE_COMMANDS)
    for _ in range(draw(st.integers(0, 3))):
        text += draw(OPERATORS) + draw(SIMPLE_COMMANDS)
    return text


VISIBLE = r"""
    ; & | && || ;; ;& |& ( ) { } {a,b} {a..b} {a} ~ * ? [ ] [[ ]] ! !! = A=1 a+=1 == =~ : . @ ^ % , - -- + #
    < > >> >| <> >& <& &> 2> 2>&1 >&2 2>&1x >&- {x}> << <<< <<a <<'a' $ $( $(id) `id` ` $a ${ ${a} $' $" $((
    (( )) $[ ' " \ \\ \' \" '' "" id pwn ./pwn rm x a echo ls wc cat tee env if then else fi for in do done
    while case esac select function time coproc eval exec command builtin . source trap alias set export
    declare local unset let read test printf enable hash shopt return exit true false cd
"""
INVISIBLE = " |  |\t|\n|\r|\x0b|\x0c|\\\n|\0|\1|\x7f|\x1b|\xa0|\u200b|\u2028|\ufeff|\udc80|\x85"
SPACED = "é|ƒ\\|a() |<<a\n|\na\n|-v a| -x |%n| 2>&1| >&2| && | ; "
HOSTILE = st.sampled_from([*VISIBLE.split(), *INVISIBLE.split("|"), *SPACED.split("|")])
TOKEN_MIXES = st.lists(HOSTILE | st.sampled_from([" ", "ls ", "echo ", "a", "\n"]), max_size=12).map("".join)


@st.composite
def mutations(draw: st.DrawFn, originals: st.SearchStrategy[str]) -> str:
    """Insert, replace, delete or double a part, once to three times."""
    text = draw(originals)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 3)))
        middle = draw(HOSTILE | st.just("") | st.just(text[start:end] * 2))
        text = text[:start] + middle + text[end:]
    return text


@fuzzed
@given(command=command_lists())
@pytest.mark.promise("safe-allowlist")
def test_of_allowed_commands_in_odd_spellings_only_those_run(sandbox: Sandbox, command: str) -> None:
    check_by_running(sandbox, command)


@fuzzed
@given(command=TOKEN_MIXES)
@pytest.mark.promise("safe-allowlist")
def test_of_a_mix_of_tokens_only_allowed_commands_run(sandbox: Sandbox, command: str) -> None:
    check_by_running(sandbox, command)
    check_by_running(sandbox, "ls " + command)


@fuzzed
@given(command=mutations(st.sampled_from([*TRICKS, *OTHER_COMMANDS, *ACCEPTED])))
@pytest.mark.promise("safe-allowlist")
def test_of_a_mutated_trick_only_allowed_commands_run(sandbox: Sandbox, command: str) -> None:
    check_by_running(sandbox, command)


@fuzzed
@given(command=mutations(command_lists()))
@pytest.mark.promise("safe-allowlist")
def test_of_a_mutated_list_of_allowed_commands_only_those_run(sandbox: Sandbox, command: str) -> None:
    check_by_running(sandbox, command)


@fuzzed
@given(arguments=st.lists(DATA, max_size=4))
def test_quoted_arguments_are_accepted_and_arrive_as_they_are(sandbox: Sandbox, arguments: list[str]) -> None:
    quoted = ["'" + argument.replace("'", "'\\''") + "'" for argument in arguments]
    texts = check_by_running(sandbox, " ".join(["ls", *quoted]))
    assert texts is not None
    assert [shlex.split(text) for text in texts] == [["ls", *arguments]]


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    "command",
    [
        "ls $(id)",
        "ls; id",
        "ls | x",
        "A=1",
        "A=1 ls",
        "eval id",
        "true",
        "ls ./pw?",
        "./pwn",
        "ls >out",
        "ls *",
        "ls ~",
    ],
)
def test_the_witnesses_notice_what_the_allowlist_refuses(sandbox: Sandbox, shell: str, command: str) -> None:
    assert check_by_running(sandbox, command) is None
    assert sandbox.run(shell, command).strays([command])
