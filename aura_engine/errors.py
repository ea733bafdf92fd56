"""Errors that speak to the person.

AuraError                 anything Aura reports in one line; carries the cure and the exit status
├── UsageError            wrong use or configuration (exit 2)
│   ├── GoalError         the task file cannot be used
│   ├── ConfigError       a setting is wrong
│   └── MissingProgram    a program Aura needs is not there
├── OwnedError            another engine owns the project (exit 4)
├── JournalError          the journal cannot be read or written
│   └── DiskFull          for now: the disk that holds it is full
├── GitError              a git call of the engine's failed
├── NeedsPerson           a person has to decide or to mend something first (exit 5)
├── RuntimeFault          a worker could not be started or watched: the machinery's fault, not the work's
└── ProviderError         a model call failed; `kind` says how
"""

from __future__ import annotations

from enum import StrEnum


class AuraError(Exception):
    """What failed, on what and why (`str(error)`), and what to do next (`cure`)."""

    exit_status = 1

    def __init__(self, message: str, *, cure: str = "") -> None:
        super().__init__(message)
        self.cure = cure

    def line(self) -> str:
        """One line for a person."""
        text = str(self)
        stop = "." if self.cure and text and text[-1] not in ".!?:;" else ""
        return f"{text}{stop} {self.cure}".strip()


class UsageError(AuraError):
    """Wrong use or configuration."""

    exit_status = 2


class GoalError(UsageError):
    """The task file cannot be used."""


class ConfigError(UsageError):
    """A setting is wrong or missing."""


class MissingProgram(UsageError):
    """A program that Aura needs is missing or too old."""


class NeedsPerson(AuraError):
    """A person has to decide, or to mend something, first."""

    exit_status = 5


class OwnedError(AuraError):
    """Another engine owns the project."""

    exit_status = 4


class JournalError(AuraError):
    """The journal cannot be read or written."""


class DiskFull(JournalError):
    """The disk that holds the journal is full; what waits is written when space returns."""


class GitError(AuraError):
    """A git call of the engine's failed."""


class RuntimeFault(AuraError):
    """A worker could not be started or watched: infrastructure, never the worker's capability."""


class ProviderFailure(StrEnum):
    """Why a model call failed; the retry policy hangs on it."""

    CREDENTIALS = "credentials"
    MONEY = "money"
    RATE_LIMIT = "rate_limit"
    OVERLOADED = "overloaded"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    BAD_REQUEST = "bad_request"
    CONTEXT_OVERFLOW = "context_overflow"
    REFUSAL = "refusal"
    TRUNCATED = "truncated"
    MALFORMED = "malformed"


class ProviderError(AuraError):
    """A model call failed. `retry_after` is in seconds when the provider said it."""

    def __init__(
        self,
        kind: ProviderFailure,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        cure: str = "",
    ) -> None:
        super().__init__(message, cure=cure)
        self.kind = kind
        self.status = status
        self.retry_after = retry_after
