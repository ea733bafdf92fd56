"""Lengths of time as people write them: `90s`, `10m`, `1h30m`, or a bare number."""

from __future__ import annotations

import math
import re

_SECONDS = {"s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_PART = r"(\d+(?:\.\d+)?)\s*(d|h|min|m|sec|s)"
_WHOLE = re.compile(rf"(?:{_PART}\s*)+", re.IGNORECASE)


def parse_duration(value: str | float, *, unit: float = 1.0) -> float:
    """Seconds meant by `value`; a number without a unit counts `unit` seconds each.

    Raises ValueError for anything that is not a positive, finite length of time.
    """
    text = str(value).strip()
    if _WHOLE.fullmatch(text):
        seconds = sum(float(number) * _SECONDS[name.lower()] for number, name in re.findall(_PART, text, re.I))
    else:
        try:
            seconds = float(text) * unit
        except ValueError:
            raise ValueError(f"“{text}” is not a length of time such as 90s, 10m or 1h30m") from None
    if isinstance(value, bool) or not math.isfinite(seconds) or seconds <= 0:
        raise ValueError(f"“{text}” is not a length of time above zero")
    return seconds


def format_duration(seconds: float) -> str:
    """The shortest exact way to write `seconds`: `30m`, `1h30m`, `2.5s`."""
    rest, words = seconds, ""
    for name, size in (("h", 3600), ("m", 60)):
        count, rest = divmod(rest, size)
        words += f"{count:.0f}{name}" if count else ""
    return words + f"{rest:g}s" if rest or not words else words


def span(seconds: float) -> str:
    """A length of time for reading: `0.4s`, `12s`, `4m 18s`, `3h 12m`, `2d 5h`."""
    seconds = max(0.0, seconds)
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    for big, small, size in (("d", "h", 86_400), ("h", "m", 3600), ("m", "s", 60)):
        if whole >= size:
            unit = {"h": 3600, "m": 60, "s": 1}[small]
            return f"{whole // size}{big} {whole % size // unit:02d}{small}"
    return f"{whole}s"
