"""Aura's own coding agent: one file, the standard library alone, so that any place with Python 3.9 can run it.

The prompt comes on stdin; settings from AURA_AGENT_API (anthropic or openai), _BASE_URL, _KEY, _MODEL, _SESSION,
_MAX_TURNS, _BUDGET_SECONDS, _MAX_RETRIES, _MAX_TOKENS. The folder it starts in is its workspace. It prints one JSON
event a line: start, message, tool, tool_result, usage (totals so far), retry, error, result. Exit status: 0 finished,
1 error or given up, 53 out of turns, 54 out of time.
"""

from __future__ import annotations

import contextlib
import email.utils
import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

OUTPUT_CAP = 16_000
"""Characters of a command's output or a file that the model gets: its first quarter and its end."""
CONTEXT_CAP = 400_000
"""Characters of tool results kept in the conversation; beyond it the older half is left out."""
REPLY_CAP = 8 << 20
COMMAND_LIMIT = 600.0
DELAY_CAP = 60.0
SYSTEM = """You are a coding agent. You work alone in the current folder: nobody reads along, nobody answers questions.
Work in small steps with the tools. Look before you change: read the files you touch. Do exactly what the task asks, in
the simplest way that is right, in the style of the code around it, and nothing else. Run the task's checks yourself
and mend what fails; they will be run again by somebody else, on a clean checkout, with their own copies of the test
files, so changing a check, skipping a test or hard-coding an answer gains nothing. Leave no scratch files behind. When
all is done, call finish with an honest summary; if it cannot be done, call finish with gave_up and say why."""
REMIND = "You called no tool. Go on with the tools, or call finish if the task is done."


class Stop(Exception):
    """Ends the run: the result's status, its summary."""


