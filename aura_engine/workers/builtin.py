"""Backend `builtin`: Aura's own agent (agent.py), for which nothing has to be installed but Python."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aura_engine.core.model import Ending, EndKind, ExitRecord, LaunchSpec, Signal, SignalKind, Usage
from aura_engine.core.sentence import spoken
from aura_engine.workers.base import GRACE, Job, RoleSettings, Seen
from aura_engine.workers.endings import ending_of
from aura_engine.workers.stream import LineParser, count_of, status_of, table_of, text_of

AGENT = Path(__file__).with_name("agent.py")
REASONS = {kind.value: kind for kind in EndKind}


class Builtin:
    """See Backend. A session cannot be resumed: the next attempt begins anew with its hand-over note."""

    name = "builtin"
    program = None
    install_hint = ""
    verified = ""
    stdin_open = False
    resumes = False
    grace = GRACE

    def login(self, environ: Mapping[str, str]) -> None:
        """See Backend."""
        return

    def launch(self, job: Job) -> LaunchSpec:
        """See Backend."""
        role = job.settings
        env = {
            "HOME": str(job.home),
            "TMPDIR": str(job.home / "tmp"),
            "AURA_AGENT_API": protocol_of(role),
            "AURA_AGENT_BASE_URL": role.base_url,
            "AURA_AGENT_KEY": role.api_key,
            "AURA_AGENT_MODEL": role.model,
            "AURA_AGENT_SESSION": job.session,
            "AURA_AGENT_MAX_TURNS": str(job.max_turns),
            "AURA_AGENT_BUDGET_SECONDS": f"{job.budget:.0f}",
        }
        return LaunchSpec(
            argv=(role.program or sys.executable, "-I", "-S", str(AGENT)),
            env={name: value for name, value in env.items() if value} | dict(role.env),
            cwd=str(job.workspace),
            stdin=job.prompt,
            stop_signals=(("SIGTERM", 2.0),),
        )

    def parser(self, job: Job) -> BuiltinParser:
        """See Backend."""
        return BuiltinParser()

    def ending(self, exit: ExitRecord, seen: Seen, stderr_tail: str) -> Ending:
        """See Backend."""
        return ending_of(exit, seen, stderr_tail, REASONS)


def protocol_of(role: RoleSettings) -> str:
    """`anthropic` or `openai`: as set, else by the address, else by the model's name."""
    if role.protocol:
        return role.protocol
    if role.base_url:
        return "anthropic" if "anthropic" in role.base_url.lower() else "openai"
    return "openai" if role.model.lower().startswith(("gpt", "o1", "o3", "o4", "deepseek", "qwen")) else "anthropic"


class BuiltinParser(LineParser):
    """The agent's events."""

    def __init__(self) -> None:
        super().__init__()
        self._error: dict[str, Any] = {}
        self._calls = 0

    def read(self, event: dict[str, Any]) -> Iterable[Signal]:
        """See LineParser."""
        match event["event"]:
            case "start":
                yield Signal(kind=SignalKind.SESSION, session=text_of(event["session"]), text=text_of(event["model"]))
            case "message":
                yield Signal(kind=SignalKind.MESSAGE, text=text_of(event["text"]))
            case "tool":
                yield Signal(kind=SignalKind.TOOL, tool=text_of(event["name"]), text=text_of(event["input"]))
            case "tool_result":
                yield Signal(kind=SignalKind.TOOL_RESULT, text=text_of(event["text"], tail=True), ok=bool(event["ok"]))
            case "usage":
                yield self._usage(event)
            case "retry":
                text = f"{spoken(text_of(event.get('message')))}; next in {float(event['delay']):.1f} s"
                yield Signal(kind=SignalKind.RETRY, status=status_of(event.get("status")), text=text_of(text))
            case "error":
                self._error = event
            case "result":
                yield self._result(event)
            case other:
                yield Signal(kind=SignalKind.UNKNOWN, text=text_of(other))

    def _usage(self, event: dict[str, Any]) -> Signal:
        told = table_of(event)
        usage = Usage(**{name: count_of(told.get(name)) for name in ("input", "output", "cache_read", "cache_write")})
        self._calls = count_of(event.get("turns"))
        return Signal(kind=SignalKind.USAGE, usage=usage, turns=self._calls)

    def _result(self, event: dict[str, Any]) -> Signal:
        status, summary = event["status"], text_of(event.get("summary"))
        if status == "finished":
            return Signal(kind=SignalKind.FINISHED, text=summary)
        return Signal(
            kind=SignalKind.FAILED,
            text=text_of(self._error.get("message")) or summary or text_of(status),
            reason=text_of(self._error.get("kind") or status),
            status=status_of(self._error.get("status")),
        )
