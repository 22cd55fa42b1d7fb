r"""The allowlist: a command is run only if every simple command in it matches a pattern.

The promise is that the text a pattern sees is what the shell runs. So nothing may be left in it for the
shell to expand, assign, redirect or branch on, and what isn't known to be inert is refused.

Two readings must agree. The first is a lexer of the few things that are accepted: words, pipelines and
lists, redirections between descriptors. The second is tree-sitter's parse, by an allowlist of node types.
The lexer comes first because it bounds what the parser, written in C for trusted files, has to read:
no here-documents (2,000 open ones, 16 kB, took it 0.2 s), no nesting. Neither alone would do: tree-sitter
takes a form feed for a blank and `\ x` for `x`, the lexer knows no grammar.

A pattern sees the words one space apart, each without the quotes it doesn't need; a word that does need
them stands in '…', after its `name=` if it has one. `git  "push" --to="a b"` is `git push --to='a b'`.

It can't tell what an allowed program does: `python`, `env` or a builtin such as `eval` or `read` allows everything,
and so does a caller's choice of PATH, BASH_ENV or LD_PRELOAD.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING

from mcp_background_job.errors import InvalidInput, NotAllowed
from mcp_background_job.regexes.search import match_any

if TYPE_CHECKING:
    from tree_sitter import Language, Node

# tree-sitter's time grows with the square of these; at the limit the worst found took 0.4 s.
_LONGEST = 8_192  # characters
_MOST = 100  # simple commands
_SHOWN = 80

# Unquoted, these mean themselves in bash and dash: `{0}` has no comma and no `..` to expand by, `~` and `#`
# are inside a word. Non-ASCII letters need quotes, since a locale may count one of their bytes as a blank.
_PLAIN = r"(?:[\w%+,./:=@^!-]|(?<=\w)~|(?<=[\w/])\#|\{[\w/-]*\})"
# The lookbehind: in a Shift-JIS locale bash takes the last byte of `ƒ` and a backslash for one character.
_DOUBLE_INSIDE = r"(?:[^\"$`\\]|(?<=[\t\n -~])\\[ -~])*+"
_WORD_PART = rf"(?:{_PLAIN}|'[^']*'|\"{_DOUBLE_INSIDE}\"|\\[ -~])"
_TOKEN_END = r"(?=[ \t\n;|]|&&|\Z)"
_TOKEN = re.compile(
    rf"(?P<blank>[ \t]+)"
    rf"|(?P<operator>&&|\|\|?|;|\n)"
    rf"|(?P<redirect>[12]?>&[12]{_TOKEN_END})"
    rf"|(?P<word>{_WORD_PART}++{_TOKEN_END})",
    re.ASCII,
)
_UP_TO_FAULT = re.compile(rf"{_WORD_PART}*+(?:\"{_DOUBLE_INSIDE})?+", re.ASCII)
_QUOTED = re.compile(rf"'([^']*)'|\"({_DOUBLE_INSIDE})\"|\\([ -~])")
_PLAIN_WORD = re.compile(rf"{_PLAIN}++", re.ASCII)
# Not `-x` nor `+x`, which `bash -c` would take for its own option.
_COMMAND_NAME = re.compile(r"[\w./:][\w+,./:-]*", re.ASCII)
_REDIRECT = re.compile(r"[12]?>&[12]")

# What the refusal calls the part that the lexer stumbled over. Only names: it is refused all the same.
_FAULTS = (
    ("an arithmetic expansion", r"\$(?:\(\(|\[).*"),
    ("a substitution", r"[$<>]\([^()\n]*\)?|`[^`\n]*`?"),
    ("a quoted expansion", r"\$['\"].*"),
    ("an expansion", r"\$(?:\{[^}\n]*\}?|\w*)"),
    ("a here-document", r"\d*<<.*"),
    ("a redirection", r"(?:&>|[<>]).*"),
    ("a command in the background", r"&"),
    ("a subshell or function", r"[()].*"),
    ("a glob or test", r"[*?\[\]]\S*"),
    ("a brace", r"[{}].*"),
    ("a tilde", r"~\S*"),
    ("a comment", r"#.*"),
    ("a line continuation", r"\\\n"),
    ("an open quote", r"['\"].*|\Z"),
)
_KEYWORD = re.compile(r"!|case|coproc|do|done|elif|else|esac|fi|for|function|if|in|select|then|time|until|while")
_INERT_NODE = re.compile(
    r"program|list|pipeline|redirected_statement|file_redirect|file_descriptor|command|command_name"
    r"|word|number|concatenation|string|string_content|raw_string|&&|\|\|?|;|>&|\""
)

# Two builtins of bash that look inert and aren't: `printf -v` and printf's `%n` write any shell variable,
# PATH too, and `printf -v` and `test -v` run the substitution in `a[$(id)]`.
_VARIABLE_BUILTINS = {
    "printf": re.compile(r"-v|.*%[^a-zA-Z%]*[hjlLtz]*n", re.DOTALL),
    "test": re.compile(r"-v"),
}


class _Refused(Exception):
    """The clause that says why; check_command adds the patterns."""


def check_command(command: str, patterns: Sequence[str]) -> None:
    """Raise NotAllowed unless every simple command in `command` matches a pattern.

    Without patterns everything is allowed, and the parser isn't even imported.
    """
    if not patterns:
        return
    try:
        _check(command, patterns)
    except _Refused as refused:
        raise NotAllowed(str(refused), patterns) from None


def _check(command: str, patterns: Sequence[str]) -> None:
    if len(command) > _LONGEST:
        raise _Refused(f"{len(command)} characters where {_LONGEST} is the most")
    if hidden := next((char for char in command if not char.isprintable() and char not in "\t\n"), None):
        raise _Refused(f"a control or invisible character U+{ord(hidden):04X}")
    simple_commands = list(_lexed(command))
    if not simple_commands:
        raise _Refused("an empty command")
    if len(simple_commands) > _MOST:
        raise _Refused(f"{len(simple_commands)} simple commands where {_MOST} is the most")
    texts = [_as_run(words) for words in simple_commands]
    try:
        matched = match_any(patterns, texts)
    except InvalidInput:
        raise _Refused("a pattern takes too long on it") from None
    if stray := next((text for text, fits in zip(texts, matched, strict=True) if not fits), None):
        raise _Refused(f"{_shown(stray)} matches no pattern")
    if simple_commands != _parsed(command):
        raise _Refused(f"{_shown(command)} can be read in two ways")


def _lexed(command: str) -> Iterator[list[str]]:
    """Yield the words and redirections of each simple command, as they are spelled."""
    words: list[str] = []
    position = 0
    while position < len(command):
        token = _TOKEN.match(command, position)
        if token is None:
            raise _Refused(_fault(command, position))
        position = token.end()
        if token.lastgroup == "operator":
            if words:
                yield words
            words = []
        elif token.lastgroup != "blank":
            _check_place(token, words)
            words.append(token[0])
    if words:
        yield words


def _check_place(token: re.Match[str], words_before: list[str]) -> None:
    """Refuse a word that can't be a command's name in its place, and anything but redirections at its end."""
    text = token[0]
    if token.lastgroup == "redirect":
        if not words_before:
            raise _Refused(f"a redirection before a command {_shown(text)}")
    elif not words_before:
        if _KEYWORD.fullmatch(text):
            raise _Refused(f"a shell keyword {_shown(text)}")
        if not _COMMAND_NAME.fullmatch(text):
            kind = "an assignment" if re.match(r"\w+\+?=", text) else "a disguised command name"
            raise _Refused(f"{kind} {_shown(text)}")
    elif _REDIRECT.fullmatch(words_before[-1]):
        raise _Refused(f"a word after a redirection {_shown(text)}")


def _fault(command: str, position: int) -> str:
    before = _UP_TO_FAULT.match(command, position)
    fault = before.end() if before else position
    for name, pattern in _FAULTS:
        if part := re.compile(pattern, re.ASCII).match(command, fault):
            return f"{name} {_shown(part[0] or command[position:])}"
    return f"an unquoted {_shown(command[fault])}"


def _as_run(words: list[str]) -> str:
    """Return the simple command as patterns see it: each argument list has one spelling only."""
    name, *arguments = (_unquoted(word) for word in words if not _REDIRECT.fullmatch(word))
    if refused := _VARIABLE_BUILTINS.get(name):
        for argument in arguments:
            if refused.match(argument):
                raise _Refused(f"an argument that writes or evaluates a variable {_shown(argument)}")
    return " ".join([name, *map(_quoted, arguments)])


def _unquoted(word: str) -> str:
    def bare(part: re.Match[str]) -> str:
        single, double, escaped = part.groups()
        if double is not None:
            return re.sub(r'\\([$`"\\])', r"\1", double)
        return single if single is not None else escaped

    return _QUOTED.sub(bare, word)


def _quoted(argument: str) -> str:
    if _PLAIN_WORD.fullmatch(argument):
        return argument
    name, equals, value = argument.partition("=")
    if equals and _PLAIN_WORD.fullmatch(name):
        return f"{name}={shlex.quote(value)}"
    return shlex.quote(argument)


def _parsed(command: str) -> list[list[str]]:
    """Return what _lexed yields, by tree-sitter's reading; refuse any node that isn't known to be inert."""
    from tree_sitter import Parser  # 15 ms that only a server with an allowlist has to pay

    source = command.encode()

    def spelled(node: Node) -> str:
        return source[node.start_byte : node.end_byte].decode()

    simple_commands: list[list[str]] = []
    nodes = [Parser(_bash()).parse(source).root_node]
    while nodes:  # no recursion: the depth is the caller's
        node = nodes.pop()
        if node.is_error or node.is_missing:
            raise _Refused(f"a syntax error near {_shown(spelled(node) or command)}")
        if not _INERT_NODE.fullmatch(node.type):
            name = node.type.replace("_", " ") if node.is_named else "an operator"
            raise _Refused(f"{name} {_shown(spelled(node))}")
        if node.type == "command":
            simple_commands.append([spelled(word) for word in node.children])
        elif node.type == "file_redirect" and simple_commands:
            simple_commands[-1].append(spelled(node))
        nodes.extend(reversed(node.children))
    return simple_commands


@cache
def _bash() -> Language:
    import tree_sitter_bash
    from tree_sitter import Language

    return Language(tree_sitter_bash.language())


def _shown(text: str) -> str:
    line = text.replace("\n", " ")
    return f"`{line}`" if len(line) <= _SHOWN else f"`{line[:_SHOWN]}…`"
