"""Text onto the person's clipboard: into a buffer of the tmux around them, and to their terminal by OSC 52.

Promise: nothing that a terminal or a line editor obeys is copied, so that pasting can't do what is not seen; the text
passes no parser on its way.
"""

from __future__ import annotations

import base64

from mcp_background_job.text import escaped

from .menu_tmux import tmux

COPIED = "Copied the command, for tmux's paste key and the clipboard where your terminal allows that."
COPIED_ESCAPED = r"Copied the command, its control characters as escapes such as \x1b."


def harmless(text: str) -> str:
    r"""`text` with each control character, which could end a bracketed paste, as an escape such as \x1b."""
    return "\t".join(escaped(part) for part in text.split("\t"))


def copy_in_tmux(text: str, client: str = "") -> None:
    """Into a buffer of the tmux server around this process, and to a client's terminal, unless set-clipboard is off."""
    off = tmux("show-options", "-sv", "set-clipboard") == "off"
    to_terminal = [] if off else ["-w", *(["-t", client] if client else [])]
    tmux("load-buffer", *to_terminal, "-", script=text)


def osc_52(text: str) -> str:
    """What has a terminal that allows it put a text onto the clipboard."""
    return f"\x1b]52;c;{base64.b64encode(text.encode(errors='replace')).decode()}\a"
