"""The README's two commands say what is missing, in one line that gets it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import aura_engine

CHECKOUT = Path(aura_engine.__file__).parent.parent
SCRIPT = CHECKOUT / "tests/try.sh"
NEW_GIT = 'echo "git version 2.39.5 (Apple Git-154)"'
NEW_PYTHON = f'exec "{sys.executable}" "$@"'
OLD_PYTHON = "exit 1"
NO_VENV = f'case "$2" in *ensurepip*) exit 1 ;; esac; exec "{sys.executable}" "$@"'
Programs = Callable[..., Path]


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    """A folder as PATH: the few tools that the script uses, and fake programs with the given shell lines."""

    def make(**fakes: str) -> Path:
        folder = tmp_path / "bin"
        folder.mkdir()
        for tool in ("sh", "dirname", "tr", "grep", "find", "touch"):
            found = shutil.which(tool)
            assert found, tool
            (folder / tool).symlink_to(found)
        for name, line in {"id": "echo 0", **fakes}.items():
            fake = folder / name.replace("_", "-")
            fake.write_text(f"#!/bin/sh\n{line}\n")
            fake.chmod(0o755)
        return folder

    return make


def attempt(path: Path, *arguments: str, script: Path = SCRIPT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", script, *arguments],
        env={"PATH": str(path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(
    ("fakes", "says"),
    [
        (
            {"git": NEW_GIT, "apt_get": ""},
            "Aura needs Python 3.11 or newer. This gets it:\n"
            "    apt-get update && apt-get install -y python3 python3-venv\n",
        ),
        (
            {
                "git": NEW_GIT,
                "apt_get": "",
                "python3": OLD_PYTHON,
                "apt_cache": 'test "$2" = python3.12-venv && echo yes',
            },
            "Aura needs Python 3.11 or newer. This gets it:\n"
            "    apt-get update && apt-get install -y python3.12-venv\n",
        ),
        (
            {"git": 'echo "git version 2.30.2"', "python3": NEW_PYTHON, "apt_get": ""},
            "Aura needs git 2.38 or newer. This gets it:\n    apt-get update && apt-get install -y git\n",
        ),
        (
            {"python3": NEW_PYTHON, "dnf": "", "id": "echo 1000"},
            "Aura needs git 2.38 or newer. This gets it:\n    sudo dnf install -y git\n",
        ),
        (
            {"git": 'echo "git version 1.99.9"', "python3": OLD_PYTHON, "brew": "", "id": "echo 501"},
            "Aura needs Python 3.11 or newer and git 2.38 or newer. This gets it:\n    brew install python@3.13 git\n",
        ),
        (
            {"git": NEW_GIT, "python3": NO_VENV, "apt_get": ""},
            "Aura needs Python's venv module. This gets it:\n    apt-get update && apt-get install -y "
            f"python3.{sys.version_info.minor}-venv\n",
        ),
        (
            {"git": NEW_GIT},
            "Aura needs Python 3.11 or newer. This gets it:\n    install with your package manager: python3\n",
        ),
    ],
)
def test_what_is_missing_is_named_with_the_line_that_gets_it(
    programs: Programs, fakes: dict[str, str], says: str
) -> None:
    result = attempt(programs(**fakes), "demo")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == says


@pytest.mark.parametrize("version", ["2.38.0", "2.50.1", "3.0", "2.39.5.windows.1"])
def test_a_newer_python_beside_an_old_one_and_any_new_git_do(programs: Programs, version: str) -> None:
    path = programs(git=f'echo "git version {version}"', python3=OLD_PYTHON, **{"python3.12": NEW_PYTHON})
    result = attempt(path, "nonsense")
    assert result.returncode == 2
    assert "Say what to run" in result.stderr


def test_a_folder_of_somebody_elses_is_told(programs: Programs, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    (checkout / "tests").mkdir(parents=True)
    # For root every folder can be written: a shell in which `[ -w . ]` is false stands for the ordinary user.
    text = SCRIPT.read_text(encoding="utf-8").replace("! [ -w . ]", "true")
    (checkout / "tests/try.sh").write_text(text, encoding="utf-8")
    result = attempt(programs(git=NEW_GIT, python3=NEW_PYTHON), "demo", script=checkout / "tests/try.sh")
    assert (result.returncode, result.stdout) == (2, "")
    assert "cannot be written by you" in result.stderr
    assert [path.name for path in checkout.iterdir()] == ["tests"]


def test_libraries_that_cannot_be_had_are_told(programs: Programs, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    (checkout / "tests").mkdir(parents=True)
    shutil.copy(SCRIPT, checkout / "tests")
    (checkout / "pyproject.toml").write_text("")
    bare = f"""
case "$*" in
    *"-m venv"*)
        PATH=/usr/bin:/bin
        mkdir -p .venv/bin
        printf '#!/bin/sh\\ntest "$2" != pip\\n' > .venv/bin/python
        chmod +x .venv/bin/python ;;
    *) exec "{sys.executable}" "$@" ;;
esac
"""
    path = programs(git=NEW_GIT, python3=bare)
    for _ in range(2):  # what was not finished is begun again
        result = attempt(path, "demo", script=checkout / "tests/try.sh")
        assert result.returncode == 2
        assert "could not be installed" in result.stderr
        assert "Setting up" in result.stderr


def test_it_sets_up_once_and_passes_the_rest_on(programs: Programs, tmp_path: Path) -> None:
    checkout = tmp_path / "a check out é"
    (checkout / "tests").mkdir(parents=True)
    shutil.copy(SCRIPT, checkout / "tests")
    (checkout / "pyproject.toml").write_text("")
    log = tmp_path / "log"
    # A stand-in for Python whose `-m venv` makes a stand-in environment that only writes down what it is asked.
    fake = f"""
case "$*" in
    *"-m venv"*)
        shift 3; PATH=/usr/bin:/bin
        mkdir -p "$1/bin"
        printf '#!/bin/sh\\necho python "$@" >> "{log}"\\n' > "$1/bin/python"
        printf '#!/bin/sh\\necho aura "$@" >> "{log}"\\n' > "$1/bin/aura"
        chmod +x "$1/bin/python" "$1/bin/aura" ;;
esac
"""
    path = programs(git=NEW_GIT, python3=fake)
    for _ in range(2):
        result = attempt(path, "demo", "--json", "a b", script=checkout / "tests/try.sh")
        assert result.returncode == 0, result.stderr
    attempt(path, "test", "-q", script=checkout / "tests/try.sh")
    asked = [line for line in log.read_text().splitlines() if not line.startswith("python -c")]
    assert asked == [
        "python -m pip install --quiet --disable-pip-version-check --editable .",
        "aura demo --json a b",
        "aura demo --json a b",
        "python -m pip install --quiet --disable-pip-version-check --editable .[dev]",
        "python -m pytest -n auto -q",
    ]
