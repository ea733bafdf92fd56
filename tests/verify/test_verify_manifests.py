from __future__ import annotations

import json
import tomllib

from aura_engine.verify.manifests import freeze_manifest

PYPROJECT = """# the project
[project]
name = "calc"
dependencies = [
    "a",
]

[tool.pytest.ini_options]
testpaths = ["tests"]
addopts = "--strict-markers"

[tool.other]
x = 1
"""


def test_pyproject_keeps_dependencies_and_comments_and_freezes_the_runner() -> None:
    work = PYPROJECT.replace('"a",', '"a",\n    "b[extra]",').replace('"tests"', '"nothing"')
    work += '\n[[tool.mypy.overrides]]\nignore_errors = true\n[tool.ruff.lint]\nignore = ["ALL"]\n'
    merged = freeze_manifest("sub/pyproject.toml", PYPROJECT.encode(), work.encode())
    assert not merged.fallback
    assert merged.data
    data = tomllib.loads(merged.data.decode())
    assert data["project"]["dependencies"] == ["a", "b[extra]"]
    assert data["tool"] == {
        "pytest": {"ini_options": {"testpaths": ["tests"], "addopts": "--strict-markers"}},
        "other": {"x": 1},
    }
    assert merged.data.startswith(b"# the project\n")


def test_a_manifest_whose_deciding_keys_are_unchanged_stays_byte_for_byte() -> None:
    work = PYPROJECT.replace('name = "calc"', "name   =   'other' # odd")
    assert freeze_manifest("pyproject.toml", PYPROJECT.encode(), work.encode()) == (work.encode(), "")


def test_a_new_pyproject_brings_no_runner_configuration() -> None:
    merged = freeze_manifest("pyproject.toml", None, PYPROJECT.encode())
    assert merged.data
    data = tomllib.loads(merged.data.decode())
    assert data == {"project": {"name": "calc", "dependencies": ["a"]}, "tool": {"other": {"x": 1}}}


def test_headers_inside_strings_and_arrays_are_not_headers() -> None:
    work = 'text = """\n[tool.pytest]\n"""\nlist = [\n  ["tool", "pytest"],\n[1],\n]\n'
    work += '[tool.pytest.ini_options]\naddopts = "-k none"\n'
    merged = freeze_manifest("pyproject.toml", b"", work.encode())
    assert merged.data
    assert tomllib.loads(merged.data.decode()) == {"text": "[tool.pytest]\n", "list": [["tool", "pytest"], [1]]}
    assert not merged.fallback


def test_a_deciding_key_that_cannot_be_cut_out_falls_back_to_the_base_and_says_so() -> None:
    work = '[tool]\npytest.ini_options.addopts = "-k none"\n[project]\nname = "new"\n'
    merged = freeze_manifest("pyproject.toml", PYPROJECT.encode(), work.encode())
    assert merged.data == PYPROJECT.encode()
    assert "pyproject.toml" in merged.fallback
    assert freeze_manifest("pyproject.toml", None, work.encode()).data is None


def test_what_does_not_parse_falls_back() -> None:
    for name, base, work in (
        ("pyproject.toml", b"[project]\n", b"[project\n"),
        (
            "package.json",
            b'{"scripts": {"test": "jest"}}',
            b'{"scripts": {"test": "jest"}, "scripts": {"test": "true"}}',
        ),
        ("package.json", b"{}", b"\xff\xfe"),
        ("package.json", b"{}", b"[" * 100_000),
        ("setup.cfg", b"[a]\nb=c\n", b"b=c\n"),
        ("pyproject.toml", b"[project]\n", b"x = [\n" + b"[1],\n" * 100_000),
    ):
        merged = freeze_manifest(name, base, work)
        assert merged.data == base, name
        assert merged.fallback


def test_package_json_freezes_scripts_only() -> None:
    base = {"name": "a", "scripts": {"test": "jest", "check": "make"}, "dependencies": {"x": "1"}}
    work = {"name": "a", "scripts": {"test": "true"}, "dependencies": {"x": "2", "y": "1"}, "jest": {"testMatch": []}}
    merged = freeze_manifest("package.json", json.dumps(base).encode(), json.dumps(work, indent=4).encode())
    assert merged.data
    assert json.loads(merged.data) == {"name": "a", "scripts": base["scripts"], "dependencies": {"x": "2", "y": "1"}}
    assert b'\n    "name"' in merged.data
    gone = freeze_manifest("package.json", json.dumps(base).encode(), b'{"name": "a"}')
    assert gone.data
    assert json.loads(gone.data) == {"name": "a", "scripts": base["scripts"]}


def test_setup_cfg_sections() -> None:
    base = "[metadata]\nname = a\n[tool:pytest]\naddopts = -q\n"
    work = "[metadata]\nname = b\n[tool:pytest]\naddopts = --ignore=tests\n[coverage:run]\nomit = *\n[options]\nz = 1\n"
    merged = freeze_manifest("setup.cfg", base.encode(), work.encode())
    assert merged.data
    assert merged.data.decode() == "[metadata]\nname = b\n[options]\nz = 1\n\n[tool:pytest]\naddopts = -q\n"


def test_cargo_test_tables() -> None:
    base = b'[package]\nname = "a"\n[[test]]\nname = "t"\npath = "tests/t.rs"\n'
    work = (
        b'[package]\nname = "a"\n[dependencies]\nserde = "1"\n[[test]]\nname = "t"\npath = "empty.rs"\ntest = false\n'
    )
    merged = freeze_manifest("Cargo.toml", base, work)
    assert merged.data
    data = tomllib.loads(merged.data.decode())
    assert data["test"] == [{"name": "t", "path": "tests/t.rs"}]
    assert data["dependencies"] == {"serde": "1"}
    untested = freeze_manifest("Cargo.toml", base, base + b"[lib]\ntest = false\n")
    assert untested.data == base
    assert untested.fallback
