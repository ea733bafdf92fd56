"""What a task's receipts prove: all green, something seen red before, not by the attempt's own tests alone. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from aura_engine.core.model import Check, Receipt, Verdict
from aura_engine.verify.manifests import is_manifest
from aura_engine.verify.patterns import is_deciding, matches_any
from aura_engine.verify.programs import RUNNER_FILES, looks_like_check, named, simple_commands

_COLLECTORS = frozenset(
    {"unittest", "nose2", "go", "ctest", "mvn", "gradle", "gradlew", "jest", "vitest", "mocha", "phpunit"}
)


@dataclass(frozen=True, slots=True)
class Proof:
    """What was shown. `all_green` may be landed; only `proven` is proof."""

    all_green: bool
    """No check is red; a flaky one lets pass but proves nothing."""
    seen_red: bool
    """At least one check was red before and is green now."""
    independent: bool
    """At least one such check is not decided by tests that the attempt wrote itself."""
    why: str
    """What is missing, in a sentence for a person; empty when it is proven."""

    @property
    def proven(self) -> bool:
        """All three."""
        return self.all_green and self.seen_red and self.independent


def proven(
    checks: Collection[Check],
    before: Iterable[Receipt],
    after: Iterable[Receipt],
    makes: tuple[str, ...] = (),
    wrote: Collection[str] = (),
) -> Proof:
    """Weigh the receipts from before and after the work; the last one of a check counts.

    `wrote` are the files the attempt changed, `makes` those it was meant to: a deciding file in both is its own test.
    """
    first = {receipt.check_hash: receipt for receipt in before}
    last = {receipt.check_hash: receipt for receipt in after}
    failing = [check.name for check in checks if not _passes(last.get(check.hash))]
    turned = [check for check in checks if _turned(first.get(check.hash), last.get(check.hash))]
    own = frozenset(path for path in wrote if matches_any(path, makes) and _may_decide(path, checks))
    outside = [check for check in turned if not _decided_by(check, own, first[check.hash], last[check.hash])]
    why = ""
    if not checks:
        why = "it has no checks"
    elif failing:
        why = f"not green: {', '.join(failing)}"
    elif not turned:
        why = "no check was seen red before the work and green after it"
    elif not outside:
        why = "only tests that the attempt wrote itself turned green; one check is needed that it did not write"
    return Proof(bool(checks) and not failing, bool(turned), bool(outside), why)


def _passes(receipt: Receipt | None) -> bool:
    return receipt is not None and receipt.verdict in (Verdict.GREEN, Verdict.FLAKY)


def _turned(before: Receipt | None, after: Receipt | None) -> bool:
    return before is not None and after is not None and before.verdict is Verdict.RED and after.green


def _may_decide(path: str, checks: Collection[Check]) -> bool:
    if is_deciding(path) or is_manifest(path):
        return True
    return looks_like_check(path) and any(path in named(check.run).literal for check in checks if check.run)


def _decided_by(check: Check, own: frozenset[str], before: Receipt, after: Receipt) -> bool:
    """Whether files of the attempt's own may have decided the check.

    Never a judge, and never a held-out probe. The person's command is theirs, unless all the tests it counted are the
    attempt's: none ran before. The same holds the other way round: tests that were there and failed are not its own.
    """
    if not own or check.judge or check.hidden or check.run is None:
        return False
    had_tests = before.counts is not None and before.counts.tests > 0
    if had_tests or (check.person and after.counts is None):
        return False
    names = named(check.run)
    if any(path in names.literal or _inside(path, names.literal) for path in own):
        return True
    if any(_is_setting(path) for path in own):
        return True
    if any(posixpath.splitext(path)[1] and looks_like_check(path) for path in names.literal):
        return False  # it names tests, and none of them is the attempt's
    words = {posixpath.basename(word) for command in simple_commands(check.run) for word in command}
    return bool(words & (_COLLECTORS | RUNNER_FILES.keys()))


def _inside(path: str, folders: Collection[str]) -> bool:
    return any(path.startswith(f"{folder}/") for folder in folders)


def _is_setting(path: str) -> bool:
    """Runner settings and hooks decide every run, tests only those that collect them."""
    name = posixpath.basename(path)
    return name == "conftest.py" or is_manifest(path) or any(name in files for files in RUNNER_FILES.values())
