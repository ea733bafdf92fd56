"""What the tests of backend `acp` share: captured output of four real agents, and lines as an agent writes them."""

from __future__ import annotations

import json
from pathlib import Path

from aura_engine.core.model import Ending, ExitRecord, Signal
from aura_engine.workers.acp import Acp
from aura_engine.workers.acp_lines import FIRST_MESSAGE
from aura_engine.workers.acp_session import AcpParser
from aura_engine.workers.base import Job, RoleSettings, Seen

DATA = Path(__file__).with_name("data")
CAPTURES = sorted(path.stem.removeprefix("acp_") for path in DATA.glob("acp_*.jsonl"))
JOB = Job(
    prompt="Do it.",
    workspace=Path("/w"),
    home=Path("/h"),
    folder=Path("/nowhere"),
    settings=RoleSettings(backend="acp", command="agent --acp"),
    session="11111111-2222-4333-8444-555555555555",
    max_turns=50,
    budget=600.0,
)
MESSAGE = json.dumps({"id": FIRST_MESSAGE, "method": "session/prompt"})


def lines_of(name: str) -> bytes:
    return (DATA / f"acp_{name}.jsonl").read_bytes()


def parse(data: bytes, *, step: int = 0, job: Job = JOB, sent: tuple[str, ...] = ()) -> tuple[list[Signal], list[str]]:
    """The signals and replies to an output, fed in pieces of `step` bytes."""
    parser = AcpParser(job, sent)
    signals: list[Signal] = []
    replies: list[str] = []
    step = step or len(data) or 1
    for at in range(0, len(data), step):
        signals += parser.feed(data[at : at + step])
        replies += parser.replies()
    return signals + parser.close(), replies


def seen_in(name: str, **more: object) -> Seen:
    seen = Seen()
    seen.add_all(parse(lines_of(name), **more)[0])
    return seen


def ending(name: str, **more: object) -> Ending:
    return Acp().ending(ExitRecord(code=0), seen_in(name, **more), "")


def said(kind: str, update: dict[str, object], **top: object) -> bytes:
    params = {"sessionId": "s", "update": {"sessionUpdate": kind, **update}}
    return json.dumps({"jsonrpc": "2.0", "method": "session/update", "params": params, **top}).encode() + b"\n"


def answered(number: object, result: object = None, **error: object) -> bytes:
    body = {"error": error} if error else {"result": result}
    return json.dumps({"jsonrpc": "2.0", "id": number, **body}).encode() + b"\n"


def started(name: str = "fake", capabilities: dict[str, object] | None = None) -> bytes:
    info = {"agentInfo": {"name": name, "version": "1"}, "agentCapabilities": capabilities or {}}
    return answered(1, {"protocolVersion": 1, **info})
