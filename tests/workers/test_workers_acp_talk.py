"""Backend `acp`: the conversation with an agent, its questions, its endings and its launch."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from acp_stage import JOB, MESSAGE, answered, lines_of, parse, said, started

from aura_engine.core.model import EndKind, ExitRecord, SignalKind, Usage
from aura_engine.errors import ConfigError
from aura_engine.workers.acp import Acp, known_in
from aura_engine.workers.acp_lines import FIRST_MESSAGE, LOAD, METHOD_NOT_FOUND, MODE, PROMPT, RESUME
from aura_engine.workers.acp_policy import choose
from aura_engine.workers.acp_session import AcpParser
from aura_engine.workers.base import RoleSettings, Seen


def test_it_opens_a_session_leaves_the_asking_mode_and_gives_the_prompt():
    sent = [json.loads(line) for line in parse(lines_of("qwen"))[1]]
    assert [message.get("method") for message in sent] == ["session/new", "session/set_mode", "session/prompt", None]
    assert sent[0]["params"] == {"cwd": "/w", "mcpServers": []}
    assert sent[1]["params"]["modeId"] == "yolo"
    assert sent[2]["params"]["prompt"] == [{"type": "text", "text": "Do it."}]
    assert sent[3]["result"] == {"outcome": {"outcome": "selected", "optionId": "proceed_once"}}


def test_a_mode_that_is_refused_is_no_harm():
    modes = {
        "currentModeId": "default",
        "availableModes": [{"id": "default", "name": "D"}, {"id": "yolo", "name": "Y"}],
    }
    data = started() + answered(2, {"sessionId": "s", "modes": modes}) + answered(MODE, code=-32603, message="No")
    signals, replies = parse(data)
    assert [signal.kind for signal in signals] == [SignalKind.SESSION]
    assert json.loads(replies[-1])["method"] == "session/prompt"


def test_an_answer_counts_once():
    data = started() * 2 + answered(2, {"sessionId": "s"}) * 2
    assert [json.loads(line)["method"] for line in parse(data)[1]] == ["session/new", "session/prompt"]


@pytest.mark.parametrize(
    ("capabilities", "method"),
    [
        ({"sessionCapabilities": {"resume": {}}, "loadSession": True}, "session/resume"),
        ({"loadSession": True}, "session/load"),
    ],
)
def test_a_session_is_resumed_where_the_agent_can(capabilities, method):
    job = replace(JOB, resume=True, session="ses_1")
    asked = json.loads(parse(started(capabilities=capabilities), job=job)[1][0])
    assert asked["method"] == method
    assert asked["params"]["sessionId"] == "ses_1"
    signals, replies = parse(started(capabilities=capabilities) + answered(asked["id"], {}), job=job)
    assert signals[0].session == "ses_1"
    assert json.loads(replies[-1])["method"] == "session/prompt"
    # one that is gone: the next attempt begins afresh
    lost = parse(started(capabilities=capabilities) + answered(asked["id"], code=-32002, message="Gone"), job=job)
    assert [(signal.kind, signal.reason) for signal in lost[0]] == [(SignalKind.FAILED, "session")]
    assert len(lost[1]) == 1


@pytest.mark.parametrize(("counted", "cost"), [(Usage(cost=0.25), 0.5), (Usage(cost=9.0), 0.0), (None, 0.0)])
def test_of_a_resumed_session_only_new_money_counts(counted, cost):
    job = replace(JOB, resume=True, session="ses_1", counted=counted)
    used = said("usage_update", {"used": 70, "size": 100, "cost": {"amount": 0.75, "currency": "USD"}})
    data = started(capabilities={"loadSession": True}) + answered(LOAD, {}) + used
    seen = Seen()
    seen.add_all(parse(data, job=job)[0])
    assert seen.usage == Usage(input=70, cost=cost)


def test_an_agent_that_only_says_it_can_resume_loads_the_session():
    both = started(capabilities={"sessionCapabilities": {"resume": {}}, "loadSession": True})
    refused = answered(RESUME, code=METHOD_NOT_FOUND, message='"Method not found": session/resume')
    signals, replies = parse(both + refused + answered(LOAD, {}), job=replace(JOB, resume=True, session="ses_1"))
    assert [json.loads(line)["method"] for line in replies] == ["session/resume", "session/load", "session/prompt"]
    assert [signal.session for signal in signals] == ["ses_1"]


def test_an_agent_that_cannot_resume_says_so():
    signals, replies = parse(started(capabilities={}), job=replace(JOB, resume=True, session="ses_1"))
    assert [(signal.kind, signal.reason) for signal in signals] == [(SignalKind.FAILED, "session")]
    assert replies == []


def test_a_history_that_is_replayed_does_not_count():
    data = lines_of("qwen_load").replace(b'"resume":{}', b'"other":{}')
    seen = Seen()
    seen.add_all(parse(data, job=replace(JOB, resume=True))[0])
    assert (seen.tools, seen.turns, seen.last_message) == (1, 2, "done")
    assert seen.usage == Usage(input=240, output=22, cache_read=60)


@pytest.mark.parametrize(
    ("data", "kind", "detail"),
    [
        (answered(1, {"protocolVersion": 2}), EndKind.BAD_REQUEST, "version 2"),
        (answered(1, {}), EndKind.BAD_REQUEST, "initialize"),
        (answered(1, code=-32603, message="Internal error", data="boom"), EndKind.CRASHED, "Internal error: boom"),
        (started() + answered(2, {}), EndKind.BAD_REQUEST, "session/new"),
        (started() + answered(2, code=-32000, message="Choose how to sign in"), EndKind.CREDENTIALS, "sign in"),
        (started() + answered(2, code=-32000, message="Usage limit reached"), EndKind.RATE_LIMIT, "Usage limit"),
        (answered(PROMPT, {"stopReason": "max_tokens"}), EndKind.CONTEXT_OVERFLOW, "max tokens"),
        (answered(PROMPT, {"stopReason": "max_turn_requests"}), EndKind.OUT_OF_TURNS, "max turn requests"),
        (answered(PROMPT, {"stopReason": "refusal"}), EndKind.GAVE_UP, "refusal"),
        (answered(PROMPT, {"stopReason": "cancelled"}), EndKind.KILLED, "cancelled"),
        (answered(PROMPT, {"stopReason": "tired"}), EndKind.CRASHED, "tired"),
        (answered(PROMPT, None), EndKind.CRASHED, ""),
        (answered(PROMPT, {"stopReason": "end_turn"}), EndKind.FINISHED, ""),
        (answered(PROMPT, code=-32603, message="Internal error: status 529"), EndKind.OVERLOADED, "529"),
        (answered(PROMPT, code=1, message="E", data={"details": "402 pay first"}), EndKind.MONEY, "402 pay first"),
    ],
)
def test_every_way_to_end(data, kind, detail):
    seen = Seen()
    seen.add_all(parse(data)[0])
    found = Acp().ending(ExitRecord(code=0), seen, "")
    assert found.kind is kind
    assert detail in found.detail


# ---- permissions and other questions

EDIT = {"toolCallId": "t", "kind": "edit", "locations": [{"path": "/w/a.txt"}]}
AWAY = {"toolCallId": "t", "kind": "edit", "locations": [{"path": "/w/../etc/passwd"}]}
ALL = [{"optionId": kind, "kind": kind} for kind in ("reject_always", "allow_always", "reject_once", "allow_once")]


@pytest.mark.parametrize(
    ("call", "options", "picked"),
    [
        (EDIT, ALL, ("allow_once", True)),
        ({}, ALL, ("allow_once", True)),
        (None, ALL, ("allow_once", True)),
        (EDIT, ALL[:2], ("allow_always", True)),
        (EDIT, ALL[:1], (None, False)),
        (EDIT, [None, {}, {"kind": "allow_once", "optionId": 7}], (None, False)),
        (AWAY, ALL, ("reject_once", False)),
        (AWAY, ALL[:1], ("reject_always", False)),
        (AWAY | {"kind": "read"}, ALL, ("allow_once", True)),
        (AWAY | {"locations": [{"path": "b.txt"}]}, ALL, ("allow_once", True)),
        (AWAY | {"locations": [{"path": "/h/.plans/1.md"}]}, ALL, ("allow_once", True)),
        (AWAY | {"locations": [{"path": "/work"}]}, ALL, ("reject_once", False)),
    ],
)
def test_the_policy(call, options, picked):
    assert choose(call, options, ("/w", "/h")) == picked


def test_a_turn_that_ends_because_of_our_no_was_refused_a_permission():
    asked = {"sessionId": "s", "toolCall": AWAY, "options": ALL}
    data = json.dumps({"id": 7, "method": "session/request_permission", "params": asked}).encode() + b"\n"
    seen = Seen()
    signals, replies = parse(data + answered(PROMPT, {"stopReason": "cancelled"}))
    seen.add_all(signals)
    assert json.loads(replies[0])["result"]["outcome"]["optionId"] == "reject_once"
    assert Acp().ending(ExitRecord(code=0), seen, "").kind is EndKind.PERMISSION


def test_without_a_wall_of_ours_codex_stays_in_its_own():
    """It works in its sandbox, and what it asks for is to leave that."""
    job = replace(JOB, contained=False)
    sent = [json.loads(line) for line in parse(lines_of("codex_permission"), job=job)[1]]
    assert sent[1]["params"]["modeId"] == "workspace-write"
    assert sent[3]["result"]["outcome"]["optionId"] == "cancel"
    assert [json.loads(line)["params"]["modeId"] for line in parse(lines_of("qwen"), job=job)[1][1:2]] == ["yolo"]


def test_every_question_gets_an_answer():
    asked = [{"id": 1, "method": "fs/read_text_file"}, {"id": None, "method": "x"}, {"id": "a", "method": 5}]
    asked.append({"id": 9, "method": "session/request_permission", "params": {"toolCall": "?", "options": "?"}})
    replies = parse(b"".join(json.dumps(one).encode() + b"\n" for one in asked))[1]
    found = [json.loads(line) for line in replies]
    assert [one["id"] for one in found] == [1, None, "a", 9]
    assert [one["error"]["code"] for one in found[:3]] == [-32601] * 3
    assert found[3]["result"] == {"outcome": {"outcome": "cancelled"}}


# ---- a person's messages


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("OpenCode", "session/prompt"),
        ("@agentclientprotocol/claude-agent-acp", "session/prompt"),
        ("@agentclientprotocol/codex-acp", "_session/steering"),
        ("qwen-code", None),
        ("anything", None),
    ],
)
def test_a_message_goes_to_agents_that_take_one(name, method):
    parser = AcpParser(JOB)
    parser.feed(started(name))
    assert parser.message("too early") is None
    parser.feed(answered(2, {"sessionId": "s"}))
    line = parser.message("Stop\nthat  now")
    if method is None:
        assert line is None
        return
    sent = json.loads(line)
    assert line.count("\n") == 1
    assert (sent["id"], sent["method"]) == (FIRST_MESSAGE, method)
    assert sent["params"]["prompt"][0]["text"] == "Stop\nthat  now"
    assert json.loads(parser.message("And that"))["id"] == FIRST_MESSAGE + 1
    for number in (FIRST_MESSAGE, FIRST_MESSAGE + 1, PROMPT):
        parser.feed(answered(number, {"stopReason": "end_turn"}))
    assert parser.message("too late") is None


@pytest.mark.parametrize("name", ["claude_steer", "opencode_steer"])
def test_the_turn_ends_with_the_last_answer(name):
    """A parser of another engine's learns from the input that a message went out."""
    parser, seen = AcpParser(JOB, [MESSAGE]), Seen()
    answers: list[str | None] = []
    for line in lines_of(name).splitlines(keepends=True):
        seen.add_all(parser.feed(line))
        if b'"stopReason"' in line:
            answers.append(seen.finished)
    assert answers == [None, "done"]
    assert seen.usage.cost > 0


