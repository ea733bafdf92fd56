"""The builtin agent: agent.py as a process of its own against a scripted model, in both protocols."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aura_engine.core.model import Ending, EndKind, ExitRecord, Usage
from aura_engine.workers import builtin
from aura_engine.workers.base import Job, RoleSettings, Seen
from aura_engine.workers.builtin import Builtin, BuiltinParser, protocol_of


@dataclass
class Ran:
    code: int
    events: list[dict[str, Any]]
    stderr: str
    seen: Seen
    ending: Ending

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == kind]

    @property
    def result(self) -> dict[str, Any]:
        assert self.events[-1]["event"] == "result"
        return self.events[-1]


def anthropic(*parts: object, stop: str = "tool_use", usage: dict[str, int] | None = None) -> dict[str, Any]:
    content = [
        {"type": "text", "text": part}
        if isinstance(part, str)
        else {"type": "tool_use", "id": f"t{n}", "name": part[0], "input": part[1]}
        for n, part in enumerate(parts)
    ]
    return {"role": "assistant", "content": content, "stop_reason": stop, "usage": usage or {}}


def openai(*parts: object, usage: dict[str, Any] | None = None) -> dict[str, Any]:
    calls = [
        {
            "id": f"t{n}",
            "type": "function",
            "function": {"name": part[0], "arguments": part[1] if isinstance(part[1], str) else json.dumps(part[1])},
        }
        for n, part in enumerate(parts)
        if not isinstance(part, str)
    ]
    text = "".join(part for part in parts if isinstance(part, str))
    message = {"role": "assistant", "content": text or None, **({"tool_calls": calls} if calls else {})}
    return {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage or {}}


FINISH = ("finish", {"summary": "all done"})


@pytest.fixture
def agent(model, tmp_path) -> Callable[..., Ran]:
    """Runs the agent as its backend would launch it."""
    workspace = tmp_path / "work space"
    workspace.mkdir()
    (tmp_path / "outside.txt").write_text("secret")

    def run(*replies: object, api: str = "anthropic", base: str = "", prompt: str = "Do it.", **env: str) -> Ran:
        model.replies = list(replies)
        settings = RoleSettings(
            backend="builtin", api_key="the-key", base_url=base or model.url, model="m", protocol=api
        )
        job = Job(prompt, workspace, tmp_path / "home", tmp_path, settings, "s-1", max_turns=6, budget=20.0)
        spec = Builtin().launch(job)
        process = subprocess.run(
            spec.argv,
            input=spec.stdin.encode(),
            capture_output=True,
            cwd=spec.cwd,
            env={"PATH": os.environ["PATH"], **spec.env, **env},
            timeout=40,
            check=False,
        )
        parser, seen = BuiltinParser(), Seen()
        seen.add_all([*parser.feed(process.stdout), *parser.close()])
        record = ExitRecord(code=process.returncode, ended=1_000_000.0)
        stderr = process.stderr.decode()
        events = [json.loads(line) for line in process.stdout.splitlines()]
        return Ran(process.returncode, events, stderr, seen, Builtin().ending(record, seen, stderr))

    return run


@pytest.fixture
def workspace(tmp_path) -> Path:
    return tmp_path / "work space"


def test_a_task_in_anthropic(agent, model, workspace):
    usage = {"input_tokens": 100, "output_tokens": 10, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 2}
    ran = agent(
        anthropic("I will write.", ("write", {"path": "a/b.txt", "content": "héllo\n"}), usage=usage),
        anthropic(("read", {"path": "a/b.txt"}), usage=usage),
        anthropic(
            ("edit", {"path": "a/b.txt", "old": "héllo", "new": "bye"}), ("run", {"command": "cat a/b.txt; exit 3"})
        ),
        anthropic(FINISH),
    )
    assert ran.code == 0
    assert ran.ending.kind is EndKind.FINISHED
    assert ran.ending.claims == "all done"
    assert ran.ending.session == "s-1"
    assert (workspace / "a/b.txt").read_text() == "bye\n"
    assert [event["text"] for event in ran.of("tool_result")] == [
        "wrote 6 characters",
        "héllo\n",
        "replaced",
        "exit status 3\nbye\n",
    ]
    assert ran.seen.usage == Usage(input=200, output=20, cache_read=10, cache_write=4)
    assert (ran.seen.turns, ran.seen.tools, ran.result["turns"]) == (4, 5, 4)
    path, headers, body = model.asked[-1]
    assert path == "/v1/messages"
    assert headers["x-api-key"] == "the-key"
    assert headers["anthropic-version"]
    assert body["messages"][0]["content"][0]["text"] == "Do it."
    assert [block["type"] for block in body["messages"][-1]["content"]] == ["tool_result", "tool_result"]
    assert sum("cache_control" in block for m in body["messages"] for block in m["content"]) == 1


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/some/path"])
def test_a_task_in_openai(agent, model, workspace, suffix):
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 40}}
    ran = agent(
        openai("Hm.", ("write", {"path": "x", "content": "1"}), usage=usage),
        openai(FINISH, usage=usage),
        api="openai",
        base=model.url + suffix,
    )
    assert ran.ending.kind is EndKind.FINISHED
    assert (workspace / "x").read_text() == "1"
    assert ran.seen.usage == Usage(input=120, output=20, cache_read=80)
    path, headers, body = model.asked[-1]
    assert path == ("/some/path" if "path" in suffix else "/v1") + "/chat/completions"
    assert headers["authorization"] == "Bearer the-key"
    assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant", "tool"]


@pytest.mark.parametrize(
    ("tool", "args"),
    [
        ("read", {"path": "../outside.txt"}),
        ("read", {"path": "/etc/passwd"}),
        ("read", {"path": "link"}),
        ("write", {"path": "../made.txt", "content": "x"}),
        ("write", {"path": "link", "content": "x"}),
        ("edit", {"path": "link", "old": "secret", "new": "x"}),
        ("read", {"path": "fifo"}),
        ("read", {"path": "nothing"}),
        ("read", {}),
        ("read", {"path": 5}),
        ("edit", {"path": "twice", "old": "a", "new": "b"}),
        ("edit", {"path": "twice", "old": "zzz", "new": "b"}),
        ("edit", {"path": "twice", "old": "", "new": "b"}),
        ("run", {"command": "true\0"}),
        ("nonsense", {}),
    ],
)
def test_what_a_tool_refuses_goes_back_to_the_model(agent, model, workspace, tmp_path, tool, args):
    (workspace / "link").symlink_to(tmp_path / "outside.txt")
    (workspace / "twice").write_text("a a")
    os.mkfifo(workspace / "fifo")
    ran = agent(anthropic((tool, args)), anthropic(FINISH))
    assert not ran.of("tool_result")[0]["ok"]
    assert model.asked[1][2]["messages"][-1]["content"][0]["is_error"]
    assert ran.ending.kind is EndKind.FINISHED
    assert (tmp_path / "outside.txt").read_text() == "secret"
    assert (workspace / "twice").read_text() == "a a"
    assert not (tmp_path / "made.txt").exists()


def test_commands_never_see_the_key(agent):
    ran = agent(anthropic(("run", {"command": "env"})), anthropic(FINISH))
    shown = ran.of("tool_result")[0]["text"]
    assert "HOME=" in shown
    assert "the-key" not in shown
    assert "AURA_AGENT" not in shown


def test_a_command_over_its_time_is_killed_with_its_group(agent, workspace):
    command = "sleep 60 & echo $! > pid; echo started; sleep 60"
    ran = agent(anthropic(("run", {"command": command, "timeout": 1})), anthropic(FINISH))
    assert ran.of("tool_result")[0]["text"] == "killed after 1 s\nstarted\n"
    stat = Path(f"/proc/{(workspace / 'pid').read_text().strip()}/stat")
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"  # whoever inherits it reaps it


def test_a_process_left_in_the_background_does_not_hold_the_command(agent, workspace):
    ran = agent(anthropic(("run", {"command": "sleep 60 & echo $! > pid; echo up"})), anthropic(FINISH))
    os.kill(int((workspace / "pid").read_text()), signal.SIGKILL)
    assert ran.of("tool_result")[0]["text"] == "exit status 0\nup\n"
    assert ran.code == 0


def test_a_flood_of_output_is_cut_in_the_middle(agent, model):
    command = "echo first; head -c 30000000 /dev/zero | tr '\\0' x; echo; echo last"
    ran = agent(anthropic(("run", {"command": command})), anthropic(FINISH))
    text = model.asked[1][2]["messages"][-1]["content"][0]["content"]
    assert len(text) < 20_000
    assert text.startswith("exit status 0\nfirst\nxxx")
    assert "characters left out" in text
    assert text.endswith("x\nlast\n")
    assert ran.code == 0


def test_old_results_are_left_out_once_the_context_is_full(agent, model, workspace):
    reading = anthropic(*[("read", {"path": "big"})] * 5)
    (workspace / "big").write_text(("y" * 99 + "\n") * 2000)
    agent(reading, reading, reading, anthropic(FINISH))
    results = [b for m in model.asked[-1][2]["messages"] for b in m["content"] if b["type"] == "tool_result"]
    assert len(results) == 15
    assert results[0]["content"] == "[older output, left out]"
    assert len(results[-1]["content"]) > 50_000
    assert sum(len(block["content"]) for block in results) < 500_000


def test_gave_up(agent):
    ran = agent(anthropic(("finish", {"summary": "no compiler here", "gave_up": True})))
    assert ran.code == 1
    assert ran.ending.kind is EndKind.GAVE_UP
    assert "no compiler" in ran.ending.detail


def test_out_of_turns(agent):
    ran = agent(anthropic(("run", {"command": "true"})))
    assert ran.code == 53
    assert ran.ending.kind is EndKind.OUT_OF_TURNS
    assert ran.result["turns"] == 6


@pytest.mark.parametrize("reply", [anthropic(("run", {"command": "sleep 60"})), (429, "busy", {"Retry-After": "30"})])
def test_out_of_time(agent, reply):
    ran = agent(reply, AURA_AGENT_BUDGET_SECONDS="0.7")
    assert ran.code == 54
    assert ran.ending.kind is EndKind.OUT_OF_TIME


def test_words_alone_are_reminded_once_then_taken(agent, model):
    ran = agent(anthropic("Here is my plan.", stop="end_turn"), anthropic("I am done.", stop="end_turn"))
    assert len(model.asked) == 2
    assert "call finish" in model.asked[1][2]["messages"][-1]["content"][0]["text"]
    assert ran.ending.kind is EndKind.FINISHED
    assert ran.ending.claims == "I am done."


def test_silence_is_giving_up(agent):
    ran = agent(anthropic(stop="end_turn"))
    assert ran.ending.kind is EndKind.GAVE_UP


def test_a_cut_tool_call_is_not_carried_out(agent, workspace):
    ran = agent(anthropic(("write", {"path": "half", "content": "ha"}), stop="max_tokens"), anthropic(FINISH))
    assert not (workspace / "half").exists()
    assert "token limit" in ran.of("tool_result")[0]["text"]


@pytest.mark.parametrize("arguments", ['{"path": "half", "con', "[1]", '"text"'])
def test_broken_arguments_are_not_carried_out(agent, workspace, arguments):
    ran = agent(openai(("write", arguments)), openai(FINISH), api="openai")
    assert not (workspace / "half").exists()
    assert "nothing was done" in ran.of("tool_result")[0]["text"]
    assert ran.code == 0


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, "bad field", EndKind.BAD_REQUEST),
        (400, "prompt is too long", EndKind.CONTEXT_OVERFLOW),
        (400, "Your credit balance is too low", EndKind.MONEY),
        (401, "invalid x-api-key", EndKind.CREDENTIALS),
        (402, "pay", EndKind.MONEY),
        (403, "no", EndKind.CREDENTIALS),
        (404, "no such model", EndKind.BAD_REQUEST),
        (413, "big", EndKind.CONTEXT_OVERFLOW),
        (429, '{"code":"insufficient_quota"}', EndKind.MONEY),
    ],
)
def test_what_will_not_pass_is_asked_once(agent, model, status, body, kind):
    ran = agent((status, body))
    assert len(model.asked) == 1
    assert ran.code == 1
    assert ran.ending.kind is kind
    assert str(status) in ran.ending.detail
    assert ran.seen.retries == 0


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 529])
def test_what_may_pass_is_retried(agent, model, status):
    ran = agent((status, "later", {"Retry-After": "0"}), (status, "later", {"Retry-After": "0"}), anthropic(FINISH))
    assert ran.ending.kind is EndKind.FINISHED
    assert [event["status"] for event in ran.of("retry")] == [status] * 2
    assert ran.seen.retries == 2


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ((429, "later"), EndKind.RATE_LIMIT),
        ((529, "Overloaded"), EndKind.OVERLOADED),
        ((200, "<html>hello</html>"), EndKind.OVERLOADED),
        ((200, '{"hello": 1}'), EndKind.OVERLOADED),
        ({"content": None, "stop_reason": "end_turn"}, EndKind.OVERLOADED),
        ({"content": [{"type": "tool_use"}], "stop_reason": "tool_use"}, EndKind.OVERLOADED),
    ],
)
def test_what_does_not_pass_in_time_is_named(agent, reply, kind):
    ran = agent(reply, AURA_AGENT_MAX_RETRIES="1")
    assert ran.code == 1
    assert ran.ending.kind is kind


def test_an_unreachable_model_is_named(agent):
    ran = agent({}, base="http://127.0.0.1:9", AURA_AGENT_MAX_RETRIES="1")
    assert ran.ending.kind is EndKind.UNREACHABLE
    assert "127.0.0.1:9" in ran.ending.detail


def test_a_long_wait_is_left_to_the_engine(agent, model):
    ran = agent((429, "later", {"Retry-After": "300"}))
    assert len(model.asked) == 1
    assert (ran.ending.kind, ran.ending.retry_after) == (EndKind.RATE_LIMIT, 300.0)


def test_the_file_stands_alone(tmp_path):
    text = builtin.AGENT.read_text()
    assert "aura_engine" not in text
    env = {"AURA_AGENT_BASE_URL": "http://127.0.0.1:9", "AURA_AGENT_MAX_RETRIES": "0"}
    command = [sys.executable, "-I", "-S", builtin.AGENT]
    out = subprocess.run(command, input=b"", env=env, cwd=tmp_path, capture_output=True, check=False)
    assert [json.loads(line)["event"] for line in out.stdout.splitlines()] == ["start", "error", "result"]


@pytest.mark.parametrize(
    ("settings", "protocol"),
    [
        ({"protocol": "openai", "base_url": "https://x/anthropic"}, "openai"),
        ({"base_url": "https://api.deepseek.com/anthropic"}, "anthropic"),
        ({"base_url": "https://api.deepseek.com"}, "openai"),
        ({"model": "gpt-5"}, "openai"),
        ({"model": "claude-x"}, "anthropic"),
        ({}, "anthropic"),
    ],
)
def test_protocol(settings, protocol):
    assert protocol_of(RoleSettings(backend="builtin", **settings)) == protocol
