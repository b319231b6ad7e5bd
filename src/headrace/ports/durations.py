"""Durations as users write them: "90s", "5m", "24h", "7d", "2w", or a `timedelta`."""

from __future__ import annotations

import re
from datetime import timedelta

from headrace.errors import HeadraceError

_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_TERM = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|[smhdw])")


def duration(text: str | timedelta) -> timedelta:
    """Parse a duration of one or more terms ("1h30m"). Raises HR110 for anything else, and for a negative one."""
    if isinstance(text, timedelta):
        if text < timedelta(0):
            raise HeadraceError("HR110", f"the duration {text} is negative")
        return text
    stripped = text.strip()
    terms = _TERM.findall(stripped)
    if not terms or _TERM.sub("", stripped).strip():
        raise HeadraceError("HR110", f"{text!r} is not a duration")
    return sum((timedelta(**{_UNITS[unit]: float(amount)}) for amount, unit in terms), timedelta(0))


def spell(value: timedelta) -> str:
    """The shortest spelling that `duration` reads back to the same value: "1d12h", "5m", "0s"."""
    left = round(value.total_seconds() * 1000)
    parts = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)):
        amount, left = divmod(left, size)
        if amount:
            parts.append(f"{amount}{unit}")
    return "".join(parts) or "0s"
