"""Text in a popup or a terminal, of whatever size, until a key is pressed.

Promise: no key that is pressed while it starts is lost, nor answers a question that was not there yet.
"""

from __future__ import annotations

import os
import select
import shutil
import sys
import termios
import tty

from mcp_background_job.text import escaped, padding_shown, wrap


def page(
    text: str, at_end: bool = True, question: str = "any other key closes", asks: bool = False, keys: str = ""
) -> bytes:
    """Show text until a key is pressed, which is returned; the arrows, k and j scroll, but for those in `keys`."""
    columns, height = shutil.get_terminal_size()
    asked = wrap(question, max(1, columns - 2))[-max(1, height - 1) :]
    lines: list[str] = []
    for line in text.split("\n"):
        clean = escaped(padding_shown(line.expandtabs()))
        indent = " " * (len(clean) - len(clean.lstrip()))
        lines += [indent + part for part in wrap(clean.lstrip(), columns - 1 - len(indent))]
    room = max(1, height - len(asked))
    if len(lines) > room and len(asked) == 1 and len(asked[0]) + 14 < columns:
        asked = [f"↑ ↓ scroll, {asked[0]}"]
    top = max(0, len(lines) - room) if at_end else 0
    before = termios.tcgetattr(0)
    # Keys that were pressed while this started count, but for the answer to a question that was not there yet.
    tty.setraw(0, termios.TCSAFLUSH if asks else termios.TCSADRAIN)
    try:
        while True:
            shown = lines[top : top + room]
            body = "".join(f"{line}\x1b[K\r\n" for line in shown)
            ends = "\r\n".join(f"\x1b[7m {line} \x1b[0m" for line in asked)
            sys.stdout.write(f"\x1b[H{body}\x1b[J\x1b[{height - len(asked) + 1};1H{ends}")
            sys.stdout.flush()
            key = os.read(0, 1)
            if key == b"\x1b" and select.select([0], [], [], 0.02)[0]:
                key += os.read(0, 63)
            step = {b"\x1b[A": -1, b"\x1bOA": -1, b"k": -1, b"\x1b[B": 1, b"\x1bOB": 1, b"j": 1}.get(key, 0)
            step = step or {b"\x1b[5~": -room, b"\x1b[6~": room}.get(key, 0)
            if not step or key in keys.encode():
                return key
            top = max(0, min(len(lines) - room, top + step))
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
