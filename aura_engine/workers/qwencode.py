"""Backend `qwencode`: Qwen Code, one `qwen` process per attempt, with JSON lines out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from aura_engine.core.model import Ending, EndKind, ExitRecord, LaunchSpec, Signal, SignalKind, Usage
from aura_engine.workers.base import GRACE, Job, Login, RoleSettings, Seen
from aura_engine.workers.endings import ending_of
from aura_engine.workers.keyless import shell_env, shell_file
from aura_engine.workers.stream import LineParser, count_of, list_of, table_of, text_of

REASONS = {"exit 41": EndKind.CREDENTIALS, "exit 53": EndKind.OUT_OF_TURNS}
"""Its own exit statuses, said where it prints no final event."""
NAMES = {
    "openai": ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL"),
    "anthropic": ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "ANTHROPIC_MODEL"),
}
"""Protocol → the variables that it takes key, address and model from."""
DEFAULT_URLS = {"openai": "https://api.openai.com/v1", "anthropic": "https://api.anthropic.com"}
"""Always said, or else a `.env` file in the workspace could name another address for the role's key."""
RETRIES = 1
"""More of it within one model call; its rounds of waiting for a rate limit are as many, and each takes minutes."""
API_TIMEOUT_MS = 300_000
SETTINGS = ".qwen/system.json"
"""Read as settings of the system's: those outweigh what the project's own `.qwen/settings.json` says."""
_ERROR = re.compile(r"\[API Error: (?P<said>.*)\](?:\nP(?:ossible quota|lease wait)[^\]]*)?\s*\Z", re.DOTALL)
"""How its answer ends when the service failed: it then claims success, with exit status 0."""
_STATUS = re.compile(r"\s*(\d{3})\b")
_AT = re.compile(r"(?<!\\)@")


class QwenCode:
    """See Backend."""

    name = "qwencode"
    program = "qwen"
    install_hint = "Install it with: npm install -g @qwen-code/qwen-code"
    verified = "0.15.10"
    stdin_open = False
    resumes = True
    grace = GRACE

    def login(self, environ: Mapping[str, str]) -> Login | None:
        """See Backend: the key that its own settings keep. (Its login by OAuth was discontinued.)"""
        path = Path(environ.get("HOME", "~")).expanduser() / ".qwen" / "settings.json"
        try:
            kept = table_of(json.loads(path.read_text("utf-8")))
        except (OSError, ValueError):
            return None
        auth = table_of(table_of(kept.get("security")).get("auth"))
        model = table_of(kept.get("model")).get("name")
        providers = list_of(table_of(kept.get("modelProviders")).get("openai"))
        chosen = next((one for one in map(table_of, providers) if one.get("id") == model), table_of(None))
        name = chosen.get("envKey") or "OPENAI_API_KEY"
        key = table_of(kept.get("env")).get(name) or environ.get(name) or auth.get("apiKey")
        if auth.get("selectedType") != "openai" or not isinstance(key, str):
            return None
        found = (key, chosen.get("baseUrl") or auth.get("baseUrl"), model)
        env = {variable: str(value) for variable, value in zip(NAMES["openai"], found, strict=True) if value}
        return Login("the key in ~/.qwen/settings.json", env=env)

    def launch(self, job: Job) -> LaunchSpec:
        """See Backend. No setting of the person's is read, and the project's own do not outweigh Aura's."""
        role = job.settings
        protocol = protocol_of(role)
        env = {
            **shell_env(job.home),
            "QWEN_CODE_NO_RELAUNCH": "1",  # else it works in a child that outlives it
            "QWEN_CODE_SYSTEM_SETTINGS_PATH": str(job.home / SETTINGS),
            "QWEN_CODE_MAX_OUTPUT_TOKENS": str(role.max_output_tokens),
            **service_of(role, protocol),
            **role.env,
        }
        argv = (
            *(role.program or self.program, "--approval-mode", "yolo", "--output-format", "stream-json"),
            *("--resume" if job.resume else "--session-id", job.session),
            *("--max-session-turns", str(job.max_turns)),
        )
        return LaunchSpec(
            argv=argv,
            env=env,
            cwd=str(job.workspace),
            stdin=escaped(job.prompt),
            stop_signals=(("SIGTERM", 8.0),),  # with a tool running it takes 4 to 8 s, and ends that too
            files={SETTINGS: json.dumps(settings_of(protocol)), **shell_file(*NAMES[protocol])},
        )

    def parser(self, job: Job) -> QwenCodeParser:
        """See Backend."""
        return QwenCodeParser(resumed=job.resume)

    def ending(self, exit: ExitRecord, seen: Seen, stderr_tail: str) -> Ending:
        """See Backend."""
        said = f"exit {exit.code}"
        if seen.finished is None and seen.failed is None and said in REASONS:
            lines = [line for line in stderr_tail.splitlines() if line.strip()]
            seen = replace(seen, failed=lines[-1] if lines else said, reason=said)
        return ending_of(exit, seen, stderr_tail, REASONS)


