"""The agents of the errands: one for each server, with that server's own tools, as an agent that knows them well.

Each takes the shortest honest way. Pipes and redirections of the shell are everybody's; what is not done is to put
several steps of an errand into one that the user sees one after the other, or ten jobs into one.
"""

from __future__ import annotations

from agents.base import Agent, Missing
from agents.commander import CommanderAgent
from agents.libtmux import LibTmuxAgent
from agents.ours import OursAgent
from agents.seed import SeedAgent
from agents.tmux_mcp import TmuxMcpAgent

AGENTS: dict[str, type[Agent]] = {
    "ours": OursAgent,
    "0.1.2": SeedAgent,
    "libtmux-mcp": LibTmuxAgent,
    "tmux-mcp": TmuxMcpAgent,
    "Desktop Commander": CommanderAgent,
}

__all__ = ["AGENTS", "Agent", "Missing"]
