from __future__ import annotations

import fcntl
import hashlib
import json
import os
import stat
import threading
from pathlib import Path

import pytest

from aura_engine import paths
from aura_engine.errors import AuraError, UsageError
from aura_engine.paths import (
    RunPaths,
    atomic_write,
    data_dir,
    index_path,
    last_run,
    read_index,
    remember_run,
    run_dir,
    state_home,
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.fixture
def run(project: Path, tmp_path: Path) -> RunPaths:
    return RunPaths.of(project / ".aura", project / "task.md", {"XDG_STATE_HOME": str(tmp_path / "state")})


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_data_dir(project):
    assert data_dir(project) == project / ".aura"
    assert data_dir(project, "data") == project / "data"
    assert data_dir(project, "/elsewhere") == Path("/elsewhere")
    assert data_dir(project, "") == project / ".aura"


def test_run_dir_is_stem_and_hash_of_the_resolved_path(project, tmp_path):
    task = project / "my goal.md"
    expected = hashlib.sha256(str(task.resolve()).encode()).hexdigest()[:8]
    assert run_dir(project / ".aura", task) == project / ".aura" / f"my goal-{expected}"
    (tmp_path / "link").symlink_to(project)
    assert run_dir(Path("d"), tmp_path / "link" / "my goal.md").name == f"my goal-{expected}"
    assert run_dir(Path("d"), project / "other" / "my goal.md").name != f"my goal-{expected}"


def test_run_dir_of_a_very_long_name_can_be_made(project):
    name = run_dir(project, project / ("ü" * 126 + ".md")).name
    assert len(name.encode()) < 240
    (project / name).mkdir()


def test_state_home():
    assert state_home({"XDG_STATE_HOME": "/x", "HOME": "/h"}) == Path("/x/aura")
    assert state_home({"HOME": "/h"}) == Path("/h/.local/state/aura")
    assert state_home({"XDG_STATE_HOME": "relative", "HOME": "/h"}) == Path("/h/.local/state/aura")


def test_files_of_a_run(run, project):
    name = run_dir(project / ".aura", project / "task.md").name
    root = project / ".aura" / name
    assert run.journal == root / "journal.db"
    assert run.lock == root / "lock"
    assert (run.progress, run.decision_log) == (root / "state/progress.md", root / "state/decision_log.json")
    assert run.current_prompt == root / "state/current_prompt.md"
    assert run.attempt("A1.2", 3) == root / "attempts/A1.2/3"
    assert (run.lessons, run.session_notes) == (root / "memory/MEMORY.md", root / "memory/session.md")
    assert (run.reviews, run.summaries, run.artifacts) == (
        root / "memory/reviews",
        root / "summaries",
        root / "artifacts",
    )
    assert (run.store, run.log) == (root / "store.git", root / "engine.log")
    assert run.workspace("A1.2", 3) == run.scratch / "work" / "A1.2-3"
    assert run.home("A1.2", 3) == run.scratch / "homes" / "A1.2-3"
    assert run.scratch.name.startswith(name)


def test_workspaces_lie_outside_the_project_and_differ_by_data_folder(run, project, tmp_path):
    environ = {"XDG_STATE_HOME": str(tmp_path / "state")}
    assert not run.scratch.is_relative_to(project)
    assert run.scratch.parent == tmp_path / "state" / "aura"
    assert RunPaths.of(project / "other", project / "task.md", environ).scratch != run.scratch
    assert RunPaths.of(project / ".aura", project / "task.md", environ).scratch == run.scratch


@pytest.mark.parametrize("task", ["../x", "a1", "A1/2", "", "A1..2", "A" * 65, "A1\n", "A1.", "/A"])
def test_only_minted_task_ids_become_paths(run, task):
    for path in (run.attempt, run.workspace, run.home):
        with pytest.raises(ValueError, match="is not a task id"):
            path(task, 1)


def test_ensure_makes_private_folders(run, project):
    old = os.umask(0)
    try:
        run.ensure(project)
    finally:
        os.umask(old)
    made = [run.run.parent, run.run, run.state, run.attempts, run.memory, run.reviews, run.summaries, run.artifacts]
    made += [run.scratch.parent, run.scratch, run.work, run.checks, run.homes]
    assert {mode(folder) for folder in made} == {0o700}
    assert (project / ".aura" / ".gitignore").read_text() == "*\n"
    (project / ".aura" / ".gitignore").write_text("mine\n")
    run.ensure(project)
    assert (project / ".aura" / ".gitignore").read_text() == "mine\n"


def test_ensure_refuses_what_it_cannot_write(run, project, monkeypatch):
    with pytest.raises(UsageError, match="is not a folder that can be written"):
        run.ensure(project / "absent")
    (project / ".aura").write_text("a file")
    with pytest.raises(UsageError, match="Aura cannot keep its data in") as caught:
        run.ensure(project)
    assert "--data-dir" in caught.value.cure
    (project / ".aura").unlink()
    monkeypatch.setattr(os, "access", lambda path, _: path != project)  # root may write everywhere
    with pytest.raises(UsageError, match=r"project folder .* is not a folder that can be written"):
        run.ensure(project)
    assert not (project / ".aura").exists()


def test_ensure_refuses_a_state_folder_that_is_not_writable(run, project, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, _: not Path(path).is_relative_to(run.scratch))
    with pytest.raises(UsageError, match="it is not writable"):
        run.ensure(project)


def test_index_and_last_run(project):
    data = project / ".aura"
    data.mkdir()
    assert read_index(data) == {"version": 1, "last": "", "runs": {}}
    assert last_run(data) is None
    for name in ("a.md", "b.md", "a.md"):
        folder = run_dir(data, project / name)
        folder.mkdir(exist_ok=True)
        (folder / "journal.db").touch()
        remember_run(data, project / name, project=project, wall=0.0)
    index = read_index(data)
    assert last_run(data) == run_dir(data, project / "a.md")
    assert index["runs"][run_dir(data, project / "b.md").name] == {
        "task_file": str(project / "b.md"),
        "project": str(project),
        "started": "1970-01-01T00:00:00.000Z",
    }
    assert len(index["runs"]) == 2


@pytest.mark.parametrize("text", ["", "{", "[]", '{"runs": 3, "last": ""}', '{"runs": {}}', "\x00"])
def test_a_broken_index_is_made_anew_and_the_newest_run_is_still_found(project, text):
    data = project / ".aura"
    for age, name in ((200.0, "old-1"), (100.0, "new-2")):
        (data / name).mkdir(parents=True)
        (data / name / "journal.db").touch()
        os.utime(data / name / "journal.db", (1e9 - age, 1e9 - age))
    index_path(data).write_text(text)
    assert last_run(data) == data / "new-2"
    remember_run(data, project / "task.md", project=project, wall=0.0)
    assert list(json.loads(index_path(data).read_text())["runs"]) == [run_dir(data, project / "task.md").name]


def test_an_index_never_points_outside_the_data_folder(project):
    data = project / ".aura"
    data.mkdir()
    (project / "journal.db").touch()
    index_path(data).write_text(json.dumps({"last": "..", "runs": {}}))
    assert last_run(data) is None


def test_engines_starting_together_lose_no_entry(project):
    data = project / ".aura"
    data.mkdir()

    def enter(n: int) -> None:
        remember_run(data, project / f"{n}.md", project=project, wall=0.0)

    threads = [threading.Thread(target=enter, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_index(data)["runs"]) == 8


def test_a_held_index_is_not_waited_for_for_ever(project, monkeypatch):
    data = project / ".aura"
    data.mkdir()
    monkeypatch.setattr(paths, "_LOCK_LIMIT", 0.0)
    holder = os.open(data, os.O_RDONLY)
    try:
        fcntl.flock(holder, fcntl.LOCK_EX)
        with pytest.raises(AuraError, match="Another program holds"):
            remember_run(data, project / "task.md", project=project, wall=0.0)
    finally:
        os.close(holder)


@pytest.mark.parametrize("durable", [True, False])
def test_atomic_write(project, durable):
    path = project / "file"
    atomic_write(path, "ü", durable=durable)
    assert path.read_bytes() == "ü".encode()
    assert mode(path) == 0o600
    atomic_write(path, b"\0", durable=durable)
    assert path.read_bytes() == b"\0"
    assert list(project.iterdir()) == [path]


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_content_and_no_litter(project, monkeypatch, broken):
    path = project / "file"
    atomic_write(path, "old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*((os, "fsync") if broken == "fsync" else (Path, "replace")), fail)
    with pytest.raises(OSError, match="No space left"):
        atomic_write(path, "new")
    assert path.read_text() == "old"
    assert list(project.iterdir()) == [path]


def test_the_disk_is_synced_before_the_rename_and_the_folder_after(project, monkeypatch):
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(
        os, "fsync", lambda fd: (steps.append("folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file"), fsync(fd))
    )
    monkeypatch.setattr(Path, "replace", lambda self, target: (steps.append("rename"), replace(self, target)))
    atomic_write(project / "a", "x")
    atomic_write(project / "b", "x", durable=False)
    assert steps == ["file", "rename", "folder", "rename"]
