"""Why a worker failed, told from its program's words and numbers. Data first: the first pattern that fits wins."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from aura_engine.core.model import EndKind

WORDS: tuple[tuple[EndKind, str], ...] = (
    (EndKind.PERMISSION, r"cannot be used with root|permission denied|operation not permitted|EACCES"),
    (
        EndKind.CONTEXT_OVERFLOW,
        r"prompt is too long|context (length|window)|maximum context|too many tokens|input is too long",
    ),
    (
        EndKind.MONEY,
        r"credit balance|insufficient (quota|balance|funds|credit)|insufficient_quota|billing|payment required"
        r"|spend(ing)? (limit|cap)|(exceeded|reached) your (current|monthly) (quota|limit|spend)|out of credits"
        r"|credit limit",
    ),
    (
        EndKind.RATE_LIMIT,
        r"rate.?limit|usage limit|session limit|weekly limit|hour limit|hit your limit|limit reached"
        r"|too many requests|quota exceeded|resource.?exhausted",
    ),
    (
        EndKind.CREDENTIALS,
        r"invalid (x-)?api.?key|incorrect api key|not logged in|please run /login|failed to authenticate"
        r"|authentication|unauthori[sz]ed|oauth token|no api key|forbidden"
        r"|missing environment variable|missing api key|(log|sign) in again",
    ),
    (
        EndKind.OVERLOADED,
        r"overloaded|server error|bad gateway|service unavailable|gateway time-?out"
        r"|empty or malformed response|experiencing high demand|at capacity",
    ),
    (
        EndKind.UNREACHABLE,
        r"unable to connect|connection ?(refused|reset|error|closed|aborted|failed)|ECONNREFUSED|ECONNRESET"
        r"|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|timed? ?out|network error|fetch failed|name resolution|socket hang up"
        r"|certificate|stream disconnected|error sending request|without a finish reason",
    ),
    (
        EndKind.BAD_REQUEST,
        r"may not exist or you may not have access|model.{0,20}not found|unknown (option|model|argument)"
        r"|bad request|invalid.request|no (conversation|rollout|saved session) found|session not found",
    ),
)
"""Kind of ending → how programs and providers put it."""

STATUSES = {
    401: EndKind.CREDENTIALS,
    402: EndKind.MONEY,
    403: EndKind.CREDENTIALS,
    408: EndKind.UNREACHABLE,
    413: EndKind.CONTEXT_OVERFLOW,
    429: EndKind.RATE_LIMIT,
}
DECISIVE = frozenset({EndKind.CONTEXT_OVERFLOW, EndKind.MONEY})
"""Providers say these under several statuses (400, 403, 429): their words outweigh the number."""

_COMPILED = tuple((kind, re.compile(words, re.IGNORECASE)) for kind, words in WORDS)
RETRY_CAP = 7 * 86_400.0
"""Seconds; a weekly limit is the longest that any provider has."""


def classify(text: str, status: int | None = None) -> EndKind | None:
    """The kind of ending that a text and an HTTP status tell; None when neither says anything known."""
    by_words = next((kind for kind, words in _COMPILED if words.search(text)), None)
    if by_words in DECISIVE or status is None:
        return by_words
    if status in STATUSES:
        return STATUSES[status]
    if status >= 500:
        return EndKind.OVERLOADED
    return EndKind.BAD_REQUEST if status >= 400 else by_words


_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_AMOUNT = r"(\d+(?:\.\d+)?)\s*(milliseconds?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d)\b"
_IN = re.compile(
    rf"(?:again in|retry in|resets? in|wait|retry after|available in|reset after)\s+((?:{_AMOUNT}[\s,and]*)+)", re.I
)
_EACH = re.compile(_AMOUNT, re.IGNORECASE)
_HEADER = re.compile(r"retry.after\W{1,4}(\d+(?:\.\d+)?)(?!\s*\w)", re.IGNORECASE)
_EPOCH = re.compile(r"(?:\||reset\w*\W{1,4}(?:at\W{1,3})?)(1[5-9]\d{8}|2\d{9})\b", re.IGNORECASE)
_ISO = re.compile(
    r"reset\w*\W.{0,12}?(\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)", re.IGNORECASE
)
_CLOCK = re.compile(
    r"(?:reset\w*|again|available)\s+(?:at\s+)?"
    r"(?:(?P<month>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)\w*\s+(?P<day>\d{1,2})"
    r"(?:st|nd|rd|th)?(?:,\s*(?P<year>20\d\d))?(?:,|\s+at|\s)*)?"
    r"(?P<hour>\d{1,2})(?::(?P<minute>\d\d))?\s*(?P<half>[ap]\.?m\.?)?(?:\s*\(?(?P<zone>UTC|GMT|[A-Z]\w+/[\w/+-]+)\)?)?",
    re.IGNORECASE,
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def retry_after(text: str, now: float) -> float | None:
    """Seconds from `now` (epoch) until a limit resets, where the text says so: “in 20 minutes”, “resets 3pm (UTC)”, …

    A clock time without a zone is this machine's; one that is past means the next day. At most a week.
    """
    seconds = _duration(text)
    if seconds is None and (match := _EPOCH.search(text)):
        seconds = float(match[1]) - now
    if seconds is None and (match := _ISO.search(text)):
        seconds = _until(match[1], now)
    if seconds is None and (match := _CLOCK.search(text)):
        seconds = _until_clock(match, now)
    return None if seconds is None else min(max(seconds, 0.0), RETRY_CAP)


def _duration(text: str) -> float | None:
    if match := _IN.search(text):
        return sum(float(amount) * _factor(unit.lower()) for amount, unit in _EACH.findall(match[1]))
    match = _HEADER.search(text)
    return float(match[1]) if match else None


def _until(stamp: str, now: float) -> float | None:
    try:
        when = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    return (when if when.tzinfo else when.astimezone()).timestamp() - now


def _factor(unit: str) -> float:
    return 0.001 if unit.startswith(("ms", "milli")) else _UNITS[unit[0]]


def _until_clock(match: re.Match[str], now: float) -> float | None:
    hour, minute = int(match["hour"]), int(match["minute"] or 0)
    if match["half"] and 1 <= hour <= 12:
        hour = hour % 12 + (12 if match["half"].lower().startswith("p") else 0)
    elif match["half"] or match["minute"] is None:  # a bare number is no time
        return None
    try:
        here = datetime.fromtimestamp(now, _zone(match["zone"]))
        then = here.replace(hour=hour, minute=minute, second=0, microsecond=0)
        if match["month"]:
            month, year = _MONTHS.index(match["month"][:3].lower()) + 1, int(match["year"] or here.year)
            then = then.replace(year=year, month=month, day=int(match["day"]))
            return (then if match["year"] or then > here else then.replace(year=then.year + 1)).timestamp() - now
    except (ValueError, ZoneInfoNotFoundError):
        return None
    return (then if then > here else then + timedelta(days=1)).timestamp() - now


def _zone(name: str | None) -> tzinfo | None:
    if name and name.upper() in ("UTC", "GMT"):
        return UTC
    return ZoneInfo(name) if name else None
