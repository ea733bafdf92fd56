"""Every way a model call fails, as one ProviderError: told from status, error type and wording, as data."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast

from aura_engine.core.sentence import spoken
from aura_engine.core.text import clean
from aura_engine.errors import ProviderError, ProviderFailure

RETRY_AFTER_CAP = 86_400.0
"""Seconds. Nobody means a wait of ten years."""

BY_TYPE: dict[str, ProviderFailure] = {
    "authentication_error": ProviderFailure.CREDENTIALS,
    "permission_error": ProviderFailure.CREDENTIALS,
    "invalid_api_key": ProviderFailure.CREDENTIALS,
    "billing_error": ProviderFailure.MONEY,
    "insufficient_quota": ProviderFailure.MONEY,
    "insufficient_balance": ProviderFailure.MONEY,
    "billing_hard_limit_reached": ProviderFailure.MONEY,
    "rate_limit_error": ProviderFailure.RATE_LIMIT,
    "rate_limit_exceeded": ProviderFailure.RATE_LIMIT,
    "overloaded_error": ProviderFailure.OVERLOADED,
    "api_error": ProviderFailure.OVERLOADED,
    "server_error": ProviderFailure.OVERLOADED,
    "timeout_error": ProviderFailure.TIMEOUT,
    "request_too_large": ProviderFailure.CONTEXT_OVERFLOW,
    "context_length_exceeded": ProviderFailure.CONTEXT_OVERFLOW,
    "content_filter": ProviderFailure.REFUSAL,
    "invalid_request_error": ProviderFailure.BAD_REQUEST,
    "not_found_error": ProviderFailure.BAD_REQUEST,
}
"""Error types and codes of the APIs; a stream's error event has nothing else."""

BY_STATUS: dict[int, ProviderFailure] = {
    401: ProviderFailure.CREDENTIALS,
    402: ProviderFailure.MONEY,
    403: ProviderFailure.CREDENTIALS,
    408: ProviderFailure.TIMEOUT,
    409: ProviderFailure.OVERLOADED,
    413: ProviderFailure.CONTEXT_OVERFLOW,
    429: ProviderFailure.RATE_LIMIT,
}

OVERFLOW = re.compile(
    r"prompt is too long|context.{0,10}(length|window|limit)|maximum context|too many (input )?tokens", re.I
)
MONEY = re.compile(
    r"credit balance|insufficient.{0,10}(balance|quota|funds|credit)|billing|spend|usage limits?\b|payment", re.I
)

CURES: dict[ProviderFailure, str] = {
    ProviderFailure.CREDENTIALS: "Check AURA_API_KEY and that it belongs to AURA_API_BASE_URL.",
    ProviderFailure.MONEY: "Top up the account or raise its limit, then resume.",
    ProviderFailure.UNREACHABLE: "Check the network and AURA_API_BASE_URL.",
    ProviderFailure.BAD_REQUEST: "Check AURA_API_MODEL and AURA_API_BASE_URL.",
    ProviderFailure.MALFORMED: "Check AURA_API_BASE_URL: a proxy or another kind of server may be answering.",
}


def classify(status: int | None, kinds: tuple[str, ...], text: str, retry_after: float | None) -> ProviderFailure:
    """What a failure is, from the HTTP status (None or 200 in mid-stream), the error's type and code, and its text."""
    told = [BY_TYPE[kind] for kind in kinds if kind in BY_TYPE]
    if ProviderFailure.MONEY in told or status == 402:
        return ProviderFailure.MONEY
    if status in (None, 200, 400, 422) and OVERFLOW.search(text):
        return ProviderFailure.CONTEXT_OVERFLOW
    # A spend cap comes as 400 or 429; what says when to come back is a rate limit whatever else it says.
    if status in (None, 200, 400, 429) and retry_after is None and MONEY.search(text):
        return ProviderFailure.MONEY
    if status in BY_STATUS:
        return BY_STATUS[status]
    if status is not None and status >= 500:
        return ProviderFailure.OVERLOADED
    redirected = status is not None and 300 <= status < 400
    return told[0] if told and not redirected else ProviderFailure.BAD_REQUEST


def api_failure(
    where: str, status: int | None, headers: Mapping[str, str], body: object, *, secret: str = ""
) -> ProviderError:
    """The error for an answer with an error status, or for an error event (`status` 200 or None) in a stream."""
    kinds, text = _said(body)
    wait = parse_retry_after(headers)
    kind = classify(status, kinds, " ".join((*kinds, text)), wait)
    said = clean(spoken(text)) or ", ".join(kinds)
    shown = said.replace(secret, "…") if secret else said
    code = "" if status in (None, 200) else f" with {status}"
    return ProviderError(
        kind,
        f"{where} refused{code}: {one_line(shown) or 'no reason given'}.",
        status=status,
        retry_after=wait,
        cure=CURES.get(kind, ""),
    )


def failure(kind: ProviderFailure, message: str) -> ProviderError:
    """An error of this kind with its usual cure."""
    return ProviderError(kind, message, cure=CURES.get(kind, ""))


def parse_retry_after(headers: Mapping[str, str], *, now: datetime | None = None) -> float | None:
    """Seconds to wait, from `retry-after` (seconds or a date); None for garbage; at most a day, never negative."""
    value = headers.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            when = parsedate_to_datetime(value)
        except ValueError:
            return None
        if when.tzinfo is None:
            when = when.replace(tzinfo=UTC)
        seconds = (when - (now or datetime.now(UTC))).total_seconds()
    if math.isnan(seconds):
        return None
    return min(max(seconds, 0.0), RETRY_AFTER_CAP)


def one_line(text: str, limit: int = 300) -> str:
    """Text of a stranger as one short line."""
    flat = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return (flat[: limit - 1] + "…" if len(flat) > limit else flat).rstrip(".")


def _said(body: object) -> tuple[tuple[str, ...], str]:
    """Types, codes and message of an error body in any of the usual shapes."""
    if isinstance(body, str | bytes):
        return (), body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    if not isinstance(body, dict):
        return (), ""
    outer = cast("dict[str, Any]", body)
    inner = outer.get("error", outer)
    if not isinstance(inner, dict):
        return (), str(inner)
    error = cast("dict[str, Any]", inner)
    kinds = tuple(value for key in ("code", "type") if isinstance(value := error.get(key), str))
    message = error.get("message")
    return kinds, message if isinstance(message, str) else json.dumps(error)[:500]
