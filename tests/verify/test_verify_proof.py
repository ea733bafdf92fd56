from __future__ import annotations

from aura_engine.core.model import Check, Counts, Phase, Receipt, Verdict
from aura_engine.verify.proof import proven

RED, GREEN, FLAKY, ERROR = Verdict.RED, Verdict.GREEN, Verdict.FLAKY, Verdict.ERROR
SUITE = Check(name="suite", run="python -m pytest -q")
INLINE = Check(name="inline", run="python -c 'import calc; assert calc.add(1, 2) == 3'")
PROBE = Check(name="probe", run="python -m pytest -q p.py", files={"p.py": "x"}, hidden=True)


def receipts(*pairs: tuple[Check, Verdict], counts: Counts | None = None) -> list[Receipt]:
    return [
        Receipt(check=check.name, check_hash=check.hash, tree="t", phase=Phase.TASK, verdict=verdict, counts=counts)
        for check, verdict in pairs
    ]


def test_red_before_and_green_after_is_proof() -> None:
    proof = proven([INLINE], receipts((INLINE, RED)), receipts((INLINE, GREEN)), (), {"calc.py"})
    assert proof.proven
    assert proof.why == ""


def test_green_before_proves_nothing() -> None:
    proof = proven([INLINE], receipts((INLINE, GREEN)), receipts((INLINE, GREEN)))
    assert (proof.all_green, proof.seen_red, proof.proven) == (True, False, False)
    assert "seen red" in proof.why


def test_an_error_before_is_not_red_and_a_missing_receipt_is_not_green() -> None:
    assert not proven([INLINE], receipts((INLINE, ERROR)), receipts((INLINE, GREEN))).seen_red
    proof = proven([INLINE, SUITE], receipts((INLINE, RED)), receipts((INLINE, GREEN)))
    assert not proof.all_green
    assert proof.why == "not green: suite"
    assert not proven([], [], []).all_green


def test_a_changed_check_was_not_seen_red() -> None:
    other = INLINE.model_copy(update={"run": "true"})
    assert not proven([other], receipts((INLINE, RED)), receipts((other, GREEN))).seen_red


def test_the_last_receipt_counts_and_flaky_is_never_the_sole_proof() -> None:
    assert not proven([INLINE], receipts((INLINE, RED)), receipts((INLINE, GREEN), (INLINE, RED))).all_green
    flaky = proven([INLINE], receipts((INLINE, RED)), receipts((INLINE, FLAKY)))
    assert (flaky.all_green, flaky.proven) == (True, False)
    both = proven([INLINE, SUITE], receipts((INLINE, RED), (SUITE, RED)), receipts((INLINE, FLAKY), (SUITE, GREEN)))
    assert both.proven


def test_the_attempts_own_tests_never_suffice() -> None:
    makes, wrote = ("tests/",), {"calc.py", "tests/test_calc.py"}
    own = Check(name="own", run="python -m pytest -q tests/test_calc.py")
    for check in (
        own,
        SUITE,
        Check(name="folder", run="python -m pytest -q tests"),
        Check(name="make", run="make check"),
    ):
        proof = proven([check], receipts((check, RED)), receipts((check, GREEN)), makes, wrote)
        assert (proof.seen_red, proof.independent) == (True, False), check.name
        assert "wrote itself" in proof.why
    for check in (
        INLINE,
        PROBE,
        Check(name="other", run="pytest tests/test_old.py"),
        Check(name="j", judge="Is good.", file="r.md"),
    ):
        before, after = receipts((own, RED), (check, RED)), receipts((own, GREEN), (check, GREEN))
        assert proven([own, check], before, after, makes, wrote).proven, check.name
        guard = receipts((own, RED), (check, GREEN))
        assert not proven([own, check], guard, after, makes, wrote).proven, check.name


def test_a_new_test_outside_makes_was_dropped_and_taints_nothing() -> None:
    assert proven([SUITE], receipts((SUITE, RED)), receipts((SUITE, GREEN)), (), {"calc.py", "tests/test_x.py"}).proven


def test_settings_the_attempt_made_decide_every_run() -> None:
    other = Check(name="other", run="pytest tests/test_old.py")
    proof = proven([other], receipts((other, RED)), receipts((other, GREEN)), ("conftest.py",), {"conftest.py"})
    assert not proof.independent


def test_tests_that_were_there_and_failed_are_not_its_own() -> None:
    before = receipts((SUITE, RED), counts=Counts(tests=4, failures=1, skipped=0))
    after = receipts((SUITE, GREEN), counts=Counts(tests=5, failures=0, skipped=0))
    assert proven([SUITE], before, after, ("tests/",), {"tests/test_new.py"}).proven


def test_the_persons_command_is_theirs_unless_it_ran_the_attempts_tests_alone() -> None:
    makes, wrote = ("tests/",), {"tests/test_new.py"}
    person = Check(name="person", run="make check", person=True)
    assert proven([person], receipts((person, RED)), receipts((person, GREEN)), makes, wrote).proven
    suite = SUITE.model_copy(update={"person": True})
    counted = receipts((suite, GREEN), counts=Counts(tests=3, failures=0, skipped=0))
    assert not proven([suite], receipts((suite, RED)), counted, makes, wrote).proven
