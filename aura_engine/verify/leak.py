"""Held-out checks stay held out: what a text for a worker gives away of them, compared as text, and its removal."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import PurePosixPath

from aura_engine.core.model import Check, Receipt

MARK = "[held out]"
_MIN_LINE = 12
_MIN_OUTPUT = 20
_MAX_SECRETS = 5_000
# Lines that any file has: to hold them out would blank what has nothing to do with the probe.
_BOILERPLATE = re.compile(
    r"(?:import|from|package|use|using|#!|#include|if __name__|require\(|const \w+ = require)\b.*|\W*"
)


def secrets_of(checks: Collection[Check], receipts: Collection[Receipt] = ()) -> tuple[str, ...]:
    """What no worker may read, longest first: of the hidden checks their command, probe files (paths and lines),
    rubric and distinctive expected values; of their receipts the lines of output and the reason.
    """
    found: set[str] = set()
    for check in checks:
        if check.hidden:
            found.update(_of_check(check))
    for receipt in receipts:
        if receipt.hidden:
            found.update(line for line in _lines(f"{receipt.tail}\n{receipt.reason}", _MIN_OUTPUT))
    promised = {_normal(check.part) for check in checks}
    distinct = {secret for secret in map(_normal, found) if secret and secret not in promised}
    return tuple(sorted(distinct, key=lambda secret: (-len(secret), secret))[:_MAX_SECRETS])


def leaks(text: str, secrets: Collection[str]) -> list[str]:
    """The secrets that a text gives away, whatever its case and line breaks."""
    plain = _normal(text).casefold()
    return [secret for secret in secrets if secret.casefold() in plain and _pattern(secret).search(text)]


def redact(text: str, secrets: Collection[str]) -> str:
    """The text with every secret replaced by `[held out]`."""
    for secret in sorted(leaks(text, secrets), key=len, reverse=True):
        text = _pattern(secret).sub(MARK, text)
    return text


def _of_check(check: Check) -> Iterator[str]:
    if check.run:
        yield check.run
        yield from _lines(check.run, _MIN_LINE)
    if check.judge:
        yield check.judge
        yield from (
            sentence for sentence in re.split(r"(?<=[.;!?])\s+|\n", check.judge) if len(sentence) >= _MIN_OUTPUT
        )
    for path in (*check.files, *check.uses):
        yield path
        if len(PurePosixPath(path).name) >= _MIN_LINE:
            yield PurePosixPath(path).name
    for text in check.files.values():
        yield from _lines(text, _MIN_LINE)
    if check.matches and len(check.matches) >= 6:
        yield check.matches
    for bound in (check.at_least, check.at_most, check.equals):
        if isinstance(bound, str) and len(bound) >= 6:
            yield bound
        elif isinstance(bound, float) and len(re.sub(r"\D", "", f"{bound:.12g}").strip("0")) >= 4:
            yield f"{bound:.12g}"


def _lines(text: str, shortest: int) -> Iterator[str]:
    for line in map(str.strip, text.splitlines()):
        if len(line) >= shortest and not _BOILERPLATE.fullmatch(line):
            yield line


def _normal(text: str) -> str:
    return " ".join(text.split())


def _pattern(secret: str) -> re.Pattern[str]:
    """The secret with any white space between its words, never as a part of a longer word or number."""
    body = r"\s+".join(re.escape(word) for word in secret.split())
    before = r"(?<![\w.])" if secret[0].isalnum() else ""
    after = r"(?!\w|\.\d)" if secret[-1].isalnum() else ""
    return re.compile(f"{before}{body}{after}", re.IGNORECASE)
