"""The dialects of the CLIs whose lines go both ways, and of Qwen Code, which prints as Claude Code does."""

from __future__ import annotations

import json
import sys

from fake_dialects import Plain, line, write

ERRORS = {401: "authentication_failed", 402: "billing_error", 404: "model_not_found", 429: "rate_limit"}


class Claude(Plain):
    """`claude`: JSON lines both ways; it ends when its input does."""

    def begin(self) -> list[str]:
        sys.stdin.readline()
        return [line(type="system", subtype="init", session_id="s-1", model="fake")]

    def _message(self, role: str, block: dict, **more: object) -> list[str]:
        message = {"id": f"m{self.calls}", "role": role, "content": [block], "usage": {"input_tokens": 9}}
        return [line(type=role, message=message, parent_tool_use_id=None, session_id="s-1", **more)]

    def say(self, text: str) -> list[str]:
        self.calls += 1
        return self._message("assistant", {"type": "text", "text": text})

    def tool(self, command: str) -> list[str]:
        self.calls += 1
        block = {"type": "tool_use", "id": f"t{self.calls}", "name": "Bash", "input": {"command": command}}
        return self._message("assistant", block)

    def result(self, text: str) -> list[str]:
        block = {"type": "tool_result", "tool_use_id": f"t{self.calls}", "content": text, "is_error": False}
        return self._message("user", block)

    def _result(self, **more: object) -> list[str]:
        usage = {"input_tokens": 20, "output_tokens": 2}
        event = {"type": "result", "subtype": "success", "is_error": False, "usage": usage, "num_turns": self.calls}
        return [line(**event | {"session_id": "s-1", "terminal_reason": "completed"} | more)]

    def finish(self, text: str) -> list[str]:
        return [*self.say(text), *self._result(result=text)]

    def fail(self, status: int, text: str) -> list[str]:
        text = f"API Error: {status} {text}" if status else text
        shown = self._message("assistant", {"type": "text", "text": text}, error=ERRORS.get(status, "unknown"))
        long = "terminal_reason" if "too long" in text else "x"
        return shown + self._result(
            result=text, is_error=True, api_error_status=status or None, **{long: "prompt_too_long"}
        )

    def limit(self, text: str, code: str = "") -> list[str]:
        shown = self._message("assistant", {"type": "text", "text": text}, error="rate_limit")
        return shown + self._result(result=text, is_error=True, api_error_status=429)

    def no_login(self) -> list[str]:
        return self.fail(0, "Not logged in · Please run /login")

    def retry(self, status: int) -> list[str]:
        more = {"attempt": 1, "max_retries": 4, "retry_delay_ms": 500, "error_status": status, "error": "unknown"}
        return [line(type="system", subtype="api_retry", **more)]

    def turns(self) -> list[str]:
        more = {"subtype": "error_max_turns", "terminal_reason": "max_turns"}
        return self._result(is_error=True, errors=["Reached maximum number of turns (3)"], **more)

    def refused(self) -> list[str]:
        sys.stderr.write("--dangerously-skip-permissions cannot be used with root/sudo privileges\n")
        return []

    def rest(self) -> None:
        if "refused" not in self.verbs:
            sys.stdin.read()


class Qwen(Claude):
    """`qwencode`: alike, but one prompt and one run, and a failed call is its answer."""

    failed = 0

    def begin(self) -> list[str]:
        sys.stdin.read()
        begun = line(type="system", subtype="init", session_id="s-1", model="fake", qwen_code_version="0.15.10")
        return [] if "no_login" in self.verbs else [begun]

    def _result(self, **more: object) -> list[str]:
        return super()._result(duration_ms=0 if "no_login" in self.verbs else 5, **more)

    def fail(self, status: int, text: str) -> list[str]:
        text = f"[API Error: {status} {text}]" if status else f"[API Error: {text}]"
        text += "\nPossible quota limitations in place or slow response times detected." if status == 429 else ""
        return self.finish(text)

    def limit(self, text: str, code: str = "") -> list[str]:
        return self.fail(429, text)

    def no_login(self) -> list[str]:
        self.failed = 1
        error = {"message": "Missing API key for OpenAI-compatible auth. Set settings.security.auth.apiKey."}
        return self._result(subtype="error_during_execution", is_error=True, error=error)

    def turns(self) -> list[str]:
        sys.stderr.write("Reached max session turns for this session.\n")
        self.failed = 53
        return []

    def rest(self) -> None:
        return


