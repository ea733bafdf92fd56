"""Feeds broken input to everything that reads what strangers wrote: `python tests/survival/fuzz.py [--seconds 60]`.

Each target takes bytes and raises only when a promise is broken. Inputs are mutations of real ones (worker streams as
captured, the manual's blocks, frames as the engine writes them), seeded: a failure names the seed that shows it again.
No archive is read anywhere, so none is fuzzed; a page of the web stands in their place.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from aura_engine.control.protocol import Frames, ProtocolError, hello_problem, line
from aura_engine.core.backends import BACKENDS
from aura_engine.core.commands import Command, refusal
from aura_engine.core.redaction import Redactor
from aura_engine.core.state import RunState
from aura_engine.core.text import MAX_LINE, clean, one_line
from aura_engine.errors import GoalError
from aura_engine.goal.blocks import parse_goal
from aura_engine.goal.read import read_goal
from aura_engine.planner import tools
from aura_engine.planner.draft import Draft, Refused
from aura_engine.planner.page import text_of
from aura_engine.planner.providers.stream import finished_call
from aura_engine.report.steps import steps_of
from aura_engine.workers.parsers import parser_maker

HERE = Path(__file__).parent
DATA = HERE.parent / "workers" / "data"
TOKENS = (
    *(
        b"\x1b]52;c;aGk=\x07",
        b"\x1b[2J",
        b"\x9b31m",
        b"\x1bP1;2q\x1b\\",
        b"\xe2\x80\xae",
        b"\xf3\xa0\x81\x81",
        b"\r",
        b"\0",
    ),
    *(
        b"[/red]",
        b"[@click=app.quit]",
        b"\xff\xfe",
        b"\xc3",
        b"\xed\xa0\x80",
        b"\xcc\x81" * 40,
        b'{"',
        b"}}}}",
        b"[" * 3000,
    ),
    *(
        b"NaN",
        b"-1e999",
        b"1" * 400,
        b"null",
        b'"\\ud800"',
        b"\n",
        b"```check\n",
        b"'''",
        b"../../etc/passwd",
        b"A" * 70_000,
    ),
)
"""Pieces that have broken programs of this kind: escape sequences, half characters, markup, numbers out of range."""
FOREIGN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]")
"""What may reach no terminal (RELIABILITY, text to terminal)."""
_COMMAND: TypeAdapter[Command] = TypeAdapter(Command)


def mutated(corpus: list[bytes], chance: random.Random) -> bytes:
    """One of the corpus, changed in one to six places."""
    data = bytearray(chance.choice(corpus))
    for _ in range(chance.randint(1, 6)):
        at = chance.randint(0, len(data))
        match chance.randint(0, 6):
            case 0 if data:
                data[at % len(data)] ^= 1 << chance.randint(0, 7)
            case 1:
                del data[at : at + chance.choice((1, 2, 16, 400))]
            case 2:
                del data[at:]
            case 3:
                data[at:at] = chance.choice(TOKENS)
            case 4:
                other = chance.choice(corpus)
                begin = chance.randint(0, len(other))
                data[at:at] = other[begin : begin + chance.choice((8, 64, 1000))]
            case 5:
                data[at:at] = data[at : at + chance.choice((8, 64, 1000))]
            case _:
                data[at:at] = chance.randbytes(chance.choice((1, 4, 32)))
    return bytes(data[: 4 << 20])


def chunks(data: bytes, chance: random.Random) -> list[bytes]:
    """The same in pieces as a pipe might give them."""
    size = chance.choice((1, 7, 100, 4096, 1 << 20))
    size = max(size, len(data) // 2000)
    return [data[at : at + size] for at in range(0, len(data), size)]


def terminal_text(data: bytes, chance: random.Random) -> None:
    """Nothing foreign comes out of the sanitiser, and it changes nothing that it has made."""
    text = data.decode(errors=chance.choice(("replace", "surrogateescape")))
    shown = clean(text)
    assert not FOREIGN.search(shown), FOREIGN.search(shown)
    assert all(len(each) <= MAX_LINE for each in shown.split("\n"))
    assert clean(shown) == shown
    flat = one_line(text, 80)
    assert len(flat) <= 80
    assert "\n" not in flat


def secrets(data: bytes, chance: random.Random) -> None:
    """A key does not come through, wherever it stands and however the text around it is broken."""
    key = f"canary-{chance.getrandbits(64):016x}"
    text = data.decode(errors="replace")
    at = chance.randint(0, len(text))
    hidden = Redactor([key])(text[:at] + key + text[at:])
    assert key not in hidden
    assert Redactor([key])(hidden) == hidden


def worker_stream(data: bytes, chance: random.Random) -> None:
    """No parser raises, tells of negative or endless usage, or makes text of no bound; its steps can be shown."""
    parser = parser_maker(chance.choice(sorted(BACKENDS)))()
    assert parser is not None
    for piece in chunks(data, chance):
        for said in parser.feed(piece):
            assert len(said.text) <= 1 << 20
            assert said.usage is None or (said.usage.tokens >= 0 and 0 <= said.usage.cost < 1e9)
            for step in steps_of([said]):
                assert step is not None
        assert all(len(reply) <= 1 << 20 for reply in parser.replies())
    parser.close()


def model_reply(data: bytes, chance: random.Random) -> None:
    """A tool call is read whole or refused, and a refused one has changed nothing of the draft."""
    name = chance.choice(sorted(tools.TOOLS))
    call = finished_call("1", name, data.decode(errors="replace"))
    if call.error:
        return
    draft = Draft(RunState())
    try:
        arguments = tools.parse(name, call.arguments)
        if isinstance(arguments, tools.SetBrief):
            draft.set_brief(arguments)
        elif isinstance(arguments, tools.AddTasks):
            draft.add_tasks(arguments)
        elif isinstance(arguments, tools.AddGoalCheck):
            draft.add_goal_check(arguments)
    except (Refused, ValueError):
        assert draft.event("x", 1, told=True) is None
        return
    assert all(re.fullmatch(r"[A-Z]+\d+(\.\d+)*", task_id) for task_id in draft.add)


def task_file(data: bytes, chance: random.Random) -> None:
    """A goal or a refusal that names what is wrong."""
    path = _scratch() / "task.md"
    path.write_bytes(data)
    try:
        goal = parse_goal(read_goal(path))
    except GoalError as error:
        refused = error
    else:
        assert all(check.person for check in goal.checks)
        return
    assert str(refused)
    assert refused.cure


def socket_frames(data: bytes, chance: random.Random) -> None:
    """Whole messages or a refusal; a command out of one is valid or refused."""
    reader = Frames(pieces=chance.random() < 0.5)
    try:
        for piece in chunks(data, chance):
            for message in reader.feed(piece):
                hello_problem(message, theirs="1.0")
                try:
                    refusal(RunState(), _COMMAND.validate_python(message.get("command")))
                except ValidationError:
                    continue
    except ProtocolError:
        return


def web_page(data: bytes, chance: random.Random) -> None:
    """Text of any page, without end or error."""
    assert isinstance(text_of(data.decode(errors="replace")), str)


@cache
def _scratch() -> Path:
    return Path(tempfile.mkdtemp(prefix="aura-fuzz-"))


@cache
def streams() -> list[bytes]:
    """Real output of every backend."""
    return [path.read_bytes()[: 1 << 18] for path in sorted(DATA.rglob("*.jsonl"))]


@cache
def calls() -> list[bytes]:
    """Tool calls as a planner sends them."""
    check = {"name": "c", "run": "true"}
    task = {"key": "a", "title": "A", "checks": [check], "needs": ["b"], "tasks": [{"key": "b", "title": "B"}]}
    brief = {"final_goal": "x", "success_criteria": [{"text": "t", "checks": [check]}], "prepare": {"run": "true"}}
    return [json.dumps(each).encode() for each in ({"tasks": [task]}, brief, {"check": check}, {"id": "A1"})]


@cache
def goals() -> list[bytes]:
    """Task files: the manual's, and a plain one."""
    page = (HERE.parents[1] / "README.md").read_bytes()
    block = b'# Goal\n\n```check\nname = "a"\nrun = "true"\nmin_tests = 2\nreport = "junit"\n```\n'
    return [
        block,
        page,
        b"# Goal\n\n```prepare\nrun = 'x'\nshare = ['data/']\n```\n" + block,
        b"\xef\xbb\xbf# Goal\r\n",
    ]


