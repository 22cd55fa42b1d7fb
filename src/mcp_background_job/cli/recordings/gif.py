"""A recording as an animated picture, drawn by agg (asciinema's gif generator), a program of its own.

Promise: without agg, and where agg fails, nothing is left behind but one line that says what to do.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from mcp_background_job.errors import InvalidInput
from mcp_background_job.store.sizes import Size
from mcp_background_job.text import one_line
from mcp_background_job.ui.console import progress

BLOCK = 1 << 20  # bytes


def find_agg() -> str:
    """agg's path.

    Raises InvalidInput where it is not installed.
    """
    found = shutil.which("agg")
    if found is None:
        raise InvalidInput(
            "--gif is drawn by agg, which is not installed",
            "Install it (`brew install agg`, `pacman -S agg`, or docs.asciinema.org/manual/agg), or take --html",
        )
    return found


def drawn_by_agg(agg: str, cast: Iterable[bytes], sizes: Sequence[Size]) -> Iterator[bytes]:
    """The picture in pieces; `cast` are the lines of an asciicast 2: an agg before 1.6 reads no other."""
    with tempfile.TemporaryDirectory(prefix="mcp-bg-gif-") as folder:  # 0700
        recording, picture = Path(folder) / "job.cast", Path(folder) / "job.gif"
        with recording.open("wb") as file:
            file.writelines(cast)
        # It draws one size for all: the largest leaves nothing out.
        columns, rows = max(size.columns for size in sizes), max(size.rows for size in sizes)
        words = [agg, "--cols", str(columns), "--rows", str(rows), str(recording), str(picture)]
        with progress("agg draws the picture"):
            done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
        if done.returncode or not picture.exists():
            said = one_line((done.stderr.strip() or f"exit {done.returncode}").splitlines()[-1])
            raise InvalidInput(f"agg could not draw it: {said}", "Mend that, or take --html")
        with picture.open("rb") as file:
            yield from iter(lambda: file.read(BLOCK), b"")
