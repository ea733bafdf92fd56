"""What real programs printed, how they exited, and the ending that this was: (name, exit, kind) by backend.

An exit is a status, or a signal as a negative number. The captures lie in tests/workers/data and in data; what a
program said on stderr lies beside its stdout.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aura_engine.core.model import EndKind
from aura_engine.workers.base import Job, RoleSettings

HERE = Path(__file__).parent / "data"
THERE = Path(__file__).parents[1] / "workers" / "data"
PREFIX = {"claude": "claude/", "codex": "codex_", "qwencode": "qwen_", "opencode": "opencode_", "acp": "acp_"}
"""How the files of each backend are called in tests/workers/data."""
K = EndKind


@dataclass(frozen=True)
class Capture:
    """One run of a real program."""

    backend: str
    name: str
    exit: int
    kind: EndKind

    @property
    def id(self) -> str:
        return f"{self.backend}-{self.name}"

    def _read(self, suffix: str) -> bytes:
        own = HERE / self.backend / f"{self.name}{suffix}"
        other = THERE / f"{PREFIX[self.backend]}{self.name}{suffix}"
        return next((path.read_bytes() for path in (own, other) if path.exists()), b"")

    @property
    def stdout(self) -> bytes:
        return self._read(".jsonl")

    @property
    def stderr(self) -> str:
        return self._read(".stderr").decode()


def _all(backend: str, kind: EndKind, exit: int, names: str) -> list[Capture]:
    return [Capture(backend, name, exit, kind) for name in names.split()]


CAPTURES = [
    *_all("claude", K.FINISHED, 0, "ok write text failtool partial default_perm acceptEdits_root bare nonroot"),
    *_all("claude", K.FINISHED, 0, "streamin"),
    *_all("claude", K.CREDENTIALS, 1, "e401_r2 e401_hdr e403 noauth"),
    *_all("claude", K.BAD_REQUEST, 1, "e400 e404"),
    *_all("claude", K.OVERLOADED, 1, "e529_r2 streamerr"),
    *_all("claude", K.UNREACHABLE, 1, "unreachable_r2 api_timeout"),
    *_all("claude", K.CONTEXT_OVERFLOW, 1, "ctx"),
    *_all("claude", K.OUT_OF_TURNS, 1, "maxturns"),
    *_all("claude", K.OUT_OF_TIME, 1, "budget"),
    *_all("claude", K.PERMISSION, 1, "root_nosandbox"),
    *_all("claude", K.CRASHED, 0, "sigint"),
    *_all("claude", K.KILLED, 143, "sigterm sigterm_tool sigterm_group"),
    *_all("claude", K.KILLED, -9, "e401 e429 unreachable"),
    *_all("codex", K.FINISHED, 0, "ok write text failtool items res2 sandbox_ww nonroot cflag"),
    *_all("codex", K.CREDENTIALS, 1, "e401 e403 noauth"),
    *_all("codex", K.MONEY, 1, "e402 quota"),
    *_all("codex", K.BAD_REQUEST, 1, "e400 e404"),
    *_all("codex", K.RATE_LIMIT, 1, "e429 e429ra"),
    *_all("codex", K.OVERLOADED, 1, "e500 e500_noretry"),
    *_all("codex", K.UNREACHABLE, 1, "streamerr cut refused"),
    *_all("codex", K.CONTEXT_OVERFLOW, 1, "ctx maxtok"),
    *_all("codex", K.GAVE_UP, 1, "refusal"),
    *_all("codex", K.CRASHED, 1, "sigint"),
    *_all("codex", K.KILLED, -15, "sigterm sigterm_tool sigterm_group_tool"),
    *_all("codex", K.KILLED, -9, "unreachable unreachable_noretry"),
    *_all("qwencode", K.FINISHED, 0, "ok write text failtool partial default_perm bare inter_shell nomem"),
    *_all("qwencode", K.FINISHED, 0, "anthropic subagent subagent_failed res2"),
    *_all("qwencode", K.CREDENTIALS, 0, "e401 e403 anthropic_401"),
    *_all("qwencode", K.CREDENTIALS, 1, "noauth"),
    *_all("qwencode", K.MONEY, 0, "e402"),
    *_all("qwencode", K.BAD_REQUEST, 0, "e400 e404"),
    *_all("qwencode", K.BAD_REQUEST, 1, "res_bad2"),
    *_all("qwencode", K.RATE_LIMIT, 0, "e429"),
    *_all("qwencode", K.OVERLOADED, 0, "e500"),
    *_all("qwencode", K.UNREACHABLE, 0, "timeout unreachable cut"),
    *_all("qwencode", K.CONTEXT_OVERFLOW, 0, "ctx"),
    *_all("qwencode", K.OUT_OF_TURNS, 53, "maxturns"),
    *_all("qwencode", K.CRASHED, 0, "streamerr"),
    *_all("qwencode", K.KILLED, 130, "sigterm sigterm_tool sigint_tool nr_sigterm nr_sigterm_group"),
    *_all("qwencode", K.KILLED, -9, "retry0 e429_killed"),
    *_all("qwencode", K.KILLED, -2, "sigint"),
    *_all("opencode", K.FINISHED, 0, "ok write text failtool res2 anthropic compact sigterm_tool ask_auto nonroot"),
    *_all("opencode", K.CREDENTIALS, 1, "e401 e403 e401_pure"),
    *_all("opencode", K.MONEY, 1, "e402"),
    *_all("opencode", K.BAD_REQUEST, 1, "e400 e404"),
    *_all("opencode", K.RATE_LIMIT, 1, "e429"),
    *_all("opencode", K.OVERLOADED, 1, "e500"),
    *_all("opencode", K.CONTEXT_OVERFLOW, 1, "ctx"),
    *_all("opencode", K.PERMISSION, 0, "rejected ask_noauto"),
    *_all("opencode", K.CRASHED, 1, "file"),
    *_all("opencode", K.UNREACHABLE, -9, "cut"),
    *_all("opencode", K.KILLED, -15, "sigterm_tool_group"),
    *_all("opencode", K.KILLED, -9, "streamerr maxsteps"),
    *_all("acp", K.FINISHED, 0, "claude codex codex_permission codex_steer opencode opencode_plan opencode_reject"),
    *_all("acp", K.FINISHED, 0, "qwen qwen_blocked qwen_plan"),
    *_all("acp", K.CREDENTIALS, 0, "qwen_401"),
    *_all("acp", K.CONTEXT_OVERFLOW, 0, "opencode_context"),
    *_all("acp", K.GAVE_UP, 0, "opencode_refusal"),
    *_all("acp", K.UNREACHABLE, 0, "qwen_cut"),
    *_all("acp", K.CRASHED, 0, "opencode_401"),  # of the refusal it says neither status nor words
    *_all("acp", K.KILLED, 0, "claude_cancel codex_cancel qwen_cancel"),
]


def a_job(backend: str) -> Job:
    """An attempt that no process belongs to."""
    return Job(
        prompt="Do it.",
        workspace=Path("/w"),
        home=Path("/h"),
        folder=Path("/nowhere"),
        settings=RoleSettings(backend, command="agent --acp"),
        session="11111111-2222-4333-8444-555555555555",
        max_turns=50,
        budget=600.0,
    )
