"""The client's side of an Agent Client Protocol session: a state machine without I/O, lines in, signals and lines out.

The same output gives the same lines to send, whoever reads it and in whatever pieces: each request's id stands for its
purpose, and each line has one form. So an engine that takes a worker over reads its output from the start and sends
only what is not yet in its input. Answers are known by their id alone, so that a gap in what was read (see Tail) costs
signals but not the end.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from acp import schema
from acp.meta import AGENT_METHODS, CLIENT_METHODS, PROTOCOL_VERSION
from pydantic import BaseModel, ValidationError

from aura_engine.core.model import Signal, SignalKind
from aura_engine.workers.acp_lines import (
    AUTH_REQUIRED,
    FIRST_MESSAGE,
    INITIALIZE,
    LOAD,
    METHOD_NOT_FOUND,
    MODE,
    NEW,
    PROMPT,
    RESUME,
    line,
    plain,
    request,
    words,
)
from aura_engine.workers.acp_policy import choose
from aura_engine.workers.acp_updates import Updates
from aura_engine.workers.base import Job
from aura_engine.workers.patterns import classify, status_in
from aura_engine.workers.stream import LineParser, list_of, table_of, text_of

SANDBOXED = "workspace-write"
"""Codex's mode of working inside its own sandbox; what it asks for then is to leave that."""
UNATTENDED = ("yolo", "bypassPermissions", "agent-full-access")
"""Modes in which agents ask nobody: a worker then goes on while no engine is there to answer, and Codex spends no model
calls on reviewing itself. The last one is without Codex's own sandbox."""
STEERING = {
    "OpenCode": "session/prompt",
    "@agentclientprotocol/claude-agent-acp": "session/prompt",
    "@agentclientprotocol/codex-acp": "_session/steering",
}
"""Agents (by the name they give) that take a message into their running turn, and the request for it. Others queue a
second prompt, or drop the first for it (Qwen Code)."""


