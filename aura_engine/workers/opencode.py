"""Backend `opencode`: one `opencode run` per attempt, with JSON lines out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from aura_engine.core.model import Ending, EndKind, ExitRecord, LaunchSpec, Signal, SignalKind, Usage
from aura_engine.workers.base import Job, Login, RoleSettings, Seen
from aura_engine.workers.endings import ending_of
from aura_engine.workers.keyless import shell_env, shell_file
from aura_engine.workers.stream import LineParser, cost_of, count_of, status_of, table_of, text_of

REASONS = {
    "ContextOverflowError": EndKind.CONTEXT_OVERFLOW,
    "MessageAbortedError": EndKind.KILLED,
    "ProviderAuthError": EndKind.CREDENTIALS,
    "ProviderModelNotFoundError": EndKind.BAD_REQUEST,
    "permission rejected": EndKind.PERMISSION,
    "broken off": EndKind.UNREACHABLE,
}
REJECTED = "rejected permission"
GOES_ON = frozenset({"tool-calls", "unknown"})
"""Reasons of a step's end after which it takes another step."""
GAVE_OUT = frozenset({"content-filter", "error", "other"})
"""Those after which it stops although nothing says that the work was done."""
BREAKS = 5
"""Answers in a row that broke off, each of which it asks for anew at once and for ever."""
KEY = "AURA_LLM_KEY"
OURS = "aura"
"""The provider that its settings name after the role's address."""
PACKAGES = {"openai": "@ai-sdk/openai-compatible", "anthropic": "@ai-sdk/anthropic"}
"""Both come within the program."""
CONTEXT = 128_000
"""Tokens that a model at the role's own address is taken to hold; it shortens the session before that."""
AUTH = ".local/share/opencode/auth.json"
NOWHERE = "http://127.0.0.1:9/"
_LOGGED = re.compile(r'level=ERROR .*?\berror="((?:[^"\\]|\\.)*)"')
"""What its log says of an error that its stream only calls unknown, such as a model that is not there."""


class OpenCode:
    """See Backend."""

    name = "opencode"
    program = "opencode"
    install_hint = "Install it with: npm install -g opencode-ai"
    verified = "1.18.33"
    stdin_open = False
    resumes = True
    grace = 120.0
    """A session that was shortened goes on with the model's next answer only, which may take its time."""

    def login(self, environ: Mapping[str, str]) -> Login | None:
        """See Backend: what `opencode auth login` keeps."""
        home = Path(environ.get("HOME", "~")).expanduser()
        data = environ.get("XDG_DATA_HOME", "")
        path = (Path(data) if data else home / ".local" / "share") / "opencode" / "auth.json"
        try:
            kept = table_of(json.loads(path.read_text("utf-8")))
        except (OSError, ValueError):
            return None
        return Login(f"the login in {path}", files={AUTH: str(path)}) if kept else None

    def launch(self, job: Job) -> LaunchSpec:
        """See Backend. Its settings come as a variable: those outweigh the project's own `opencode.json`."""
        role, home = job.settings, job.home
        own = bool(role.login and not (role.api_key or role.base_url))
        env = {
            **shell_env(home),
            "XDG_CONFIG_HOME": str(home / ".config"),
            "XDG_DATA_HOME": str(home / ".local" / "share"),
            "XDG_STATE_HOME": str(home / ".local" / "state"),
            "XDG_CACHE_HOME": str(home / ".cache"),
            "OPENCODE_CONFIG_CONTENT": json.dumps(settings_of(role, job.max_turns, own=own)),
            "OPENCODE_DISABLE_AUTOUPDATE": "1",
            "OPENCODE_DISABLE_MODELS_FETCH": "1",
            "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
            "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
            "OPENCODE_DISABLE_SHARE": "1",
            "npm_config_registry": NOWHERE,  # else it installs the kit for its plugins, unasked, at each start
            **({} if own else {KEY: role.api_key}),
            **role.env,
        }
        argv = (
            *(role.program or self.program, "run", "--pure", "--format", "json", "--auto"),
            *("--print-logs", "--log-level", "ERROR"),  # else nothing tells why it keeps silent
            # A title of ours saves the request for one.
            *(("--session", job.session) if job.resume else ("--title", job.session)),
        )
        return LaunchSpec(
            argv=argv,
            env=env,
            cwd=str(job.workspace),
            stdin=job.prompt,
            stop_signals=(("SIGTERM", 2.0),),  # while a tool runs it ignores that; the sweep ends both
            files=shell_file(KEY, "OPENCODE_CONFIG_CONTENT", "npm_config_registry"),  # and npm finds its packages
            logins=dict(role.login.files) if role.login and own else {},
        )

    def parser(self, job: Job) -> OpenCodeParser:
        """See Backend."""
        return OpenCodeParser()

    def ending(self, exit: ExitRecord, seen: Seen, stderr_tail: str) -> Ending:
        """See Backend."""
        logged = _LOGGED.search(stderr_tail) if seen.reason == "UnknownError" else None
        return ending_of(exit, replace(seen, failed=logged[1]) if logged else seen, stderr_tail, REASONS)


