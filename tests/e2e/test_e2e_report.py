"""The end of a run leaves its report and the files that people look for, and its last line names the page."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from aura_engine.demo.brains import Claim, plan_brain, task, write
from aura_engine.demo.server import ScriptedModel
from aura_engine.report.account_model import Account
from aura_engine.report.models import UsageRow

pytestmark = pytest.mark.timeout(150)
KEY = "sk-ant-0123456789abcdefghijklmnop"
CHECK = {"name": "greeting", "file": "greeting.txt", "matches": "hello"}
PLAN = {"tasks": [task("Greet", "grep -q hello greeting.txt")], "checks": [CHECK]}
WORKERS = {"Greet": [write("greeting.txt", f"hello {KEY}"), Claim("Greeted <b>you</b>.")]}
AURA = (sys.executable, "-m", "aura_engine.cli")


def aura(project: Path, *words: str, **settings: str) -> str:
    done = subprocess.run(
        [*AURA, *words], cwd=project, env=settings or None, capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_end_of_a_run_leaves_its_report(bench):
    bench.write({"task.md": "# Greet\n\nWrite a greeting.\n"})
    brain = plan_brain(PLAN, WORKERS)
    done = bench.run(brain)
    assert done.status == "achieved"  # of the last event: nothing follows it
    left = {path: (done.data / path).read_text() for path in LEFT}
    assert "<h1>Greet</h1>" in left["report.html"]
    assert "Greeted &lt;b&gt;you&lt;/b&gt;." in left["report.html"]
    assert "+hello [secret]" in left["report.md"]
    assert "+hello" not in left["summaries/final_report.md"]
    assert "> Greeted <b>you</b>." in left["summaries/A1.md"]
    assert [UsageRow.model_validate(_row(line)).who for line in left["token_stats.jsonl"].splitlines()] == [
        "planner",
        "flash builtin",
    ]
    assert json.loads(left["task_file.json"])["status"] == "achieved"
    assert not [path for path, text in left.items() if KEY in text]
    assert sum(len(text) for path, text in left.items() if path.startswith(("summaries/A", "token"))) < 1500

    told = Account.model_validate_json(aura(bench.project, "report", "--json"))
    assert (told.status, told.tasks_done) == ("achieved", 1)
    assert aura(bench.project, "diff", "--stat").endswith("in 1 file\n")
    assert "Greeted" in aura(bench.project, "logs", "A1")

    with ScriptedModel(brain) as model:
        again = aura(bench.project, "task.md", "--no-ui", **bench.environment(model.url))
    last = again.splitlines()[-1]
    assert last.strip().startswith("report: .aura/")
    assert (bench.project / last.split(": ")[1]).is_file()


def test_what_is_in_work_is_shown_while_it_is(bench, eventually, tmp_path: Path):
    bench.write({"task.md": "# Greet\n"})
    bench.settings["AURA_CONTAINMENT"] = "none"  # a file outside tells the worker when to go on
    go = tmp_path / "go"
    waits = f"echo hello > greeting.txt; while [ ! -e {go} ]; do sleep 0.05; done"
    with (
        ScriptedModel(plan_brain(PLAN, {"Greet": [waits, Claim("Greeted.")]})) as model,
        bench.running(model.url) as running,
    ):
        running.until("attempt_started", task="A1")

        def in_work() -> dict[str, object] | None:
            found = json.loads(aura(bench.project, "diff", "A1", "--json"))
            return found if found["patch"] else None

        found = eventually(in_work)
        assert found["of"] == "in work"
        assert "+hello" in found["patch"]
        assert json.loads(aura(bench.project, "projects", "--json"))[0]["owned"]
        go.touch()
        assert running.end().status == "achieved"
    assert json.loads(aura(bench.project, "diff", "A1", "--json"))["of"] == "landed"


LEFT = (
    "report.html",
    "report.md",
    "summaries/A1.md",
    "summaries/final_report.md",
    "memory/session.md",
    "token_stats.jsonl",
    "task_file.json",
)


def _row(line: str) -> dict[str, object]:
    """A line of token_stats.jsonl without the time it was written."""
    row = json.loads(line)
    assert row.pop("time")
    return row