class Failure(Exception):
    """A model call failed for good, in a way that `kind` names."""

    def __init__(self, kind: str, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.kind, self.status = kind, status


class Call(NamedTuple):
    """A tool call of the model's; `broken` says why it cannot be carried out."""

    id: str
    name: str
    args: dict[str, Any]
    broken: str = ""


def emit(event: str, **fields: Any) -> None:
    """One event on stdout."""
    print(json.dumps({"event": event, **fields}), flush=True)  # noqa: T201


def clip(text: str, cap: int = OUTPUT_CAP) -> str:
    """The text with its middle left out when it is long."""
    if len(text) <= cap:
        return text
    return f"{text[: cap // 4]}\n[… {len(text) - cap} characters left out …]\n{text[len(text) - cap * 3 // 4 :]}"


class Anthropic:
    """Anthropic Messages."""

    def __init__(self, base: str, key: str, model: str) -> None:
        base = (base or "https://api.anthropic.com").rstrip("/")
        self.url = base + ("/messages" if base.endswith("/v1") else "/v1/messages")
        self.headers = {"x-api-key": key, "anthropic-version": "2023-06-01"}
        self.model = model
        self.messages: list[dict[str, Any]] = []

    def body(self) -> dict[str, Any]:
        """The next request; the system text and what was said so far are marked for the provider's cache."""
        cache = {"cache_control": {"type": "ephemeral"}}
        last = self.messages[-1]
        marked = {**last, "content": [*last["content"][:-1], {**last["content"][-1], **cache}]}
        tools = [{"name": name, "description": text, "input_schema": schema} for name, text, schema in TOOLS]
        return {
            "model": self.model,
            "max_tokens": int(os.environ.get("AURA_AGENT_MAX_TOKENS", "8192")),
            "system": [{"type": "text", "text": SYSTEM, **cache}],
            "tools": tools,
            "messages": [*self.messages[:-1], marked],
        }

    def take(self, reply: dict[str, Any]) -> tuple[str, list[Call], dict[str, int]]:
        """Text, tool calls and usage of a reply, which joins the conversation."""
        cut = "the reply was cut at its token limit; nothing was done" if reply["stop_reason"] == "max_tokens" else ""
        blocks = [block for block in reply["content"] if block["type"] != "text" or block["text"].strip()]
        self.messages.append({"role": "assistant", "content": blocks or [{"type": "text", "text": "(nothing)"}]})
        calls = [Call(b["id"], b["name"], b["input"], cut) for b in blocks if b["type"] == "tool_use"]
        text = "\n".join(block["text"] for block in blocks if block["type"] == "text")
        told: dict[str, int] = reply.get("usage") or {}
        names = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
        counts = (told.get(name) or 0 for name in names)
        return text, calls, dict(zip(("input", "output", "cache_read", "cache_write"), counts))  # noqa: B905

    def add(self, text: str) -> None:
        """A message to the model."""
        self.messages.append({"role": "user", "content": [{"type": "text", "text": text}]})

    def answer(self, results: list[tuple[str, str, bool]]) -> list[dict[str, Any]]:
        """Results (call id, text, ok) to the model; the places their texts are kept in."""
        blocks = [
            {"type": "tool_result", "tool_use_id": call, "content": text, "is_error": not ok}
            for call, text, ok in results
        ]
        self.messages.append({"role": "user", "content": blocks})
        return blocks


class OpenAI:
    """OpenAI chat completions. An address without a path gets `/v1`."""

    def __init__(self, base: str, key: str, model: str) -> None:
        base = (base or "https://api.openai.com/v1").rstrip("/")
        base += "" if urllib.parse.urlsplit(base).path else "/v1"
        self.url = base + "/chat/completions"
        self.headers = {"authorization": f"Bearer {key}"}
        self.model = model
        self.messages: list[dict[str, Any]] = [{"role": "system", "content": SYSTEM}]

    def body(self) -> dict[str, Any]:
        """The next request."""
        tools = [
            {"type": "function", "function": {"name": name, "description": text, "parameters": schema}}
            for name, text, schema in TOOLS
        ]
        return {"model": self.model, "messages": self.messages, "tools": tools}

    def take(self, reply: dict[str, Any]) -> tuple[str, list[Call], dict[str, int]]:
        """See Anthropic.take."""
        message: dict[str, Any] = reply["choices"][0]["message"]
        text: str = message.get("content") or ""
        asked: list[dict[str, Any]] = message.get("tool_calls") or []
        self.messages.append(
            {"role": "assistant", "content": text or None, **({"tool_calls": asked} if asked else {})}
            if text or asked
            else {"role": "assistant", "content": "(nothing)"}
        )
        calls: list[Call] = []
        for one in asked:
            try:
                args = json.loads(one["function"]["arguments"] or "{}")
                broken = "" if isinstance(args, dict) else "the arguments are no JSON object; nothing was done"
            except ValueError as error:
                args, broken = {}, f"the arguments are not valid JSON ({error}); nothing was done"
            calls.append(Call(one["id"], one["function"]["name"], args, broken))
        told: dict[str, Any] = reply.get("usage") or {}
        details: dict[str, Any] = told.get("prompt_tokens_details") or {}
        cached: int = details.get("cached_tokens") or 0
        fresh = max((told.get("prompt_tokens") or 0) - cached, 0)
        return text, calls, {"input": fresh, "output": told.get("completion_tokens") or 0, "cache_read": cached}

    def add(self, text: str) -> None:
        """See Anthropic.add."""
        self.messages.append({"role": "user", "content": text})

    def answer(self, results: list[tuple[str, str, bool]]) -> list[dict[str, Any]]:
        """See Anthropic.answer."""
        added = [{"role": "tool", "tool_call_id": call, "content": text} for call, text, _ in results]
        self.messages += added
        return added


# ---- the model's side: one call with its retries


def post(api: Any) -> dict[str, Any]:
    """The model's reply. Retries what may pass; Failure for what does not."""
    body = json.dumps(api.body()).encode()
    headers = {**api.headers, "content-type": "application/json", "user-agent": "aura-agent"}
    tries = int(os.environ.get("AURA_AGENT_MAX_RETRIES", "6"))
    for attempt in range(tries + 1):
        wait: float | None = None
        try:
            request = urllib.request.Request(api.url, data=body, headers=headers)
            with urllib.request.urlopen(request, timeout=COMMAND_LIMIT) as response:
                data = response.read(REPLY_CAP + 1)
            return _parsed(data)
        except urllib.error.HTTPError as error:
            with error:
                text = error.read(4096).decode(errors="replace")
            kind, status = kind_of(error.code, text), error.code
            message, wait = f"HTTP {status}: {clip(text, 400)}", seconds_of(error.headers.get("retry-after"))
        except (http.client.HTTPException, OSError) as error:  # URLError is an OSError
            where = urllib.parse.urlsplit(str(api.url)).netloc
            kind, status, message = "unreachable", 0, f"{where}: {getattr(error, 'reason', error)}"
        except ValueError as error:
            kind, status, message = "overloaded", 200, f"the reply could not be read: {error}"
        if kind not in ("rate_limit", "overloaded", "unreachable") or attempt == tries or (wait or 0) > DELAY_CAP:
            raise Failure(kind, message + (f" (try again in {wait:.0f} seconds)" if wait else ""), status)
        delay = wait if wait is not None else min(DELAY_CAP, 0.5 * 2**attempt) * random.uniform(0.6, 1.0)
        emit("retry", status=status, delay=round(delay, 2), message=message)
        time.sleep(delay)
    raise AssertionError("unreachable")


def _parsed(data: bytes) -> dict[str, Any]:
    if len(data) > REPLY_CAP:
        raise ValueError("it is too long")
    reply: Any = json.loads(data)
    if not hasattr(reply, "keys") or not reply.keys() & {"content", "choices"}:
        raise ValueError("it is no model's reply")
    return reply


def kind_of(status: int, text: str) -> str:
    """What an HTTP error means, in the words of Aura's endings."""
    low = text.lower()
    if status == 402 or any(word in low for word in ("insufficient_quota", "credit balance", "insufficient balance")):
        return "money"
    if status == 413 or any(word in low for word in ("prompt is too long", "context_length", "maximum context")):
        return "context_overflow"
    if status in (401, 403):
        return "credentials"
    if status == 429:
        return "rate_limit"
    return "overloaded" if status in (408, 409) or status >= 500 else "bad_request"


def seconds_of(header: str | None) -> float | None:
    """A Retry-After header in seconds; None where it says nothing of use."""
    try:
        return max(0.0, float(header or ""))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(header or "").timestamp() - time.time())
    except (ValueError, TypeError):
        return None


