"""Whole runs whose workers are the real programs, each alike; only the service behind them is the scripted model."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from aura_engine.demo.brains import Claim, plan_brain, task, write
from aura_engine.demo.script import Ask, ToolUse, say
from aura_engine.demo.server import ScriptedModel
from aura_engine.workers.claude import MAX_RETRIES

pytestmark = pytest.mark.timeout(120, func_only=True)

DONE = Claim("All done, all tests pass.")
GREET = {
    "tasks": [task("Greet", "grep -q hello greeting.txt")],
    "checks": [{"name": "greeting", "file": "greeting.txt", "matches": "hello"}],
}
GREETS = [write("greeting.txt", "hello"), DONE]
GOES_ON = "You were interrupted: "
HURRY = 50
"""By how much the clock runs faster for a program whose own waiting nothing can shorten."""


@dataclass(frozen=True)
class Worker:
    """A worker program as the tests need to know it."""

    program: str
    backend: str
    command: str = ""
    injects: bool = False
    """It takes a person's message into its running turn."""
    retry_after: float | None = None
    """What a limited service says; without it this program waits for minutes."""

    def settings(self, url: str, keys: dict[str, str]) -> dict[str, str]:
        """Both roles work with it, each with a key and a model of its own."""
        chosen = {"BACKEND": self.backend, "BASE_URL": url if self.backend == "claude" else f"{url}/v1"}
        chosen |= {"ACP_COMMAND": self.command} if self.command else {}
        roles = {f"AURA_{role}_{name}": value for role in ("FLASH", "PRO") for name, value in chosen.items()}
        return roles | {f"AURA_{role.upper()}_API_KEY": key for role, key in keys.items()}


CLAUDE = Worker("claude", "claude", injects=True)
CODEX = Worker("codex", "codex")
QWEN = Worker("qwen", "qwencode")
OPENCODE = Worker("opencode", "opencode", retry_after=1)
QWEN_ACP = Worker("qwen", "acp", "qwen --acp")
OPENCODE_ACP = Worker("opencode", "acp", "opencode acp --pure", injects=True)


def each(*workers: Worker) -> pytest.MarkDecorator:
    """Runs a test with each of them."""
    names = [f"{worker.program}-acp" if worker.command else worker.program for worker in workers]
    params = [
        pytest.param(worker, id=name, marks=pytest.mark.cli(worker.program))
        for worker, name in zip(workers, names, strict=True)
    ]
    return pytest.mark.parametrize("worker", params)


def workers_asks(model: ScriptedModel) -> list[Ask]:
    return [ask for ask in model.requests if ask.model != "planner" and ask.tools]


def went_on(asked: list[Ask]) -> Ask:
    """The first request of a session that goes on; all its turns before are in it."""
    ask = next(ask for ask in asked if ask.last_prompt(GOES_ON) >= 0)
    assert ask.rounds(GOES_ON) == 0
    return ask


def called_before(ask: Ask) -> str:
    """What the session's tools were called with before it went on."""
    parts = [part for message in ask.messages[: ask.last_prompt(GOES_ON)] for part in message.parts]
    return "\n".join(str(part.arguments) for part in parts if isinstance(part, ToolUse))


def hurried(program: str, folder: Path) -> Path:
    """The program with a clock that runs faster for all that it waits a second or more for."""
    folder.mkdir()
    clock = folder / "clock.cjs"
    clock.write_text(
        "const real = setTimeout\n"
        f"const quick = (work, ms, ...rest) => real(work, ms >= 1000 ? ms / {HURRY} : ms, ...rest)\n"
        "globalThis.setTimeout = Object.assign(quick, real)\n"
    )
    wrapper = folder / program
    wrapper.write_text(f'#!/bin/sh\nNODE_OPTIONS="--require {clock}" exec {program} "$@"\n')
    wrapper.chmod(0o755)
    return wrapper


@each(CLAUDE, CODEX, QWEN, OPENCODE)
def test_what_flash_fails_pro_does_and_it_is_delivered(worker: Worker, bench, keys, traces):
    bench.write({"task.md": "# Greet\n"})
    # Many a build prints its environment; the key must not be in it.
    wrong = [f"{write('greeting.txt', 'hullo')}\nenv; sh -c env; echo ENV-$((40 + 2))", DONE]
    with ScriptedModel(plan_brain(GREET, {"Greet": [[DONE], wrong, GREETS]})) as model:
        done = bench.start(model.url, **worker.settings(model.url, keys), AURA_MAX_ATTEMPTS_PER_ROLE="2")
        assert list(model.failures) == []
        asked, bill = workers_asks(model), model.bill
    assert (done.status, done.exit) == ("achieved", 0)
    assert (bench.project / "greeting.txt").read_text() == "hello\n"

    starts, endings = done.of("attempt_starting"), done.endings
    assert [(event["backend"], event["role"]) for event in starts] == [
        (worker.backend, role) for role in ("flash", "flash", "pro")
    ]
    assert [event["outcome"] for event in done.of("attempt_ended")] == ["capability", "capability"]
    assert [(ending["kind"], ending["claims"]) for ending in endings] == [("finished", DONE.words)] * 3
    assert [event["exit"]["code"] for event in done.of("worker_ended")] == [0, 0, 0]
    assert [(ask.model, ask.key) for ask in asked] == [("flash", keys["flash"])] * 3 + [("pro", keys["pro"])] * 2

    prompts = [(done.data / f"attempts/A1/{n}/prompt.md").read_text().strip() for n in (1, 2, 3)]
    assert [asked[at].prompt("# Task ") for at in (0, 1, 3)] == prompts
    assert "grep -q hello greeting.txt" in prompts[2]
    assert "exit status" in prompts[2]
    for role, key in keys.items():
        used = [ending["usage"] for ending, start in zip(endings, starts, strict=True) if start["role"] == role]
        assert sum(each["input"] for each in used) == bill[role, key].input > 5_000
        assert sum(each["output"] for each in used) == bill[role, key].output

    assert traces.files_with("ENV-42")
    assert traces.of_keys() == []
    assert not any(key in done.stdout + done.stderr for key in keys.values())


