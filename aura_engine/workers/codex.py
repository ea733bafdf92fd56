"""Backend `codex`: the Codex CLI, one `codex exec` per attempt, with JSON lines out."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from aura_engine.core.model import Ending, EndKind, ExitRecord, LaunchSpec, Signal, SignalKind, Usage
from aura_engine.workers.base import GRACE, Job, Login, RoleSettings, Seen
from aura_engine.workers.codex_config import OwnCodex, own_login, to_toml
from aura_engine.workers.endings import ending_of
from aura_engine.workers.stream import LineParser, count_of, table_of, text_of

KEY = "AURA_LLM_KEY"
OPENAI = "https://api.openai.com/v1"
PROVIDER = "aura"
REASONS = {"max_output_tokens": EndKind.CONTEXT_OVERFLOW, "content_filter": EndKind.GAVE_UP}
"""Why an answer stayed incomplete; for all else it has sentences and statuses."""
RETRIES = 2
"""Of one model call, and of one broken stream, by the program itself."""
OFF: Mapping[str, Any] = {
    "check_for_update_on_startup": False,
    "cli_auth_credentials_store": "file",
    "analytics": {"enabled": False},
    "features": {
        "plugins": False,  # else it asks a code host and its vendor for plugins
        "unbounded_connection_retries": False,  # else it waits for ever for a network that is away
        "goals": False,  # else a worker can set itself a goal that keeps it going
    },
}
"""The same for every worker."""
WORDS = frozenset({"agent_message", "reasoning"})
TOOLS = {
    "command_execution": "command",
    "file_change": "changes",
    "mcp_tool_call": "arguments",
    "web_search": "query",
    "collab_tool_call": "prompt",
    "todo_list": "items",
}
"""Kind of item → where it says what is done."""
OK = frozenset({None, "completed"})
RUNNING = 64
"""Tools at once that are known apart."""
_STATUS = re.compile(r"\b(?:unexpected|last) status:? (\d{3})\b")
_INCOMPLETE = re.compile(r"Incomplete response returned, reason: (\w+)")
_NOISE = re.compile(r"^Reading (?:additional input|prompt) from stdin\.\.\.$", re.MULTILINE)
"""What it always says on stderr."""


class Codex:
    """See Backend. Without a key and an address it is the person's own Codex: login, provider and model."""

    name = "codex"
    program = "codex"
    install_hint = "Install it with: npm install -g @openai/codex"
    verified = "0.169.0"
    stdin_open = False
    resumes = True
    grace = GRACE

    def login(self, environ: Mapping[str, str]) -> Login | None:
        """See Backend."""
        return own_login(environ)

    def launch(self, job: Job) -> LaunchSpec:
        """See Backend."""
        role = job.settings
        own = _own(role)
        env = {
            "HOME": str(job.home),
            "TMPDIR": str(job.home / "tmp"),
            "CODEX_HOME": str(job.home / ".codex"),
            **({KEY: role.api_key} if role.api_key else {}),
            **own.env,
            **role.env,
        }
        # A resumed session takes no folder: it goes on in the one where it is started, which is the same.
        where = ("resume", job.session) if job.resume else ("-C", str(job.workspace))
        return LaunchSpec(
            argv=(
                *(role.program or self.program, "exec", "--json", "--skip-git-repo-check"),
                *("--dangerously-bypass-approvals-and-sandbox", *where, "-"),
            ),
            env=env,
            cwd=str(job.workspace),
            stdin=job.prompt,
            # On SIGINT it ends its running tool; SIGTERM leaves that alive for the sweep.
            stop_signals=(("SIGINT", 3.0), ("SIGTERM", 2.0)),
            files={".codex/config.toml": to_toml(settings_of(role, own))},
            logins=dict(own.files),
        )

    def parser(self, job: Job) -> CodexParser:
        """See Backend."""
        model = job.settings.model or text_of(_own(job.settings).settings.get("model"))
        return CodexParser(model, resumed=job.resume, counted=job.counted)

    def ending(self, exit: ExitRecord, seen: Seen, stderr_tail: str) -> Ending:
        """See Backend."""
        return ending_of(exit, seen, _NOISE.sub("", stderr_tail), REASONS)


def settings_of(role: RoleSettings, own: OwnCodex) -> dict[str, Any]:
    """The whole of its config.toml. No setting of the person's is in it but what `own` brings along."""
    # A build that prints its environment would else put the key into the kept output. No containment: who wants to
    # can still read it from the program's own process.
    settings = {**own.settings, **OFF, "shell_environment_policy": {"exclude": [KEY, *own.env]}}
    if role.model:
        settings["model"] = role.model
    if role.api_key or role.base_url:
        provider = {
            "name": PROVIDER,
            "base_url": _address(role.base_url),
            "wire_api": "responses",
            "request_max_retries": RETRIES,
            "stream_max_retries": RETRIES,
        }
        provider |= {"env_key": KEY} if role.api_key else {}
        settings |= {"model_provider": PROVIDER, "model_providers": {PROVIDER: provider}}
    if role.base_url:
        settings["web_search"] = "disabled"  # a tool of OpenAI's own service, which others refuse to know
    return settings


def _address(base_url: str) -> str:
    """The address as Codex wants it; one without a path gets `/v1`."""
    base = (base_url or OPENAI).rstrip("/")
    return base if urlsplit(base).path else f"{base}/v1"