# ---- the tools


def schema(required: str, **properties: str) -> dict[str, Any]:
    """A JSON schema of `name="type: description"` properties."""
    parts = {name: dict(zip(("type", "description"), text.split(": ", 1))) for name, text in properties.items()}  # noqa: B905
    return {"type": "object", "properties": parts, "required": required.split()}


def inside(path: str) -> Path:
    """A path within the workspace; ValueError for any other."""
    full = (Path.cwd() / path).resolve()
    if not full.is_relative_to(Path.cwd().resolve()):
        raise ValueError(f"{path} is outside the workspace")
    return full


def read(path: str, offset: int = 1, limit: int = 1000) -> str:
    """Lines of a file from `offset` (the first is 1)."""
    file = inside(path)
    if not file.is_file():  # a FIFO would never answer
        raise ValueError(f"{path} is no file" if file.exists() else f"{path} does not exist")
    lines = file.read_bytes()[:REPLY_CAP].decode(errors="replace").splitlines(keepends=True)
    return clip("".join(lines[max(offset, 1) - 1 :][:limit]), 4 * OUTPUT_CAP) or "(empty)"


def write(path: str, content: str) -> str:
    """Makes a file, folders and all, or replaces it."""
    file = inside(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode())
    return f"wrote {len(content)} characters"


def edit(path: str, old: str, new: str) -> str:
    """Replaces the one place where `old` stands."""
    file = inside(path)
    data = file.read_bytes()
    count = data.count(old.encode()) if old else 0
    if count != 1:
        raise ValueError(f"`old` stands {count} times in {path}; it must be there exactly once")
    file.write_bytes(data.replace(old.encode(), new.encode()))
    return "replaced"