@each(CLAUDE, CODEX, QWEN, OPENCODE, QWEN_ACP, OPENCODE_ACP)
def test_killed_in_mid_tool_it_leaves_no_process_and_its_session_goes_on(
    worker: Worker, bench, keys, traces, eventually
):
    bench.write({"task.md": "# Greet\n"})
    nap = f"sleep 86{os.getpid()}"
    stubborn = f"trap '' INT HUP TERM; {nap}; {nap}"
    forked = f"(setsid sh -c {shlex.quote(stubborn)} &); {nap}; {nap}"
    with (
        ScriptedModel(plan_brain(GREET, {"Greet": [["echo half > half.txt", forked], GREETS]})) as model,
        bench.running(model.url, **worker.settings(model.url, keys)) as run,
    ):
        eventually(lambda: len(traces.processes_with(nap)) >= 4)  # two that sleep, and the two shells around them
        assert traces.workers()
        assert traces.of_keys() == []
        if not worker.injects:
            assert "Kept" in bench.ask("message", "A1", "In", "small", "letters.")
        bench.ask("pause")  # with nothing else to do the run would end at once
        bench.ask("kill", "A1")
        ended = run.until("attempt_ended", n=1)
        eventually(lambda: not traces.processes_with(nap) and not traces.workers())
        bench.ask("retry", "A1", "--instructions", "Be quick.")
        bench.ask("resume")
        done = run.end()
        assert list(model.failures) == []
        resumed = went_on(workers_asks(model))
    assert (done.status, done.exit) == ("achieved", 0)
    assert ended["outcome"] == "interrupted"
    store = ["git", "--git-dir", str(done.data / "store.git")]
    assert subprocess.check_output([*store, "show", f"{ended['snapshot']}:half.txt"]) == b"half\n"
    first, second = done.of("attempt_starting")
    assert (second["session"], second["place"]) == (done.endings[0]["session"], first["n"])
    assert "half.txt" in called_before(resumed)
    said = resumed.prompt(GOES_ON)
    assert "Be quick." in said
    assert worker.injects or "In small letters." in said


@each(CLAUDE, CODEX, QWEN, OPENCODE)
def test_a_limit_and_a_refused_key_are_told_apart_and_the_session_goes_on(worker: Worker, bench, keys, tmp_path: Path):
    bench.write({"task.md": "# Greet\n"})
    limited = say(status=429, error_text="rate limited", retry_after=worker.retry_after)
    refused = say(status=401, error_text="invalid x-api-key")
    workers = {"Greet": [["echo begun > begun.txt", *[limited] * 60], [refused] * 20]}
    if worker is QWEN:
        bench.settings["AURA_QWENCODE_BIN"] = str(hurried("qwen", tmp_path / "hurried"))
    with ScriptedModel(plan_brain(GREET, workers)) as model:
        done = bench.start(model.url, **worker.settings(model.url, keys))
        asked = workers_asks(model)
    assert (done.status, done.exit) == ("needs_person", 5)
    assert [ending["kind"] for ending in done.endings] == ["rate_limit", "credentials"]
    assert [event["outcome"] for event in done.of("attempt_ended")] == ["infrastructure"] * 2
    assert not any("claims" in ending for ending in done.endings)  # an error message is no word of the worker's
    # A limit passes by itself, a refused key waits for the person. Neither is anything for the planner.
    assert [event["until"] is None for event in done.of("role_parked")] == [False, True]
    assert "AURA_FLASH_API_KEY" in done.events[-1]["reason"]
    assert len(done.of("planner_asked")) == 1
    assert "begun.txt" in called_before(went_on(asked))
    assert sum(ask.last_prompt(GOES_ON) >= 0 for ask in asked) <= 1 + MAX_RETRIES  # it gives up by itself


@each(CLAUDE, QWEN_ACP, OPENCODE_ACP)
def test_a_worker_outlives_its_engine_and_hears_the_next_one(worker: Worker, bench, keys, eventually):
    bench.write({"task.md": "# Greet\n"})
    waits = "touch begun; for i in $(seq 300); do test -e go && break; sleep 0.1; done; rm -f begun go"
    with ScriptedModel(plan_brain(GREET, {"Greet": [waits, *GREETS]})) as model:
        settings = worker.settings(model.url, keys)
        with bench.running(model.url, **settings) as run:
            run.until("attempt_started")
            folder = bench.workspaces() / "A1-1"
            eventually((folder / "begun").exists)
            run.engine.kill()
        with bench.running(model.url, **settings) as run:
            run.until("notice", text="workers found after the restart: 1 adopted")
            answer = bench.ask("message", "A1", "In", "small", "letters.")
            (folder / "go").touch()
            done = run.end()
        assert list(model.failures) == []
        asked = workers_asks(model)
    assert (done.status, done.exit) == ("achieved", 0)
    assert done.of("attempt_starting") == []  # the one from before went on
    assert len(done.of("landed")) == 1
    assert done.endings[0]["kind"] == "finished"
    assert done.endings[0]["claims"] == DONE.words
    assert len(asked) == 3
    assert ("Brought" in answer) == worker.injects
    assert ["In small letters." in json.dumps(ask.body) for ask in asked] == [False, worker.injects, worker.injects]
