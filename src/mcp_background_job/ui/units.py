"""Durations, sizes and times of day, as a person reads them in a column or a sentence."""

from __future__ import annotations

from datetime import datetime

UNITS = ((86400, "d"), (3600, "h"), (60, "m"))  # seconds


def duration(seconds: float) -> str:
    """At most six characters: 4.2s, 12s, 3m05s, 25m, 2h07m, 4d11h; the longer it is, the more rarely it changes."""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f}s"
    total = round(seconds)
    if total < 60:
        return f"{total}s"
    if total < 600:
        return f"{total // 60}m{total % 60:02d}s"
    if total < 3600:
        return f"{total // 60}m"
    if total < 86400:
        return f"{total // 3600}h{total % 3600 // 60:02d}m"
    days = total // 86400
    return f"{days}d{total % 86400 // 3600:02d}h" if days < 100 else f"{days}d"


def rough(seconds: float) -> str:
    """In its largest unit alone: 12s, 3m, 2h, 4d."""
    total = max(0, int(seconds))
    amount, unit = next(((total // each, name) for each, name in UNITS if total >= each), (total, "s"))
    return f"{amount}{unit}"


def size(number: int) -> str:
    """At most four characters up to a thousand terabytes, in powers of 1024: 512B, 3.4M, 12M, 1.0G."""
    amount, unit = float(number), "B"
    for larger in "KMGT":
        if round(amount) < 1000:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.1f}{unit}" if unit != "B" and amount < 9.95 else f"{amount:.0f}{unit}"


def local_time(seconds: float) -> str:
    """A time since the epoch on this machine's clock, with its zone."""
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
