"""The clients that `setup` knows: a row each.

Where a file lies and what an entry looks like is what the client's own `mcp add` writes (Claude Code 2.1, Codex 0.171,
Gemini CLI 0.61, Copilot CLI 1.0, opencode 1.18, qwen-code 0.15, cline 3.0, Amp), or what its documents show (Claude
Desktop, VS Code, Cursor, Windsurf, Zed, Goose).
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from . import shapes
from .shapes import Shape


@dataclass(frozen=True)
class Place:
    """A file below a folder that a variable can move; of several names the one that is there, or the first."""

    variable: str  # "" where none moves it
    folder: str  # without the variable, in the home folder; on a Mac `mac`, where it is given
    names: tuple[str, ...]
    mac: str = ""
    inside: str = ""  # of the folder that the variable names, when it is not `folder` itself

    def path(self) -> Path:
        moved = os.environ.get(self.variable) if self.variable else None
        if self.mac and sys.platform == "darwin":
            base = Path.home() / self.mac
        elif moved:
            base = Path(moved) / self.inside
        else:
            base = Path.home() / self.folder
        files = [base / name for name in self.names]
        return next((file for file in files if file.exists()), files[0])


def config_folder(folder: str, *names: str, mac: str = "") -> Place:
    """A place in XDG_CONFIG_HOME; on a Mac in `mac`, where an application has its folder there."""
    return Place("XDG_CONFIG_HOME", f".config/{folder}", names, mac and f"Library/Application Support/{mac}", folder)


@dataclass(frozen=True)
class Client:
    """Where a client keeps its servers, under which key, and in which shape."""

    title: str
    program: str  # what a person types to start it
    place: Place
    key: str
    shape: Shape
    then: str  # what a person does next
    desktop: bool = False  # started by a desktop, whose PATH is short

    def installed(self) -> bool:
        """Whether its command is there, or a folder or file of its own."""
        file = self.place.path()
        folder = file.parent
        return bool(shutil.which(self.program)) or file.exists() or (folder != Path.home() and folder.exists())


CLIENTS = {
    "claude": Client(
        "Claude Code",
        "claude",
        Place("CLAUDE_CONFIG_DIR", "", (".claude.json",)),
        "mcpServers",
        shapes.typed,
        "Restart Claude Code; /mcp shows the server.",
    ),
    "claude-desktop": Client(
        "Claude Desktop",
        "claude-desktop",
        config_folder("Claude", "claude_desktop_config.json", mac="Claude"),
        "mcpServers",
        shapes.plain,
        "Quit Claude Desktop and start it again; Settings, Developer shows the server.",
        desktop=True,
    ),
    "codex": Client(
        "Codex",
        "codex",
        Place("CODEX_HOME", ".codex", ("config.toml",)),
        "mcp_servers",
        shapes.required,
        "Restart Codex; /mcp shows the server.",
    ),
    "vscode": Client(
        "VS Code",
        "code",
        config_folder("Code/User", "mcp.json", mac="Code/User"),
        "servers",
        shapes.typed,
        "In VS Code: MCP: List Servers, jobs, Start.",
        desktop=True,
    ),
    "cursor": Client(
        "Cursor",
        "cursor",
        Place("", ".cursor", ("mcp.json",)),
        "mcpServers",
        shapes.plain,
        "Restart Cursor; its settings list the server.",
        desktop=True,
    ),
    "gemini": Client(
        "Gemini CLI",
        "gemini",
        Place("GEMINI_CLI_HOME", ".gemini", ("settings.json",), inside=".gemini"),
        "mcpServers",
        shapes.plain,
        "Restart Gemini CLI; /mcp shows the server, in folders that you trust.",
    ),
    "copilot": Client(
        "Copilot CLI",
        "copilot",
        Place("COPILOT_HOME", ".copilot", ("mcp-config.json",)),
        "mcpServers",
        shapes.copilot,
        "Restart Copilot CLI; /mcp shows the server.",
    ),
    "opencode": Client(
        "opencode",
        "opencode",
        config_folder("opencode", "opencode.jsonc", "opencode.json"),
        "mcp",
        shapes.opencode,
        "Restart opencode; `opencode mcp list` shows the server.",
    ),
    "qwen": Client(
        "qwen-code",
        "qwen",
        Place("QWEN_HOME", ".qwen", ("settings.json",)),
        "mcpServers",
        shapes.plain,
        "Restart qwen-code; /mcp shows the server.",
    ),
    "cline": Client(
        "cline",
        "cline",
        Place("CLINE_DIR", ".cline/data/settings", ("cline_mcp_settings.json",), inside="data/settings"),
        "mcpServers",
        shapes.cline,
        "Restart cline; `cline config mcp` lists the server.",
    ),
    "windsurf": Client(
        "Windsurf",
        "windsurf",
        Place("", ".codeium/windsurf", ("mcp_config.json",)),
        "mcpServers",
        shapes.plain,
        "In Cascade's MCP panel: refresh.",
        desktop=True,
    ),
    "zed": Client(
        "Zed",
        "zed",
        config_folder("zed", "settings.json"),
        "context_servers",
        shapes.plain,
        "Zed starts it at once; the settings of its Agent Panel show the server.",
        desktop=True,
    ),
    "goose": Client(
        "Goose",
        "goose",
        config_folder("goose", "config.yaml"),
        "extensions",
        shapes.goose,
        "Start a new session of Goose; its extensions list the server.",
        desktop=True,
    ),
    "amp": Client(
        "Amp",
        "amp",
        Place("", ".config/amp", ("settings.json", "settings.jsonc")),
        "amp.mcpServers",
        shapes.plain,
        "Restart Amp; `amp mcp list` shows the server.",
    ),
}
