"""`aura demo` keeps what it promises, and the commands that look at a run tell what happened in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import aura_engine
from aura_engine.demo.brains import Claim, plan_brain, task, write
from aura_engine.demo.script import Ask, ToolUse, call
from aura_engine.journal.lock import OwnerLock

pytestmark = pytest.mark.timeout(150)
LIMIT = 60.0
CHECKOUT = Path(aura_engine.__file__).parent.parent
HEAVY = ("pydantic", "textual", "anthropic", "openai", "aiodocker", "asyncio")
NOBODY = 65534


class Demo(NamedTuple):
    """A finished demo and the place it ran in."""

    home: Path
    folder: Path
    exit: int
    took: float
    stdout: str
    stderr: str

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stdout.splitlines()]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["kind"] == kind]

    def seq(self, kind: str, task: str) -> int:
        return next(event["seq"] for event in self.of(kind) if event["task"] == task)

    def aura(self, *arguments: str) -> str:
        """What a command says that looks at this run."""
        done = aura(*arguments, cwd=self.folder, home=self.home)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout


def aura(*arguments: str, cwd: Path, home: Path, python: str = sys.executable, **more: Any):
    """The command line as a process, with no settings but a home."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(home), **more.pop("env", {})}
    command = [python, "-m", "aura_engine.cli", *arguments]
    return subprocess.run(
        command, cwd=cwd, env=environ, capture_output=True, text=True, timeout=LIMIT, check=False, **more
    )


