from __future__ import annotations

from aura_engine.core.model import Check, Phase, Receipt, Verdict
from aura_engine.verify.leak import MARK, leaks, redact, secrets_of

PROBE = """\
from __future__ import annotations
import calc

def test_rounding_to_even():
    assert calc.round_half(2.5) == 2
"""
HIDDEN = Check(
    name="probe",
    run="python -m pytest -q held/test_rounding_probe.py",
    files={"held/test_rounding_probe.py": PROBE},
    uses=("held/truth.csv",),
    hidden=True,
    part="rounds numbers",
)
VALUE = Check(name="v", file="m.json", value="sharpe", at_least=1.4372, hidden=True)
PLAIN = Check(name="v", file="m.json", value="sharpe", at_least=1.5, hidden=True)
JUDGE = Check(name="j", judge="Compares three models. Also names the seed 48213 used.", file="r.md", hidden=True)
SHOWN = Check(name="s", run="python -m pytest -q tests")


def test_what_gives_a_held_out_check_away() -> None:
    secrets = secrets_of([HIDDEN, VALUE, JUDGE, SHOWN])
    for text in (
        "run `python  -m pytest -q\n held/test_rounding_probe.py` first",
        "see held/test_rounding_probe.py",
        "the file test_rounding_probe.py fails",
        "look at held/truth.csv",
        "ASSERT calc.round_half(2.5)  ==  2",
        "def test_rounding_to_even():",
        "it must reach 1.4372.",
        "also names the seed 48213 used.",
    ):
        assert leaks(text, secrets), text
        assert MARK in redact(text, secrets)
        assert not leaks(redact(text, secrets), secrets)


def test_what_does_not() -> None:
    secrets = secrets_of([HIDDEN, VALUE, PLAIN, SHOWN])
    for text in (
        "import calc",
        "from __future__ import annotations",
        "python -m pytest -q tests",
        "it rounds numbers; m.json holds sharpe, at least 1.5",
        "the figure 11.43725 is another, so is 1.43721",
        "",
    ):
        assert not leaks(text, secrets), text
        assert redact(text, secrets) == text


def test_output_of_a_hidden_check_is_held_out_too() -> None:
    tail = "E   AssertionError: expected 17.25 for the second row\nok\n"
    hidden = Receipt(check="p", check_hash="h", tree="t", phase=Phase.TASK, verdict=Verdict.RED, tail=tail, hidden=True)
    shown = hidden.model_copy(update={"hidden": False})
    note = "It said: E AssertionError: expected 17.25 for the second row. Fix that."
    assert redact(note, secrets_of([], [hidden])) == f"It said: {MARK}. Fix that."
    assert not secrets_of([SHOWN], [shown])


def test_the_longest_secret_goes_first_and_twice_is_as_once() -> None:
    secrets = secrets_of([HIDDEN])
    once = redact("python -m pytest -q held/test_rounding_probe.py", secrets)
    assert once == MARK
    assert redact(once, secrets) == once