GOING_ON = frozenset({"step_start", "text", "reasoning", "tool_use"})
"""Events of a turn under way. What a later version may add says nothing about that."""


class OpenCodeParser(LineParser):
    """Its events. None is the last one: it is done with a step that ends in `stop`, unless another one follows."""

    def __init__(self) -> None:
        super().__init__()
        self._session = ""
        self._usage = Usage()
        self._steps = 0
        self._over = False
        self._words = ""
        self._tools = 0
        self._rejected = ""
        self._breaks = 0

    def read(self, event: dict[str, Any]) -> Iterable[Signal]:
        """See LineParser."""
        kind, session = event["type"], text_of(event["sessionID"])
        # A session that was shortened goes on after the step that summed it up: that was no last word.
        if session != self._session or (self._over and kind in GOING_ON):
            self._session = session
            yield self._on()
        match kind:
            case "step_start":
                self._words, self._tools, self._rejected = "", 0, ""
            case "text" if not event["part"].get("synthetic"):  # else it speaks to the model itself
                self._words = text_of(event["part"]["text"])
                yield Signal(kind=SignalKind.MESSAGE, text=self._words)
            case "tool_use":
                yield from self._tool(event["part"])
            case "step_finish":
                yield from self._step(event["part"])
            case "error":
                self._over = True
                yield _failed(event["error"])
            case "text" | "reasoning":
                return
            case other:
                yield Signal(kind=SignalKind.UNKNOWN, text=text_of(other))

    def _on(self) -> Signal:
        self._over = False
        return Signal(kind=SignalKind.SESSION, session=self._session)

    def _tool(self, part: dict[str, Any]) -> Iterator[Signal]:
        state = part["state"]
        self._tools += 1
        yield Signal(kind=SignalKind.TOOL, tool=text_of(part["tool"]), text=text_of(state.get("input")))
        ok = state["status"] == "completed" and not table_of(state.get("metadata")).get("exit")
        text = text_of(state.get("error") or state.get("output"), tail=True)
        yield Signal(kind=SignalKind.TOOL_RESULT, text=text, ok=ok)
        if state["status"] == "error" and REJECTED in text:
            self._rejected = f"{text_of(part['tool'])}: {text}"

    def _step(self, part: dict[str, Any]) -> Iterator[Signal]:
        reason = text_of(part["reason"])
        self._usage += _usage(part)
        if reason == "unknown" and not self._tools:
            self._breaks += 1
            yield Signal(kind=SignalKind.USAGE, usage=self._usage, turns=self._steps)
            yield Signal(kind=SignalKind.RETRY, text="the model's answer broke off")
            if self._breaks == BREAKS:  # not over: the next try is no reason to take this back
                text = f"the model's answers break off before their end, {BREAKS} times in a row"
                yield Signal(kind=SignalKind.FAILED, text=text, reason="broken off")
            return
        if self._breaks >= BREAKS:
            yield self._on()
        self._breaks = 0
        self._steps += 1
        yield Signal(kind=SignalKind.USAGE, usage=self._usage, turns=self._steps)
        self._over = self._rejected != "" or reason not in GOES_ON
        if self._rejected:  # it takes that for a refusal by a person, and stops
            yield Signal(kind=SignalKind.FAILED, text=self._rejected, reason="permission rejected")
        elif reason in GAVE_OUT:
            yield Signal(kind=SignalKind.FAILED, text=f"the model's answer ended in “{reason}”", reason=reason)
        elif self._over:
            yield Signal(kind=SignalKind.FINISHED, text=self._words)


