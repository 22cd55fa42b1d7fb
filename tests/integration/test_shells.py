"""A shell tells each command's exit code, whatever the person's files do to its prompt, and keeps what is theirs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from support.rpc import Answer, Server
from support.sandbox import Sandbox, ended

pytestmark = [
    pytest.mark.promise("shell-exit-code"),
    pytest.mark.skipif(not all(map(shutil.which, ("zsh", "fish"))), reason="zsh and fish are not here"),
]

CODES = (("sh -c 'exit 3'", 3), ("true", 0), ("sh -c 'kill -9 $$'", 137), ("sh -c 'exit 7'", 7))
FILES = {"bash": ".bashrc", "zsh": ".zshrc", "fish": ".config/fish/config.fish"}


@dataclass(frozen=True)
class Shell:
    """An interactive shell as a job."""

    server: Server
    job_id: str

    def run(self, line: str, timeout: float = 20) -> Answer:
        return self.server.call("interact", job_id=self.job_id, input=line, timeout=timeout)

    def keys(self, *keys: str) -> Answer:
        return self.server.call("interact", job_id=self.job_id, keys=list(keys), timeout=20)

    def lines(self, line: str) -> list[str]:
        """What a command printed, without the prompt behind it."""
        printed: str = self.run(line)["stdout"]
        return printed.splitlines()[:-1]

    def tells(self, codes: tuple[tuple[str, int], ...] = CODES) -> None:
        for line, code in codes:
            answer = self.run(line)
            assert (answer.get("exit_code"), answer["reason"]) == (code, "input"), (line, answer)

    def tells_nothing(self, line: str = "(exit 3)") -> None:
        answer = self.run(line)
        assert answer["reason"] == "input" and "exit_code" not in answer, answer


class Shells:
    """Shells in a world in which each has the person's file that a test gives it."""

    def __init__(self, world: Sandbox, server: Server) -> None:
        self.world = world
        self.server = server
        self.jobs: list[str] = []

    def start(self, command: str, own: str = "", **env: str) -> Shell:
        if own:
            path = self.world.home / FILES[command.split()[0].rstrip(";")]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(own + "\n")
        job_id = self.server.call("execute", command=command, env=env)["job_id"]
        self.jobs.append(job_id)
        first = self.server.call("wait", job_ids=[job_id], until="input", timeout=20)
        assert first["reason"] == "input" and "exit_code" not in first
        return Shell(self.server, job_id)

    def close(self) -> None:
        for job_id in self.jobs:
            if self.server.call("status", job_id=job_id)["status"] == "running":
                self.server.call("kill", job_id=job_id, signal="KILL")
        for name in (*FILES.values(), ".zshenv"):
            (self.world.home / name).unlink(missing_ok=True)


@pytest.fixture
def shells(shared: Sandbox, server: Server) -> Iterator[Shells]:
    found = Shells(shared, server)
    yield found
    found.close()


# files that assign anew what is run before a prompt

HOOKS = """
PROMPT_COMMAND='invoke "$_"
interactive='
invoke() { local s=$? f; for f in "${after[@]}"; do (exit $s); $f; done; return $s; }
before() { [[ $interactive && $BASH_COMMAND != invoke* && $BASH_COMMAND != *interactive* ]] || return; interactive=
  echo "BEFORE<$(history 1 | tr -s ' ' | cut -d' ' -f3-)>"; }
told() { echo "AFTER<$?>"; }
after=(told)
install() { PROMPT_COMMAND='invoke "$_"'; PROMPT_COMMAND+=(interactive=on); trap before DEBUG; interactive=on; }
PROMPT_COMMAND=install
"""
STARSHIP = """
PS0='${START:$((START=1,0)):0}'"${PS0-}"
precmd() { local s=$?; PS1="[$s] mine> "; START=; }
if [[ -z ${PROMPT_COMMAND-} ]]; then PROMPT_COMMAND=precmd; else THEIRS=$PROMPT_COMMAND; PROMPT_COMMAND=precmd; fi
"""
BASH_FILES = {
    "one": "PROMPT_COMMAND='history -a'",
    "several": "PROMPT_COMMAND=(true 'echo \"mine $?\"')",
    "a function": 'told() { echo "mine $?"; }; PROMPT_COMMAND=told',
    "none": "unset PROMPT_COMMAND",
    "behind what there was": 'PROMPT_COMMAND="${PROMPT_COMMAND:+$PROMPT_COMMAND; }true"',
    "a prompt alone": "PS1='mine \\$? > '",
    "hooks with a DEBUG trap": HOOKS,
    "a prompt program": STARSHIP,
    "a timer": "trap 'timer=${timer:-$SECONDS}' DEBUG; PROMPT_COMMAND='echo mine; unset timer'",
    "a trap that prints in subshells": "set -T; trap 'echo trapped' DEBUG",
    "PS0": "PS0='mine '",
    "its own marks": "PS0='\\e]133;C\\a'; PROMPT_COMMAND='printf \"\\e]133;D;%s\\a\\e]133;A\\a\" $?'",
    "set -u": "set -u; PROMPT_COMMAND=true",
    "set -x": "set -x; PROMPT_COMMAND=true",
}


