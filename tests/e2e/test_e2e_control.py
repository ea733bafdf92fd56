"""A run steered and watched from other processes: through its socket, detached, and without its terminal."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aura_engine.demo.brains import Claim, call, plan_brain, task, write
from aura_engine.demo.server import ScriptedModel
from aura_engine.journal.lock import owner

LIMIT = 40.0
DONE = Claim("Done.")
CHECK = {"name": "greeting", "file": "greeting.txt", "matches": "hello"}
CLI = [sys.executable, "-m", "aura_engine.cli"]


@dataclass
class Steered:
    """A run under way, and the commands of another shell."""

    bench: Any
    env: dict[str, str]
    go: Path

    @property
    def data(self) -> Path:
        return next((self.bench.project / ".aura").glob("*/journal.db")).parent

    def aura(self, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*CLI, *words],
            cwd=self.bench.project,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
            **more,
        )

    def events(self) -> list[dict[str, Any]]:
        done = self.aura("events", "--json")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def until(self, what: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """The first event that fits; they are followed as a person would."""
        command = [*CLI, "events", "--follow", "--json"]
        with subprocess.Popen(
            command, cwd=self.bench.project, env=self.env, stdout=subprocess.PIPE, text=True
        ) as follower:
            assert follower.stdout is not None
            try:
                for line in follower.stdout:
                    if what(event := json.loads(line)):
                        return event
            finally:
                follower.kill()
        raise AssertionError(f"never happened: {self.events()[-5:]}")

    def process(self) -> int:
        found = owner(self.data / "lock")
        assert found is not None
        return found.pid


def wait(what: Callable[[], Any]) -> None:
    until = time.monotonic() + LIMIT
    while not what():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture
def steered(bench, tmp_path: Path) -> Generator[Steered]:
    """A run in the background: A1 waits for the file `go`; whatever else is added says what it was told."""
    bench.write({"task.md": "# Greet\n"})
    bench.settings["AURA_CONTAINMENT"] = "none"  # a file outside tells its programs when to go on
    go = tmp_path / "go"
    waits = [f"while [ ! -e {go} ]; do sleep 0.05; done; echo hello > greeting.txt", DONE]
    plan = {"tasks": [task("Greet", "grep -q hello greeting.txt")], "checks": [CHECK]}
    workers = {"Greet": waits, "Extra": [write("extra.txt", "x"), DONE]}
    with ScriptedModel(plan_brain(plan, workers)) as model:
        run = Steered(bench, bench.environment(model.url), go)
        done = run.aura("start", "task.md", "--detach")
        assert done.returncode == 0, done.stderr
        assert "aura attach" in done.stdout
        run.until(lambda event: event["kind"] == "attempt_started")
        try:
            yield run
        finally:
            go.touch()
            run.aura("stop")
            wait(lambda: owner(run.data / "lock") is None)


def test_a_detached_run_is_steered_from_another_shell_to_its_end(steered):
    assert steered.aura("pause").returncode == 0
    again = steered.aura("pause")
    assert (again.returncode, again.stdout) == (1, "")
    assert "paused already" in again.stderr
    added = steered.aura("add", "Extra", "--instructions", "Write extra.txt.", "--check", "test -s extra.txt")
    assert (added.returncode, added.stdout) == (0, "A2\n")
    assert steered.aura("edit", "A2", "--difficulty", "hard").returncode == 0
    told = steered.aura("message", "A1", "Mind", "the", "spelling.")
    assert told.stdout == "Kept for the next attempt at A1.\n"  # the builtin worker takes none while it runs
    steered.go.touch()
    steered.until(lambda event: event["kind"] == "landed" and event["task"] == "A1")
    assert not [event for event in steered.events() if event["kind"] == "attempt_starting" and event["task"] == "A2"]
    resumed = steered.aura("resume", "--json")
    assert json.loads(resumed.stdout)["accepted"] is True
    follower = steered.aura("events", "--follow", "--json", "--since", "3")
    rows = [json.loads(line) for line in follower.stdout.splitlines()]
    assert [row["seq"] for row in rows] == list(range(4, 4 + len(rows)))
    assert (rows[-1]["kind"], rows[-1]["status"]) == ("run_ended", "achieved")
    assert {row["task"] for row in rows if row["kind"] == "landed"} == {"A1", "A2"}
    wait(lambda: owner(steered.data / "lock") is None)
    nobody = steered.aura("pause")
    assert nobody.returncode == 2
    assert "No engine runs for task.md. Start it with: aura task.md" in nobody.stderr
    assert not (steered.data / "socket").exists()


def test_kill_retry_and_drop(steered):
    assert steered.aura("pause").returncode == 0  # or the run would end with its only task
    assert steered.aura("kill", "A1").stdout == "A1 is being stopped.\n"
    steered.until(lambda event: event["kind"] == "task_settled" and event["status"] == "killed")
    refused = steered.aura("kill", "A1", "--json")
    assert refused.returncode == 1
    assert json.loads(refused.stdout) == {"accepted": False, "why": "A1 is killed: there is nothing to stop."}
    assert steered.aura("kill", "Z9").returncode == 1
    assert steered.aura("kill").returncode == 2
    assert steered.aura("edit", "A1").returncode == 2
    assert steered.aura("retry", "A1", "--instructions", "Again.").returncode == 0
    assert steered.aura("resume").returncode == 0
    steered.until(lambda event: event["kind"] == "attempt_started" and event["n"] == 2)
    assert "Again." in (steered.data / "attempts/A1/2/prompt.md").read_text()
    assert steered.aura("drop", "A1").returncode == 0
    steered.until(lambda event: event["kind"] == "attempt_ended" and event["n"] == 2)


def test_stop_leaves_the_workers_and_the_next_start_takes_them_up(steered):
    second = steered.aura("start", "task.md", "--no-ui")
    assert second.returncode == 4
    assert str(steered.process()) in second.stderr
    assert "aura attach" in second.stderr
    stopped = steered.aura("stop")
    assert (stopped.returncode, stopped.stdout) == (0, "It has ended; running workers go on.\n")
    assert owner(steered.data / "lock") is None
    assert steered.aura("start", "task.md", "--detach").returncode == 0
    steered.go.touch()
    ended = steered.until(lambda event: event["kind"] == "run_ended" and event["status"] == "achieved")
    assert ended
    assert [event["n"] for event in steered.events() if event["kind"] == "attempt_starting"] == [1]


def test_stop_and_drain_lets_the_running_worker_finish(steered):
    assert steered.aura("add", "Extra", "--check", "test -s extra.txt", "--needs", "A1").returncode == 0
    assert "once the running workers are done" in steered.aura("stop", "--drain").stdout
    steered.go.touch()
    ended = steered.until(lambda event: event["kind"] == "run_ended")
    assert ended["status"] == "interrupted"
    assert [event["task"] for event in steered.events() if event["kind"] == "landed"] == ["A1"]


def test_attach_shows_the_run_and_leaving_it_leaves_the_run(steered):
    command = [*CLI, "attach", "--no-ui"]
    with subprocess.Popen(
        command, cwd=steered.bench.project, env=steered.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        assert any("A1 started" in line for line in first.stdout)  # what was before is told again
        first.send_signal(signal.SIGINT)
        _, said = first.communicate(timeout=LIMIT)
        assert first.returncode == 0
        assert "The run goes on" in said
    with subprocess.Popen(command, cwd=steered.bench.project, env=steered.env, stdout=subprocess.PIPE) as killed:
        killed.kill()
    with subprocess.Popen(
        [*command, "--json"], cwd=steered.bench.project, env=steered.env, stdout=subprocess.PIPE, text=True
    ) as second:
        assert second.stdout is not None
        while not select.select([second.stdout], [], [], 0.2)[0]:  # it is not there yet to hear of them
            assert steered.aura("message", "A1", "x").returncode == 0
        steered.go.touch()
        out, _ = second.communicate(timeout=LIMIT)
        assert second.returncode == 0
        assert json.loads(out.splitlines()[-1])["status"] == "achieved"


def test_an_engine_that_is_killed_is_missed_and_replaced(steered):
    with subprocess.Popen(
        [*CLI, "attach", "--no-ui"],
        cwd=steered.bench.project,
        env=steered.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as attached:
        assert attached.stdout is not None
        attached.stdout.readline()
        os.kill(steered.process(), signal.SIGKILL)
        _, said = attached.communicate(timeout=LIMIT)
        assert attached.returncode == 1
        assert "The engine has gone" in said
    assert steered.aura("pause").returncode == 2  # its socket still lies there
    assert steered.aura("start", "task.md", "--detach").returncode == 0
    assert steered.aura("pause").returncode == 0
    assert steered.aura("resume").returncode == 0


def test_an_answer_reaches_the_engine_that_runs(bench, tmp_path: Path):
    bench.write({"task.md": "# Greet\n"})
    bench.settings["AURA_CONTAINMENT"] = "none"  # a file outside tells its programs when to go on
    go = tmp_path / "go"
    asks = call("ask_person", question="Which language?", options=["en", "de"], default="en", task="A1")
    other = task("Other", "test -s other.txt")
    workers = {
        "Greet": [write("greeting.txt", "hello"), DONE],
        "Other": [f"while [ ! -e {go} ]; do sleep 0.05; done; echo x > other.txt", DONE],
    }
    brain = plan_brain({"tasks": [task("Greet", "grep -q hello greeting.txt"), other], "checks": [CHECK]}, workers)
    brain._on["goal_new"] = [*brain._on["goal_new"], asks]
    with ScriptedModel(brain) as model:
        run = Steered(bench, bench.environment(model.url), go)
        assert run.aura("start", "task.md", "--detach").returncode == 0
        try:
            run.until(lambda event: event["kind"] == "question_asked")
            assert run.aura("answer", "q9", "en").returncode == 2
            assert run.aura("answer", "q1", "en").stdout == "Answered q1. It goes on.\n"
            run.until(lambda event: event["kind"] == "landed" and event["task"] == "A1")
            go.touch()
            assert run.until(lambda event: event["kind"] == "run_ended")["status"] == "achieved"
        finally:
            go.touch()
            run.aura("stop")
            wait(lambda: owner(run.data / "lock") is None)


def test_a_start_that_fails_says_so_on_the_terminal_and_leaves_nothing(bench):
    missing = Steered(bench, bench.environment("http://127.0.0.1:9"), Path())
    done = missing.aura("start", "nothing.md", "--detach")
    assert (done.returncode, done.stdout) == (2, "")
    assert "nothing.md" in done.stderr


class Terminal:
    """A run on a terminal of its own, which can be closed or left unread."""

    def __init__(self, command: list[str], folder: Path, env: dict[str, str]) -> None:
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execve(command[0], command, env)

    def read_until(self, text: bytes) -> bytes:
        seen = b""
        while text not in seen:
            seen += os.read(self.master, 65536)
        return seen

    def close(self) -> None:
        os.close(self.master)


@pytest.fixture
def on_a_terminal(bench, request: pytest.FixtureRequest, tmp_path: Path) -> Generator[tuple[Terminal, Steered]]:
    """The same run in the foreground of a terminal."""
    bench.write({"task.md": "# Greet\n"})
    bench.settings["AURA_CONTAINMENT"] = "none"  # a file outside tells its programs when to go on
    go = tmp_path / "go"
    waits = [f"while [ ! -e {go} ]; do sleep 0.05; done; echo hello > greeting.txt", DONE]
    plan = {"tasks": [task("Greet", "grep -q hello greeting.txt")], "checks": [CHECK]}
    with ScriptedModel(plan_brain(plan, {"Greet": waits})) as model:
        run = Steered(bench, bench.environment(model.url), go)
        option, painted = getattr(request, "param", ("--no-ui", b"A1 started"))
        terminal = Terminal([*CLI, "task.md", option], bench.project, {**run.env, "TERM": "xterm-256color"})
        try:
            terminal.read_until(painted)
            yield terminal, run
        finally:
            go.touch()
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(terminal.pid, signal.SIGKILL)
                os.waitpid(terminal.pid, 0)


def test_a_terminal_that_is_closed_takes_nothing_along(on_a_terminal):
    terminal, run = on_a_terminal
    terminal.close()  # the kernel sends SIGHUP
    assert run.aura("message", "A1", "still there?").returncode == 0
    assert run.process() == terminal.pid
    run.go.touch()
    assert run.until(lambda event: event["kind"] == "run_ended")["status"] == "achieved"
    _, status = os.waitpid(terminal.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_a_terminal_that_is_not_read_holds_nothing_up_and_sigterm_still_ends_it(on_a_terminal):
    terminal, run = on_a_terminal
    for number in range(40):  # far more than a terminal holds unread
        assert run.aura("add", f"Later {number} " + "x" * 150, "--needs", "A1", "--check", "true").returncode == 0
    run.go.touch()
    run.until(lambda event: event["kind"] == "landed")
    os.kill(terminal.pid, signal.SIGTERM)
    _, status = os.waitpid(terminal.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 130
    assert owner(run.data / "lock") is None
    assert [event["status"] for event in run.events() if event["kind"] == "run_ended"] == ["interrupted"]
    terminal.close()


@pytest.mark.parametrize("on_a_terminal", [("--ui=full", b"\x1b[?1049h")], indirect=True)
def test_a_screen_that_is_killed_leaves_a_terminal_that_can_be_used(on_a_terminal):
    terminal, run = on_a_terminal
    wait(lambda: any(run.bench.project.glob(".aura/*/lock")) and owner(run.data / "lock"))
    assert not termios.tcgetattr(terminal.master)[3] & termios.ECHO
    assert run.process() != terminal.pid
    os.kill(run.process(), signal.SIGKILL)
    assert b"\x1b[?1049l" in terminal.read_until(b"the same command")
    assert termios.tcgetattr(terminal.master)[3] & termios.ECHO
    _, status = os.waitpid(terminal.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGKILL


def test_a_task_that_was_stopped_is_retried_without_an_engine(steered):
    assert steered.aura("pause").returncode == 0
    assert steered.aura("kill", "A1").returncode == 0
    assert steered.aura("stop").returncode == 0
    assert steered.aura("kill", "A1").returncode == 1  # it is stopped already
    noted = steered.aura("retry", "A1")
    assert (noted.returncode, "start the goal again" in noted.stdout) == (0, True)
    again = steered.aura("retry", "A1")
    assert (again.returncode, "pending" in again.stderr) == (1, True)
    assert steered.aura("resume").returncode == 0
