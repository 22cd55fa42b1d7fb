"""What of a job's bytes changes the picture: all of them that a replay or an export lets through.

Promises: what passes is text and whole sequences of the list below, each in a spelling of our own, so that no
terminal takes them for others; rendered, it is the same text. Titles, colours' definitions, the clipboard, links,
terminal queries, the keyboard's and the mouse's modes and everything unknown are dropped, whatever they are cut
into or stand in.
"""

from __future__ import annotations

import re
from functools import lru_cache

from .parser import ALTERNATE_MODES, CSI, MAX_PARAMETER, SINGLE, taken_apart
from .render import C1, DROPPED, strip_strings

_AS_THEY_ARE = {*"\b\t\n\v\f\r\x0e\x0f", "\x1b#8", "\x1b(0", "\x1b(B", "\x1b)0", "\x1b)B"}
_AS_THEY_ARE |= {"\x1b" + final for final in "78DEHM"}
_ONE_NUMBER = "@ABCDEFG`LMPSTXZbd"
_TWO_NUMBERS = "Hfr"
_SELECTORS = {"J": "012", "K": "012", "g": "03"}  # not J 3: it would clear the person's own scrollback
_SAME = {"s": "\x1b7", "u": "\x1b8"}  # with other modes s sets margins, and in other keyboards' protocols u means keys
_MODES = {6, 7, 25, *ALTERNATE_MODES}  # origin, wrap, cursor; 2026 is left out: left on, it would freeze the picture
_LARGEST = 9999  # beyond every screen
_CLEARED = "\x1b[H\x1b[2J"
# A real RIS would also take the person's palette, title, keyboard and scrollback.
_RESET = (
    "\x1b[r\x1b[?6l\x1b[?7h\x1b[?25h\x1b[4l\x1b(B\x1b)B\x0f\x1b[m\x1b[H\x1b[3g"
    + "\x1b[8C\x1bH" * 128  # tab stops beyond the last column fall on it, which a tab reaches without
    + _CLEARED
    + "\x1b7"
)


def picture(data: bytes) -> str:
    """What `data` draws. It begins outside of any sequence; one that is not whole at its end is dropped."""
    data = data.decode(errors="replace").encode()  # first, so that nothing dropped can make two halves a character
    if b"\x1b" in data:
        # CAN, which is dropped below, ends what a string has broken off: it must not join what follows the string.
        data = strip_strings(data, b"\x18")
    text = C1.sub("", data.translate(None, DROPPED).decode())
    return SINGLE.sub(_passes, text)


def _passes(match: re.Match[str]) -> str:
    control = match[0]
    return _shown_again(control) if len(control) < 64 else _shown(control)  # a long one is not worth its memory


def _shown(control: str) -> str:
    """The control character or sequence in our spelling; nothing where it is not allowed."""
    if control in _AS_THEY_ARE:
        return control
    if control == "\x1bc":
        return _RESET
    match = CSI.fullmatch(control)
    if match is None:
        return "".join(map(_shown, taken_apart(control)))
    private, parameters, intermediate, final = match.groups()
    values = parameters.split(";")
    if intermediate or len(parameters) > 63 or len(values) > 23:
        return ""
    if final == "m" and not private:
        return control
    if ":" in parameters or any(value and int(value) > MAX_PARAMETER for value in values):
        return ""
    if private:
        return "".join(_mode(int(value or 0), final) for value in values) if private + final in ("?h", "?l") else ""
    numbers = [str(min(int(value), _LARGEST)) if value else "" for value in values]
    if final in _ONE_NUMBER:
        return f"\x1b[{numbers[0]}{final}"
    if final in _TWO_NUMBERS:
        return f"\x1b[{';'.join(numbers[:2])}{final}"
    if final in "hl":
        return f"\x1b[4{final}" if "4" in values else ""
    if (selector := str(int(values[0] or 0))) in _SELECTORS.get(final, ""):
        return f"\x1b[{selector}{final}"
    return _SAME.get(final, "")


_shown_again = lru_cache(maxsize=4096)(_shown)


def _mode(mode: int, how: str) -> str:
    if mode == 3:
        return _CLEARED  # so does tmux; other terminals change their width, too
    return f"\x1b[?{mode}{how}" if mode in _MODES else ""
