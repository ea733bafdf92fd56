"""What every test stands on: a home and a folder of its own, none of the person's settings, no silent skip in CI."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from pathlib import Path

import pytest

IN_CI = os.environ.get("CI", "").lower() in ("1", "true")
FOREIGN = ("AURA_", "ANTHROPIC_", "OPENAI_", "CLAUDE", "CODEX_", "QWEN_", "DEEPSEEK_", "GIT_", "XDG_")


@pytest.fixture(autouse=True)
def hermetic(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh home and working folder; nothing of the person's or of the machine's settings reaches a test."""
    for name in list(os.environ):
        if name.startswith(FOREIGN):
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    for name, folder in {
        "HOME": home,
        "XDG_CONFIG_HOME": home / ".config",
        "XDG_CACHE_HOME": home / ".cache",
        "XDG_DATA_HOME": home / ".local/share",
        "XDG_STATE_HOME": home / ".local/state",
    }.items():
        monkeypatch.setenv(name, str(folder))
    here = home / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return home


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole runs of the command line belong to the long lane."""
    for item in items:
        if "e2e" in item.path.parts:
            item.add_marker(pytest.mark.slow)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skipped: `@pytest.mark.cli("claude")` without that program, `@pytest.mark.docker` without a container engine."""
    if item.get_closest_marker("docker") is not None and not os.environ.get("AURA_TEST_DOCKER_HOST"):
        pytest.skip("no container engine is named in AURA_TEST_DOCKER_HOST")
    for mark in item.iter_markers("cli"):
        if shutil.which(mark.args[0]) is None:
            pytest.skip(f"the program {mark.args[0]} is not installed")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI everything a test needs is installed: what is skipped there was not tested, and fails."""
    return _no_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a whole file that is skipped."""
    return _no_skip((yield))


def _no_skip(report):
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report
