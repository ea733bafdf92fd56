"""Aura runs from an installed wheel, outside the checkout, with all it needs inside."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import aura_engine

CHECKOUT = Path(aura_engine.__file__).parent.parent
SHIPPED = ("pyproject.toml", "README.md", "LICENSE", "aura_engine", "aura_tui", "themes", "docker_scripts")


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a program that never asks an index."""
    environment = {**os.environ, "PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONPATH": ""}
    result = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is packaged: building leaves folders behind, and nothing of the checkout is found by accident."""
    folder = tmp_path_factory.mktemp("source")
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
    for name in SHIPPED:
        if (CHECKOUT / name).is_dir():
            shutil.copytree(CHECKOUT / name, folder / name, symlinks=True, ignore=ignore)
        else:
            shutil.copy(CHECKOUT / name, folder)
    return folder


def environment(folder: Path) -> Path:
    """A virtual environment whose libraries, but not whose Aura, come from the outer one; its Python."""
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    python = folder / "bin/python"
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).stdout.strip()
    # A plain path: the .pth files over there are not read, so an editable install does not lead to the checkout.
    (Path(site) / "zz-outer.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return python


@pytest.fixture(scope="module")
def installed(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel in it."""
    folder = tmp_path_factory.mktemp("wheel")
    build = ("wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder / "dist")
    run(sys.executable, "-m", "pip", *build, source, cwd=folder)
    (wheel,) = (folder / "dist").glob("*.whl")
    python = environment(folder / "venv")
    run(sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", wheel, cwd=folder)
    return folder / "venv"


def test_help_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    assert "usage" in run(installed / "bin/aura", "--help", cwd=tmp_path).stdout.lower()


RESOURCES = """
import aura_engine
from aura_engine import resources
print(aura_engine.__file__)
print(sorted(file.name for file in resources.docker_scripts().iterdir()))
print(sorted(file.name for file in resources.themes().iterdir() if file.name.endswith(".toml")))
print(len((resources.docker_scripts() / "Dockerfile").read_text()) > 500)
"""


def resources_are_found(python: Path, home: Path, cwd: Path) -> None:
    module, scripts, themes, whole = run(python, "-c", RESOURCES, cwd=cwd).stdout.splitlines()
    assert Path(module).is_relative_to(home)
    assert scripts == "['Dockerfile', 'rebuild.ps1', 'rebuild.sh', 'requirements.txt']"
    assert themes.count(".toml") == 5
    assert whole == "True"


def test_resources_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    resources_are_found(installed / "bin/python", installed, tmp_path)


def test_resources_from_an_editable_install(source: Path, tmp_path: Path) -> None:
    python = environment(tmp_path / "venv")
    editable = ("install", "-q", "--no-deps", "--no-build-isolation", "--editable", source)
    run(sys.executable, "-m", "pip", "--python", python, *editable, cwd=tmp_path)
    resources_are_found(python, source, tmp_path)
    (hook,) = (tmp_path / "venv").glob("lib/python*/site-packages/__editable__*")
    assert hook.read_text(encoding="utf-8").strip() == str(source), "a plain path, no import hook at every start"


def test_every_data_file_of_the_packages_is_in_the_wheel(installed: Path) -> None:
    (site,) = installed.glob("lib/python*/site-packages")
    for package in ("aura_engine", "aura_tui"):
        kept = {".py", ".pyc"}
        for file in (CHECKOUT / package).rglob("*"):
            if file.is_file() and file.suffix not in kept:
                assert (site / file.relative_to(CHECKOUT)).is_file(), file
