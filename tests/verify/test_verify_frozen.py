from __future__ import annotations

from types import SimpleNamespace

import pytest

from aura_engine.core.model import Check
from aura_engine.verify.frozen import decide, frozen_hash, shadows
from aura_engine.verify.patterns import is_deciding, matches_any
from aura_engine.verify.programs import named, programs_of, withheld


def tree(*paths: str, **changed: str):
    entries = {path: SimpleNamespace(mode="100644", oid="1") for path in paths}
    return entries | {path: SimpleNamespace(mode="100644", oid=oid) for path, oid in changed.items()}


def edited(entries, *paths: str):
    return entries | {path: SimpleNamespace(mode="100644", oid="edited") for path in paths}


@pytest.mark.parametrize(
    "path",
    [
        *("tests/data/expected.json", "test/a.c", "spec/x_spec.rb", "src/__tests__/a.js", "pkg/test_a.py", "a_test.py"),
        *("pkg/a_test.go", "src/a.test.ts", "src/a.test.tsx", "src/a.test.mjs", "a.spec.js", "deep/conftest.py"),
        *("pytest.ini", "tox.ini", "noxfile.py", "sitecustomize.py", "usercustomize.py", "x.pth", ".coveragerc"),
        *("Makefile", "sub/GNUmakefile", "makefile", "rules.mk", "justfile", "Taskfile.yml", "jest.config.cjs"),
        *("vitest.config.ts", "karma.conf.js", ".mocharc.yml", "phpunit.xml", "build.xml", "CTestTestfile.cmake"),
        *("src/FooTest.java", ".npmrc", ".cargo/config.toml", "evil.egg-info/entry_points.txt", "node_modules/a/x.js"),
        *("src/__pycache__/calc.cpython-311.pyc", "pytest.pyc", "tests", "ruff.toml", "sub/.mvn/maven.config"),
    ],
)
def test_deciding_files(path: str) -> None:
    assert is_deciding(path)


@pytest.mark.parametrize(
    "path",
    [
        *("calc.py", "src/latest.py", "contest/a.py", "checkout.py", "CMakeLists.txt", "go.mod", "package.json"),
        *(
            "pyproject.toml",
            "Cargo.toml",
            "setup.cfg",
            "README.md",
            "src/protest.js",
            "attest.go",
            "tasks.py",
            "report.md",
        ),
    ],
)
def test_product_files(path: str) -> None:
    assert not is_deciding(path)


def test_globs_of_makes() -> None:
    assert matches_any("tests/a/b.py", ("tests/",))
    assert matches_any("tests/a/b.py", ("tests",))
    assert matches_any("tests/test_a.py", ("tests/test_*.py",))
    assert matches_any("a/b/test_x.py", ("**/test_*.py",))
    assert not matches_any("tests/sub/test_a.py", ("tests/test_*.py",))
    assert not matches_any("tests2/a.py", ("tests",))


def test_what_a_command_names() -> None:
    literal = named(
        "cd tools && FOO=1 ./slip_check.sh --config=cfg/x.toml; bash -c 'python ci/lint.py' | tee out"
    ).literal
    assert {"tools/slip_check.sh", "tools/cfg/x.toml", "tools/ci/lint.py", "ci/lint.py"} <= literal
    assert "checks/mod.py" in named("python -m checks.mod").literal
    assert "tests/test_a.py" in named("pytest tests/test_a.py::test_one").literal
    assert "sub/Makefile" in named("make -C sub check").implicit
    assert "../outside.py" not in named("python ../outside.py /etc/passwd").literal
    assert named("echo 'never closed").literal


def test_own_program_is_frozen_but_not_the_product() -> None:
    base = tree("tools/slip_check.py", "backtest.py", "verify_all.sh", "checks/main.py", "checks/helper.py")
    check = Check(
        name="c", run="python tools/slip_check.py && python backtest.py && ./verify_all.sh; python checks/main.py"
    )
    assert programs_of(check, base) == {"tools/slip_check.py", "verify_all.sh", "checks/main.py", "checks/helper.py"}
    assert "verify_all.sh" not in programs_of(check, base, ("verify_all.sh",))
    person = check.model_copy(update={"person": True})
    assert "verify_all.sh" in programs_of(person, base, ("verify_all.sh",))
    assert "backtest.py" in programs_of(Check(name="c", run="python backtest.py", uses=("backtest.py",)), base)


