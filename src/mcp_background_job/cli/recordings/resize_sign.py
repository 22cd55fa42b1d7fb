"""How a replay says that the job's window was resized: between lines a line of its own, over a full-screen program in
the last row, where that draws over it.

Pure. Colours, character set and cursor are afterwards as the job had them.
"""

from __future__ import annotations

from mcp_background_job.store.sizes import Size
from mcp_background_job.text import fit

WIDTH = 44  # columns, so that a sign covers the one before it
# Not a job's: its letters might be a line-drawing set's, its text invisible.
_PLAIN = "\x1b(B\x0f\x1b[0;7m"


def resize_sign(size: Size, columns: int, full_screen: bool, line_ended: bool) -> bytes:
    """What is written to a terminal of `columns`; `line_ended`: the cursor is at the beginning of a line."""
    text = _PLAIN + fit(f" the window was resized: {size.columns}x{size.rows}", min(WIDTH, columns - 1))
    if full_screen:
        return f"\x1b7\x1b[9999;1H{text}\x1b8".encode()
    # The cursor is saved below the sign: it comes back there.
    down = "\r\n" if line_ended else "\r\n\r\n"
    return f"{down}\x1b7\x1b[A{text}\x1b8".encode()