def settings_of(role: RoleSettings, max_turns: int, *, own: bool) -> dict[str, Any]:
    """Its settings: with `own` the person's provider and model are left as they are."""
    settings: dict[str, Any] = {
        "$schema": "https://opencode.ai/config.json",
        "autoupdate": False,
        "share": "disabled",
        "snapshot": False,
        # Of its sub-agents' tokens, turns and tools its stream says nothing: no limit could hold them.
        "permission": {"*": "allow", "task": "deny"},
        "agent": {"build": {"steps": max_turns}},
    }
    if own and "/" not in role.model:
        return settings  # it takes a model of the provider that the person is logged in to
    provider, model = place_of(role)
    if own:
        return settings | {"model": role.model, "provider": {provider: {"models": {model: {}}}}}
    entry: dict[str, Any] = {"options": {"apiKey": f"{{env:{KEY}}}"}, "models": {model: {}}}
    if role.base_url:
        protocol = "anthropic" if role.protocol == "anthropic" else "openai"
        # The package for Anthropic's protocol wants the version in the address, which the settings leave out.
        version = "/v1" if protocol == "anthropic" and not role.base_url.rstrip("/").endswith("/v1") else ""
        entry["npm"] = PACKAGES[protocol]
        entry["options"]["baseURL"] = role.base_url.rstrip("/") + version
        limit = {"context": CONTEXT, "output": role.max_output_tokens}
        entry["models"] = {model: {"name": model, "tool_call": True, "limit": limit}}
    name = f"{provider}/{model}"
    return settings | {
        "model": name,
        "small_model": name,
        "enabled_providers": [provider],
        "provider": {provider: entry},
    }


def place_of(role: RoleSettings) -> tuple[str, str]:
    """Provider and model, in its own words for them where the role names no address."""
    if role.base_url:
        return OURS, role.model
    provider, slash, model = role.model.partition("/")
    if slash:
        return provider, model
    lower = role.model.lower()
    known = {"deepseek": "deepseek", "claude": "anthropic"}
    return next((owner for prefix, owner in known.items() if lower.startswith(prefix)), "openai"), role.model


def _failed(error: dict[str, Any]) -> Signal:
    data, name = table_of(error.get("data")), text_of(error["name"])
    status = status_of(data.get("statusCode"))
    text = text_of(data.get("message")) or name
    wait = text_of(table_of(data.get("responseHeaders")).get("retry-after"))[:20]
    text += f" (retry-after: {wait})" if wait else ""
    return Signal(kind=SignalKind.FAILED, text=text, reason=name, status=status)


def _usage(part: dict[str, Any]) -> Usage:
    tokens = table_of(part.get("tokens"))
    cache = table_of(tokens.get("cache"))
    return Usage(
        input=count_of(tokens.get("input")),
        output=count_of(tokens.get("output")) + count_of(tokens.get("reasoning")),
        cache_read=count_of(cache.get("read")),
        cache_write=count_of(cache.get("write")),
        cost=cost_of(part.get("cost")),
    )
