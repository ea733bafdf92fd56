"""Lies that a worker can tell, each against the check as the engine runs it, beside the honest twin."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace

import pytest

from aura_engine.core.model import Check, Counts, Verdict
from aura_engine.verify.counts import counts_in, own_report, problem_with_counts, runs_pytest, runs_unittest

TESTS = """\
import calc

def test_add():
    assert calc.add(2, 3) == 5

def test_mul():
    assert calc.mul(2, 3) == 6
"""
BASE = {"calc.py": "def add(a, b):\n    return 0\n\ndef mul(a, b):\n    return a * b\n", "tests/test_calc.py": TESTS}
GOOD = "def add(a, b):\n    return a + b\n\ndef mul(a, b):\n    return a * b\n"
SUITE = Check(name="tests", run=f"{sys.executable} -m pytest -q", report="junit")
LANDED = Counts(tests=2, failures=0, skipped=0)


async def test_the_honest_twin_was_red_and_is_green(project) -> None:
    project.start(BASE)
    assert (await project.check_base(SUITE)).verdict is Verdict.RED
    project.fill(project.work, {"calc.py": GOOD})
    receipt = await project.check(SUITE, before=LANDED)
    assert receipt.green, receipt.reason + receipt.tail
    assert receipt.counts == LANDED


@pytest.mark.parametrize(
    "lie",
    [
        {"tests/test_calc.py": "def test_add(): pass\ndef test_mul(): pass\n"},
        {"conftest.py": "def pytest_collection_modifyitems(items):\n    for item in items: item.obj = lambda: None\n"},
        {"pytest.ini": "[pytest]\naddopts = --deselect tests/test_calc.py::test_add\n"},
        {"pyproject.toml": "[tool.pytest.ini_options]\naddopts = '--deselect tests/test_calc.py::test_add'\n"},
        {"sitecustomize.py": "import os, atexit; atexit.register(os._exit, 0)\n"},
        {"pytest.py": "raise SystemExit(0)\n"},
        {"pytest/__init__.py": "", "pytest/__main__.py": "print('2 passed')\n"},
        {"calc.py": "import os\nos._exit(0)\n"},
        {"calc.py": f"import pytest\npytest.skip('later', allow_module_level=True)\n{GOOD}"},
        {"calc.py": "import pytest\n" + GOOD.replace("return a + b", "pytest.skip('later')")},
        {"calc.py": "import pytest\n" + GOOD.replace("return a + b", "pytest.xfail('later')")},
        {"calc.py": "import pytest\n" + GOOD.replace("return a + b", "pytest.exit('done', returncode=0)")},
        {"calc.py": "raise SystemExit(0)\n"},
    ],
    ids=lambda lie: " ".join(lie)[:40],
)
async def test_a_lie_is_red(lie, project) -> None:
    project.start(BASE)
    project.fill(project.work, lie)
    # What touches deciding files must be caught by freezing alone, what skips only by the counts of the last landing.
    receipt = await project.check(SUITE, before=LANDED if "calc.py" in lie else None)
    assert receipt.verdict is Verdict.RED, receipt.tail
    assert receipt.reason


async def test_a_plug_in_planted_by_its_metadata_is_never_loaded(project) -> None:
    project.start(BASE)
    metadata = {"evil.egg-info/entry_points.txt": "[pytest11]\nevil = evil\n", "evil.egg-info/PKG-INFO": "Name: evil\n"}
    project.fill(project.work, {**metadata, "evil.py": "print('evil code ran')\n"})
    env = {key: value for key, value in project.bench.env.items() if key != "PYTEST_DISABLE_PLUGIN_AUTOLOAD"}
    project.bench = replace(project.bench, env=env)
    receipt = await project.check(SUITE)
    assert receipt.counts == Counts(tests=2, failures=1, skipped=0)
    assert "evil code ran" not in receipt.tail


async def test_a_deleted_test_is_put_back(project) -> None:
    project.start(BASE)
    (project.work / "tests/test_calc.py").unlink()
    receipt = await project.check(SUITE)
    assert receipt.counts == Counts(tests=2, failures=1, skipped=0)


async def test_a_new_skip_is_red_and_names_both_numbers(project) -> None:
    project.start(BASE)
    project.fill(project.work, {"calc.py": "import pytest\n" + GOOD.replace("return a + b", "pytest.skip('later')")})
    receipt = await project.check(SUITE, before=LANDED)
    assert receipt.exit_code == 0
    assert receipt.reason == "1 of 2 tests were skipped, 0 of 2 before"


async def test_a_report_from_elsewhere_is_never_taken(project) -> None:
    """The product overwrites every report it can find by its old name; only this run's own counts."""
    project.start({**BASE, "junit.xml": "<testsuite><testcase/><testcase/></testsuite>"})
    project.fill(project.work, {"calc.py": "import os\nos._exit(0)\n"})
    check = SUITE.model_copy(update={"run": f"{SUITE.run} --junitxml=junit.xml"})
    receipt = await project.check(check)
    assert receipt.verdict is Verdict.RED
    assert receipt.reason == "the runner left no report: it was cut short, or never ran"
    project.fill(project.work, {"calc.py": GOOD})
    assert (await project.check(check)).counts == LANDED


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
async def test_a_gutted_makefile_is_restored(project) -> None:
    project.start({**BASE, "Makefile": f"check:\n\t{sys.executable} -m pytest -q\n"})
    check = Check(name="check", run="make check")
    project.fill(project.work, {"Makefile": "check:\n\ttrue\n"})
    receipt = await project.check(check)
    assert receipt.verdict is Verdict.RED
    assert receipt.counts == Counts(tests=2, failures=1, skipped=0)
    shutil.rmtree(project.work)
    shutil.copytree(project.base, project.work)
    project.fill(project.work, {"calc.py": "import os\nos._exit(0)\n"})
    quiet = await project.check(check, before=LANDED)
    assert quiet.verdict is Verdict.RED
    assert "no report" in quiet.reason


