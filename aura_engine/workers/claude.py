"""Backend `claude`: Claude Code, headless, with JSON lines both ways."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from aura_engine.core.model import Ending, EndKind, ExitRecord, LaunchSpec, Signal, SignalKind, Usage
from aura_engine.workers.base import GRACE, Job, Login, Seen
from aura_engine.workers.endings import ending_of
from aura_engine.workers.stream import LineParser, cost_of, count_of, list_of, status_of, table_of, text_of

REASONS = {
    "max_turns": EndKind.OUT_OF_TURNS,
    "error_max_turns": EndKind.OUT_OF_TURNS,
    "error_max_budget_usd": EndKind.OUT_OF_TIME,
    "prompt_too_long": EndKind.CONTEXT_OVERFLOW,
    "aborted_tools": EndKind.KILLED,
    "aborted_streaming": EndKind.KILLED,
    "authentication_failed": EndKind.CREDENTIALS,
    "billing_error": EndKind.MONEY,
    "model_not_found": EndKind.BAD_REQUEST,
}
TOKEN = "CLAUDE_CODE_OAUTH_TOKEN"
QUIET = frozenset({"stream_event", "control_response", "control_request", "control_cancel_request", "rate_limit_event"})
"""Events that say nothing Aura needs."""
MAX_RETRIES = 4
"""Of one model call by the program itself; its default of 10 keeps silent for minutes."""
API_TIMEOUT_MS = 300_000
KEYLESS_SHELL = {"BASH_ENV": "/dev/null${HOME:ANTHROPIC_API_KEY=0:0}", "SHLVL": "1"}
"""Each bash that a tool starts overwrites the key as it expands BASH_ENV (at SHLVL 0, with a socket as its input, it
would take itself for a remote shell and not look there): a build that prints its environment would else put the key
into the kept output. No containment: who wants to can still read it from the program's own process. Claude's own
scrubbing, CLAUDE_CODE_SUBPROCESS_ENV_SCRUB, also takes the permission to work unattended away."""


class Claude:
    """See Backend."""

    name = "claude"
    program = "claude"
    install_hint = "Install it with: npm install -g @anthropic-ai/claude-code"
    verified = "2.1.197"
    stdin_open = True
    resumes = True
    grace = GRACE

    def login(self, environ: Mapping[str, str]) -> Login | None:
        """See Backend: the token that `claude setup-token` prints. Its credential file rotates: never shared."""
        token = environ.get(TOKEN, "")
        return Login(f"the login in {TOKEN}", env={TOKEN: token}) if token else None

    def launch(self, job: Job) -> LaunchSpec:
        """See Backend. No setting of the person's is read: its HOME and its configuration folder are its own."""
        role = job.settings
        env = {
            "HOME": str(job.home),
            "TMPDIR": str(job.home / "tmp"),
            "CLAUDE_CONFIG_DIR": str(job.home / ".claude"),
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "DISABLE_TELEMETRY": "1",
            "DISABLE_ERROR_REPORTING": "1",
            "CLAUDE_CODE_MAX_RETRIES": str(MAX_RETRIES),
            "API_TIMEOUT_MS": str(API_TIMEOUT_MS),
            **KEYLESS_SHELL,
            "IS_SANDBOX": "1",  # else it refuses to work unattended as root
        }
        named = {"ANTHROPIC_BASE_URL": role.base_url, "ANTHROPIC_API_KEY": role.api_key, "ANTHROPIC_MODEL": role.model}
        env |= {name: value for name, value in named.items() if value} | dict(role.env)
        if role.login and not role.api_key:
            env |= role.login.env
        argv = (
            *(role.program or self.program, "-p", "--verbose"),
            *("--input-format", "stream-json", "--output-format", "stream-json", "--replay-user-messages"),
            *("--permission-mode", "bypassPermissions"),
            *("--resume" if job.resume else "--session-id", job.session),
            *("--max-turns", str(job.max_turns)),
        )
        return LaunchSpec(
            argv=argv,
            env=env,
            cwd=str(job.workspace),
            stdin=_message(job.prompt),
            stdin_open=True,
            # On SIGINT it ends its running tool; SIGTERM leaves that alive for the sweep.
            stop_signals=(("SIGINT", 3.0), ("SIGTERM", 2.0)),
        )

    def parser(self, job: Job) -> ClaudeParser:
        """See Backend."""
        return ClaudeParser()

    def ending(self, exit: ExitRecord, seen: Seen, stderr_tail: str) -> Ending:
        """See Backend."""
        return ending_of(exit, seen, stderr_tail, REASONS)


