"""Pieces of a job's log as text, each drawn where it stands: behind its line's beginning, in the window's size then."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mcp_background_job.store.log import Log
from mcp_background_job.store.sizes import FIRST, Size, changes, size_at

from .sharing import giving_way
from .streams import Streams

if TYPE_CHECKING:
    from .dress import Dress

LONG = 16 << 10  # bytes whose drawing may take longer than a call
MAX_DRAWN = 1 << 20  # bytes of the last full-screen program that are drawn; each draws all anew now and then
LAST_SCREEN = "[full-screen program; its last screen:]"
LINE_LOOKBACK = 4 << 10  # bytes of a line that are drawn for a page that begins inside of it
ALTERNATE_LOOKBACK = 256 << 10  # bytes; a search for one sequence, 0.4 ms


class Drawing:
    """Draws one job's log.

    `ended`: no more will come. `last_screen`: the offset from which on a full-screen program had the screen that has
    ended in it. `sizes`: those of its terminal. `dress`: what text is to keep of its colours and times, of streams that
    are not kept apart.
    """

    def __init__(
        self,
        log: Log,
        nonce: str,
        separate_stderr: bool,
        ended: bool = False,
        last_screen: int | None = None,
        sizes: Sequence[Size] = (FIRST,),
        dress: Dress | None = None,
    ) -> None:
        self.log = log
        self.ended = ended
        self.last_screen = last_screen
        self.sizes = sizes
        self.dress = dress
        self.flat = False  # no full-screen program has ever had the screen
        self.separate = separate_stderr
        self.streams = Streams(log, nonce)

    def text(self, start: int, data: bytes) -> tuple[str, str]:
        """`data`, which begins at offset `start`, as stdout and stderr."""
        if len(data) <= LONG:
            return self._drawn(start, data)
        with giving_way():
            return self._drawn(start, data)

    def _drawn(self, start: int, data: bytes) -> tuple[str, str]:
        from mcp_background_job.output.emulator.render import ALTERNATE_NOTE

        out, err = self._folded(start, data)
        if self.last_screen is None or start + len(data) < self.log.end or not data:
            return out, err
        shown = self.full_screen(self.last_screen, self.log.end)
        return out.removesuffix(ALTERNATE_NOTE + "\n") + (f"{LAST_SCREEN}\n{shown}\n" if shown else ""), err

    def full_screen(self, since: int, end: int) -> str:
        """What a full-screen program showed at `end`, that took the screen at `since`."""
        from mcp_background_job.output.emulator.render import last_screen

        start = max(since, self.log.start, end - MAX_DRAWN)
        data = self.log.read(start, end)
        if start > since:  # somewhere inside: from the next sequence on
            begins = max(0, data.find(b"\x1b"))
            start, data = start + begins, data[begins:]
        if self.separate:
            data, _ = self.streams.split(start, data)
        _, columns, rows = size_at(self.sizes, start)
        changed = changes(self.sizes, start, end)
        return last_screen(data, columns, rows, () if self.separate else changed)

    def _folded(self, start: int, data: bytes) -> tuple[str, str]:
        from mcp_background_job.output.emulator.render import render

        inside = start > self.log.start  # a page's redraw may go above its first line
        alternate = inside and self.begins_alternate(start)
        before = self.line_before(start) if inside and not alternate else b""
        _, columns, rows = size_at(self.sizes, start)
        if not self.separate:
            changed = changes(self.sizes, start, start + len(data))
            if self.dress is not None:
                data, changed = self.dress.dressed(start, data, changed)
            text = render(data, columns, rows, continued=inside, alternate=alternate, before=before, sizes=changed)
            return text, ""
        out, err = self.streams.split(start, data)
        before, _ = self.streams.split(start - len(before), before)
        text = render(out, columns, rows, continued=inside, alternate=alternate, before=before)
        return text, render(err, columns, rows, continued=inside)

    def line_before(self, start: int) -> bytes:
        """What was printed of the line in which `start` is; empty where its beginning is far away or gone."""
        before = self.log.read(max(self.log.start, start - LINE_LOOKBACK), start)
        begins = before.rfind(b"\n") + 1
        return before[begins:] if begins or len(before) < LINE_LOOKBACK else b""

    def begins_alternate(self, start: int) -> bool:
        """Whether a full-screen program has the screen at `start`, as far as it can be seen from near there."""
        if self.flat:
            return False
        from mcp_background_job.output.emulator.render import ends_alternate

        return ends_alternate(self.log.read(max(self.log.start, start - ALTERNATE_LOOKBACK), start))
