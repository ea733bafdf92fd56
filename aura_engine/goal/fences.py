"""Finds the fenced code blocks of a Markdown text, as CommonMark does at the top level.

A fence inside another block or inside an HTML comment is plain text; a longer fence holds shorter ones.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_OPEN = re.compile(r"^( {0,3})(`{3,}|~{3,})(.*)$")
_COMMENT = re.compile(r"^ {0,3}<!--")
_LOOKS_LIKE = re.compile(r"[\s>*+\-\d.)]*(`{3,}|~{3,})\s*([^\s`~]+)")


@dataclass(frozen=True)
class Block:
    """A fenced block, or an HTML comment (`fence` and `word` are then `<!--`)."""

    fence: str
    """The opening characters, such as three backticks."""
    word: str
    """First word of the info string."""
    first: int
    last: int
    """Lines of the text, from 1, both fences included."""
    body: str
    """Without the fences; each line without the opening fence's indent."""
    closed: bool


def find_blocks(text: str) -> list[Block]:
    """The blocks in order of appearance. One that is never closed reaches to the end of the text."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    blocks: list[Block] = []
    at = 0
    while at < len(lines):
        block = _block_at(lines, at)
        if block:
            blocks.append(block)
        at = block.last if block else at + 1
    return blocks


def opened_fence(line: str, words: tuple[str, ...]) -> str:
    """The fence in `line` before one of `words`, however deep it is indented or quoted; empty when there is none."""
    found = _LOOKS_LIKE.match(line)
    return found[1] if found and found[2] in words else ""


def _block_at(lines: list[str], at: int) -> Block | None:
    if _COMMENT.match(lines[at]):
        end = next((i for i in range(at, len(lines)) if "-->" in lines[i]), None)
        last = len(lines) - 1 if end is None else end
        return Block("<!--", "<!--", at + 1, last + 1, "\n".join(lines[at : last + 1]), end is not None)
    opening = _OPEN.match(lines[at])
    if not opening or (opening[2][0] == "`" and "`" in opening[3]):
        return None
    closing = re.compile(rf"^ {{0,3}}{re.escape(opening[2][0])}{{{len(opening[2])},}}\s*$")
    end = next((i for i in range(at + 1, len(lines)) if closing.match(lines[i])), None)
    inner = lines[at + 1 : end]
    indent = re.compile(rf"^ {{0,{len(opening[1])}}}")
    body = "".join(indent.sub("", line) + "\n" for line in inner)
    last = len(lines) if end is None else end + 1
    return Block(opening[2], (opening[3].split() or [""])[0], at + 1, last, body, end is not None)