class AcpParser(LineParser):
    """One session for one attempt: opened, given its prompt, its questions answered. `sent`: its input so far."""

    def __init__(self, job: Job, sent: Iterable[str] = ()) -> None:
        super().__init__()
        self._job = job
        self._updates = Updates()
        if job.resume:
            self._updates.meter.paid = job.counted.cost if job.counted else None
        self._out: list[str] = []
        self._agent = schema.InitializeResponse(protocol_version=PROTOCOL_VERSION)
        self._session = ""
        self._prompted = False
        self._can_load = False
        self._replaying = False
        self._sandboxed = False
        self._refused = False
        self._failed = False
        self._stop = ""
        self._answered: set[object] = set()
        self._open: set[object] = {PROMPT}
        """Prompts without an answer: the turn ends with the last one."""
        self._messages = 0
        for text in sent:
            self._remember(text)

    def _remember(self, text: str) -> None:
        """A message of a person's that went to the worker before this parser was there."""
        try:
            found = table_of(json.loads(text))
        except ValueError:
            return
        number = found.get("id")
        if isinstance(number, int) and number >= FIRST_MESSAGE:
            self._messages = max(self._messages, number - FIRST_MESSAGE + 1)
            if found.get("method") == AGENT_METHODS["session_prompt"]:
                self._open.add(number)

    # ---- what goes to the agent

    def replies(self) -> list[str]:
        """See StreamParser."""
        lines, self._out = self._out, []
        return lines

    def message(self, text: str) -> str | None:
        """See StreamParser. The line has to be sent: the turn does not end before its answer."""
        method = STEERING.get(self._agent.agent_info.name if self._agent.agent_info else "")
        if method is None or not self._prompted or not self._open:
            return None
        number = FIRST_MESSAGE + self._messages
        self._messages += 1
        if method == AGENT_METHODS["session_prompt"]:
            self._open.add(number)
        return request(number, method, self._prompt(text))

    def _prompt(self, text: str) -> schema.PromptRequest:
        return schema.PromptRequest(session_id=self._session, prompt=[schema.TextContentBlock(type="text", text=text)])

    def _send(self, number: int, name: str, params: BaseModel) -> None:
        self._out.append(request(number, AGENT_METHODS[name], params))

    # ---- what the agent says

    def read(self, event: dict[str, Any]) -> Iterable[Signal]:
        """See LineParser."""
        if "method" not in event:
            yield from self._answer(event["id"], event)
        elif "id" in event:
            yield from self._asked(event)
        elif event["method"] == CLIENT_METHODS["session_update"] and not self._replaying:
            yield from self._updates.take(event["params"])

    def close(self) -> list[Signal]:
        """See StreamParser."""
        return [*super().close(), *self._updates.flush()]

    def _asked(self, event: dict[str, Any]) -> Iterator[Signal]:
        """A request of the agent's: whatever it is, it gets an answer, or the agent would wait for ever."""
        number, method = event["id"], event["method"]
        if method != CLIENT_METHODS["session_request_permission"]:
            error = schema.Error(code=METHOD_NOT_FOUND, message=f"“{text_of(method)}” is not offered")
            self._out.append(line({"id": number, "error": plain(error)}))
            return
        params = table_of(event.get("params"))
        inside = (str(self._job.workspace), str(self._job.home))
        option, allowed = choose(
            params.get("toolCall"), list_of(params.get("options")), () if self._sandboxed else inside
        )
        self._refused = self._refused or not allowed
        outcome = (
            schema.DeniedOutcome(outcome="cancelled")
            if option is None
            else schema.AllowedOutcome(outcome="selected", option_id=option)
        )
        self._out.append(line({"id": number, "result": plain(schema.RequestPermissionResponse(outcome=outcome))}))
        yield from self._updates.tool(schema.ToolCallUpdate.model_validate(params.get("toolCall")))

    def _answer(self, number: object, event: dict[str, Any]) -> Iterator[Signal]:
        """The answer to a request of ours, by its id; a second one counts for nothing."""
        if number in self._answered:
            return
        self._answered.add(number)
        error, result = event.get("error"), event.get("result")
        if number in self._open:
            yield from self._turn(number, event)
        elif number == MODE:  # one that it does not take after all is no harm: its questions are answered
            self._give_prompt()
        elif number == RESUME and self._can_load and table_of(error).get("code") == METHOD_NOT_FOUND:
            self._load()  # Qwen Code says that it can resume, and cannot
        elif number in (RESUME, LOAD) and error is not None:  # the next attempt begins anew, with the whole prompt
            text = f"its session is gone: {words(table_of(error))}"
            yield Signal(kind=SignalKind.FAILED, text=text, reason="session")
        elif number in (INITIALIZE, None) and error is not None:
            yield from self._failure(error)
        elif number == INITIALIZE:
            yield from self._initialized(result)
        elif number in (NEW, RESUME, LOAD):
            yield from self._begin(number, event)
        elif error is not None:
            yield _not_taken(error)

    def _initialized(self, result: object) -> Iterator[Signal]:
        try:
            agent = self._agent = schema.InitializeResponse.model_validate(result)
        except ValidationError:
            yield _no_sense("initialize")
            return
        if agent.protocol_version != PROTOCOL_VERSION:
            text = f"it speaks version {agent.protocol_version} of the protocol, Aura version {PROTOCOL_VERSION}"
            yield Signal(kind=SignalKind.FAILED, text=text, reason="protocol")
            return
        # Claude Code names a price for any model, made up for all but its own.
        model, name = self._job.settings.model, agent.agent_info.name if agent.agent_info else ""
        self._updates.meter.last_step_only = name == "OpenCode"
        self._updates.makes_up_prices = "claude" in name and bool(model) and "claude" not in model.lower()
        can = agent.agent_capabilities
        session, cwd = self._job.session, str(self._job.workspace)
        self._can_load = can is not None and bool(can.load_session)
        can_resume = can is not None and can.session_capabilities and can.session_capabilities.resume is not None
        if self._job.resume and can_resume:
            self._send(RESUME, "session_resume", schema.ResumeSessionRequest(session_id=session, cwd=cwd))
        elif self._job.resume and self._can_load:
            self._load()
        elif self._job.resume:
            yield Signal(kind=SignalKind.FAILED, text="it cannot go on with an earlier session", reason="session")
        else:
            self._send(NEW, "session_new", schema.NewSessionRequest(cwd=cwd, mcp_servers=[]))

    def _load(self) -> None:
        """Go on with the session after all that was said in it has come again."""
        session, cwd = self._job.session, str(self._job.workspace)
        self._replaying = True
        self._send(LOAD, "session_load", schema.LoadSessionRequest(session_id=session, cwd=cwd, mcp_servers=[]))

    def _begin(self, number: object, event: dict[str, Any]) -> Iterator[Signal]:
        """The session is there: out of the mode that asks, then to work."""
        if event.get("error") is not None:
            yield from self._failure(event["error"])
            return
        self._replaying = False
        result = table_of(event.get("result"))
        self._session = text_of(result.get("sessionId") or (None if number == NEW else self._job.session))
        if not self._session:
            yield _no_sense("session/new")
            return
        yield Signal(kind=SignalKind.SESSION, session=self._session, text=self._job.settings.model)
        modes = table_of(result.get("modes"))
        offered = [mode.get("id") for mode in map(table_of, list_of(modes.get("availableModes")))]
        ways = UNATTENDED if self._job.contained else (*UNATTENDED[:2], SANDBOXED)
        wanted = next((mode for mode in ways if mode in offered), modes.get("currentModeId"))
        self._sandboxed = wanted == SANDBOXED
        if wanted == modes.get("currentModeId"):
            self._give_prompt()
            return
        params = schema.SetSessionModeRequest(session_id=self._session, mode_id=str(wanted))
        self._send(MODE, "session_set_mode", params)

    def _give_prompt(self) -> None:
        self._prompted = True
        self._send(PROMPT, "session_prompt", self._prompt(self._job.prompt))

    # ---- how the turn ends

    def _turn(self, number: object, event: dict[str, Any]) -> Iterator[Signal]:
        """A prompt was answered."""
        self._open.remove(number)
        yield from self._updates.flush()
        result, error = table_of(event.get("result")), event.get("error")
        self._updates.meter.answered(result.get("usage"), last=not self._open)
        yield from self._updates.meter.news()
        if error is None:
            self._stop = text_of(result.get("stopReason"))
        elif number == PROMPT or not self._open:  # with the prompt answered early, a message's answer ends the work
            yield from self._failure(error)
        else:
            yield _not_taken(error)
        if self._open or self._failed:
            return
        said = self._updates.said
        if self._stop == "end_turn":
            yield Signal(kind=SignalKind.FINISHED, text=text_of(said))
            return
        reason = "permission" if self._stop == "cancelled" and self._refused else self._stop
        yield Signal(kind=SignalKind.FAILED, text=text_of(f"{reason.replace('_', ' ')}: {said}"), reason=reason)

    def _failure(self, error: object) -> Iterator[Signal]:
        """An error that ends the session; what comes after it counts for nothing."""
        self._failed = True
        self._answered.update(self._open)
        told = table_of(error)
        text = words(told)
        status = status_in(text)
        code = told.get("code")
        reason = text_of(table_of(told.get("data")).get("errorName") or code)
        if code == AUTH_REQUIRED and classify(text, status) is None:
            reason = "auth_required"
        yield Signal(kind=SignalKind.FAILED, text=text, reason=reason, status=status)


def _not_taken(error: object) -> Signal:
    text = text_of(f"It did not take the message: {words(table_of(error))}")
    return Signal(kind=SignalKind.MESSAGE, text=text, ok=False)


def _no_sense(method: str) -> Signal:
    return Signal(kind=SignalKind.FAILED, text=f"its answer to {method} makes no sense", reason="protocol")