def run(command: str, timeout: float = 120.0) -> str:
    """A shell command: its exit status and output. At its limit the whole group is killed."""
    shell = shutil.which("bash") or "/bin/sh"
    env = {name: value for name, value in os.environ.items() if not name.startswith("AURA_AGENT_")}
    process = subprocess.Popen(
        [shell, "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=env,
        start_new_session=True,
    )
    limit = min(max(timeout, 1.0), COMMAND_LIMIT)
    kept = bytearray()
    # A process left in the background keeps the pipe open: the command is over when its shell is, not at end of file.
    reader = threading.Thread(target=_collect, args=(process.stdout, kept), daemon=True)
    reader.start()
    try:
        status = f"exit status {process.wait(limit)}"
        reader.join(0.3)
    except subprocess.TimeoutExpired:
        status = f"killed after {limit:.0f} s"
    finally:
        if process.returncode is None:
            _kill(process)
    return f"{status}\n{clip(bytes(kept).decode(errors='replace'))}"


def _collect(pipe: Any, kept: bytearray) -> None:
    while data := os.read(pipe.fileno(), 1 << 16):
        kept += data
        if len(kept) > 16 * OUTPUT_CAP:  # its beginning and its end are all that will be shown
            del kept[OUTPUT_CAP : len(kept) - 8 * OUTPUT_CAP]


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(2.0)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def finish(summary: str, gave_up: bool = False) -> str:
    """Ends the run."""
    raise Stop("gave_up" if gave_up else "finished", summary)


PATH = "string: path relative to the workspace"
TOOLS = [
    ("run", "Run a shell command in the workspace.", schema("command", command="string: the command",
     timeout="number: seconds it may take, at most 600; 120 if left out")),
    ("read", "Read a text file.", schema("path", path=PATH,
     offset="integer: first line, from 1", limit="integer: number of lines")),
    ("write", "Create or replace a file.", schema("path content", path=PATH, content="string: the whole text")),
    ("edit", "Replace a text that stands exactly once in a file.", schema("path old new", path=PATH,
     old="string: the exact text, with enough around it to be unique", new="string: what takes its place")),
    ("finish", "End the work.", schema("summary", summary="string: what was done and how it was verified",
     gave_up="boolean: true when the task could not be done")),
]  # fmt: skip
FUNCTIONS: dict[str, Any] = {"run": run, "read": read, "write": write, "edit": edit, "finish": finish}


def carry_out(call: Call) -> tuple[str, bool]:
    """A tool's text for the model, and whether it worked."""
    emit("tool", id=call.id, name=call.name, input=clip(json.dumps(call.args, ensure_ascii=False), 1000))
    try:
        if call.broken:
            raise ValueError(call.broken)
        if call.name not in FUNCTIONS:
            raise ValueError(f"there is no tool {call.name}")
        text, ok = FUNCTIONS[call.name](**call.args), True
    except (OSError, ValueError, TypeError) as error:
        text, ok = f"error: {error}", False
    emit("tool_result", id=call.id, ok=ok, text=text[-1000:])
    return text, ok


# ---- the loop


def work(api: Any, prompt: str) -> None:
    """Turns of model call and tools until something raises Stop."""
    api.add(prompt)
    total: dict[str, int] = {}
    kept: list[dict[str, Any]] = []
    reminded = False
    for turn in range(1, int(os.environ.get("AURA_AGENT_MAX_TURNS", "50")) + 1):
        STATE["turns"] = turn
        try:
            text, calls, usage = api.take(post(api))
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise Failure("overloaded", f"the reply has a shape nobody knows: {error!r}", 200) from error
        total = {name: total.get(name, 0) + count for name, count in {**dict.fromkeys(total, 0), **usage}.items()}
        STATE["usage"] = total
        emit("usage", turns=turn, **total)
        if text:
            emit("message", text=text)
        if calls:
            reminded = False
            kept += api.answer([(call.id, *carry_out(call)) for call in calls])
            forget(kept)
        elif reminded:
            raise Stop("finished" if text else "gave_up", text or "the model said nothing")
        else:
            reminded = True
            api.add(REMIND)
    raise Stop("out_of_turns", "the turn limit was reached")


def forget(kept: list[dict[str, Any]]) -> None:
    """Leaves out the older half of the tool results once they fill the context."""
    if sum(len(item["content"]) for item in kept) > CONTEXT_CAP:
        for item in kept[: len(kept) // 2]:
            item["content"] = "[older output, left out]"
        del kept[: len(kept) // 2]


STATE: dict[str, Any] = {"turns": 0, "usage": {}}
STATUS = {"finished": 0, "out_of_turns": 53, "out_of_time": 54}


def out_of_time(*_: object) -> None:
    """The alarm: in the middle of a model call or a tool, both of which clean up."""
    raise Stop("out_of_time", "the time limit was reached")


def hide_key() -> str:
    """The key, out of the reach of the commands it runs: this process's memory and environment are closed to them."""
    if sys.platform == "linux":
        with contextlib.suppress(ImportError, OSError, AttributeError):
            import ctypes

            ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE
    return os.environ.pop("AURA_AGENT_KEY", "")


def main() -> int:
    """The whole run; the exit status."""
    key, get = hide_key(), os.environ.get
    kind = OpenAI if get("AURA_AGENT_API") == "openai" else Anthropic
    api = kind(get("AURA_AGENT_BASE_URL", ""), key, get("AURA_AGENT_MODEL", ""))
    prompt = sys.stdin.buffer.read().decode(errors="replace")
    signal.signal(signal.SIGALRM, out_of_time)
    signal.setitimer(signal.ITIMER_REAL, float(get("AURA_AGENT_BUDGET_SECONDS", "1800")))
    emit("start", session=get("AURA_AGENT_SESSION", ""), model=api.model)
    try:
        work(api, prompt)
        status, summary = "error", "ended without a reason"
    except Stop as stop:
        status, summary = stop.args
    except Failure as failure:
        emit("error", kind=failure.kind, status=failure.status, message=str(failure))
        status, summary = "error", str(failure)
    signal.setitimer(signal.ITIMER_REAL, 0)
    emit("result", status=status, summary=summary, **STATE)
    return STATUS.get(status, 1)


if __name__ == "__main__":
    sys.exit(main())
