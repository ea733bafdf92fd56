"""The workers' image can't be built here; that its parts say what is promised can be read."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

import aura_engine

FOLDER = Path(aura_engine.__file__).parent.parent / "docker_scripts"
IMAGE = "ghcr.io/erickong/aura-claude-cuda:latest"


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, continued lines joined: (word, rest)."""
    text = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in joined]


def arguments() -> set[str]:
    return {rest.split("=")[0] for word, rest in instructions() if word == "ARG"}


def test_the_base_is_an_argument() -> None:
    steps = instructions()
    assert steps[0][0] == "ARG"
    assert steps[0][1].startswith("BASE_IMAGE=")
    assert steps[1] == ("FROM", "${BASE_IMAGE}")


def test_mirrors_are_arguments_and_used() -> None:
    assert {"APT_MIRROR", "PIP_INDEX_URL", "NPM_REGISTRY"} <= arguments()
    runs = " ".join(rest for word, rest in instructions() if word == "RUN")
    for name in arguments() - {"BASE_IMAGE"}:
        assert f"${name}" in runs or f"${{{name}" in runs, f"{name} is declared and never used"


def test_the_worker_programs_python_and_git_are_installed() -> None:
    runs = " ".join(rest for word, rest in instructions() if word == "RUN")
    for program in ("@anthropic-ai/claude-code", "@qwen-code/qwen-code", "@openai/codex", "opencode-ai"):
        assert program in runs
    assert {"git", "python3", "python3-venv", "nodejs", "npm"} <= set(runs.split())
    assert ("COPY", "requirements.txt /tmp/requirements.txt") in instructions()


def test_it_runs_as_nobody_special() -> None:
    users = [rest for word, rest in instructions() if word == "USER"]
    assert users
    assert users[-1] not in ("root", "0")
    last_user = max(index for index, (word, _) in enumerate(instructions()) if word == "USER")
    assert all(word != "RUN" for word, _ in instructions()[last_user:])


@pytest.mark.parametrize("name", ["Dockerfile", "rebuild.sh", "rebuild.ps1", "requirements.txt"])
def test_nothing_secret_goes_into_the_image(name: str) -> None:
    lines = (FOLDER / name).read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#"))
    assert not re.search(r"API_?KEY|AUTH_TOKEN|PASSWORD|SECRET|sk-", text, re.IGNORECASE)


@pytest.mark.parametrize("name", ["rebuild.sh", "rebuild.ps1"])
def test_rebuild_passes_every_argument_and_tags_the_default_name(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert IMAGE in text
    for argument in arguments():
        assert re.search(rf"\b{argument}\b", text), argument


def test_rebuild_calls_docker(tmp_path: Path) -> None:
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > "$0.called"\npwd >> "$0.called"\n')
    docker.chmod(0o755)
    subprocess.run(
        ["bash", FOLDER / "rebuild.sh", "--no-cache"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "BASE_IMAGE": "debian:my choice"},
        check=True,
        capture_output=True,
        timeout=20,
    )
    called = (tmp_path / "docker.called").read_text().splitlines()
    assert called == [
        "build",
        *("--platform", "linux/amd64"),
        *("--tag", IMAGE),
        *("--build-arg", "BASE_IMAGE=debian:my choice"),
        "--no-cache",
        ".",
        str(FOLDER),
    ]


def test_rebuild_without_docker_says_so(tmp_path: Path) -> None:
    (tmp_path / "dirname").symlink_to("/usr/bin/dirname")
    result = subprocess.run(
        ["/bin/bash", FOLDER / "rebuild.sh"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert result.returncode == 2
    assert "docker was not found" in result.stderr


def test_requirements_are_bounded() -> None:
    lines = [
        line for line in (FOLDER / "requirements.txt").read_text().splitlines() if line and not line.startswith("#")
    ]
    assert lines
    for line in lines:
        assert re.fullmatch(r"[a-z0-9-]+>=[\d.]+,<\d+", line), line
