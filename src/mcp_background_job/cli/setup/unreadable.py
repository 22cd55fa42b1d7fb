"""The one error of the three formats."""

from __future__ import annotations


class Unreadable(ValueError):
    """The text is not what it should be, or the entry can't be put into it without a change elsewhere."""