def test_the_next_message_after_an_adoption_has_an_id_of_its_own():
    parser = AcpParser(JOB, ["{", "[]", "7", MESSAGE])
    parser.feed(started("OpenCode") + answered(2, {"sessionId": "s"}))
    assert json.loads(parser.message("More"))["id"] == FIRST_MESSAGE + 1


def test_a_message_that_was_not_taken_is_said_and_ends_nothing():
    failed = answered(FIRST_MESSAGE, code=-32603, message="busy")
    signals, _ = parse(failed + answered(PROMPT, {"stopReason": "end_turn"}), sent=(MESSAGE,))
    assert [(s.kind, s.ok) for s in signals] == [(SignalKind.MESSAGE, False), (SignalKind.FINISHED, True)]
    assert "busy" in signals[0].text


def test_an_error_in_the_last_open_turn_ends_the_work():
    data = answered(PROMPT, {"stopReason": "end_turn"}) + answered(FIRST_MESSAGE, code=-32603, message="429 slow down")
    signals, _ = parse(data, sent=(MESSAGE,))
    assert [(s.kind, s.status) for s in signals] == [(SignalKind.FAILED, 429)]


def test_nothing_comes_after_a_failure():
    data = answered(PROMPT, code=-32603, message="E") + answered(FIRST_MESSAGE, {"stopReason": "end_turn"})
    assert [signal.kind for signal in parse(data, sent=(MESSAGE,))[0]] == [SignalKind.FAILED]


