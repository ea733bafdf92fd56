"""Wrong use: one clear line that names the cause and the cure, exit status 2, and nothing half-done."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

GOAL = "# Greet\n"
NO_MODEL = "http://127.0.0.1:9"


def refused(bench, *options: str, goal: str = "task.md", **settings: str) -> str:
    done = bench.start(NO_MODEL, *options, goal=goal, **settings)
    assert done.exit == 2, (done.exit, done.stderr)
    assert done.stdout == ""
    assert not list(bench.project.glob(".aura/*/journal.db"))
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("aura: ")
    return done.stderr


def test_no_task_file(bench):
    assert "task.md" in refused(bench)


@pytest.mark.parametrize(
    ("content", "word"),
    [(b"", "empty"), (b"\0\1\2", "binary"), (b"x" * 1_100_000, "1 MiB"), (b"\xff\xfe#\0", "UTF-16")],
    ids=["empty", "binary", "large", "utf-16"],
)
def test_unusable_task_file(bench, content, word):
    (bench.project / "task.md").write_bytes(content)
    assert word.lower() in refused(bench).lower()


def test_fifo_and_directory(bench):
    os.mkfifo(bench.project / "fifo.md")
    (bench.project / "folder.md").mkdir()
    refused(bench, goal="fifo.md")
    refused(bench, goal="folder.md")


def test_a_malformed_block_names_its_line(bench):
    bench.write({"task.md": '# Greet\n\n```check\nname = "x"\nrunn = "true"\n```\n'})
    said = refused(bench)
    assert "line 5" in said
    assert "run" in said


def test_no_key(bench):
    bench.write({"task.md": GOAL})
    assert "AURA_API_KEY" in refused(bench, AURA_API_KEY="")


def test_unknown_backend_and_unknown_value(bench):
    bench.write({"task.md": GOAL})
    said = refused(bench, AURA_PRO_BACKEND="clod")
    assert "AURA_PRO_BACKEND" in said
    assert "clod" in said
    assert "claude" in said
    said = refused(bench, "--worker-mode", "flashy")
    assert "flashy" in said
    assert "flash-first" in said
    assert "AURA_MAX_CONCURRENT_TASKS" in refused(bench, "-w", "many")


def test_an_override_that_is_not_one(bench):
    bench.write({"task.md": GOAL})
    refused(bench, "-O", "nonsense")
    assert "AURA_TASK_BUDGET" in refused(bench, "-O", "AURA_TASK_BUDGT=3")


def test_a_worker_program_that_is_not_installed_is_found_before_anything_starts(bench, tmp_path: Path):
    bench.write({"task.md": GOAL})
    said = refused(bench, AURA_PRO_BACKEND="claude", AURA_CLAUDE_BIN=str(tmp_path / "nowhere" / "claude"))
    assert "claude" in said


def test_git_missing_or_too_old(bench, tmp_path: Path):
    bench.write({"task.md": GOAL})
    tools = tmp_path / "bin"
    tools.mkdir()
    assert "git" in refused(bench, PATH=str(tools))
    (tools / "git").write_text("#!/bin/sh\necho git version 2.20.1\n")
    (tools / "git").chmod(0o755)
    said = refused(bench, PATH=f"{tools}:/bin:/usr/bin")
    assert "2.20" in said
    assert "2.38" in said


def test_a_project_folder_that_cannot_be_written(bench):
    bench.write({"task.md": GOAL, ".aura": "a file where the data folder should be: even root cannot write there"})
    said = refused(bench)
    assert ".aura" in said
