"""`mcp-background-job setup`: this server in the configuration of an MCP client.

Promises: what is in the file stays, comments and order too; a file that can't be parsed is left alone;
before a change the file is copied, and the change appears whole.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from mcp_background_job import __version__
from mcp_background_job.config import BackgroundJobConfig
from mcp_background_job.errors import InvalidInput

from . import jsonc

NAME = "jobs"
PACKAGE = "mcp-background-job"
UVX_FOLDER = "archive-v0"  # uvx runs programs from a folder of its cache, which may go
# Besides the settings, what decides where the state folder and the tmux server are; clients pass few variables on.
PASSED_ON = ("TMUX_TMPDIR", "XDG_STATE_HOME")


@dataclass(frozen=True)
class ServerCommand:
    """How a client starts the server."""

    command: str
    args: list[str]
    env: dict[str, str]

    def entry(self, *, typed: bool) -> dict[str, object]:
        made: dict[str, object] = {"type": "stdio"} if typed else {}
        made |= {"command": self.command, "args": self.args}
        return made | {"env": self.env} if self.env else made


@dataclass(frozen=True)
class Client:
    """Where a client keeps its servers, and under which key."""

    title: str
    file: Callable[[], Path]
    key: str
    typed: bool  # whether an entry names its transport
    then: str  # what a person does next


def claude_file() -> Path:
    return Path(os.environ.get("CLAUDE_CONFIG_DIR") or Path.home()) / ".claude.json"


def codex_file() -> Path:
    return Path(os.environ.get("CODEX_HOME") or Path.home() / ".codex") / "config.toml"


def vscode_file() -> Path:
    """The user's own mcp.json; a project's is .vscode/mcp.json, which --file names."""
    if sys.platform == "darwin":
        return Path.home() / "Library/Application Support/Code/User/mcp.json"
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "Code/User/mcp.json"


def cursor_file() -> Path:
    return Path.home() / ".cursor/mcp.json"


CLIENTS = {
    "claude": Client("Claude Code", claude_file, "mcpServers", True, "Restart Claude Code; /mcp shows the server."),
    "codex": Client("Codex", codex_file, "mcp_servers", False, "Restart Codex; /mcp shows the server."),
    "vscode": Client("VS Code", vscode_file, "servers", True, "In VS Code: MCP: List Servers, jobs, Start."),
    "cursor": Client("Cursor", cursor_file, "mcpServers", False, "Restart Cursor; its settings list the server."),
}


def setup(options: argparse.Namespace) -> int:
    client = CLIENTS[options.client]
    file = (options.file or client.file()).expanduser()
    server = this_server()
    if not options.write:
        print_entry(options.client, client, file, server)
        return 0
    # An editor's configuration is often a link into a folder of dotfiles: the link stays.
    real = file.resolve()
    try:
        before = real.read_bytes().decode() if real.exists() else ""
    except UnicodeDecodeError:
        raise InvalidInput(
            f"{file} is not UTF-8", "Add the entry by hand: run this without --write to see it"
        ) from None
    # Lines that all end as on Windows go on doing so; where they are mixed, none is touched.
    windows = 0 < before.count("\n") == before.count("\r\n")
    given = before.replace("\r\n", "\n") if windows else before
    after = with_toml(file, given, server) if file.suffix == ".toml" else with_json(client, file, given, server)
    if windows:
        after = after.replace("\n", "\r\n")
    if after == before:
        print(f"{client.title} already has it: {file}")
        return 0
    backup = replace_file(real, after)
    print(f"Wrote {file}{f' (backup: {backup})' if backup else ''}. {client.then}")
    return 0


def this_server() -> ServerCommand:
    """The command that starts this very program, as it was installed, and the settings in force here."""
    names = {str(field.validation_alias) for field in BackgroundJobConfig.model_fields.values()}
    names = (names | set(PASSED_ON)) - {"MCP_BG_HTTP_TOKEN"}
    env = {name: os.environ[name] for name in sorted(names) if os.environ.get(name)}
    if UVX_FOLDER in Path(sys.prefix).parts:
        return ServerCommand(shutil.which("uvx") or "uvx", ["--from", source(), PACKAGE], env)
    script = Path(sys.executable).with_name(PACKAGE)
    if script.exists():
        return ServerCommand(str(script), [], env)
    return ServerCommand(sys.executable, ["-P", "-m", "mcp_background_job"], env)


def source() -> str:
    """What uvx installed this program from: a folder, an address, or the package index."""
    try:
        text = distribution(PACKAGE).read_text("direct_url.json")
    except PackageNotFoundError:
        text = None
    if text is None:
        return f"{PACKAGE}=={__version__}"
    facts = json.loads(text)
    url = str(facts["url"])
    if url.startswith("file://"):
        from urllib.parse import unquote

        return unquote(url.removeprefix("file://"))
    if "vcs_info" in facts:
        return f"{facts['vcs_info']['vcs']}+{url}@{facts['vcs_info']['commit_id']}"
    return url


# -- showing ------------------------------------------------------------------------------------------------


def print_entry(name: str, client: Client, file: Path, server: ServerCommand) -> None:
    """What to type or to add; remarks go to stderr, so that the rest can be piped."""
    remark = f"# In {file}; `{PACKAGE} setup {name} --write` puts it there:"
    if name == "claude":
        print(f"# Type this, or let `{PACKAGE} setup claude --write` change {file}:", file=sys.stderr)
        env = [word for key, value in server.env.items() for word in ("--env", f"{key}={value}")]
        # The name comes first: --env takes several values and would swallow it.
        print(shlex.join(["claude", "mcp", "add", "--scope", "user", NAME, *env, "--", server.command, *server.args]))
        return
    print(remark, file=sys.stderr)
    if file.suffix == ".toml":
        print(toml_table(server), end="")
    else:
        print(json.dumps({client.key: {NAME: server.entry(typed=client.typed)}}, indent=2, ensure_ascii=False))


def toml_table(server: ServerCommand) -> str:
    """Our table for Codex; JSON's strings and arrays are TOML's, too, once DEL is escaped."""
    parts = [f"[mcp_servers.{NAME}]", f"command = {toml(server.command)}", f"args = {toml(server.args)}"]
    if server.env:
        parts += ["", f"[mcp_servers.{NAME}.env]", *(f"{key} = {toml(value)}" for key, value in server.env.items())]
    return "\n".join(parts) + "\n"


def toml(value: str | list[str]) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


# -- changing -----------------------------------------------------------------------------------------------


def with_json(client: Client, file: Path, before: str, server: ServerCommand) -> str:
    """The file's text with our entry.

    Raises InvalidInput where it is not a JSON object.
    """
    entry = server.entry(typed=client.typed)
    try:
        there = jsonc.loads(before) if before.strip() else {}
        servers = there.get(client.key, {}) if isinstance(there, dict) else {}
        if isinstance(servers, dict) and servers.get(NAME) == entry:
            return before
        return jsonc.put(before, (client.key, NAME), entry)
    except jsonc.NotJson as error:
        raise InvalidInput(
            f"{file} can't be read as JSON ({error}); nothing was changed",
            "Fix it, or add the entry by hand: run this without --write to see it",
        ) from None


def with_toml(file: Path, before: str, server: ServerCommand) -> str:
    """The file's text with our table at its end.

    Raises InvalidInput where it is not TOML, or has another table of that name.
    """
    ours = tomllib.loads(toml_table(server))["mcp_servers"][NAME]
    try:
        there = tomllib.loads(before)
        servers = there.get("mcp_servers", {})
        if NAME in servers:
            if servers[NAME] == ours:
                return before
            raise InvalidInput(
                f"{file} has another server named {NAME!r}; nothing was changed",
                f"Remove its table [mcp_servers.{NAME}] and try again",
            )
        gap = "" if not before or before.endswith("\n\n") else "\n" if before.endswith("\n") else "\n\n"
        after = before + gap + toml_table(server)
        tomllib.loads(after)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(
            f"{file} can't be read or extended as TOML ({error}); nothing was changed",
            "Fix it, or add the table by hand: run this without --write to see it",
        ) from None
    return after


def replace_file(file: Path, text: str) -> Path | None:
    """Replace the file's content in one step; where a copy of the old one was put."""
    file.parent.mkdir(parents=True, exist_ok=True)
    backup: Path | None = None
    if file.exists():
        backup = unused(file.with_name(f"{file.name}.{time.strftime('%Y%m%d-%H%M%S')}.bak"))
        shutil.copy2(file, backup)
    descriptor, made = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
        if backup is not None:
            shutil.copymode(backup, made)
            keep_owner(file, made, backup)
        Path(made).replace(file)
    except BaseException:
        Path(made).unlink(missing_ok=True)
        raise
    return backup


def unused(path: Path) -> Path:
    """`path`, or one like it that is not there: an earlier copy is never written over."""
    number = 1
    while (found := path if number == 1 else path.with_name(f"{path.name}.{number}")).exists():
        number += 1
    return found


def keep_owner(file: Path, *copies: str | Path) -> None:
    """Give copies the owner of `file`, which under sudo is not the one who makes them."""
    facts = file.stat()
    for copy in copies:
        if (Path(copy).stat().st_uid, Path(copy).stat().st_gid) != (facts.st_uid, facts.st_gid):
            os.chown(copy, facts.st_uid, facts.st_gid)
