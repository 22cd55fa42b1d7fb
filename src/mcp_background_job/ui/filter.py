"""What a person types to see only some of the jobs.

Promise: while they type, no character is a key of the board; Escape always brings all jobs back.
"""

from __future__ import annotations

ENTER, ESCAPE, ERASE, ERASE_ALL = ("\r", "\n"), "\x1b", ("\x7f", "\b"), "\x15"


class Filter:
    """The words, and whether they are being typed."""

    def __init__(self) -> None:
        self.text = ""
        self.typing = False

    @property
    def on(self) -> bool:
        return self.typing or bool(self.text)

    def begin(self) -> None:
        self.typing = True

    def take(self, key: str) -> bool:
        """Use a key; False for one that is not the filter's, such as an arrow."""
        if not self.on:
            return False
        if key == ESCAPE:
            self.text, self.typing = "", False
        elif not self.typing:
            return False
        elif key in ENTER:
            self.typing = False
        elif key in ERASE:
            self.text = self.text[:-1]
        elif key == ERASE_ALL:
            self.text = ""
        elif len(key) == 1 and key.isprintable():
            self.text += key
        else:
            return False
        return True

    def line(self, shown: int, of: int) -> str:
        """What the board says of it."""
        return f"/{self.text}{'_' if self.typing else ''}  {shown} of {of} jobs, Escape: all"