# ---- the launch


@pytest.mark.parametrize(
    ("command", "known"),
    [
        ("qwen --acp", "qwencode"),
        ("/opt/bin/opencode acp --pure", "opencode"),
        ("npx -y @agentclientprotocol/claude-agent-acp@0.49.0", "claude"),
        ("node /opt/node_modules/@agentclientprotocol/codex-acp/dist/index.js", "codex"),
        ("/home/qwen/bin/agent", None),
        ("gemini --experimental-acp", None),
    ],
)
def test_programs_that_a_backend_knows(command, known):
    assert known_in(tuple(command.split())) == known


def test_a_known_program_gets_what_its_backend_prepares():
    role = RoleSettings(
        backend="acp", command="claude-agent-acp --x 'a b'", api_key="k", base_url="http://h", model="m"
    )
    launch = Acp().launch(replace(JOB, settings=role))
    assert launch.argv == ("claude-agent-acp", "--x", "a b")
    assert launch.env["ANTHROPIC_API_KEY"] == "k"
    assert launch.env["CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC"] == "1"
    assert launch.stop_signals[0][0] == "SIGINT"
    assert json.loads(launch.stdin)["method"] == "initialize"
    assert json.loads(launch.stdin)["params"]["clientCapabilities"]["fs"] == {
        "readTextFile": False,
        "writeTextFile": False,
    }
    assert launch.stdin_open


@pytest.mark.parametrize(
    ("protocol", "names"),
    [
        ("openai", {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "http://h/v1", "OPENAI_MODEL": "m"}),
        ("anthropic", {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": "http://h/v1", "ANTHROPIC_MODEL": "m"}),
    ],
)
def test_any_other_program_gets_the_role_in_well_known_variables(protocol, names):
    role = RoleSettings(backend="acp", command="~/agent", api_key="k", base_url="http://h/v1", model="m")
    role = replace(role, protocol=protocol, env={"EXTRA": "1"})
    launch = Acp().launch(replace(JOB, settings=role))
    assert launch.argv == (str(Path.home() / "agent"),)
    assert launch.env == {**names, "AURA_MODEL": "m", "HOME": "/h", "TMPDIR": "/h/tmp", "EXTRA": "1"}
    found = Acp().launch(replace(JOB, settings=replace(role, program="/found/agent")))
    assert found.argv == ("/found/agent",)


@pytest.mark.parametrize("command", ["", "   ", "agent 'half"])
def test_a_command_line_that_is_none(command):
    with pytest.raises(ConfigError) as raised:
        Acp().launch(replace(JOB, settings=RoleSettings(backend="acp", command=command)))
    assert "ACP_COMMAND" in raised.value.cure
