"""How many tests ran: whether a command must say so, and what is wrong with what it said."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

from aura_engine.core.model import Check, Counts
from aura_engine.verify.programs import simple_commands

_COMMANDS = 4096
"""Whose answers are kept: a command is asked about at each of its runs."""
_NO_RUN = frozenset({"--version", "--help", "--collect-only", "--co", "--fixtures", "--markers", "install"})
_RAN = re.compile(r"^Ran (\d+) tests? in ", re.MULTILINE)
_RESULT = re.compile(r"^(?:OK|FAILED|NO TESTS RAN)(?: \((.*)\))?\s*$", re.MULTILINE)


def _runs(command: str, depth: int = 0) -> Iterator[tuple[str, ...]]:
    for words in simple_commands(command):
        if not _NO_RUN & set(words):
            yield words
        for word in words:
            if " " in word and depth < 3:
                yield from _runs(word, depth + 1)


@lru_cache(maxsize=_COMMANDS)
def _negated(command: str) -> bool:
    """Whether the shell turns a command's success around: `! pytest`."""
    return any("!" in words for words in _runs(command))


@lru_cache(maxsize=_COMMANDS)
def runs_pytest(command: str) -> bool:
    """Whether the command names pytest as a program that runs tests."""
    return any(posixpath.basename(word) in ("pytest", "py.test") for words in _runs(command) for word in words)


@lru_cache(maxsize=_COMMANDS)
def runs_unittest(command: str) -> bool:
    """Whether the command runs Python's unittest."""
    return any(pair == ("-m", "unittest") for words in _runs(command) for pair in pairwise(words))


@lru_cache(maxsize=_COMMANDS)
def own_report(command: str) -> str:
    """Where the command itself tells pytest to write its junit report (that wins over ours); empty when it does not."""
    for words in _runs(command):
        for word, following in zip(words, [*words[1:], ""], strict=True):
            option, equals, path = word.partition("=")
            if option in ("--junitxml", "--junit-xml"):
                return path if equals else following
    return ""


def counts_in(tail: str) -> Counts | None:
    """The counts of unittest's closing lines; None where they are missing."""
    ran, results = _RAN.findall(tail), _RESULT.findall(tail)
    if not ran or not results:
        return None
    numbers = {name.strip(): int(number) for name, number in re.findall(r"([a-z ]+)=(\d+)", results[-1])}
    failures = sum(numbers.get(name, 0) for name in ("failures", "errors", "unexpected successes"))
    skipped = numbers.get("skipped", 0) + numbers.get("expected failures", 0)
    return Counts(tests=int(ran[-1]), failures=failures, skipped=skipped)


def problem_with_counts(check: Check, counts: Counts | None, before: Counts | None) -> str:
    """Why a run that exited with 0 is not green all the same, in a sentence; empty when it is."""
    if check.run is not None and _negated(check.run):
        return ""  # a probe that wants the tests to fail: its exit status says all
    if counts is None:
        told = check.run is not None and (runs_pytest(check.run) or runs_unittest(check.run))
        if check.report or check.min_tests or told or before:
            return "the runner left no report: it was cut short, or never ran"
        return ""
    ran = counts.tests - counts.skipped
    if counts.failures:
        return f"{counts.failures} of {counts.tests} tests failed, though the command ended with 0"
    if counts.tests == 0:
        return "no tests were run"
    if ran == 0:
        return f"all {counts.tests} tests were skipped"
    if before and counts.tests < before.tests:
        return f"only {counts.tests} tests were run, {before.tests} before"
    if before and counts.skipped > before.skipped:
        return f"{counts.skipped} of {counts.tests} tests were skipped, {before.skipped} of {before.tests} before"
    if check.min_tests and ran < check.min_tests:
        skipped = f" and {counts.skipped} were skipped" if counts.skipped else ""
        return f"only {ran} tests ran{skipped}, wanted at least {check.min_tests}"
    return ""
