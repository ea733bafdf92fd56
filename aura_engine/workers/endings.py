"""How a worker's run ended: exit status, final event and stderr weighed in one place for all backends."""

from __future__ import annotations

import re
from collections.abc import Mapping

from aura_engine.core.model import Ending, EndKind, ExitRecord
from aura_engine.core.sentence import spoken
from aura_engine.core.text import one_line
from aura_engine.workers.base import Seen
from aura_engine.workers.patterns import classify, classify_output, retry_after

STOPPED_SIGNALS = frozenset({2, 9, 15})
STOPPED_CODES = frozenset({130, 137, 143})
"""A program that catches a stop signal says so by 128 + its number."""
NOT_FOUND_CODES = frozenset({126, 127})
_NOT_FOUND = re.compile(r"No such file|Permission denied|Exec format|not found", re.IGNORECASE)
_DETAIL = 300


def ending_of(exit: ExitRecord, seen: Seen, stderr_tail: str, reasons: Mapping[str, EndKind]) -> Ending:
    """The ending of a backend with a final event. `reasons`: what its own words for an error mean.

    Success takes both a final event that says so and exit status 0; only a stop signal after that event (a program
    that hung once it was done) leaves the claim standing.
    """
    kind, detail = _judge(exit, seen, stderr_tail, reasons)
    said = f"{seen.failed or ''}\n{stderr_tail}"
    wait = retry_after(said, exit.ended) if kind in (EndKind.RATE_LIMIT, EndKind.OVERLOADED) else None
    return Ending(
        kind=kind,
        detail=one_line(detail, _DETAIL),
        retry_after=wait,
        claims=seen.finished or seen.last_message,
        session=seen.session,
        usage=seen.usage,
    )


def _judge(exit: ExitRecord, seen: Seen, stderr_tail: str, reasons: Mapping[str, EndKind]) -> tuple[EndKind, str]:
    if exit.error:
        return (EndKind.MISSING_CLI if _NOT_FOUND.search(exit.error) else EndKind.CRASHED), exit.error
    stopped = exit.signal in STOPPED_SIGNALS or exit.code in STOPPED_CODES
    how = f"signal {exit.signal}" if exit.signal is not None else f"exit status {exit.code}"
    if seen.finished is not None:
        if exit.code == 0:
            return EndKind.FINISHED, ""
        if stopped:
            return EndKind.FINISHED, f"did not end by itself after its last word ({how})"
        return EndKind.CRASHED, f"ended with {how} after it had said it was done"
    if seen.failed is not None:
        known = reasons.get(seen.reason) or classify(seen.failed, seen.status)
        said = spoken(seen.failed) or seen.reason
        unsaid = seen.status is not None and str(seen.status) not in said
        return known or EndKind.CRASHED, f"{said} (HTTP status {seen.status})" if unsaid else said
    last = next((line for line in reversed(stderr_tail.splitlines()) if line.strip()), "")
    if stopped:
        retrying = f" while it retried (HTTP status {seen.status})" if seen.status else ""
        return EndKind.KILLED, f"ended by {how}{retrying}"
    if exit.code in NOT_FOUND_CODES:
        return EndKind.MISSING_CLI, last or f"ended with {how}"
    known = classify_output(stderr_tail) if exit.code else None
    return known or EndKind.CRASHED, f"ended with {how} and no final event" + (f": {last}" if last else "")
