"""What every worker backend is: how to launch its program, read its stream and tell how it ended."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from aura_engine.core.model import Ending, ExitRecord, LaunchSpec, Signal, SignalKind, Usage

GRACE = 10.0
"""Seconds; see Backend.grace."""
_SESSION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,127}")
"""The id becomes a word of a command line: it must not read as an option."""


@dataclass(frozen=True)
class Login:
    """The person's own login of a worker program, for a role without a key."""

    words: str
    """What is used, for the person: `the login in ~/.codex/auth.json`."""
    env: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    """See LaunchSpec.logins."""


@dataclass(frozen=True)
class RoleSettings:
    """How one role's workers are run. Empty texts leave the choice to the worker's program."""

    backend: str
    api_key: str = field(default="", repr=False)
    base_url: str = ""
    model: str = ""
    program: str = ""
    """Path of the worker's program; empty: the backend's own name, looked up on PATH (see table.find_program)."""
    protocol: str = ""
    """What `base_url` speaks, `anthropic` or `openai`; empty: told from the address."""
    command: str = ""
    """The command line of the backends `command` and `acp`, as a person wrote it."""
    max_turns: int = 50
    max_output_tokens: int = 25_000
    """The longest answer to ask for, where the program can be told."""
    login: Login | None = None
    """Used where `api_key` is empty."""
    env: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """Further environment for the worker."""


@dataclass(frozen=True)
class Job:
    """One attempt, as a backend needs to know it."""

    prompt: str
    workspace: Path
    home: Path
    """The worker's private HOME; `home/tmp` is its TMPDIR."""
    folder: Path
    """The attempt's folder: outside the workspace, not for the worker."""
    settings: RoleSettings
    session: str
    """A UUID, minted by Aura; with `resume` the program's own id of the session to go on with."""
    max_turns: int
    budget: float
    """Seconds."""
    resume: bool = False
    """Go on with the session of that id instead of beginning it."""
    counted: Usage | None = None
    """With `resume`: what earlier attempts told that this session used; None where that is not known."""
    contained: bool = True
    """Whether Aura's own wall stands around it: only then its own sandbox may be off."""


@dataclass
class Seen:
    """What a worker's stream has said so far."""

    session: str = ""
    model: str = ""
    usage: Usage = field(default_factory=Usage)
    turns: int = 0
    last_message: str = ""
    finished: str | None = None
    """The claim of the final event, once there was one; a new turn takes it back."""
    failed: str | None = None
    """The final event's error."""
    reason: str = ""
    """The program's own word for the error."""
    status: int | None = None
    """The last HTTP status said, of a retry or of the final error."""
    retries: int = 0
    tools: int = 0
    repeats: int = 0
    """How often the last tool call was made in a row with the same input."""
    unknown: int = 0
    """Lines that nobody could read."""
    _last_tool: tuple[str, str] = ("", "")

    def add_all(self, signals: Iterable[Signal]) -> None:
        """See add."""
        for signal in signals:
            self.add(signal)

    def add(self, signal: Signal) -> None:
        """Takes one signal in."""
        match signal.kind:
            case SignalKind.SESSION:
                self.session = _session_of(signal.session) if signal.session else self.session
                self.model = signal.text or self.model
                self.finished = self.failed = None
            case SignalKind.MESSAGE:
                self.last_message = signal.text if signal.ok else self.last_message  # an error is no claim of its
            case SignalKind.TOOL:
                call = (signal.tool, signal.text)
                self.repeats = self.repeats + 1 if call == self._last_tool else 1
                self._last_tool = call
                self.tools += 1
            case SignalKind.USAGE:
                self.usage = signal.usage or self.usage
                self.turns = self.turns if signal.turns is None else signal.turns
            case SignalKind.RETRY:
                self.retries += 1
                self.status = signal.status or self.status
            case SignalKind.FINISHED:
                self.finished, self.failed = signal.text, None
            case SignalKind.FAILED:
                self.finished, self.failed = None, signal.text
                self.reason, self.status = signal.reason, signal.status
            case SignalKind.UNKNOWN:
                self.unknown += 1
            case SignalKind.TOOL_RESULT:
                pass


def _session_of(told: str) -> str:
    """The id of a session, which is the worker's word; empty, so that nobody resumes it, for one that is no id."""
    return told if _SESSION.fullmatch(told) else ""


class StreamParser(Protocol):
    """Turns a worker's stdout into signals. Never raises, whatever the bytes."""

    def feed(self, chunk: bytes) -> list[Signal]:
        """The signals of the lines that this chunk completes."""
        ...

    def close(self) -> list[Signal]:
        """The signals of a last line without its newline."""
        ...

    def replies(self) -> list[str]:
        """The lines that the worker waits for on its stdin after what it said, taken out; most wait for none.

        The same output gives the same lines, so that an engine that took the worker over knows which were sent.
        """
        ...

    def message(self, text: str) -> str | None:
        """The line of its stdin that brings it a person's message now; None where it cannot take one."""
        ...


class Backend(Protocol):
    """One worker program."""

    name: str
    install_hint: str
    verified: str
    """The version that this backend was tried with; empty where there is none to speak of."""
    stdin_open: bool
    """Whether its stdin is kept open for messages, and has to be closed for it to end."""
    resumes: bool
    """Whether it can go on with an earlier session in the same HOME and workspace."""
    grace: float
    """Seconds that it has to end by itself, or to go on after all, once it said that it is done."""

    @property
    def program(self) -> str | None:
        """Default executable; None where no program has to be installed."""
        ...

    def login(self, environ: Mapping[str, str]) -> Login | None:
        """The person's own login that it would use without a key; None when there is none or it has no such thing."""
        ...

    def launch(self, job: Job) -> LaunchSpec:
        """How to start it. The environment is what it needs beyond the allow-list that the runtime adds."""
        ...

    def parser(self, job: Job) -> StreamParser:
        """A fresh parser, for one attempt."""
        ...

    def ending(self, exit: ExitRecord, seen: Seen, stderr_tail: str) -> Ending:
        """How it ended, told from exit status, stream and stderr together."""
        ...