@pytest.mark.parametrize("own", BASH_FILES)
def test_bash_tells_whatever_its_file_assigns(shells: Shells, own: str) -> None:
    shells.start("bash", BASH_FILES[own]).tells()


@pytest.mark.parametrize("own", ["several", "a function"])
def test_a_prompt_command_sees_the_status_and_stays_the_first(shells: Shells, own: str) -> None:
    shell = shells.start("bash", BASH_FILES[own])
    for _ in range(2):
        answer = shell.run("(exit 4)")
        assert "mine 4\n" in answer["stdout"] and answer["exit_code"] == 4
    assert "told" in shell.run('echo "now $PROMPT_COMMAND"')["stdout"] or own == "several"
    assert shell.run("false | (exit 3) | true")["exit_code"] == 0
    assert "1 3 0" in shell.run("echo ${PIPESTATUS[@]}")["stdout"]


def test_a_debug_trap_is_run_for_the_persons_commands_alone(shells: Shells) -> None:
    shell = shells.start("bash", HOOKS)
    shell.run("true")  # the trap was set by what ran before the first prompt, and saw our own hook behind it
    for line, code in CODES * 2:
        answer = shell.run(line)
        assert answer["exit_code"] == code
        assert answer["stdout"].count("BEFORE<") == answer["stdout"].count("AFTER<") == 1, answer
        assert f"BEFORE<{line}>" in answer["stdout"] and f"AFTER<{code}>" in answer["stdout"]


def test_a_prompt_sees_the_status(shells: Shells) -> None:
    assert shells.start("bash", "PS1='mine $? > '").run("(exit 4)")["stdout"].endswith("mine 4 > ")
    assert shells.start("bash", STARSHIP).run("(exit 4)")["stdout"].endswith("[4] mine> ")
    assert shells.start("zsh", "PS1='mine %? > '").run("(exit 4)")["stdout"].endswith("mine 4 > ")


def test_a_prompt_command_that_is_readonly_tells_nothing_and_every_command_runs(shells: Shells) -> None:
    shell = shells.start("bash", "readonly PROMPT_COMMAND='true'")
    for _ in range(2):
        answer = shell.run("echo $((6 * 7)); (exit 4)")
        assert "42\n" in answer["stdout"] and "readonly" not in answer["stdout"] and "exit_code" not in answer


ZSH_FILES = {
    "precmd": "precmd() { true }",
    "precmd_functions": "mine() { true }; precmd_functions=(mine)",
    "all hooks": "mine() { true }; precmd_functions=(mine); preexec_functions=(mine)",
    "add-zsh-hook": "autoload -Uz add-zsh-hook; precmd_functions=(); mine() { false }; add-zsh-hook precmd mine",
    "a prompt of its own": "setopt prompt_subst; precmd_functions=(); PS1='%? ${PWD}> '",
    "an instant prompt": "print -n 'early> '; precmd_functions=(go); go() { print -n '\\r\\e[J'; precmd_functions=() }",
    "its own marks": 'precmd_functions=(mine); mine() { print -n "\\e]133;D;$?\\a\\e]133;A\\a" }',
    "other arrays": "setopt ksh_arrays; precmd_functions=(mine mine); mine() { true }",
    "no unset": "setopt no_unset warn_create_global; precmd_functions=()",
}


@pytest.mark.parametrize("own", ZSH_FILES)
def test_zsh_tells_whatever_its_file_assigns(shells: Shells, own: str) -> None:
    shells.start("zsh", ZSH_FILES[own]).tells()


