"""What keeps a long run alive and its work safe: the vault, parts that break, a full disk, secrets, file modes."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
from pathlib import Path

from aura_engine.core import commands
from aura_engine.core.model import Outcome, RunStatus, TaskStatus
from aura_engine.vaulting import kept_in
from aura_engine.workspace.git import call
from aura_engine.workspace.vault import restore

GREET = {"sh": "echo hello > greeting.txt"}
END = {"end": {}}
KEY = "zq7-Kx9wTt03pLmAAbb"


def is_started(event) -> bool:
    return event.kind == "attempt_started"


def store_of(play) -> Path:
    return play.engine.options.paths.store


# ---- the vault


async def test_the_work_is_kept_before_a_kill_whatever_the_worker_does_with_it_then(stage):
    spoil = "trap 'rm -f half.txt; exit 1' TERM; echo precious > half.txt; touch ../ready; while :; do sleep 0.05; done"
    program = stage.program("cli", [{"sh": f"exec 2>&-; {spoil}"}])
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        await play.until(is_started)
        work = play.engine.options.paths.work
        await stage.eventually((work / "ready").exists)
        assert play.engine.command(commands.Kill(task="A1")) == ""
        await play.until(lambda event: event.kind == "task_settled")
        (kept,) = play.of("workspace_kept")
        assert (kept.task, kept.n, kept.why) == ("A1", 1, "killed: stopped by you")
        (one, *_) = kept_in(play.engine.recorder.journal)
        target = stage.folder / "back"
        restore(store_of(play), one.snapshot, one.base, target)
    assert (target / "half.txt").read_text() == "precious\n"
    assert (target / "task.md").exists()


async def test_a_folder_whose_work_cannot_be_taken_stays(stage, monkeypatch):
    program = stage.program("cli", [GREET, END])
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        await play.until(lambda event: event.kind == "attempt_starting")
        real = play.engine.parts.workspaces.snapshot
        broken: list[int] = []

        async def snapshot(task, n, base):
            if not broken:
                broken.append(n)
                raise OSError(28, "No space left on device")
            return await real(task, n, base)

        monkeypatch.setattr(play.engine.parts.workspaces, "snapshot", snapshot)
        assert await play.end() is RunStatus.ACHIEVED
    (kept,) = play.of("workspace_kept")
    assert (Path(kept.folder) / "greeting.txt").read_text() == "hello\n"
    ended = play.of("attempt_ended")[0]
    assert ended.outcome is Outcome.INFRASTRUCTURE
    assert "could not be taken" in ended.reason


async def test_refs_hold_everything_and_what_is_overdue_goes_at_a_start(stage):
    wrong = {"sh": "echo wrong > greeting.txt; head -c 20000 /dev/urandom > big.bin"}
    program = stage.program("cli", [wrong, END], [GREET, {"sh": "rm -f big.bin"}, END])
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        assert await play.end() is RunStatus.ACHIEVED
        store = store_of(play)
        first, landed = kept_in(play.engine.recorder.journal)
    refs = call(["for-each-ref", "--format=%(objectname)"], git_dir=store).out.decode().split()
    assert {first.snapshot, landed.snapshot, play.state.head, play.state.head_tree} <= set(refs)
    call(["gc", "-q", "--prune=now"], git_dir=store)  # a tidy person
    restore(store, first.snapshot, first.base, stage.folder / "first")
    assert (stage.folder / "first" / "big.bin").stat().st_size == 20_000

    (stage.project / "task.md").write_text("# Greet\n\nSay hello again.\n")
    async with stage.play(CLAUDE_BIN=str(program), VAULT_DAYS="0.0000001") as play:
        await play.until(lambda event: event.kind == "vault_trimmed")
        assert await play.end() is RunStatus.ACHIEVED
        assert [one.snapshot for one in kept_in(play.engine.recorder.journal) if one.n == 2] == [landed.snapshot]
    (trimmed,) = play.of("vault_trimmed")
    assert trimmed.snapshots == (first.snapshot,)
    assert any("1 attempts that did not land was let go" in notice.text for notice in play.of("notice"))
    gone = call(["cat-file", "-e", first.snapshot], git_dir=store, ok=(0, 1, 128))
    assert gone.code != 0
    call(["fsck", "--strict"], git_dir=store)
    fsck = [sys.executable, "-m", "aura_engine.cli", "fsck"]
    done = await asyncio.to_thread(
        subprocess.run, fsck, cwd=stage.project, capture_output=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stdout


# ---- parts that break


async def test_a_part_that_breaks_is_begun_again_and_the_run_goes_on(stage, monkeypatch):
    program = stage.program("cli", [GREET, END])
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        await play.until(lambda event: event.kind == "attempt_starting")
        parts = play.engine.parts
        real, breaks = parts.landing._merged, []

        async def merged(batch):
            if len(breaks) < 2:
                breaks.append(1)
                raise ValueError("a defect nobody foresaw")
            return await real(batch)

        monkeypatch.setattr(parts.landing, "_merged", merged)
        monkeypatch.setattr("aura_engine.landing.backoff", lambda *args, **more: 0.01)
        assert await play.end() is RunStatus.ACHIEVED
    assert len(breaks) == 2
    assert len(play.of("attempt_ended")) == 0  # it cost the worker nothing


async def test_what_breaks_again_and_again_stops_the_engine_cleanly(stage, monkeypatch):
    program = stage.program("cli", [{"sh": "touch ../ready; sleep 60"}])
    monkeypatch.setattr("aura_engine.supervised.backoff", lambda *args, **more: 0.01)

    async def run(self):
        raise ValueError("no way")

    monkeypatch.setattr("aura_engine.delivering.Delivering.run", run)
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        (error,) = await asyncio.gather(play.ended, return_exceptions=True)
    assert "delivery broke 5 times" in str(error)
    last = play.events[-1]
    assert (last.kind, last.status) == ("run_ended", RunStatus.FAILED)
    assert "delivery broke 5 times" in last.reason


async def test_a_reply_nobody_foresaw_does_not_end_the_engine(stage, monkeypatch):
    program = stage.program("cli", [GREET, END])
    calls: list[int] = []
    from aura_engine import planning

    real = planning.converse

    async def converse(*args, **more):
        calls.append(1)
        if len(calls) == 1:
            raise KeyError("stop_reason")
        return await real(*args, **more)

    monkeypatch.setattr(planning, "converse", converse)
    async with stage.play(CLAUDE_BIN=str(program)) as play:
        assert await play.end() is RunStatus.ACHIEVED
    assert play.of("planner_failed")[0].retry_at is not None


# ---- secrets, modes


async def test_a_canary_is_in_no_file_of_the_run_and_nobody_else_may_read_them(stage, monkeypatch):
    monkeypatch.setenv("MY_SERVICE_TOKEN", "canary-" + "0123456789")
    say = {"say": {"type": "assistant", "message": {"role": "assistant", "content": [{"type": "text", "text": KEY}]}}}
    env = {"sh": f"env; echo {KEY} >&2; echo canary-0123456789; echo {KEY[:9]}; echo hello > greeting.txt"}
    fails = {"end": {"is_error": True, "result": f"no {KEY}"}}
    program = stage.program("cli", [say, env, fails], [env, {"end": {"result": KEY}}])
    checks = [{"name": "greeting", "file": "greeting.txt", "matches": "hello"}]
    from aura_engine.demo.brains import task

    plan = {"tasks": [task("Greet", f"echo {KEY}; grep -q hello greeting.txt")], "checks": checks}
    async with stage.play(plan=plan, CLAUDE_BIN=str(program), FLASH_API_KEY=KEY) as play:
        await play.until(is_started)
        play.engine.command(commands.Message(task="A1", text=f"use {KEY}"))
        assert await play.end() is RunStatus.ACHIEVED
    run = play.engine.options.paths.run
    files = [path for path in run.rglob("*") if path.is_file()]
    expected = {"journal.db", "prompt.md", "output.jsonl", "error.log", "current_prompt.md"}
    assert expected <= {path.name for path in files}
    for path in files:
        body = path.read_bytes()
        assert KEY.encode() not in body, path
        assert b"canary-0123456789" not in body, path
    assert b"[secret]" in (run / "attempts/A1/1/error.log").read_bytes()
    for path in [run, *run.rglob("*")]:
        assert not stat.S_IMODE(path.lstat().st_mode) & 0o077, (oct(path.stat().st_mode), path)
    assert not stat.S_IMODE(play.engine.options.paths.scratch.stat().st_mode) & 0o077
    assert os.umask(0o022) == 0o022  # what is delivered is the person's, with the modes they are used to
    assert stat.S_IMODE((stage.project / "greeting.txt").stat().st_mode) == 0o644
    assert play.state.tasks["A1"].status is TaskStatus.COMPLETED