async def test_the_checks_own_program_is_restored(project) -> None:
    project.start(
        {"tools/slip_check.py": "import slip\nassert slip.value() == 42\n", "slip.py": "def value(): return 0\n"}
    )
    project.fill(project.work, {"tools/slip_check.py": "pass\n"})
    check = Check(name="slip", run=f"PYTHONPATH=. {sys.executable} tools/slip_check.py")
    assert (await project.check(check)).verdict is Verdict.RED
    project.fill(project.work, {"slip.py": "def value(): return 42\n"})
    assert (await project.check(check)).green


async def test_a_hard_coded_answer_fails_the_held_out_probe(project) -> None:
    project.start(BASE)
    project.fill(project.work, {"calc.py": GOOD.replace("return a + b", "return 5")})
    assert (await project.check(SUITE)).green
    probe = Check(
        name="probe",
        run=f"{sys.executable} -m pytest -q probe_test.py",
        files={"probe_test.py": "import calc\ndef test(): assert calc.add(19, 23) == 42\n"},
        hidden=True,
    )
    receipt = await project.check(probe)
    assert receipt.verdict is Verdict.RED
    assert receipt.hidden
    project.fill(project.work, {"calc.py": GOOD})
    assert (await project.check(probe)).green


async def test_a_task_that_makes_tests_keeps_them(project) -> None:
    project.start(BASE)
    new = {"calc.py": GOOD, "tests/test_more.py": "import calc\ndef test_more(): assert calc.add(1, 1) == 2\n"}
    project.fill(project.work, new)
    assert (await project.check(SUITE, ("tests/test_more.py",))).counts == Counts(tests=3, failures=0, skipped=0)
    assert (await project.check(SUITE)).counts == LANDED


UNITTEST = Check(name="unit", run=f"{sys.executable} -m unittest -v", min_tests=1)
UNIT_BASE = {
    "calc.py": "def add(a, b):\n    return 0\n",
    "test_calc.py": "import unittest, calc\nclass T(unittest.TestCase):\n    def test_add(self):\n"
    "        self.assertEqual(calc.add(2, 3), 5)\n    def test_one(self):\n        calc.add(0, 0)\n",
}


@pytest.mark.parametrize(
    ("calc", "verdict", "reason"),
    [
        ("def add(a, b): return a + b", Verdict.GREEN, ""),
        ("def add(a, b): return a", Verdict.RED, "exit status 1"),
        ("import os; os._exit(0)", Verdict.RED, "no report"),
        ("import unittest\ndef add(a, b): raise unittest.SkipTest('x')", Verdict.RED, "all 2 tests were skipped"),
        (
            "import unittest\ndef add(a, b):\n  if a: raise unittest.SkipTest('x')",
            Verdict.RED,
            "1 of 2 tests were skipped",
        ),
    ],
)
async def test_unittest_is_counted_by_its_closing_lines(calc: str, verdict, reason: str, project) -> None:
    project.start(UNIT_BASE)
    project.fill(project.work, {"calc.py": calc})
    receipt = await project.check(UNITTEST, before=LANDED)
    assert receipt.verdict is verdict, receipt.tail
    assert reason in receipt.reason


async def test_no_tests_are_red(project) -> None:
    project.start({"calc.py": GOOD})
    for run in (SUITE.run, f"{sys.executable} -m unittest"):
        receipt = await project.check(Check(name="c", run=run))
        assert (receipt.verdict, receipt.reason) in ((Verdict.RED, "no tests were run"), (Verdict.RED, "exit status 5"))


def test_counting_rules() -> None:
    check = Check(name="c", run="pytest -q", min_tests=3)
    assert problem_with_counts(check, Counts(tests=4, failures=0, skipped=1), None) == ""
    fewer = problem_with_counts(check, Counts(tests=4, failures=0, skipped=2), None)
    assert fewer == "only 2 tests ran and 2 were skipped, wanted at least 3"
    assert (
        problem_with_counts(check, LANDED, Counts(tests=3, failures=0, skipped=0)) == "only 2 tests were run, 3 before"
    )
    assert "failed, though" in problem_with_counts(check, Counts(tests=4, failures=1, skipped=0), None)
    assert problem_with_counts(Check(name="c", run="python backtest.py"), None, None) == ""
    assert problem_with_counts(Check(name="c", run="make check"), None, LANDED) != ""


def test_which_commands_must_report() -> None:
    for command in (
        "pytest",
        "a && python3 -m pytest -q x",
        ".venv/bin/pytest x",
        "bash -c 'pytest -q'",
        "uv run pytest",
    ):
        assert runs_pytest(command), command
    for command in ("make check", "pip install pytest", "pytest --version", "echo x", "python pytest_like.py"):
        assert not runs_pytest(command), command
    assert runs_unittest("cd sub; python -m unittest discover")
    assert not runs_unittest("python unittest_like.py")
    assert own_report("pytest --junitxml=a.xml") == own_report("pytest --junit-xml a.xml x") == "a.xml"
    assert own_report("pytest -q") == ""


def test_unittests_closing_lines() -> None:
    text = "Ran 7 tests in 0.01s\n\nFAILED (failures=1, errors=2, skipped=1, expected failures=1)\n"
    assert counts_in(text) == Counts(tests=7, failures=3, skipped=2)
    assert counts_in("Ran 1 test in 0.000s\n\nOK\n") == Counts(tests=1, failures=0, skipped=0)
    assert counts_in("Ran 1 test in 0.000s\n") is None
    assert counts_in("OK\n") is None