class QwenCodeParser(LineParser):
    """Its stream-json: Claude Code's, but each message holds one kind of block, and only a call's last its usage."""

    def __init__(self, *, resumed: bool = False) -> None:
        super().__init__()
        self._resumed = resumed
        self._usage = Usage()
        self._calls = 0
        self._answering = False
        self._began = False

    def read(self, event: dict[str, Any]) -> Iterable[Signal]:
        """See LineParser."""
        match event["type"]:
            case "system":
                if event.get("subtype") == "init":
                    self._began = True
                    session, model = text_of(event["session_id"]), text_of(event["model"])
                    yield Signal(kind=SignalKind.SESSION, session=session, text=model)
            case "assistant":
                yield from self._assistant(event, event["message"])
            case "user":
                self._answering = self._answering and bool(event.get("parent_tool_use_id"))
                for block in map(table_of, list_of(table_of(event["message"]).get("content"))):
                    if block.get("type") == "tool_result":
                        text = text_of(block.get("content"), tail=True)
                        yield Signal(kind=SignalKind.TOOL_RESULT, text=text, ok=not block.get("is_error"))
            case "result":
                yield from self._result(event)
            case "stream_event":
                return
            case kind:
                yield Signal(kind=SignalKind.UNKNOWN, text=text_of(kind))

    def _assistant(self, event: dict[str, Any], message: dict[str, Any]) -> Iterator[Signal]:
        if not event.get("parent_tool_use_id"):
            self._calls += not self._answering  # one call's thoughts, words and tools come as messages of their own
            self._answering = True
        self._usage += _usage(message.get("usage"))
        yield Signal(kind=SignalKind.USAGE, usage=self._usage, turns=self._calls)
        for block in map(table_of, list_of(message["content"])):
            if block.get("type") == "text":
                text = text_of(block["text"])
                yield Signal(kind=SignalKind.MESSAGE, text=text, ok=not _ERROR.search(text))
            elif block.get("type") == "tool_use":
                name, text = text_of(block["name"]), text_of(block.get("input"))
                yield Signal(kind=SignalKind.TOOL, tool=name, text=text)

    def _result(self, event: dict[str, Any]) -> Iterator[Signal]:
        broken = text_of(table_of(event.get("error")).get("message")) if event.get("is_error") else None
        if broken is not None and self._began and not event.get("duration_ms"):
            yield Signal(kind=SignalKind.TOOL_RESULT, text=broken, ok=False)  # a sub-agent's: it goes on itself
            return
        told = _usage(event.get("usage"))
        # Its total holds what its sub-agents spent, which nothing else says; of a resumed session also the past.
        if not self._resumed:
            both = {name: max(getattr(told, name), getattr(self._usage, name)) for name in Usage.model_fields}
            self._usage = Usage(**both)
        yield Signal(kind=SignalKind.USAGE, usage=self._usage, turns=self._calls)
        said = event.get("result")
        error = _ERROR.search(said) if isinstance(said, str) else None
        if broken is not None:
            yield _failed(broken, text_of(event["subtype"]))
        elif error:
            yield _failed(error["said"], "api_error")
        else:
            yield Signal(kind=SignalKind.FINISHED, text=text_of(said))


def protocol_of(role: RoleSettings) -> str:
    """What it has to speak, `openai` or `anthropic`; the person's own login speaks the first."""
    return "anthropic" if role.protocol == "anthropic" else "openai"


def service_of(role: RoleSettings, protocol: str) -> dict[str, str]:
    """The variables that say key, address and model."""
    own = dict(role.login.env) if role.login and not (role.api_key or role.base_url) else {}
    key, url, model = NAMES[protocol]
    named = {key: role.api_key, url: role.base_url, model: role.model}
    return {url: DEFAULT_URLS[protocol], **own, **{name: value for name, value in named.items() if value}}


def settings_of(protocol: str) -> dict[str, Any]:
    """Its settings: nothing that asks the network for more than the model, bounded patience."""
    return {
        "general": {"enableAutoUpdate": False},
        "privacy": {"usageStatisticsEnabled": False},
        "telemetry": {"enabled": False},
        "memory": {"enableManagedAutoMemory": False, "enableManagedAutoDream": False},
        "security": {"auth": {"selectedType": protocol}},
        "model": {"generationConfig": {"timeout": API_TIMEOUT_MS, "maxRetries": RETRIES}},
    }


def escaped(prompt: str) -> str:
    """The prompt with each `@` escaped: it takes them for names of files to read, and mangles what is around them."""
    if not _AT.search(prompt):
        return prompt
    return _AT.sub(r"\\@", prompt) + "\n(Read each \\@ in this message as a plain at sign, without the backslash.)\n"


def _failed(text: str, reason: str) -> Signal:
    status = _STATUS.match(text)
    return Signal(kind=SignalKind.FAILED, text=text_of(text), reason=reason, status=int(status[1]) if status else None)


def _usage(value: object) -> Usage:
    told = table_of(value)
    cached = count_of(told.get("cache_read_input_tokens"))
    return Usage(
        input=max(0, count_of(told.get("input_tokens")) - cached),  # its input holds what came from the cache
        output=count_of(told.get("output_tokens")),
        cache_read=cached,
    )