def play(folder: Path, *options: str, **more: Any) -> Demo:
    """`aura demo` in this folder, in a home beside it."""
    home = folder.parent / "home"
    for made in (folder, home):
        made.mkdir()
        os.chown(made, more.get("user", -1), more.get("group", -1))
    began = time.monotonic()
    done = aura("demo", "--no-ui", *options, cwd=folder, home=home, **more)
    took = time.monotonic() - began
    (project,) = folder.iterdir()
    return Demo(home, project, done.returncode, took, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """One demo for a script, in a folder with spaces and a name that is not ASCII."""
    return play(tmp_path_factory.mktemp("demo") / "mein Ordner ö 日本", "--json")


def test_it_ends_achieved_in_time(demo: Demo):
    assert demo.exit == 0, demo.stderr
    assert demo.stderr == ""
    assert (demo.events[-1]["kind"], demo.events[-1]["status"]) == ("run_ended", "achieved")
    assert demo.took < LIMIT
    assert [event["seq"] for event in demo.events] == sorted({event["seq"] for event in demo.events})


def test_eight_tasks_and_more_land_each_after_what_it_needs(demo: Demo):
    specs = [spec for change in demo.of("plan_changed") for spec in change.get("add", ())]
    leaves = {spec["id"]: spec.get("needs", []) for spec in specs if not spec.get("group")}
    assert len(leaves) >= 8
    assert {event["task"] for event in demo.of("landed")} == set(leaves)
    assert sum(map(len, leaves.values())) >= 4
    for task_id, needs in leaves.items():
        for need in needs:
            assert demo.seq("landed", need) < demo.seq("attempt_starting", task_id), (task_id, need)


def test_attempts_run_side_by_side(demo: Demo):
    running: set[str] = set()
    most = 0
    for event in demo.events:
        if event["kind"] == "attempt_started":
            running.add(event["task"])
        elif event["kind"] == "worker_ended":
            running.discard(event["task"])
        most = max(most, len(running))
    assert most >= 2


def test_flash_fails_and_pro_takes_over(demo: Demo):
    roles: dict[str, list[str]] = {}
    for event in demo.of("attempt_starting"):
        roles.setdefault(event["task"], []).append(event["role"])
    (escalated,) = [task_id for task_id, tried in roles.items() if tried[0] == "flash" and tried[-1] == "pro"]
    ended = [event for event in demo.of("attempt_ended") if event["task"] == escalated]
    assert {event["outcome"] for event in ended} == {"capability"}
    assert len(ended) == len(roles[escalated]) - 1  # the last one landed


def test_a_claim_without_the_work_is_not_believed(demo: Demo):
    claims = {(e["task"], e["n"]): e["ending"].get("claims", "") for e in demo.of("worker_ended")}
    refused = [claims[e["task"], e["n"]] for e in demo.of("attempt_ended") if e.get("failed_check")]
    assert any("all of its tests pass" in claim for claim in refused)


def test_an_edit_in_mid_run_becomes_batch_b(demo: Demo):
    first, edited = demo.of("goal_read")
    assert first["revision"] != edited["revision"]
    assert any(event["seq"] > edited["seq"] for event in demo.of("landed"))
    later = [spec["id"] for change in demo.of("plan_changed")[1:] for spec in change.get("add", ())]
    assert later
    assert all(task_id.startswith("B") for task_id in later)


def test_the_goals_own_checks_decide_the_end(demo: Demo):
    last_landed = demo.of("landed")[-1]["seq"]
    checked = [event for event in demo.of("goal_checked") if not event.get("before")][-1]
    assert checked["seq"] > last_landed
    assert not checked.get("red")
    receipts = [event["receipt"] for event in demo.of("check_ran") if event["receipt"]["phase"] == "goal"]
    assert {receipt["tree"] for receipt in receipts} == {checked["tree"]}
    yours = {check["name"] for check in demo.of("goal_read")[-1]["checks"]}
    assert yours <= {receipt["check"] for receipt in receipts if receipt["verdict"] == "green"}


def test_what_it_made_works(demo: Demo):
    page = subprocess.run(
        [sys.executable, "-m", "almanac", "2026-03-03"], cwd=demo.folder, capture_output=True, text=True, check=True
    )
    assert "moon" in page.stdout.lower()


def test_an_ordinary_user_reads_a_story_that_says_what_is_scripted():
    with tempfile.TemporaryDirectory(prefix="ein Ordner ü ") as place:
        Path(place).chmod(0o755)
        told = play(Path(place) / "demo", **_ordinary_user())
        assert told.exit == 0, told.stdout + told.stderr
        assert "the model is scripted" in told.stdout
        for words in ("escalated to pro", "not believed", "goal edited", "✓ goal achieved"):
            assert words in told.stdout
        assert told.folder.stat().st_uid == _ordinary_user().get("user", os.getuid())


def _ordinary_user() -> dict[str, Any]:
    """Options that make root's process an ordinary user's; nothing where the tests are run by one already."""
    if os.getuid() != 0:
        return {}
    who: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    # root's Python may lie where nobody else may look: the system's own of the same version does as well then.
    paths = os.pathsep.join([str(CHECKOUT), sysconfig.get_path("purelib")])
    for python in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        try:
            probe = [python, "-c", "import aura_engine, pydantic"]
            subprocess.run(probe, cwd="/", env={"PYTHONPATH": paths}, check=True, capture_output=True, **who)
        except (OSError, subprocess.CalledProcessError):
            continue
        return {**who, "python": python, "env": {"PYTHONPATH": paths}}
    pytest.skip("no Python here that an ordinary user may run")


# ---- the commands that look at a run


def test_status(demo: Demo):
    assert "achieved, 10/10 tasks done" in demo.aura("status")
    told = json.loads(demo.aura("status", "--json"))
    assert told["status"] == "achieved"
    assert told["tasks"] == {"total": 10, "completed": 10}
    assert told["goal_checks"] == {"total": 5, "green": 5, "open": {}}
    assert told["running"] == []


def test_status_of_a_killed_engine_does_not_call_it_running(demo: Demo, tmp_path: Path):
    shutil.copytree(demo.folder / ".aura", tmp_path / ".aura", ignore=shutil.ignore_patterns("attempts"))
    (kept,) = tmp_path.glob(".aura/*/state/status.json")
    worker = {"task": "A1.1", "n": 1, "title": "The moon", "role": "flash", "backend": "builtin", "elapsed": 3.0}
    last = {**json.loads(kept.read_text()), "status": "running", "reason": "", "running": [worker], "running_total": 1}
    kept.write_text(json.dumps(last))
    told = aura("status", cwd=tmp_path, home=tmp_path).stdout
    assert "stopped short" in told
    assert "the same command goes on" in told
    assert "A1.1#1 The moon (flash, builtin, left to finish by itself)" in told
    assert json.loads(aura("status", "--json", cwd=tmp_path, home=tmp_path).stdout)["owned"] is False
    with OwnerLock.acquire(kept.parent.parent / "lock"):
        told = aura("status", cwd=tmp_path, home=tmp_path).stdout
    assert ": running, 10/10 tasks done" in told
    assert "left to finish" not in told


def test_progress(demo: Demo):
    told = demo.aura("progress")
    assert told.startswith("# task.md: achieved")
    assert "B1 A week at a glance — completed" in told
    assert json.loads(demo.aura("progress", "--json"))["markdown"].startswith("# task.md: achieved")


def test_receipts(demo: Demo):
    ran = [(event.get("task") or "goal", event["receipt"]["check"]) for event in demo.of("check_ran")]
    rows = json.loads(demo.aura("receipts", "--json"))
    assert [(row["task"], row["check"]) for row in rows] == ran
    assert all(row["tree"] and row["check_hash"] for row in rows)
    assert demo.aura("receipts").splitlines()[0].startswith("time")
    one = json.loads(demo.aura("receipts", "A1.2", "--json"))
    assert {row["task"] for row in one} == {"A1.2"}
    # Once more, perhaps, where a batch was red and its candidates were tried alone.
    verdicts = {row["attempt"]: row["verdict"] for row in one if row["phase"] == "task"}
    assert list(verdicts.values()) == ["red", "red", "green"]
    assert demo.aura("receipts", "Z9") == "No check was run for Z9 yet.\n"


def test_history(demo: Demo):
    told = demo.aura("history").splitlines()
    for line, words in zip(
        told, ("started", "goal read", "8 tasks", "goal edited", "2 tasks", "achieved"), strict=True
    ):
        assert words in line
    kinds = [row["kind"] for row in json.loads(demo.aura("history", "--json"))]
    assert kinds == ["started", "goal", "plan", "goal", "plan", "ended"]


def test_an_answer_to_what_was_not_asked(demo: Demo):
    done = aura("answer", "q1", "yes", cwd=demo.folder, home=demo.home)
    assert done.returncode == 2
    assert "q1" in done.stderr
    assert "aura status shows the open questions" in done.stderr


def test_an_answer_is_taken_once_and_the_run_goes_on(bench):
    bench.write({"task.md": "# Greet\n"})
    plan = {"tasks": [task("Greet", "grep -q hello greeting.txt")], "checks": [{"name": "it", "file": "greeting.txt"}]}
    greets = {"Greet": [write("greeting.txt", "hello"), Claim("Done.")]}
    asking = plan_brain(plan, greets, on={"all_landed": _asks})
    asked = bench.run(asking)
    assert (asked.status, asked.exit) == ("needs_person", 5)
    home = Path(os.environ["HOME"])
    assert "? q1: Is it well so?" in aura("status", cwd=bench.project, home=home).stdout
    done = aura("answer", "q1", "very well", "--json", cwd=bench.project, home=home)
    assert (done.returncode, json.loads(done.stdout)) == (0, {"question": "q1", "answer": "very well"})
    again = aura("answer", "q1", "no", cwd=bench.project, home=home)
    assert again.returncode == 2
    assert "aura status shows the open questions" in again.stderr
    assert bench.run(plan_brain(plan, greets)).exit == 0


def _asks(ask: Ask) -> Sequence[ToolUse]:
    """Once."""
    return () if ask.results("# Why you are asked:") else [call("ask_person", question="Is it well so?")]


# ---- the command line itself


@pytest.fixture
def here(tmp_path: Path) -> dict[str, Path]:
    """An empty folder and home."""
    return {"cwd": tmp_path, "home": tmp_path}


def test_help_and_version(here):
    for arguments in ((), ("--help",), ("-h",), ("help",)):
        done = aura(*arguments, **here)
        assert (done.returncode, done.stderr) == (0, "")
        for command in ("start", "demo", "status", "progress", "receipts", "history", "answer"):
            assert f"\n  {command} " in done.stdout
        assert "exit status: 0 goal achieved" in done.stdout
    assert aura("--version", **here).stdout == f"aura {aura_engine.__version__}\n"
    for command in ("start", "demo", "status", "progress", "receipts", "history", "answer"):
        done = aura(command, "--help", **here)
        assert (done.returncode, done.stdout.startswith(f"usage: aura {command}")) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["statsu"], "aura: “statsu” is neither a command nor a file. Did you mean aura status?"),
        (["frobnicate", "--json"], "aura --help"),
        (["goal.md"], "There is no task file goal.md"),
        (["--no-ui"], "No task file was given"),
        (["task.md", "--frobnicate"], "usage: aura [-h]"),
        (["status"], "There is no run in"),
        (["status", "--task-file", "other.md"], "There is no run of other.md in"),
        (["history", "A1"], "unrecognized arguments: A1"),
        (["demo", "-w", "many"], "AURA_MAX_CONCURRENT_TASKS"),
        (["demo", "--config", "nowhere.toml"], "nowhere.toml"),
        (["demo", "--folder", "/dev/null/x"], "The example cannot be made in /dev/null/x"),
    ],
)
def test_wrong_use_is_told_in_words(here, arguments: list[str], says: str):
    done = aura(*arguments, **here)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert list(here["cwd"].iterdir()) == []


def test_the_demo_leaves_a_used_folder_alone(here):
    (here["cwd"] / "mine.txt").write_text("mine")
    done = aura("demo", "--folder", ".", **here)
    assert (done.returncode, done.stdout) == (2, "")
    assert "not empty" in done.stderr
    assert [path.name for path in here["cwd"].iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("arguments", [["--help"], ["status"], ["status", "--json"]])
def test_help_and_status_import_nothing_heavy(demo: Demo, arguments: list[str]):
    code = (
        "import sys; from aura_engine.cli.main import main; main(sys.argv[1:]); "
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=demo.folder, capture_output=True, text=True, check=True
    )
    assert done.stdout
    assert done.stderr.strip() == "[]"


def test_a_terminal_without_the_letters_gets_escapes_not_a_traceback(demo: Demo):
    done = aura("status", cwd=demo.folder, home=demo.home, env={"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "10/10 tasks done" in done.stdout


@pytest.fixture(autouse=True, scope="module")
def _no_settings() -> Iterator[None]:
    """The module's demo runs before any test's own home is made; a start must find none of the person's settings."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AURA_")]:
            patch.delenv(name)
        yield
