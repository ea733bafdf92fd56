"""The judge: a model that decides by a rubric, believed only as far as its citations are found in the files."""

from __future__ import annotations

import os
import secrets
from importlib import resources
from pathlib import Path
from typing import Literal, Protocol

from pydantic import Field

from aura_engine.core.model import Frozen
from aura_engine.verify.inside import Unusable, open_regular

MAX_SHOWN = 200_000
_MIN_QUOTE = 8
_NEAR = 3


class Citation(Frozen):
    """Where the judge saw what it says."""

    file: str = Field(max_length=500)
    line: int = Field(ge=1)
    quote: str = Field(max_length=2000)


class JudgeReply(Frozen):
    """What the model answered. Its schema is what the provider is asked to fill in."""

    verdict: Literal["pass", "fail"]
    reason: str = Field(max_length=2000)
    citations: tuple[Citation, ...] = Field(default=(), max_length=50)


class Judge(Protocol):
    """Asks the planner's provider, with `system_prompt()` as its instructions; raises ProviderError."""

    async def __call__(self, rubric: str, excerpt: str) -> JudgeReply:
        """Decide `rubric` on the files in `excerpt` (delimited, numbered lines, untrusted)."""
        ...


def system_prompt() -> str:
    """The judge's instructions."""
    return resources.files("aura_engine.verify").joinpath("judge_prompt.md").read_text("utf-8")


def gather(checkout: Path, path: str) -> dict[str, list[str]]:
    """The lines of the file to judge, 200 kB at most; Unusable when there is nothing to show."""
    with os.fdopen(open_regular(checkout, path), "rb") as stream:
        data = stream.read(MAX_SHOWN + 1)
    if b"\0" in data:
        raise Unusable(f"{path} is not text")
    lines = data[:MAX_SHOWN].decode(errors="replace").splitlines()
    if not any(line.strip() for line in lines):
        raise Unusable(f"{path} is empty")
    return {path: [*lines, "(cut here: too long to be shown whole)"] if len(data) > MAX_SHOWN else lines}


def excerpt_of(shown: dict[str, list[str]]) -> str:
    """The files between delimiters that their contents cannot foresee, each line with its number."""
    code = secrets.token_hex(8)
    parts: list[str] = []
    for path, lines in shown.items():
        numbered = [f"{number}| {_printable(line)}" for number, line in enumerate(lines, 1)]
        parts += [f"=== BEGIN untrusted file {_printable(path)} [{code}] ===", *numbered, f"=== END [{code}] ==="]
    return "\n".join(parts)


def found(citation: Citation, shown: dict[str, list[str]]) -> bool:
    """Whether the quote stands in a file that was shown, within three lines of the one named; white space aside."""
    lines = shown.get(citation.file.removeprefix("./"))
    quote = " ".join(citation.quote.split())
    if lines is None or not quote or citation.line > len(lines) + _NEAR:
        return False
    near = [" ".join(line.split()) for line in lines[max(0, citation.line - 1 - _NEAR) : citation.line + _NEAR]]
    return quote in near or (len(quote) >= _MIN_QUOTE and quote in " ".join(line for line in near if line))


def problem_with(reply: JudgeReply, shown: dict[str, list[str]]) -> str:
    """Why it is not met: the judge's reason, or that nothing it cited could be found; empty when it is."""
    if reply.verdict == "fail":
        return f"the judge says: {reply.reason}"
    if not any(found(citation, shown) for citation in reply.citations):
        return "the judge cited nothing that could be found"
    return ""


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() or char == "\t" else "�" for char in text)
