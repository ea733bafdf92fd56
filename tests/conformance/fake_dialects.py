"""How the worker CLIs print: one class per dialect. What each prints is what the real program was seen to print."""

from __future__ import annotations

import json
import sys


def write(data: bytes) -> None:
    """On its stdout, at once."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def line(**event: object) -> str:
    """An event as a line."""
    return json.dumps(event, ensure_ascii=False)


def phrase(status: int) -> str:
    """What HTTP calls a status."""
    import http

    return next((known.phrase for known in http.HTTPStatus if known == status), "Error")


class Plain:
    """Plain text: `command`. The other dialects override what they say in another way."""

    failed = 1
    """Exit status after a failure."""
    gave_up = 0
    """Exit status after it has given up."""

    def __init__(self, verbs: list[str]) -> None:
        self.verbs = verbs
        """All that it is going to do."""
        self.calls = 0
        self.command = ""

    def begin(self) -> list[str]:
        sys.stdin.read()
        return []

    def say(self, text: str) -> list[str]:
        return [text]

    def tool(self, command: str) -> list[str]:
        return [f"$ {command}"]

    def result(self, text: str) -> list[str]:
        return [text]

    def finish(self, text: str) -> list[str]:
        return [text]

    def fail(self, status: int, text: str) -> list[str]:
        sys.stderr.write(f"error: HTTP {status} {phrase(status)}: {text}\n" if status else f"error: {text}\n")
        return []

    def limit(self, text: str, code: str = "") -> list[str]:
        """A limit in the service's own words; its code for it is not shown."""
        return self.fail(429, text)

    def no_login(self) -> list[str]:
        return self.fail(0, "no API key: set API_KEY, or log in again")

    def retry(self, status: int) -> list[str]:
        return [f"HTTP {status}, trying again"]

    def turns(self) -> list[str]:
        return self.fail(0, "stopped")

    def give_up(self, text: str) -> list[str]:
        return self.finish(text)

    def refused(self) -> list[str]:
        return self.fail(0, "EACCES: permission denied, open 'made.txt'")

    def rest(self) -> None:
        """What it waits for between its last word and its end."""


class DsCode(Plain):
    """`ds_code`: a Python program on OpenAI's library."""

    def fail(self, status: int, text: str) -> list[str]:
        told = f"Error code: {status} - {{'error': {{'message': '{text}'}}}}" if status else text
        sys.stderr.write(f"Traceback (most recent call last):\n  …\nopenai.APIStatusError: {told}\n")
        return []


class Codex(Plain):
    """`codex`."""

    gave_up = 1

    def begin(self) -> list[str]:
        sys.stdin.read()
        sys.stderr.write("Reading prompt from stdin...\n")
        notice = {"id": "item_0", "type": "error", "message": "Model metadata for `fake` not found."}
        begun = line(type="thread.started", thread_id="s-1")
        return [begun, line(type="item.completed", item=notice), line(type="turn.started")]

    def _item(self, stage: str, **item: object) -> str:
        return line(type=f"item.{stage}", item={"id": f"item_{self.calls}", **item})

    def say(self, text: str) -> list[str]:
        self.calls += 1
        return [self._item("completed", type="agent_message", text=text)]

    def tool(self, command: str) -> list[str]:
        self.calls += 1
        self.command = command
        return [self._item("started", type="command_execution", command=command, status="in_progress")]

    def result(self, text: str) -> list[str]:
        more = {"command": self.command, "aggregated_output": text, "exit_code": 0, "status": "completed"}
        return [self._item("completed", type="command_execution", **more)]

    def finish(self, text: str) -> list[str]:
        return [*self.say(text), line(type="turn.completed", usage={"input_tokens": 20, "output_tokens": 2})]

    def limit(self, text: str, code: str = "") -> list[str]:
        return [line(type="error", message=text), line(type="turn.failed", error={"message": text})]

    def fail(self, status: int, text: str) -> list[str]:
        if status == 400 and "too long" not in text:
            text = json.dumps({"error": {"message": text, "type": "invalid_request_error"}})
        elif status == 400:
            text = "Codex ran out of room in the model's context window. Start a new thread."
        elif status == 429:
            text = "exceeded retry limit, last status: 429 Too Many Requests"
        elif status >= 500:
            text = "We’re currently experiencing high demand, which may cause temporary errors."
        elif status:
            text = f"unexpected status {status} {phrase(status)}: {text}, url: http://127.0.0.1:1/v1/responses"
        return self.limit(text)

    def no_login(self) -> list[str]:
        return self.limit("Missing environment variable: `AURA_LLM_KEY`.")

    def retry(self, status: int) -> list[str]:
        return [line(type="error", message=f"Reconnecting... 1/5 (unexpected status {status} {phrase(status)}: no)")]

    def give_up(self, text: str) -> list[str]:
        return self.limit("stream disconnected before completion: Incomplete response returned, reason: content_filter")


class OpenCode(Plain):
    """`opencode`."""

    def _event(self, kind: str, **part: object) -> str:
        return line(type=kind, timestamp=1795339679883, sessionID="ses_1", part=part)

    def begin(self) -> list[str]:
        sys.stdin.read()
        return [self._event("step_start", type="step-start")]

    def _finish(self, reason: str) -> str:
        return self._event("step_finish", reason=reason, tokens={"input": 10, "output": 1}, cost=0.01)

    def say(self, text: str) -> list[str]:
        return [self._event("text", type="text", text=text)]

    def tool(self, command: str) -> list[str]:
        self.command = command
        return []

    def result(self, text: str, **more: str) -> list[str]:
        state = {"status": "completed", "input": {"command": self.command}, "output": text, "metadata": {"exit": 0}}
        used = self._event("tool_use", type="tool", tool="bash", state=state | more)
        return [used, self._finish("tool-calls"), *([] if more else [self._event("step_start")])]

    def finish(self, text: str) -> list[str]:
        return [*self.say(text), self._finish("stop")]

    def fail(self, status: int, text: str, name: str = "APIError") -> list[str]:
        name = "ContextOverflowError" if "too long" in text else name if status else "UnknownError"
        data = {"message": text, "isRetryable": False} | ({"statusCode": status} if status else {})
        return [line(type="error", timestamp=1, sessionID="ses_1", error={"name": name, "data": data})]

    def no_login(self) -> list[str]:
        return self.fail(1, "the provider wants a key", "ProviderAuthError")

    def refused(self) -> list[str]:
        self.failed = 0
        self.tool("echo hello")
        return self.result("", status="error", error="The user rejected permission to use this specific tool call.")


class Builtin(Plain):
    """`builtin`, for what no answer of a model can make its agent do."""

    def begin(self) -> list[str]:
        sys.stdin.read()
        return [line(event="start", session="s-1", model="fake")]

    def say(self, text: str) -> list[str]:
        self.calls += 1
        return [line(event="usage", input=10, output=1, turns=self.calls), line(event="message", text=text)]

    def tool(self, command: str) -> list[str]:
        self.calls += 1
        call = line(event="tool", id="t", name="run", input=command)
        return [line(event="usage", input=10, output=1, turns=self.calls), call]

    def result(self, text: str) -> list[str]:
        return [line(event="tool_result", id="t", ok=True, text=text)]

    def finish(self, text: str) -> list[str]:
        return [line(event="result", status="finished", summary=text)]

    def fail(self, status: int, text: str) -> list[str]:
        error = line(event="error", kind="money" if status == 402 else "credentials", status=status, message=text)
        return [error, line(event="result", status="error", summary=text)]