def _own(role: RoleSettings) -> OwnCodex:
    """The person's own Codex, for a role that has neither key nor address: a login goes to nobody else's address."""
    if isinstance(role.login, OwnCodex) and not (role.api_key or role.base_url):
        return role.login
    return OwnCodex("")


class CodexParser(LineParser):
    """Its events. What it used is said once, at the end.

    For a resumed session that is the sum over all its runs: `counted` (what earlier attempts have told of it) is taken
    off. Where that is None nobody knows how much of the sum is new, and no usage is told rather than the past again.

    Model calls are told from the items: the first one after the start or after a tool's result begins another call.
    Calls of several tools in one answer may so count as several; a tool that Codex does not know leaves no trace.
    """

    def __init__(self, model: str = "", *, resumed: bool = False, counted: Usage | None = None) -> None:
        super().__init__()
        self._model = model
        self._counted = counted if resumed else Usage()
        self._calls = 0
        self._between = True
        """Nothing was said since the start or since the last tool's result."""
        self._running: deque[str] = deque(maxlen=RUNNING)
        self._said = ""
        self._error = ""
        """An error that was not followed by anything yet."""

    def read(self, event: dict[str, Any]) -> Iterable[Signal]:
        """See LineParser."""
        kind = event["type"]
        self._error = "" if kind != "error" else self._error
        match kind:
            case "thread.started":
                yield Signal(kind=SignalKind.SESSION, session=text_of(event["thread_id"]), text=self._model)
            case "turn.started":
                self._between = True
            case "item.started" | "item.updated" | "item.completed":
                yield from self._item(kind, event["item"])
            case "error":
                yield from self._trouble(text_of(event["message"]))
            case "turn.completed":
                usage = None if self._counted is None else _usage(event.get("usage")).beyond(self._counted)
                yield Signal(kind=SignalKind.USAGE, usage=usage, turns=self._calls)
                yield Signal(kind=SignalKind.FINISHED, text=self._said)
            case "turn.failed":
                yield _failed(table_of(event.get("error")).get("message"))
            case _:
                yield Signal(kind=SignalKind.UNKNOWN, text=text_of(kind))

    def close(self) -> list[Signal]:
        """See StreamParser: an error that nothing followed was the last word."""
        signals = super().close()
        return [*signals, _failed(self._error)] if self._error else signals

    def _trouble(self, text: str) -> Iterator[Signal]:
        if text.startswith("Reconnecting"):
            yield Signal(kind=SignalKind.RETRY, text=text, status=_status(text))
        else:
            self._error = text

    def _item(self, stage: str, item: dict[str, Any]) -> Iterator[Signal]:
        kind, name = item["type"], text_of(item.get("id"))
        if kind == "error":
            return  # a notice, such as that it does not know the model's name
        if kind not in WORDS and kind not in TOOLS:
            yield Signal(kind=SignalKind.UNKNOWN, text=text_of(kind))
            return
        if self._between:
            self._between = False
            self._calls += 1
            yield Signal(kind=SignalKind.USAGE, turns=self._calls)
        if kind == "agent_message" and stage == "item.completed":
            self._said = text_of(item["text"])
            yield Signal(kind=SignalKind.MESSAGE, text=self._said)
        if kind not in TOOLS:
            return
        if name not in self._running:
            self._running.append(name)
            yield Signal(kind=SignalKind.TOOL, tool=_tool(item), text=text_of(item.get(TOOLS[kind])))
        if stage == "item.completed":
            self._running.remove(name)
            self._between = True
            result = item.get("aggregated_output") or item.get("error") or item.get("result")
            yield Signal(kind=SignalKind.TOOL_RESULT, text=text_of(result, tail=True), ok=item.get("status") in OK)


def _tool(item: dict[str, Any]) -> str:
    """What the tool is called: by a server and its own name where it comes from one."""
    own = [text_of(item[part]) for part in ("server", "tool") if item.get(part)]
    return ".".join(own) or text_of(item["type"])


def _failed(told: object) -> Signal:
    """The signal of a final error: its reason where it says one, its HTTP status where that can be told."""
    text = told if isinstance(told, str) else text_of(told)
    answer = _answer(text)
    words = table_of(answer.get("error")).get("message") or answer.get("message") or answer.get("detail")
    cut = _INCOMPLETE.search(text)
    # Of all refusals it shows only that of a bad request as it came.
    status = 400 if answer else _status(text)
    return Signal(
        kind=SignalKind.FAILED, text=text_of(words) or text_of(text), reason=cut[1] if cut else "", status=status
    )


def _status(text: str) -> int | None:
    found = _STATUS.search(text)
    return int(found[1]) if found else None


def _answer(text: str) -> dict[str, Any]:
    """A service's answer that is shown as it came; empty for a sentence."""
    try:
        return table_of(json.loads(text))
    except (ValueError, RecursionError):
        return {}


def _usage(told: object) -> Usage:
    count = {name: count_of(value) for name, value in table_of(told).items()}
    cached, written = count.get("cached_input_tokens", 0), count.get("cache_write_input_tokens", 0)
    fresh = max(0, count.get("input_tokens", 0) - cached - written)
    return Usage(input=fresh, output=count.get("output_tokens", 0), cache_read=cached, cache_write=written)