def test_edited_removed_and_new_deciding_files() -> None:
    base = tree("calc.py", "tests/test_a.py", "tests/test_b.py", "Makefile", "pyproject.toml")
    work = edited(
        base, "calc.py", "tests/test_a.py", "Makefile", "pyproject.toml", "conftest.py", "sitecustomize.py", "new.py"
    )
    del work["tests/test_b.py"]
    plan = decide(base, work, (), [Check(name="c", run="make check")])
    assert plan.restore == {"tests/test_a.py", "tests/test_b.py", "Makefile"}
    assert plan.drop == {"conftest.py", "sitecustomize.py"}
    assert plan.merge == {"pyproject.toml"}
    assert plan.why["conftest.py"]


def test_makes_lets_new_tests_in_but_the_person_wins() -> None:
    base = tree("calc.py", "tests/test_a.py", "Makefile")
    work = edited(base, "tests/test_a.py", "tests/test_new.py", "Makefile")
    planned = Check(name="c", run="python -m pytest tests")
    assert decide(base, work, ("tests/",), [planned]).restore == {"Makefile"}
    person = Check(name="c", run="python -m pytest tests && make check", person=True)
    plan = decide(base, work, ("tests/", "Makefile"), [person])
    assert plan.restore == {"tests/test_a.py", "Makefile"}
    assert not plan.drop  # what is not there yet cannot be put back: the task may make it


def test_a_landed_test_stays_frozen_for_everyone() -> None:
    base = tree("tests/test_a.py")
    work = edited(base, "tests/test_a.py")
    assert not decide(base, work, ("tests/",), []).restore
    assert decide(base, work, ("tests/",), [], landed={"tests/test_a.py"}).restore == {"tests/test_a.py"}


def test_files_a_person_uses_are_never_made() -> None:
    plan = decide(
        tree("a.py"),
        tree("a.py", "data/truth.csv"),
        ("data/",),
        [Check(name="c", run="x", uses=("data",), person=True)],
    )
    assert plan.drop == {"data/truth.csv"}


def test_modules_that_shadow() -> None:
    roots = ("", "tools")
    assert shadows("pytest.py", roots)
    assert shadows("json/__init__.py", roots)
    assert shadows("tools/unittest/__init__.py", roots)
    assert shadows("pluggy", roots, link=True)
    assert shadows("pytest_cov.cpython-311-x86_64-linux-gnu.so", roots)
    assert not shadows("json/data.txt", roots)
    assert not shadows("src/json.py", roots)
    assert not shadows("calc.py", roots)
    base = tree("calc.py", "tools/slip_check.py")
    check = Check(name="c", run="python tools/slip_check.py")
    work = tree(
        *base, "unittest.py", "tools/slip_check/__init__.py", "tools/json.py", "product/json.py", "tools/notes.md"
    )
    assert decide(base, work, (), [check]).drop == {"unittest.py", "tools/slip_check/__init__.py", "tools/json.py"}
    assert "unittest.py" not in decide(base, work, ("unittest.py",), [check]).drop


def test_what_stands_in_the_way_of_a_frozen_file_is_dropped() -> None:
    base = tree("spec.md", "checks/a/run.py", "Makefile")
    check = Check(name="c", run="python checks/a/run.py; make")
    work = tree("spec.md", "checks", "Makefile/inner")
    plan = decide(base, work, ("**",), [check.model_copy(update={"person": True})])
    assert plan.restore == {"checks/a/run.py", "Makefile"}
    assert plan.drop == {"checks", "Makefile/inner"}


def test_a_manifest_turned_into_a_link_is_restored() -> None:
    base = tree("package.json")
    work = {"package.json": SimpleNamespace(mode="120000", oid="2")}
    assert decide(base, work, (), []).restore == {"package.json"}


def test_the_frozen_hash_sees_content_mode_and_name() -> None:
    one = frozen_hash(tree("a", "b"))
    assert one == frozen_hash(tree("b", "a"))
    assert (
        len({one, frozen_hash(tree("a")), frozen_hash(edited(tree("a", "b"), "a")), frozen_hash(tree("a", "c"))}) == 4
    )


def test_withheld_files() -> None:
    base = tree("tests/test_shown.py", "tests/test_secret.py", "held/probe.py", "held/data.csv", "calc.py")
    hidden = Check(
        name="h", run="python -m pytest tests/test_secret.py tests/test_shown.py calc.py", uses=("held",), hidden=True
    )
    shown = Check(name="s", run="python -m pytest tests/test_shown.py")
    assert withheld(base, [hidden, shown]) == {"tests/test_secret.py", "held/probe.py", "held/data.csv"}
    assert not withheld(base, [shown])
