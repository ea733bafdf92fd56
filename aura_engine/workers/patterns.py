"""Why a worker failed, told from its program's words and numbers. Data first: the first pattern that fits wins."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from aura_engine.core.model import EndKind

WORDS: tuple[tuple[EndKind, str], ...] = (
    (EndKind.PERMISSION, r"cannot be used with root|permission denied|operation not permitted|EACCES"),
    (
        EndKind.CONTEXT_OVERFLOW,
        r"prompt is too long|context (length|window)|maximum context|too many tokens|input is too long"
        r"|exceeds the maximum number of tokens|maximum prompt length",
    ),
    (
        EndKind.MONEY,
        r"credit balance is (too low|insufficient)|insufficient (quota|balance|credits)|insufficient_quota"
        r"|(monthly|weekly|daily|your) spend(ing)? (limit|cap)|out of credits"
        r"|(exceeded|reached) your (current|monthly) (quota|limit|spend)"
        r"|insufficient account balance|account balance is insufficient",
    ),
    (
        EndKind.RATE_LIMIT,
        r"rate.?limit|usage limit|session limit|weekly limit|hour limit|hit your limit|limit reached"
        r"|too many requests|quota exceeded|resource.?exhausted|out of extra usage|(weekly|daily|monthly) quota",
    ),
    (
        EndKind.CREDENTIALS,
        r"invalid (x-)?api.?key|incorrect api key|not logged in|please run /login"
        r"|authentication_error|no api key|missing api key"
        r"|oauth token (is |has |was )?(invalid|expired|revoked|been revoked)|missing environment variable\W+\w*KEY\b"
        r"|please (log|sign) in again",
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
        r"|certificate (is|has|verif)|(self.signed|verify\w*|invalid|local issuer|expired) certificate"
        r"|ssl certificate problem|stream disconnected|error sending request|without a finish reason",
    ),
    (
        EndKind.BAD_REQUEST,
        r"may not exist or you may not have access|model.{0,20}not found|unknown (option|model|argument)"
        r"|bad request|invalid.request|no (conversation|rollout|saved session) found|session not found",
    ),
)
"""Kind of ending → how programs and providers put it."""
BARE = {
    EndKind.MONEY: r"credit balance|insufficient (funds|credit)|billing|payment required|credit limit"
    r"|balance is insufficient|spend(ing)? (limit|cap)",
    EndKind.CREDENTIALS: r"authentication|failed to authenticate|unauthori[sz]ed|oauth token|forbidden"
    r"|missing environment variable|(log|sign) in again",
    EndKind.UNREACHABLE: r"certificate",
}
"""More of it, for an error of the service's alone: elsewhere, as in a stack trace, any program may say these words."""

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

_PHRASES = tuple((kind, re.compile(words, re.IGNORECASE)) for kind, words in WORDS)
_COMPILED = tuple(
    (kind, re.compile(f"{words}|{BARE[kind]}" if kind in BARE else words, re.IGNORECASE)) for kind, words in WORDS
)
RETRY_CAP = 7 * 86_400.0
"""Seconds; a weekly limit is the longest that any provider has."""


_STATUS = re.compile(
    r"\b(?:status(?: code)?|HTTP|error(?: code)?)\W{0,4}([45]\d\d)\b|(?:^|: )\W*([45]\d\d)\b", re.IGNORECASE
)
_PLAIN_STATUS = re.compile(
    r"\b(?:status(?: code)?|HTTP(?:/\d(?:\.\d)?)?|API error|error code)\W{0,4}([45]\d\d)\b"
    r"|\b([45]\d\d)\W{1,3}(?:[{(]|bad request|unauthori[sz]ed|payment required|forbidden|not found|too many requests"
    r"|internal server|bad gateway|service unavailable|overloaded)",
    re.IGNORECASE,
)


def status_in(text: str) -> int | None:
    """The HTTP status that an error's words name; None where they name none."""
    found = _STATUS.search(text)
    return int(found[1] or found[2]) if found else None


def classify(text: str, status: int | None = None) -> EndKind | None:
    """The kind of ending that a text and an HTTP status tell; None when neither says anything known."""
    by_words = _first(_COMPILED, text)
    if by_words is None and status is None:
        status = status_in(text)
    return _weighed(by_words, status)


def classify_output(text: str) -> EndKind | None:
    """The kind of ending that a program's free text tells, which may be of the service or of anything else.

    Only a whole phrase or an HTTP status counts: a wrong guess could park a role until a person acts.
    """
    found = _PLAIN_STATUS.search(text)
    return _weighed(_first(_PHRASES, text), int(found[1] or found[2]) if found else None)


def _first(known: Iterable[tuple[EndKind, re.Pattern[str]]], text: str) -> EndKind | None:
    return next((kind for kind, words in known if words.search(text)), None)


def _weighed(by_words: EndKind | None, status: int | None) -> EndKind | None:
    if by_words in DECISIVE or status is None:
        return by_words
    if status in STATUSES:
        return STATUSES[status]
    if status >= 500:
        return EndKind.OVERLOADED
    return EndKind.BAD_REQUEST if status >= 400 else by_words


_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_AMOUNT = r"(\d+(?:\.\d+)?)\s*(milliseconds?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d)(?![a-z])"
_IN = re.compile(
    rf"(?:again in|retry in|resets? in|wait|retry after|available in|reset after)\s+((?:{_AMOUNT}[\s,and]*)+)", re.I
)
_EACH = re.compile(_AMOUNT, re.IGNORECASE)
_HEADER = re.compile(r"retry.after\W{1,4}(\d+(?:\.\d+)?)(?!\s*\w)", re.IGNORECASE)
_EPOCH = re.compile(r"(?:\||reset\w*\W{1,4}(?:at\W{1,3})?)(1[5-9]\d{8}|2\d{9})\b", re.IGNORECASE)
_ISO = re.compile(
    r"reset\w*\W.{0,12}?(\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?: ?(?:Z|[+-]\d\d:?\d\d))?)", re.IGNORECASE
)
_CLOCK = re.compile(
    r"(?:reset\w*|again|available)\s+(?:at\s+)?"
    r"(?:(?P<month>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)\w*\s+(?P<day>\d{1,2})"
    r"(?:st|nd|rd|th)?(?:,\s*(?P<year>20\d\d))?(?:,|\s|at\b)*)?"
    r"(?P<hour>\d{1,2})(?::(?P<minute>\d\d))?\s*(?P<half>[ap]\.?m\.?)?(?:\s*\(?(?P<zone>UTC|GMT|[A-Z]\w+/[\w/+-]+)\)?)?",
    re.IGNORECASE,
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


UNTIMELY = (ValueError, OverflowError, OSError, ZoneInfoNotFoundError)
"""What dates and zones that do not exist raise."""


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
        when = datetime.fromisoformat(re.sub(r" (?=[Z+-])", "", stamp))
        return (when if when.tzinfo else when.astimezone()).timestamp() - now
    except UNTIMELY:
        return None


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
        return (then if then > here else then + timedelta(days=1)).timestamp() - now
    except UNTIMELY:
        return None


def _zone(name: str | None) -> tzinfo | None:
    if name and name.upper() in ("UTC", "GMT"):
        return UTC
    return ZoneInfo(name) if name else None
