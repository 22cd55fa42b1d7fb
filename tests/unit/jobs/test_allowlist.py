"""The allowlist refuses every known trick and lets ordinary commands through."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mcp_background_job.errors import NotAllowed
from mcp_background_job.jobs.allowlist import check_command

ECHO_AND_LS = [r"^echo ", r"^ls( |$)"]

# Plain commands, in every place where one can stand, that no pattern of these allows.
OTHER_COMMANDS = [
    "id",
    "echo",  # `^echo ` wants an argument
    "ECHO hi",
    "lsof",
    "/bin/ls",
    "./ls",
    "ls; id",
    "ls;id",
    "ls\nid",
    "ls\n\n\tid",
    "ls && id",
    "ls || id",
    "ls | id",
    "ls |id",
    "id; ls",
    "echo a; ls; echo b; id",
    "ls | ls | id | ls",
    "ls &&\n\nid",
    "ls 2>&1 | id",
    "ls 2>&1; id",
    "ls 2>&1&& id",
    "ls 2>&1\nid",
    'echo "\'"; id; echo "\'"',
    "let a=1",
    "eval ls",
    "eval 'id'",
    "exec ls",
    "source x",
    ". x",
    "command ls",
    "builtin echo a",
    "trap id EXIT",
    "alias ls=id",
    "alias ls=id\nls",
    "enable -f x ls",
    "hash -p /bin/id ls",
    "set -x",
    "shopt -s expand_aliases",
    "bash -c ls",
    "env ls",
    "sudo ls",
    "xargs ls",
    "read x",
    "mapfile -C id",
]

# Each is refused whatever the patterns: it would expand, write or set something, would make a pattern see
# other text than what runs, or is no shell at all.
TRICKS = [
    # a background
    "ls |& id",
    "ls & id",
    "ls &",
    "ls&",
    "ls;;id",
    "ls;&id",
    "ls\n;id",
    # substitutions and expansions
    "echo $(id)",
    'echo "$(id)"',
    "echo a$(id)b",
    "echo `id`",
    'echo "`id`"',
    "echo $(<x)",
    "echo ${ id; }",
    "echo $( (id) )",
    "ls <(id)",
    "ls >(id)",
    "ls <( id; )",
    "ls =(id)",
    "echo $((x=1))",
    "echo $((a[$(id)]))",
    "echo $[1+1]",
    "echo $HOME",
    "echo ${HOME}",
    'echo "$HOME"',
    "echo ${x:=$(id)}",
    "echo ${x@P}",
    "echo ${!x}",
    "echo ${x:?`id`}",
    "echo ${x//$(id)/}",
    "echo $1 $@ $* $? $$ $! $- $0",
    'echo "a\\\\$(id)"',
    "echo \\\\$(id)",
    "echo '$(ls)'$(id)",
    "echo 'a'\"$(id)\"",
    "echo $",
    "$x ls",
    "${x} ls",
    "$(echo ls)",
    "`echo ls`",
    "l$@s",
    "ls$IFS-l",
    "echo$IFS$9hi",
    "echo *",
    "ls *.c",
    "ls [ab]",
    "ls ?",
    "ls {a,b}",
    "echo {1..3}",
    "echo {a,'b'}",
    "echo x{,y}z",
    "echo ~",
    "echo ~root",
    "echo x=~",
    "echo a:~",
    "echo ~+",
    # redirections and here-documents
    "ls > out",
    "ls >out",
    "ls>out",
    "ls >> out",
    "ls >| out",
    "ls <> out",
    "ls < in",
    "ls 2> out",
    "ls 2>out",
    "ls &> out",
    "ls &>> out",
    "ls >& out",
    "ls >&out",
    "ls 2>&1out",
    "ls >&1x",
    "ls 1>&'2'",
    "ls 2>&1>out",
    "ls 2>&1 >out",
    "ls >&$x",
    "ls >&-",
    "ls 2>&1-",
    "ls >&3",
    "ls {fd}>out",
    "ls {fd}>&1",
    "ls > /dev/tcp/127.0.0.1/1",
    "ls >/dev/null",
    "> out",
    ">out ls",
    "2>&1 ls",
    "2>&1",
    "ls 2>&1 id",
    "ls <<< x",
    "ls <<E\n$(id)\nE",
    "ls <<'E'\nid\nE",
    "ls <<E\nE\nid",
    "ls <<-E\n\tE\nid",
    "ls <<E <<F\nE\nF\nid",
    "echo a <<'\n'\nid",
    # disguised command names
    "\\ls",
    "l\\s",
    "'ls'",
    '"ls"',
    "l's'",
    'l""s',
    "''ls",
    "$'ls'",
    '$"ls"',
    "$'\\x6cs'",
    "/bin/i?",
    "/bin/[i]d",
    "i*",
    "{ls,-l}",
    "{id,}",
    "~/ls",
    "!ls",
    "!!",
    "-c ls",
    "l\\\ns",
    "\\\nls",
    "'ls -l'",
    "'echo 'a",
    "ls\\ -l",
    "''",
    "%1",
    # quoting in arguments that hides where the command ends
    "echo $'a\\'; id #'",
    "echo $'\\'' ; id",
    'echo $"x"',
    'echo "a\\"; id',
    "echo 'a\\''; id",
    "echo \\'; id #'",
    'echo \\"; id #"',
    'echo "a\\\\"; id #"',
    "echo 'a",
    'echo "a',
    "echo a\\",
    "echo \\\n; id",
    "ls \\\n| id",
    "echo \\ x",  # tree-sitter drops the escaped space
    # assignments and declarations
    "A=1",
    "A=1 ls",
    "A=1; ls",
    "PATH=. ls",
    "A+=1 ls",
    "A[0]=1 ls",
    "A=(1) ls",
    "A= ls",
    "LD_PRELOAD=./x.so ls",
    "BASH_ENV=x ls",
    "A='1' ls",
    "A=$(id)",
    "export A=1",
    "declare A=1",
    "declare -f",
    "readonly A=1",
    "unset A",
    # control structures, groups, functions, keywords
    "if ls; then ls; fi",
    "if ls\nthen id\nfi",
    "for i in a; do ls; done",
    "for ((;;)); do ls; done",
    "while ls; do ls; done",
    "until ls; do ls; done",
    "case a in a) id;; esac",
    "case ls in ls) ls;; esac",
    "select x in a; do ls; done",
    "{ ls; }",
    "{ id; }",
    "{ ls;id; }",
    "(ls)",
    "(id)",
    "((ls))",
    "(( x = 1 ))",
    "( ls; id )",
    "[ -f x ]",
    "[[ -f x ]]",
    "[[ a =~ $(id) ]]",
    "ls() { id; }",
    "ls () id; ls",
    "ls()(id); ls a",
    "function ls { id; }",
    "function ls() { id; }; ls",
    "! ls",
    "! id",
    "time ls",
    "time -p ls",
    "coproc ls",
    "coproc X { ls; }",
    "then ls",
    "do ls",
    "in ls",
    "}",
    "]]",
    "echo a)",
    "echo a }; id",
    # two builtins that look inert
    "printf -v PATH .",
    "test -v 'a[$(id)]'",
    # extended globs, history, comments
    "ls !(a)",
    "ls @(a|b)",
    "ls +(a)",
    "ls ?(a)",
    "# id",
    "ls # id",
    "ls #\nid",
    "ls;# x",
    "#\nls",
    # characters that look like something else
    "ls\rid",
    "ls\r\nls",
    "ls \x00id",
    "ls\x00",
    "ls\x0bid",
    "ls\x0c",
    "echo\x0c a",
    "ls \x1b[A",
    "ls \x7f",
    "ls \x01",
    "ls\u00a0-l",
    "ls 'a\u00a0b'",
    "ls \u2028id",
    "ls \u2003",
    "l\u200bs",
    "ls 'a\u200bb'",
    "ls \u202eid",
    "\ufeffls",
    "ls \u3000",
    "ls \udcff",
    "ls \x85id",
    "\uff4c\uff53",
    "ls\uff1bid",
    "l\u0441",
    "ls \u00e9",
    'ls "\u0192\\";id;"',
    # what is no command
    "",
    " ",
    "\n",
    ";",
    "&&",
    "|",
    "; ls",
    "ls &&",
    "ls ||",
    "ls |",
    "ls | | ls",
    "ls ; ; ls",
    "ls && && ls",
    "&& ls",
    "ls;\n;ls",
    "ls (",
    "ls )",
    "ls `",
]

# Under patterns for the names used; what a pattern sees when it isn't the same text.
ACCEPTED = {
    "npm test": "npm test",
    "npm run build:prod": "npm run build:prod",
    "  npm\t run   build \n": "npm run build",
    "python -m pytest -k 'a or b' tests/unit": "python -m pytest -k 'a or b' tests/unit",
    'python -m pytest -k "a or b"': "python -m pytest -k 'a or b'",
    "python -c 'import os\nprint(os.sep)'": "python -c 'import os\nprint(os.sep)'",
    'git "push"': "git push",
    "git commit -m \"it's über-fast, isn't it\"": r"""git commit -m 'it'"'"'s über-fast, isn'"'"'t it'""",
    'git log --grep="a b" HEAD~2 HEAD^ stash@{0} @{-1}': "git log --grep='a b' HEAD~2 HEAD^ stash@{0} @{-1}",
    "git show :/fix v1.0^{}": "git show :/fix v1.0^{}",
    'git commit -m "cost: \\$5 \\`x\\` \\"y\\" \\\\ \\d"': r"""git commit -m 'cost: $5 `x` "y" \ \d'""",
    "git status && git 'log' -1": "git status",
    "make -j4 CFLAGS=-O2 PREFIX=/usr": "make -j4 CFLAGS=-O2 PREFIX=/usr",
    "make A='1 2'B": "make A='1 2B'",
    "make ''": "make ''",
    "find . -name '*.py' -exec wc -l {} \\;": "find . -name '*.py' -exec wc -l {} ';'",
    "find . \\( -name a \\)": "find . '(' -name a ')'",
    "find my\\ dir -name '~'": "find 'my dir' -name '~'",
    "find ./a#b -newermt @0": "find ./a#b -newermt @0",
    "echo hi! if then 100% 1,2 a==b +x - -- = : . {}": "echo hi! if then 100% 1,2 a==b +x - -- = : . {}",
    "echo '$(id)' \"a;b|c\" '`'": "echo '$(id)' 'a;b|c' '`'",
    "echo a 2>&1": "echo a",
    "echo a >&2": "echo a",
    "echo a 1>&2 | grep -c a": "echo a",
    "npm test 2>&1 | grep -v ok | wc -l": "npm test",
    "npm ci;npm test||echo failed": "npm ci",
    "npm ci\nnpm test\n": "npm ci",
    "npm ci &&\n  npm test |\n  grep x": "npm ci",
    "echo a;": "echo a",
    "test -f x && echo y": "test -f x",
    "printf '%s\\n' a": "printf '%s\\n' a",
    "./b --fast": "./b --fast",
    "g++ -c x.c": "g++ -c x.c",
}


@pytest.mark.parametrize("command", OTHER_COMMANDS, ids=ascii)
@pytest.mark.promise("safe-allowlist")
def test_a_command_that_no_pattern_matches_is_refused_wherever_it_stands(command: str) -> None:
    with pytest.raises(NotAllowed, match="matches no pattern"):
        check_command(command, ECHO_AND_LS)


@pytest.mark.parametrize("command", TRICKS, ids=ascii)
@pytest.mark.promise("safe-allowlist")
def test_a_trick_is_refused_whatever_the_patterns(command: str) -> None:
    for patterns in (ECHO_AND_LS, [""]):
        with pytest.raises(NotAllowed):
            check_command(command, patterns)


def test_the_tables_have_hundreds_of_different_tricks() -> None:
    assert len({*TRICKS, *OTHER_COMMANDS}) == len(TRICKS) + len(OTHER_COMMANDS) >= 250


@pytest.mark.parametrize(("command", "seen"), ACCEPTED.items(), ids=ascii)
@pytest.mark.promise("safe-allowlist")
def test_an_ordinary_command_is_allowed_and_read_as_it_runs(command: str, seen: str) -> None:
    check_command(command, [r"(npm|python|git|make|find|echo|grep|wc|test|printf|g\+\+|\./b) "])
    with pytest.raises(NotAllowed) as refusal:
        check_command(command, ["(?!)"])
    assert f": `{seen}` matches no pattern".replace("\n", " ") in str(refusal.value)


def test_without_patterns_everything_is_allowed_and_no_parser_is_loaded() -> None:
    program = (
        "import sys; from mcp_background_job.jobs.allowlist import check_command; check_command('rm -rf $(x', []);"
        "sys.exit(any('tree_sitter' in name for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


def test_one_of_the_patterns_is_enough_for_each_command() -> None:
    check_command("ls | echo a | ls", ECHO_AND_LS)


def test_patterns_are_matched_at_the_beginning_and_by_case() -> None:
    patterns = ["ls"]
    check_command("lsof", patterns)
    for command in ("els", "LS", "echo ls"):
        with pytest.raises(NotAllowed):
            check_command(command, patterns)


@pytest.mark.parametrize("command", ["git 'push'", 'git  "push"', "git \\push", "git pu''sh", "git\tpush"])
def test_no_spelling_gets_around_a_pattern_that_excludes(command: str) -> None:
    with pytest.raises(NotAllowed, match="`git push` matches no pattern"):
        check_command(command, ["^git (?!push)"])


@pytest.mark.parametrize("command", ["git 'status -x'", "git status\\ -x", 'git "status "'])
def test_no_argument_poses_as_two(command: str) -> None:
    with pytest.raises(NotAllowed):
        check_command(command, ["^git status( |$)"])


@pytest.mark.parametrize(
    "command",
    [
        "printf -v PATH .",
        "printf -vPATH .",
        "printf '-v' 'a[$(id)]' x",
        "printf aaa%n PATH",
        "printf '%5.1hhn' PATH",
        "printf '\n%n' PATH",
        "printf -- %-n PATH",
        "test -v 'a[$(id)]'",
        "test x -o -v 'a[$(id)]'",
    ],
)
def test_a_builtin_that_writes_or_evaluates_a_variable_is_refused(command: str) -> None:
    with pytest.raises(NotAllowed, match="writes or evaluates a variable"):
        check_command(command, ["^printf ", "^test "])


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("echo a $(id) b", "a substitution `$(id)`"),
        ('echo "a `id`"', "a substitution ``id``"),
        ("ls <(id) x", "a substitution `<(id)`"),
        ("echo $((1 + 1))", "an arithmetic expansion `$((1 + 1))`"),
        ("echo ${HOME}/x", "an expansion `${HOME}`"),
        ('echo "$HOME/x"', "an expansion `$HOME`"),
        ("echo $'a'", "a quoted expansion `$'a'`"),
        ("ls <<E\nE", "a here-document `<<E`"),
        ("ls 2> out", "a redirection `> out`"),
        ("2>&1 ls", "a redirection before a command `2>&1`"),
        ("ls 2>&1 -l", "a word after a redirection `-l`"),
        ("ls & ls", "a command in the background `&`"),
        ("ls *.py", "a glob or test `*.py`"),
        ("echo {a,b}", "a brace `{a,b}`"),
        ("ls ~/x", "a tilde `~/x`"),
        ("ls # all", "a comment `# all`"),
        ("ls \\\n-l", "a line continuation `\\ `"),
        ("echo 'a b", "an open quote `'a b`"),
        ('echo "a b', 'an open quote `"a b`'),
        ("(ls)", "a subshell or function `(ls)`"),
        ("if ls; then ls; fi", "a shell keyword `if`"),
        ("A=1 ls", "an assignment `A=1`"),
        ('l"s" -l', 'a disguised command name `l"s"`'),
        ("ls é", "an unquoted `é`"),
        ("ls\r\n", "a control or invisible character U+000D"),
        ("ls ;; ls", "an operator `;;`"),
        ("ls | | ls", "a syntax error near `|`"),
        ("ls &&", "a syntax error near `ls &&`"),
        ("echo \\ x", "`echo \\ x` can be read in two ways"),
        ("rm -rf x", "`rm -rf x` matches no pattern"),
        (" \n", "an empty command"),
        ("ls;" * 101, "101 simple commands where 100 is the most"),
        ("ls " + "x" * 9000, "9003 characters where 8192 is the most"),
        ("rm " + "x" * 200, f"`rm {'x' * 77}…` matches no pattern"),
    ],
)
def test_a_refusal_names_the_part(command: str, why: str) -> None:
    with pytest.raises(NotAllowed) as refusal:
        check_command(command, ECHO_AND_LS)
    assert str(refusal.value).startswith(f"Command not allowed: {why}. ")
    assert str(refusal.value).endswith("^echo , ^ls( |$)")


@pytest.mark.timeout(60)  # each takes at most 1 s on an idle machine; the time is the promise
@pytest.mark.parametrize("unit", [*"([{\"'`\n\\é", "$(", "cat<<A;", "a|", "== ", "ls@", "ls;", "{}", "a "], ids=ascii)
def test_nothing_long_or_deep_hangs_or_crashes(unit: str) -> None:
    for length in (100, 8_000, 1_000_000):
        try:
            check_command("ls " + unit * (length // len(unit)), [""])
        except NotAllowed as refusal:
            assert len(str(refusal)) < 300
