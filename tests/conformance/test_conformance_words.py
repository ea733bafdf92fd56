"""How services and programs word their limits: what each is taken for, and how long it is said to last."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from aura_engine.core.model import EndKind
from aura_engine.workers.patterns import classify, retry_after

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC).timestamp()
LIMIT, MONEY, FULL = EndKind.RATE_LIMIT, EndKind.MONEY, EndKind.CONTEXT_OVERFLOW
HOUR, DAY = 3600, 86_400


WORDS = [
    ("You've reached your usage limit for this period. Resets in 4h 12m.", None, LIMIT, 4 * HOUR + 720),
    ("You've hit your limit · resets Nov 25, 5am (Europe/Berlin)", None, LIMIT, 2 * DAY + 16 * HOUR),
    ("You've hit your usage limit. Upgrade, or try again at Nov 25th, 2026 9:11 AM (UTC).", None, LIMIT, 249_060),
    ("Monthly limit reached ∙ resets Jan 3, 1pm (UTC)", None, LIMIT, 7 * DAY),
    ("This request would exceed your account's rate limit. Please try again later.", None, LIMIT, None),
    ("Rate limit reached for m on tokens per min (TPM): Limit 30000. Please try again in 8.4s.", 429, LIMIT, 8.4),
    ("Quota exceeded for metric: requests. Please retry in 37.512s.", 429, LIMIT, 37.512),
    ("Please retry after 30 seconds.", 429, LIMIT, 30),
    ("Allocated quota exceeded, please increase your quota limit.", 429, LIMIT, None),
    ("Concurrency limit exceeded for this model", 429, LIMIT, None),
    ("Usage blocked: monthly spend limit", None, MONEY, None),
    ("Insufficient Balance", None, MONEY, None),
    ("Your credit balance is too low to access the API.", 400, MONEY, None),
    ("You exceeded your current quota, please check your plan and billing details.", 429, MONEY, None),
    ("Your request was rejected: the model is at capacity", None, EndKind.OVERLOADED, None),
    ("This model's maximum context length is 128000 tokens.", 400, FULL, None),
    ("prompt is too long: 250000 tokens > 200000 maximum", 400, FULL, None),
    ("Rate limit reached. Please try again in 6m0s.", 429, LIMIT, 360),
    ("Rate limit reached. Please try again in 1h2m3.5s.", 429, LIMIT, 3723.5),
    ("Quota used up. It will reset at 2026-11-22 22:00:00 +0545.", 429, LIMIT, 4 * HOUR + 900),
    ("You're out of extra usage · resets 2am (UTC)", None, LIMIT, 14 * HOUR),
    ("You've used up your weekly quota.", None, LIMIT, None),
    ("Insufficient account balance", None, MONEY, None),
    ("Account balance is insufficient, please recharge", None, MONEY, None),
    ("Error code: 429 - {'error': {'message': 'slow down'}}", None, LIMIT, None),
    ("input token count (9) exceeds the maximum number of tokens", 400, FULL, None),
    ("This model's maximum prompt length is 131072.", 400, FULL, None),
]


@pytest.mark.parametrize(("text", "status", "kind", "wait"), WORDS)
def test_words(text, status, kind, wait):
    assert classify(text, status) is kind
    assert retry_after(text, NOON) == (None if wait is None else pytest.approx(wait))