class ClaudeParser(LineParser):
    """Its stream-json. The running usage counts each message once: its output tokens are only known at a turn's end."""

    def __init__(self) -> None:
        super().__init__()
        self._past = Usage()
        self._turn: dict[str, Usage] = {}
        self._calls = 0
        self._error = ""

    def message(self, text: str) -> str | None:
        """See StreamParser: injected into the running turn at its next model call."""
        return _message(text)

    def read(self, event: dict[str, Any]) -> Iterable[Signal]:
        """See LineParser."""
        match event["type"], event.get("subtype"):
            case "system", "init":
                yield Signal(
                    kind=SignalKind.SESSION, session=text_of(event["session_id"]), text=text_of(event["model"])
                )
            case "system", "api_retry":
                seconds = count_of(event.get("retry_delay_ms")) / 1000
                text = f"try {event.get('attempt')} of {event.get('max_retries')} failed ({event.get('error')})"
                status = status_of(event.get("error_status"))
                yield Signal(kind=SignalKind.RETRY, status=status, text=text_of(f"{text}; next in {seconds:.1f} s"))
            case "system", _:
                return
            case "assistant", _:
                yield from self._assistant(event, event["message"])
            case "user", _:
                yield from _results(event)
            case "result", _:
                yield from self._result(event)
            case kind, _ if kind not in QUIET:
                yield Signal(kind=SignalKind.UNKNOWN, text=text_of(kind))
            case _:
                return

    def _assistant(self, event: dict[str, Any], message: dict[str, Any]) -> Iterator[Signal]:
        if event.get("error"):
            self._error = text_of(event["error"])
        elif message["id"] not in self._turn:
            self._turn[message["id"]] = _usage(message.get("usage"))
            self._calls += not event.get("parent_tool_use_id")  # a sub-agent's calls are not turns
            yield Signal(kind=SignalKind.USAGE, usage=self._total(), turns=self._calls)
        for block in map(table_of, list_of(message["content"])):
            if block.get("type") == "text":
                text = text_of(block["text"])
                yield Signal(kind=SignalKind.MESSAGE, text=text, ok=not event.get("error"))
            elif block.get("type") == "tool_use":
                name, text = text_of(block["name"]), text_of(block.get("input"))
                yield Signal(kind=SignalKind.TOOL, tool=name, text=text)

    def _result(self, event: dict[str, Any]) -> Iterator[Signal]:
        told, counted = _usage(event.get("usage")), self._total(past=False)
        # A run that is cut reports zeros although its calls were made.
        turn = {name: max(getattr(told, name), getattr(counted, name)) for name in Usage.model_fields}
        self._past += Usage(**turn)
        self._turn.clear()
        models = table_of(event.get("modelUsage"))
        if models and all("claude" in name.lower() for name in models):  # it makes a price up for all others
            cost = cost_of(event.get("total_cost_usd"))  # of all turns so far
            self._past += Usage(cost=max(0.0, cost - self._past.cost))
        yield Signal(kind=SignalKind.USAGE, usage=self._past, turns=self._calls)
        if event["subtype"] == "success" and not event.get("is_error"):
            yield Signal(kind=SignalKind.FINISHED, text=text_of(event.get("result")))
            return
        ended = event.get("terminal_reason")
        reason = ended if ended not in (None, "completed") else event["subtype"]
        yield Signal(
            kind=SignalKind.FAILED,
            text=text_of(event.get("result") or "; ".join(map(text_of, list_of(event.get("errors")))) or reason),
            reason=text_of(self._error if reason == "success" else reason),
            status=status_of(event.get("api_error_status")),
        )

    def _total(self, *, past: bool = True) -> Usage:
        return sum(self._turn.values(), self._past if past else Usage())


def _message(text: str) -> str:
    """A line of its input: a message from the user."""
    content = [{"type": "text", "text": text}]
    return json.dumps({"type": "user", "message": {"role": "user", "content": content}}) + "\n"


def _results(event: dict[str, Any]) -> Iterator[Signal]:
    for block in map(table_of, list_of(table_of(event["message"]).get("content"))):
        if block.get("type") == "tool_result":
            text = text_of(block.get("content"), tail=True)
            yield Signal(kind=SignalKind.TOOL_RESULT, text=text, ok=not block.get("is_error"))


def _usage(value: object) -> Usage:
    told = table_of(value)
    return Usage(
        input=count_of(told.get("input_tokens")),
        output=count_of(told.get("output_tokens")),
        cache_read=count_of(told.get("cache_read_input_tokens")),
        cache_write=count_of(told.get("cache_creation_input_tokens")),
    )