def test_fish_tells_whatever_its_file_has(shells: Shells) -> None:
    shells.start(
        "fish", "function fish_prompt; printf '\\e]133;A\\amine> '; end; set -x XDG_DATA_DIRS /usr/share"
    ).tells()


# how it is started

STARTS = {
    "bash -l": True,
    "bash --norc": True,
    "bash --rcfile mine": False,
    "bash --posix": True,
    "bash -O failglob": True,
    "zsh -l": True,
    "fish -l": True,
    "exec bash -i": True,
    "env MARK=1 bash": True,
    "zsh -f": False,
    "fish --no-config": False,
}


@pytest.mark.parametrize("command", STARTS)
def test_options_are_kept(shells: Shells, command: str) -> None:
    shells.world.path("mine").write_text("PROMPT_COMMAND=true\nMARK=mine\n")
    shell = shells.start(command)
    if STARTS[command]:
        shell.tells()
    else:
        shell.tells_nothing("sh -c 'exit 3'")
    if "rcfile" in command:
        assert "mark mine" in shell.run("echo mark $MARK")["stdout"]
    shell.server.call("interact", job_id=shell.job_id, input="exit 7", timeout=20)
    assert ended(shell.server, shell.job_id)["exit_code"] == 7


def test_a_shell_that_can_not_tell_tells_nothing_of_another(shells: Shells) -> None:
    shell = shells.start("bash", "PS1='mine> '")
    shell.tells()
    for other in ("bash", "zsh -f"):
        shell.tells_nothing(other)
        shell.tells_nothing("(exit 3)")
        assert shell.run("exit 9")["exit_code"] == 9
    stranger = "env -i PS1='there> ' TERM=xterm bash --norc"
    shell.tells_nothing(stranger)
    shell.tells_nothing("(exit 3)")
    assert shell.run("exit 8")["exit_code"] == 8
    # Typed ahead: what the command before it says is not of this one.
    shell.run("sleep 1", timeout=0)
    shell.tells_nothing(stranger)


@pytest.mark.parametrize("program", FILES)
def test_where_no_command_was_run_none_is_told(shells: Shells, program: str) -> None:
    shell = shells.start(program, "")
    shell.tells()
    for keys in (["Enter"], ["C-c"], ["Enter", "Enter"]):
        assert "exit_code" not in shell.keys(*keys)
    shell.run("sleep 100", timeout=0.5)
    assert shell.keys("C-c")["exit_code"] == 130
    assert shell.run("echo a\necho b; sh -c 'exit 5'")["exit_code"] == 5
    if program != "fish":
        assert shell.run("sleep 0.1 &")["exit_code"] == 0
        assert shell.run("for i in 1 2; do\necho $i; sh -c 'exit 6'\ndone")["exit_code"] == 6


# what is theirs


def names(shell: Shell) -> set[str]:
    """The variables of the programs that a shell starts."""
    return {line.partition("=")[0] for line in shell.lines("env") if "=" in line and line[0] not in "$> "}


@pytest.mark.parametrize("program", FILES)
def test_programs_find_the_environment_that_they_would(shells: Shells, program: str) -> None:
    plain = names(shells.start(f"{program}; true"))
    shell = shells.start(program)
    assert names(shell) == plain


@pytest.mark.parametrize("program", ["bash", "zsh"])
def test_options_history_and_hashed_programs_are_as_without(shells: Shells, program: str) -> None:
    look = {"bash": "echo $-; shopt; set -o; trap; type -p zsh", "zsh": "echo $-; setopt; trap; type zsh; type fish"}[
        program
    ]
    seen = []
    for command in (f"{program}; true", program):
        shell = shells.start(command, "HISTFILE=")
        for line in ("true", "(exit 3)"):
            shell.run(line)
        seen.append((shell.lines(look), shell.lines("history")))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("program", ["bash", "zsh"])
def test_what_a_shell_prints_elsewhere_has_no_marks(shells: Shells, program: str) -> None:
    shell = shells.start(program, "PS1='mine> '")
    shell.run("exec > all")
    for line in ("echo one", "(exit 3)", "echo two"):
        shell.run(line)
    assert shell.run("(exit 4)")["exit_code"] == 4
    printed = shells.world.path("all").read_text()  # zsh's own keypad modes among it
    assert "one\n" in printed and "two\n" in printed and "133" not in printed