@cache
def talks() -> list[bytes]:
    """Conversations over the socket."""
    asks = [
        {"type": "hello", "protocol": 1, "role": "control"},
        {"type": "ask", "id": 1, "command": {"kind": "kill", "task": "A1"}},
    ]
    return [b"".join(line(each) for each in asks), line({"type": "piece", "text": "x", "last": True})]


@cache
def pages() -> list[bytes]:
    """Of the web."""
    return [
        b"<html><head><title>T</title><script>x()</script></head><body><p>Hi <b>you</b><br>&amp;&#x1b;</body></html>"
    ]


@dataclass(frozen=True)
class Target:
    """What is fed, with what."""

    eat: Callable[[bytes, random.Random], None]
    corpus: Callable[[], list[bytes]]


TARGETS = {
    "terminal": Target(terminal_text, streams),
    "secrets": Target(secrets, streams),
    "workers": Target(worker_stream, streams),
    "replies": Target(model_reply, calls),
    "task.md": Target(task_file, goals),
    "frames": Target(socket_frames, talks),
    "pages": Target(web_page, pages),
}


@dataclass
class Found:
    """What became of one target."""

    inputs: int = 0
    failures: list[str] = field(default_factory=list)


def one(name: str, seed: int) -> None:
    """Feed a target the input of a seed."""
    chance = random.Random(f"{name}-{seed}")
    target = TARGETS[name]
    target.eat(mutated(target.corpus(), chance), chance)


def campaign(seconds: float, names: list[str], first: int = 0, most: int = 1 << 60) -> dict[str, Found]:
    """As many inputs as there is time for, the targets sharing it; at most ten failures of each."""
    found = {name: Found() for name in names}
    for name, result in found.items():
        until, seed = time.monotonic() + seconds / len(names), first
        while time.monotonic() < until and len(result.failures) < 10 and result.inputs < most:
            try:
                one(name, seed)
            except Exception as error:  # whatever it is, it should not have been
                result.failures.append(f"seed {seed}: {type(error).__name__}: {error}"[:300])
            seed += 1
            result.inputs += 1
    return found


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="for all targets together")
    parser.add_argument("--target", choices=sorted(TARGETS), action="append")
    parser.add_argument("--seed", type=int, default=0, help="the first one")
    chosen = parser.parse_args()
    found = campaign(chosen.seconds, chosen.target or list(TARGETS), chosen.seed)
    print(json.dumps({name: vars(result) for name, result in found.items()}, indent=2))
    sys.exit(1 if any(result.failures for result in found.values()) else 0)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONHASHSEED", "0")
    main()