class Acp(Plain):
    """`acp`: JSON-RPC both ways; it ends when its input does."""

    prompt: object = 0
    failed = 0

    def _hear(self, method: str) -> dict:
        while True:
            told = sys.stdin.readline()
            if not told:
                sys.exit(0)
            if json.loads(told).get("method", "") == method:
                return json.loads(told)

    def _answer(self, number: object, **result: object) -> str:
        return line(jsonrpc="2.0", id=number, result=result)

    def _update(self, kind: str, /, **fields: object) -> str:
        update = {"sessionUpdate": kind, **fields}
        return line(jsonrpc="2.0", method="session/update", params={"sessionId": "s-1", "update": update})

    def begin(self) -> list[str]:
        info = {"protocolVersion": 1, "agentInfo": {"name": "fake", "version": "1"}}
        write(f"{self._answer(self._hear('initialize')['id'], **info)}\n".encode())
        self.prompt = self._hear("session/new")["id"]
        if "no_login" in self.verbs:
            return []
        write(f"{self._answer(self.prompt, sessionId='s-1')}\n".encode())
        self.prompt = self._hear("session/prompt")["id"]
        return []

    def say(self, text: str) -> list[str]:
        self.calls += 1
        content = {"type": "text", "text": text}
        return [self._update("agent_message_chunk", content=content, messageId=f"m{self.calls}")]

    def tool(self, command: str) -> list[str]:
        self.calls += 1
        more = {"title": command, "kind": "execute", "rawInput": {"command": command}, "status": "in_progress"}
        return [self._update("tool_call", toolCallId=f"t{self.calls}", **more)]

    def result(self, text: str) -> list[str]:
        content = [{"type": "content", "content": {"type": "text", "text": text}}]
        return [self._update("tool_call_update", toolCallId=f"t{self.calls}", status="completed", content=content)]

    def _stop(self, reason: str) -> str:
        usage = {"inputTokens": 20, "outputTokens": 2, "totalTokens": 22}
        return self._answer(self.prompt, stopReason=reason, usage=usage)

    def finish(self, text: str) -> list[str]:
        return [*self.say(text), self._stop("end_turn")]

    def fail(self, status: int, text: str) -> list[str]:
        data = {"details": f"{status} {text}" if status else text}
        error = {"code": -32603, "message": "Internal error", "data": data}
        return [line(jsonrpc="2.0", id=self.prompt, error=error)]

    def no_login(self) -> list[str]:
        error = {"code": -32000, "message": "Please choose how to sign in"}
        return [line(jsonrpc="2.0", id=self.prompt, error=error)]

    def turns(self) -> list[str]:
        return [self._stop("max_turn_requests")]

    def give_up(self, text: str) -> list[str]:
        return [*self.say(text), self._stop("refusal")]

    def refused(self) -> list[str]:
        call = {"toolCallId": "t0", "title": "edit", "kind": "edit", "locations": [{"path": "/etc/passwd"}]}
        options = [{"optionId": name, "kind": f"{name}_once", "name": name} for name in ("allow", "reject")]
        params = {"sessionId": "s-1", "toolCall": call, "options": options}
        write(f"{line(jsonrpc='2.0', id='ask', method='session/request_permission', params=params)}\n".encode())
        outcome = json.loads(sys.stdin.readline())["result"]["outcome"]
        return [self._stop("cancelled" if outcome.get("optionId") == "reject" else "end_turn")]

    def rest(self) -> None:
        sys.stdin.read()
