"""What failures are called, and when a limit resets."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from aura_engine.core.model import EndKind
from aura_engine.workers.patterns import RETRY_CAP, classify, classify_output, retry_after

NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("text", "status", "kind"),
    [
        ("Invalid API key · Fix external API key", 401, EndKind.CREDENTIALS),
        ("Not logged in · Please run /login", None, EndKind.CREDENTIALS),
        ("Your credit balance is too low to access the API", 400, EndKind.MONEY),
        ("You exceeded your current quota, please check your plan and billing details", 429, EndKind.MONEY),
        ("anything", 402, EndKind.MONEY),
        ("Number of request tokens has exceeded your rate limit", 429, EndKind.RATE_LIMIT),
        ("Claude AI usage limit reached|1767279600", None, EndKind.RATE_LIMIT),
        ("5-hour limit reached ∙ resets 3pm", None, EndKind.RATE_LIMIT),
        ("slow down", 429, EndKind.RATE_LIMIT),
        ("Overloaded", 529, EndKind.OVERLOADED),
        ("<html>502 Bad Gateway</html>", None, EndKind.OVERLOADED),
        ("Internal", 500, EndKind.OVERLOADED),
        ("fetch failed: getaddrinfo ENOTFOUND api.example", None, EndKind.UNREACHABLE),
        ("Request timed out", None, EndKind.UNREACHABLE),
        ("prompt is too long: 250000 tokens > 200000 maximum", 400, EndKind.CONTEXT_OVERFLOW),
        ("This model's maximum context length is 8192 tokens", 400, EndKind.CONTEXT_OVERFLOW),
        ("anything", 413, EndKind.CONTEXT_OVERFLOW),
        ("messages.0: bad field", 400, EndKind.BAD_REQUEST),
        ("anything", 422, EndKind.BAD_REQUEST),
        ("the dog ate it", None, None),
        ("fine", 200, None),
    ],
)
def test_classify(text, status, kind):
    assert classify(text, status) is kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Error: Cannot find module './authentication/index.js'", None),
        ('File "/w/billing/models.py", line 3\nKeyError: 7', None),
        ("ssl certificate path /x\nSegmentation fault", None),
        ("AssertionError: insufficient funds: 401 cents", None),
        ("app/forbidden.py:403: KeyError", None),
        ("ran 500 tests: 402 failed", None),
        ("Error: Invalid API key", EndKind.CREDENTIALS),
        ("Not logged in. Run login first", EndKind.CREDENTIALS),
        ("Missing environment variable: `AURA_LLM_KEY`.", EndKind.CREDENTIALS),
        ("Missing environment variable: DATABASE_URL", None),
        ("request failed: 401 Unauthorized", EndKind.CREDENTIALS),
        ("API Error: 403 {}", EndKind.CREDENTIALS),
        ("HTTP/1.1 402", EndKind.MONEY),
        ("Insufficient Balance", EndKind.MONEY),
        ("Your credit balance is too low", EndKind.MONEY),
        ("You exceeded your current quota, please check your plan and billing details", EndKind.MONEY),
        ("status code 429", EndKind.RATE_LIMIT),
        ("503 Service Unavailable", EndKind.OVERLOADED),
        ("x509: certificate has expired", EndKind.UNREACHABLE),
        ("connect ECONNREFUSED 127.0.0.1:9", EndKind.UNREACHABLE),
    ],
)
def test_free_text_needs_a_whole_phrase_or_a_status(text, kind):
    assert classify_output(text) is kind


@pytest.mark.parametrize(
    "text", ["Forbidden", "billing is off", "authentication: no", "bad certificate", "oauth token?"]
)
def test_of_a_services_error_a_word_is_enough(text):
    assert classify(text) is not None
    assert classify_output(text) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Please try again in 20 minutes.", 1200),
        ("try again in 2h 5m", 7500),
        ("Rate limit reached. Please try again in 6.5s. Visit", 6.5),
        ("Please retry in 350ms", 0.35),
        ("retry after 1 hour and 30 minutes", 5400),
        ("resets in 3 days", 3 * 86_400),
        ("Retry-After: 30", 30),
        ('"retry_after": 12', 12),
        ("limit reached|1767279600", 1_767_279_600 - NOON),
        ("limit · resets 3pm (UTC)", 3 * 3600),
        ("resets at 15:30 UTC", 3.5 * 3600),
        ("resets 9am (UTC)", 21 * 3600),
        ("resets 12am (UTC)", 12 * 3600),
        ("resets 10pm (Nowhere/Land)", None),
        ("resets Jan 3, 9am (UTC)", 45 * 3600),
        ("will reset at 2026-01-01T12:10:00Z", 600),
        ("try again in 400 days", RETRY_CAP),
        ("limit|1500000000", 0),
        ("resets Jan 3 at 9am (UTC)", 45 * 3600),
        ("resets Feb 31, 9am (UTC)", None),
        ("will reset at 2026-13-41T99:99:00Z", None),
        ("resets 25pm", None),
        ("resets at 0001-01-01 00:00", None),
        ("resets 9999-12-31T23:59", RETRY_CAP),
        ("resets at 3pm (America/Indiana)", None),
        ("resets 3pm (Europe/../../x)", 3 * 3600),
        ("try again later", None),
        ("try again 3 times", None),
        ("", None),
    ],
)
def test_retry_after(text, seconds):
    found = retry_after(text, NOON)
    assert found == (None if seconds is None else pytest.approx(seconds))


def test_a_clock_time_without_a_zone_is_this_machines(monkeypatch):
    monkeypatch.setenv("TZ", "EST5")
    time.tzset()
    try:
        assert retry_after("resets 8am", NOON) == pytest.approx(3600)  # 12:00 UTC is 7:00 there
    finally:
        monkeypatch.undo()
        time.tzset()
